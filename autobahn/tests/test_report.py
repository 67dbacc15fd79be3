"""What is written and printed about a run."""

import json
import tempfile
import unittest
from pathlib import Path

from harness import report
from harness.verdict import Expected, Fault, Outcome, judge

GOLDEN = {case: Expected("OK", "OK") for case in ("1.1.1", "6.4.1", "9.1.1", "12.1.1")}
FAULTS = {"12.1.1": Fault("ERROR", "its own")}


class Reporting(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        came = [
            self.outcome("1.1.1", "OK", "OK", description="Send &lt;text&gt;.<br/>Echo."),
            self.outcome("6.4.1", "NON-STRICT", "OK", result="Too late."),
            self.outcome("12.1.1", "ERROR", "FAILED", result="its own"),
            self.outcome("99.1", "OK", "OK"),
        ]
        self.judgement = judge(GOLDEN, {outcome.case: outcome for outcome in came}, FAULTS)

    def outcome(self, case, behavior, close, **more):
        return Outcome(case, behavior, close, page=self.folder / "cases" / f"{case}.html", **more)

    def test_the_json_index_has_the_layout_of_the_suite(self):
        report.write_index_json(self.folder / "index.json", self.judgement, "server")
        index = json.loads((self.folder / "index.json").read_text("utf-8"))
        self.assertEqual(set(index["server"]), {"1.1.1", "6.4.1", "12.1.1", "99.1"})
        line = {"behavior": "NON-STRICT", "behaviorClose": "OK", "duration": None, "remoteCloseCode": None}
        self.assertEqual(index["server"]["6.4.1"], {**line, "reportfile": "cases/6.4.1.json"})

    def test_the_html_index_links_every_page_that_there_is(self):
        report.write_index_html(self.folder / "index.html", self.judgement, "client", ["a <fact>"])
        page = (self.folder / "index.html").read_text("utf-8")
        for case in ("1.1.1", "6.4.1", "12.1.1"):
            self.assertIn(f'<a href="cases/{case}.html">{case}</a>', page)
        self.assertNotIn('href="cases/9.1.1.html"', page)
        self.assertIn("Send &lt;text&gt;. Echo.", page)
        self.assertIn("a &lt;fact&gt;", page)
        self.assertIn("<h1>Autobahn test suite: a client under test</h1>", page)

    def test_each_failure_is_told_with_what_was_expected_and_what_came(self):
        text = report.findings_text(self.judgement, {})
        self.assertIn("NON-STRICT 6.4.1", text)
        self.assertIn("expected OK, close OK; got NON-STRICT, close OK: Too late.", text)
        self.assertIn("cases/6.4.1.html", text)
        self.assertIn("expected no such case; got OK, close OK", text)
        self.assertNotIn(" 1.1.1", text)

    def test_cases_without_a_verdict_are_told_by_their_reason(self):
        text = report.findings_text(self.judgement, {"9.1.1": "not done within 61 s"})
        self.assertIn("1 FAILED, without a verdict (not done within 61 s): 9.1.1", text)
        self.assertIn("(the run was cut short): 9.1.1", report.findings_text(self.judgement, {}))

    def test_the_faults_of_the_tool_are_told_by_id(self):
        text = report.findings_text(self.judgement, {})
        self.assertIn("1 tool fault (known, neither passed nor failed): 12.1.1", text)
