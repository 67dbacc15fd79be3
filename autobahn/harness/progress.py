"""How far a run is: one line that is rewritten on a terminal, one line every 15 seconds elsewhere."""

import asyncio
import time

from .cases import cost
from .verdict import INFORMATIONAL, OK

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 15.0
# Before this share of the work is done, an estimate of the rest is a guess.
SHARE_TO_ESTIMATE = 0.02


class Progress:
    """Counts cases. What is left is estimated by the cost of the cases, not by their number."""

    def __init__(self, cases, output, now=time.monotonic):
        self._costs = {case: cost(case) for case in cases}
        self._output = output
        self._now = now
        self._begin = now()
        self._ended = set()
        self._failures = 0

    def follower(self):
        """A function to be called with each case of a batch as it begins: by then, the one before it has ended."""
        latest = []

        def started(case):
            self._ended.update(latest)
            latest[:] = [case]

        return started

    def judged(self, outcome):
        """A first judgement, on the spot; the golden file has the last word."""
        self._ended.add(outcome.case)
        if not {outcome.behavior, outcome.behavior_close} <= {OK, INFORMATIONAL}:
            self._failures += 1

    def line(self):
        elapsed = self._now() - self._begin
        share = sum(self._costs.get(case, 0.0) for case in self._ended) / sum(self._costs.values())
        left = f"about {_clock(elapsed / share - elapsed)} left" if share > SHARE_TO_ESTIMATE else "estimating"
        return f"{len(self._ended)} of {len(self._costs)} cases, {_clock(elapsed)}, {left}, {self._failures} failed"

    async def show(self):
        """Writes lines until it is cancelled."""
        is_terminal = self._output.isatty()
        try:
            while True:
                await asyncio.sleep(TERMINAL_SECONDS if is_terminal else LOG_SECONDS)
                self._output.write(f"\r\x1b[K{self.line()}" if is_terminal else f"{self.line()}\n")
                self._output.flush()
        finally:
            if is_terminal:
                self._output.write("\r\x1b[K")
                self._output.flush()


def _clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02}"
