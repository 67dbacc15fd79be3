"""The one exception of the harness: the run cannot go on, and the message says why and what to do."""


class Trouble(Exception):
    """Shown to the user as it is, without a traceback."""
