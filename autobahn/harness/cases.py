"""Case ids: their order, the patterns that select them, what they cost, and batches of them. Pure functions."""

import fnmatch
from dataclasses import dataclass
from typing import List, Tuple

from .trouble import Trouble

# Seconds by the last number of a case 12.x.N or 13.x.N: 1000 messages of growing size, then cut into fragments.
# Measured with the official tool; only the proportions matter.
COMPRESSION_SECONDS = (0.5, 0.5, 0.5, 0.5, 0.7, 0.9, 1.2, 2.0, 4.0, 6.0, 1.0, 1.3, 2.2, 4.2, 7.5, 8.0, 7.0, 6.0)
# The data of these compress badly, so that more bytes travel.
INCOMPRESSIBLE = ("12.2.", "12.3.", "12.5.")
INCOMPRESSIBLE_FACTOR = 1.7
# Cases that wait on purpose, and the large messages.
OTHER_SECONDS = (("5.19", 1.0), ("5.20", 1.0), ("6.4.", 1.0), ("9.", 0.4))
DEFAULT_SECONDS = 0.02

# A batch is one process of the tool, which takes about half a second to start. Batches shrink towards the end, so that
# all workers end at about the same time.
LARGEST_BATCH_SECONDS = 15.0
SMALLEST_BATCH_SECONDS = 2.0


@dataclass(frozen=True)
class Batch:
    """The cases that one process of the tool runs, one after the other."""

    cases: Tuple[str, ...]
    seconds: float
    # Whether these cases were in a larger batch that did not deliver a verdict on them.
    is_retry: bool = False


def order(case: str):
    """The sort key of an id: 9.2 comes before 10.1, and whatever is no id comes last."""
    parts = case.split(".")
    return (0, [int(part) for part in parts]) if all(part.isdigit() for part in parts) else (1, [case])


def select(all_cases, patterns: str) -> List[str]:
    """The cases that a comma-separated list of ids and globs names; a pattern that names none is trouble."""
    chosen = set()
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        matching = [case for case in all_cases if fnmatch.fnmatchcase(case, pattern)]
        if not matching:
            raise Trouble(f"--cases: no case is named {pattern!r}")
        chosen.update(matching)
    if not chosen:
        raise Trouble("--cases: nothing is named")
    return sorted(chosen, key=order)


def cost(case: str) -> float:
    """About how many seconds a case takes."""
    parts = case.split(".")
    if parts[0] in ("12", "13") and len(parts) == 3:
        seconds = COMPRESSION_SECONDS[(int(parts[2]) - 1) % len(COMPRESSION_SECONDS)]
        return seconds * INCOMPRESSIBLE_FACTOR if case.startswith(INCOMPRESSIBLE) else seconds
    for prefix, seconds in OTHER_SECONDS:
        if case.startswith(prefix):
            return seconds
    return DEFAULT_SECONDS


def batches(cases, workers: int) -> List[Batch]:
    """Cuts the cases into batches for a queue: the cheap ones first, since a basic fault shows there, then the dearest
    first, so that what is left for the end is small.
    """
    left = sum(cost(case) for case in cases)
    made = []
    gathered: List[str] = []
    for case in sorted(cases, key=_queue_order):
        gathered.append(case)
        seconds = sum(cost(one) for one in gathered)
        goal = min(LARGEST_BATCH_SECONDS, max(SMALLEST_BATCH_SECONDS, left / (3 * workers)))
        if seconds >= goal:
            made.append(Batch(tuple(sorted(gathered, key=order)), seconds))
            left -= seconds
            gathered = []
    if gathered:
        made.append(Batch(tuple(sorted(gathered, key=order)), sum(cost(one) for one in gathered)))
    return made


def _queue_order(case):
    is_dear = cost(case) >= SMALLEST_BATCH_SECONDS
    return (is_dear, -cost(case) if is_dear else 0.0, order(case))
