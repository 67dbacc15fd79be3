"""The queue, with a tool that is played: what happens to batches that end well, badly, or not at all."""

import asyncio
import io
import json
import tempfile
import unittest
from pathlib import Path

from harness import work
from harness.children import together
from harness.progress import Progress
from harness.trouble import Trouble
from harness.work import Work


class PlayedTool:
    """Leaves the reports that the script says: for each case a verdict, `None` for no verdict, or an exception."""

    title = "played"

    def __init__(self, **script):
        self.script = {name[1:].replace("_", "."): end for name, end in script.items()}
        self.batches = []

    async def run(self, cases, _subject, directory, started):
        self.batches.append(tuple(cases))
        lines = {}
        for case in cases:
            started(case)
            end = self.script.get(case, ("OK", "OK"))
            if end == "hang":
                await asyncio.sleep(3600)
            if end is None:
                return "the tool ended with exit code 1"
            lines[case] = self.report(directory / "reports", case, end)
        (directory / "reports/index.json").write_text(json.dumps({"an agent": lines}), "utf-8")
        return "the tool ended with exit code 0"

    @staticmethod
    def report(reports, case, end):
        reports.mkdir(parents=True, exist_ok=True)
        name = f"agent_case_{case.replace('.', '_')}"
        detail = {"result": f"result of {case}", "description": f"description of {case}"}
        (reports / f"{name}.json").write_text(json.dumps(detail), "utf-8")
        (reports / f"{name}.html").write_text(f"page of {case}", "utf-8")
        line = {"behavior": end[0], "behaviorClose": end[1], "duration": 7, "remoteCloseCode": 1000}
        return {**line, "reportfile": f"{name}.json"}


class Queue(unittest.TestCase):
    CASES = ["1.1.1", "1.1.2", "1.1.3"]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_with(self, tool, workers=2):
        self.progress = Progress(self.CASES, io.StringIO())
        done = Work(tool, "a subject", self.folder, self.progress)
        asyncio.run(done.run(self.CASES, workers))
        return done

    def test_every_case_gets_its_outcome_and_its_page(self):
        done = self.run_with(PlayedTool(c1_1_2=("FAILED", "UNCLEAN")))
        self.assertEqual(sorted(done.outcomes), self.CASES)
        outcome = done.outcomes["1.1.2"]
        self.assertEqual((outcome.behavior, outcome.behavior_close), ("FAILED", "UNCLEAN"))
        self.assertEqual((outcome.result, outcome.milliseconds), ("result of 1.1.2", 7))
        self.assertEqual((self.folder / "cases/1.1.2.html").read_text("utf-8"), "page of 1.1.2")
        self.assertEqual(done.reasons, {})

    def test_cases_that_a_batch_lost_are_run_again_alone(self):
        tool = PlayedTool(c1_1_2=None)
        done = self.run_with(tool, workers=1)
        self.assertEqual(tool.batches, [tuple(self.CASES), ("1.1.1",), ("1.1.2",), ("1.1.3",)])
        self.assertEqual(sorted(done.outcomes), ["1.1.1", "1.1.3"])

    def test_a_case_that_is_lost_twice_is_given_up_with_a_reason(self):
        done = self.run_with(PlayedTool(c1_1_2=None))
        self.assertEqual(list(done.reasons), ["1.1.2"])
        self.assertIn("exit code 1", done.reasons["1.1.2"])

    def test_a_batch_that_hangs_is_cut(self):
        limit, work.BATCH_SECONDS = work.BATCH_SECONDS, 0.05
        self.addCleanup(setattr, work, "BATCH_SECONDS", limit)
        done = self.run_with(PlayedTool(c1_1_3="hang"))
        self.assertEqual(sorted(done.outcomes), ["1.1.1", "1.1.2"])
        self.assertRegex(done.reasons["1.1.3"], "not done within .* see .*log.txt")

    def test_a_case_that_nobody_asked_for_is_kept_for_the_verdict(self):
        class Talkative(PlayedTool):
            async def run(self, cases, subject, directory, started):
                return await super().run([*cases, "99.1"], subject, directory, started)

        self.assertIn("99.1", self.run_with(Talkative()).outcomes)

    def test_a_duration_that_is_none_is_dropped(self):
        class NeverOpened(PlayedTool):
            @staticmethod
            def report(reports, case, end):
                return {**PlayedTool.report(reports, case, end), "duration": 1700000000000}

        self.assertIsNone(self.run_with(NeverOpened()).outcomes["1.1.1"].milliseconds)

    def test_trouble_of_one_worker_ends_all(self):
        class Broken(PlayedTool):
            async def run(self, *_):
                raise Trouble("cannot start")

        with self.assertRaises(Trouble):
            self.run_with(Broken())

    def test_what_is_under_way_is_known_until_it_ends(self):
        self.assertEqual(self.run_with(PlayedTool()).under_way, {})
        progress = Progress(self.CASES, io.StringIO())
        cut = Work(PlayedTool(c1_1_2="hang"), "a subject", self.folder / "cut", progress)
        with self.assertRaises(asyncio.TimeoutError):
            asyncio.run(asyncio.wait_for(cut.run(self.CASES, 1), 0.2))
        self.assertEqual(list(cut.under_way.values()), [("1.1.2",)])

    def test_what_is_done_is_counted(self):
        self.run_with(PlayedTool(c1_1_2=("NON-STRICT", "OK")))
        self.assertRegex(self.progress.line(), r"^3 of 3 cases, \d+:\d\d, about 0:00 left, 1 failed$")


class Together(unittest.TestCase):
    def test_the_first_to_end_ends_the_others(self):
        ended = []

        async def endless():
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(True)

        async def short():
            await asyncio.sleep(0.01)

        asyncio.run(together(short(), endless(), until=asyncio.FIRST_COMPLETED))
        self.assertEqual(ended, [True])
