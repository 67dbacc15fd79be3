"""The verdict: what every case must come out as, and whether it did. Knows no processes, no network, no clock.

The rule: each case of the golden file, and no other, has exactly the behavior and the behaviorClose noted there. The
golden file itself may only say OK, and INFORMATIONAL for the three cases that judge nothing. So NON-STRICT,
UNIMPLEMENTED, a wrong close, a missing case and an unknown case are failures, and no edit of the file can excuse them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

from .cases import order
from .trouble import Trouble

OK = "OK"
INFORMATIONAL = "INFORMATIONAL"
NON_STRICT = "NON-STRICT"
FAILED = "FAILED"
TOOL_FAULT = "TOOL FAULT"

# These cases only tell how a server behaves where the RFC leaves it free.
INFORMATIONAL_CASES = frozenset({"7.1.6", "7.13.1", "7.13.2"})


@dataclass(frozen=True)
class Expected:
    """What one case must come out as."""

    behavior: str
    behavior_close: str

    def __str__(self):
        return f"{self.behavior}, close {self.behavior_close}"


@dataclass(frozen=True)
class Outcome:
    """What one case came out as, in the words of the test tool."""

    case: str
    behavior: str
    behavior_close: str
    result: str = ""
    description: str = ""
    close_code: Optional[int] = None
    milliseconds: Optional[int] = None
    page: Optional[Path] = None

    def __str__(self):
        return f"{self.behavior}, close {self.behavior_close}"


@dataclass(frozen=True)
class Fault:
    """How a known fault of a test tool shows in one case."""

    behavior: str
    result: str

    def explains(self, outcome):
        return outcome.behavior == self.behavior and outcome.result == self.result


@dataclass(frozen=True)
class Finding:
    """One judged case. `expected` is None for a case that should not be there, `got` for one that has no outcome."""

    case: str
    status: str
    expected: Optional[Expected]
    got: Optional[Outcome]

    @property
    def failed(self):
        return self.status in (NON_STRICT, FAILED)


@dataclass
class Judgement:
    """All findings, in the order of the case ids."""

    findings: List[Finding] = field(default_factory=list)

    @property
    def passed(self):
        return bool(self.findings) and not self.failures

    @property
    def failures(self):
        return [finding for finding in self.findings if finding.failed]

    def of(self, status):
        return [finding for finding in self.findings if finding.status == status]

    def summary(self):
        """The final line of a run."""
        statuses = [OK, INFORMATIONAL, NON_STRICT, FAILED]
        if self.of(TOOL_FAULT):
            statuses.append(TOOL_FAULT)
        counts = ", ".join(f"{len(self.of(status))} {status}" for status in statuses)
        return f"{len(self.findings)} cases: {counts}"


def judge(golden: Dict[str, Expected], outcomes: Dict[str, Outcome], faults: Dict[str, Fault]) -> Judgement:
    """Compares every case of either side."""
    cases = sorted(set(golden) | set(outcomes), key=order)
    return Judgement([_finding(case, golden.get(case), outcomes.get(case), faults.get(case)) for case in cases])


def _finding(case, expected, got, fault):
    return Finding(case, _status(expected, got, fault), expected, got)


def _status(expected, got, fault):
    if expected is None or got is None:
        return FAILED
    if (got.behavior, got.behavior_close) == (expected.behavior, expected.behavior_close):
        return expected.behavior
    if fault is not None and fault.explains(got):
        return TOOL_FAULT
    # A case that is also closed wrongly is worse than not strict.
    if got.behavior == NON_STRICT and got.behavior_close == expected.behavior_close:
        return NON_STRICT
    return FAILED


def load_golden(path: Path) -> Dict[str, Expected]:
    """Reads `case behavior behaviorClose` lines."""
    golden = {}
    for case, behavior, behavior_close in _rows(path, 3):
        allowed = INFORMATIONAL if case in INFORMATIONAL_CASES else OK
        if (behavior, behavior_close) != (allowed, allowed):
            raise Trouble(f"{path}: case {case} may only be expected as {allowed}, not {behavior} / {behavior_close}")
        if case in golden:
            raise Trouble(f"{path}: case {case} is there twice")
        golden[case] = Expected(behavior, behavior_close)
    if not golden:
        raise Trouble(f"{path}: no cases")
    return golden


def load_faults(path: Path) -> Dict[str, Fault]:
    """Reads `case behavior result` lines."""
    return {case: Fault(behavior, result) for case, behavior, result in _rows(path, 3)}


def _rows(path, columns):
    for line in path.read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        row = line.split("\t")
        if len(row) != columns:
            raise Trouble(f"{path}: not {columns} columns: {line!r}")
        yield row
