"""The verdict rule, exchange by exchange: what was expected, what came, what is said."""

import tempfile
import unittest
from pathlib import Path

from harness import main, verdict
from harness.tools import CLIENT, SERVER
from harness.trouble import Trouble
from harness.verdict import FAILED, INFORMATIONAL, NON_STRICT, OK, TOOL_FAULT, Expected, Fault, Outcome, judge

GOLDEN = {
    "1.1.1": Expected("OK", "OK"),
    "6.4.1": Expected("OK", "OK"),
    "7.1.6": Expected("INFORMATIONAL", "INFORMATIONAL"),
}


def outcomes(**changed):
    """All as expected, but for the cases given as `c1_1_1=("FAILED", "OK")`, or as None to leave them out."""
    came = {case: (expected.behavior, expected.behavior_close) for case, expected in GOLDEN.items()}
    came.update({name[1:].replace("_", "."): pair for name, pair in changed.items()})
    return {case: Outcome(case, *pair) for case, pair in came.items() if pair is not None}


class Judging(unittest.TestCase):
    def status(self, case, faults=None, **changed):
        judgement = judge(GOLDEN, outcomes(**changed), faults or {})
        finding = next(finding for finding in judgement.findings if finding.case == case)
        self.assertEqual(judgement.passed, not finding.failed)
        return finding.status

    def test_all_as_expected_passes(self):
        judgement = judge(GOLDEN, outcomes(), {})
        self.assertTrue(judgement.passed)
        self.assertEqual(judgement.summary(), "3 cases: 2 OK, 1 INFORMATIONAL, 0 NON-STRICT, 0 FAILED")

    def test_failed_is_a_failure(self):
        self.assertEqual(self.status("1.1.1", c1_1_1=("FAILED", "FAILED")), FAILED)

    def test_non_strict_is_a_failure(self):
        self.assertEqual(self.status("6.4.1", c6_4_1=("NON-STRICT", "OK")), NON_STRICT)

    def test_unimplemented_is_a_failure(self):
        self.assertEqual(self.status("1.1.1", c1_1_1=("UNIMPLEMENTED", "OK")), FAILED)

    def test_informational_is_a_failure_where_ok_is_expected(self):
        self.assertEqual(self.status("1.1.1", c1_1_1=("INFORMATIONAL", "INFORMATIONAL")), FAILED)

    def test_ok_is_a_failure_where_informational_is_expected(self):
        self.assertEqual(self.status("7.1.6", c7_1_6=("OK", "OK")), FAILED)

    def test_every_wrong_close_is_a_failure(self):
        for close in ("UNCLEAN", "WRONG CODE", "FAILED BY CLIENT", "FAILED", "INFORMATIONAL", "NON-STRICT"):
            with self.subTest(close):
                self.assertEqual(self.status("1.1.1", c1_1_1=("OK", close)), FAILED)

    def test_non_strict_with_a_wrong_close_counts_as_failed(self):
        self.assertEqual(self.status("1.1.1", c1_1_1=("NON-STRICT", "UNCLEAN")), FAILED)

    def test_an_unknown_word_is_a_failure(self):
        self.assertEqual(self.status("1.1.1", c1_1_1=("ok", "OK")), FAILED)

    def test_a_missing_case_is_a_failure(self):
        self.assertEqual(self.status("1.1.1", c1_1_1=None), FAILED)

    def test_an_extra_case_is_a_failure(self):
        self.assertEqual(self.status("99.1", c99_1=("OK", "OK")), FAILED)

    def test_no_cases_at_all_is_no_pass(self):
        self.assertFalse(judge({}, {}, {}).passed)

    def test_findings_come_in_the_order_of_the_ids(self):
        cases = ["10.1.1", "9.1.10", "9.1.9", "not an id", "1.1.1"]
        judgement = judge({}, {case: Outcome(case, OK, OK) for case in cases}, {})
        self.assertEqual([one.case for one in judgement.findings], ["1.1.1", "9.1.9", "9.1.10", "10.1.1", "not an id"])

    def test_the_summary_counts_every_kind(self):
        came = outcomes(c1_1_1=("NON-STRICT", "OK"), c6_4_1=None, c99_1=("OK", "OK"))
        summary = judge(GOLDEN, came, {}).summary()
        self.assertEqual(summary, "4 cases: 0 OK, 1 INFORMATIONAL, 1 NON-STRICT, 2 FAILED")


class Faults(unittest.TestCase):
    FAULTS = {"1.1.1": Fault("ERROR", "the tool's own error")}

    def judged(self, case="1.1.1", behavior="ERROR", result="the tool's own error"):
        came = {**outcomes(), case: Outcome(case, behavior, "FAILED", result=result)}
        return judge(GOLDEN, came, self.FAULTS)

    def test_a_known_fault_is_neither_passed_nor_failed(self):
        judgement = self.judged()
        self.assertTrue(judgement.passed)
        self.assertEqual(len(judgement.of(TOOL_FAULT)), 1)
        self.assertEqual(judgement.summary(), "3 cases: 1 OK, 1 INFORMATIONAL, 0 NON-STRICT, 0 FAILED, 1 TOOL FAULT")

    def test_the_case_is_a_failure_when_it_ends_otherwise(self):
        self.assertFalse(self.judged(behavior="FAILED").passed)
        self.assertFalse(self.judged(result="connection refused").passed)

    def test_the_fault_excuses_no_other_case(self):
        self.assertFalse(self.judged(case="6.4.1").passed)

    def test_a_case_with_a_known_fault_that_passes_counts_as_passed(self):
        self.assertEqual(len(judge(GOLDEN, outcomes(), self.FAULTS).of(OK)), 2)

    def test_a_case_with_a_known_fault_must_not_be_missing(self):
        self.assertFalse(judge(GOLDEN, outcomes(c1_1_1=None), self.FAULTS).passed)


class GoldenFile(unittest.TestCase):
    def load(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "golden.tsv")
            path.write_text(text, "utf-8")
            return verdict.load_golden(path)

    def test_it_holds_517_cases_of_which_three_are_informational(self):
        for role in (SERVER, CLIENT):
            golden = verdict.load_golden(main.GOLDEN[role])
            self.assertEqual(len(golden), 517)
            informational = {case for case, expected in golden.items() if expected.behavior == INFORMATIONAL}
            self.assertEqual(informational, {"7.1.6", "7.13.1", "7.13.2"})

    def test_it_is_sorted(self):
        for role in (SERVER, CLIENT):
            cases = list(verdict.load_golden(main.GOLDEN[role]))
            self.assertEqual(cases, sorted(cases, key=verdict.order))

    def test_both_roles_are_judged_by_the_same_cases(self):
        self.assertEqual(verdict.load_golden(main.GOLDEN[SERVER]), verdict.load_golden(main.GOLDEN[CLIENT]))

    def test_comments_and_empty_lines_are_skipped(self):
        self.assertEqual(self.load("# a comment\n\n1.1.1\tOK\tOK\n"), {"1.1.1": Expected("OK", "OK")})

    def test_it_cannot_be_loosened(self):
        for line in ("6.4.1\tNON-STRICT\tOK", "1.1.1\tOK\tUNCLEAN", "1.1.1\tINFORMATIONAL\tINFORMATIONAL"):
            with self.subTest(line), self.assertRaises(Trouble):
                self.load(line + "\n")

    def test_what_is_broken_is_refused(self):
        for text in ("", "1.1.1\tOK\n", "1.1.1 OK OK\n", "1.1.1\tOK\tOK\n1.1.1\tOK\tOK\n"):
            with self.subTest(text), self.assertRaises(Trouble):
                self.load(text)

    def test_the_known_faults_are_cases_of_the_suite_and_none_of_them_looks_like_a_verdict(self):
        faults = verdict.load_faults(main.QUICK_FAULTS)
        self.assertLessEqual(set(faults), set(verdict.load_golden(main.GOLDEN[SERVER])))
        self.assertEqual({fault.behavior for fault in faults.values()}, {"ERROR"})
