"""One run from the command line to the exit code."""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
import time
import unittest
from pathlib import Path

from . import install, report, subject
from .cases import select
from .children import together
from .options import parse
from .progress import Progress
from .tools import Kosoku, Wstest
from .trouble import Trouble
from .verdict import judge, load_faults, load_golden
from .work import Work

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
SERVER_GOLDEN = HERE / "golden-server.tsv"
QUICK_FAULTS = HERE / "quick-faults.tsv"

PASSED = 0
FAILED = 1
NOT_RUN = 2


def main(arguments):
    """Returns the exit code."""
    options = parse(arguments)
    if options.self_test:
        return _self_test()
    caught = []
    try:
        return asyncio.run(_until_signal(_run(options), caught))
    except Trouble as trouble:
        print(f"autobahn/run: {trouble}", file=sys.stderr)
        return NOT_RUN
    except asyncio.CancelledError:
        print("autobahn/run: interrupted; all child processes were ended", file=sys.stderr)
        return 128 + caught[0]


async def _until_signal(run, caught):
    """Cancels the run upon the first signal that asks to end; those that follow do not disturb the cleaning up."""
    task = asyncio.ensure_future(run)

    def on_signal(number):
        if not caught:
            caught.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    return await task


async def _run(options):
    target = Path(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"))
    folder = target / "autobahn"
    with _Lock(folder):
        golden = load_golden(SERVER_GOLDEN)
        cases = select(golden, options.cases)
        tool, faults = await _tool(options, folder / "tools")
        directory = folder / ("quick" if options.quick else "server")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        async with await _subject(options, target, directory) as server:
            _say(f"{len(cases)} cases against {server.url}, {options.jobs} at once, {tool.title}")
            begin = time.monotonic()
            work = await _work(options, tool, cases, server, directory)
            took = time.monotonic() - begin
        expected = {case: golden[case] for case in cases}
        judgement = judge(expected, work.outcomes, faults)
        return _tell(judgement, work.reasons, directory, [server.url, tool.title, f"{took:.0f} s"])


async def _tool(options, folder):
    if options.quick:
        program = await install.kosoku(folder, _say)
        return Kosoku(program, f"the quick tool {install.KOSOKU}"), load_faults(QUICK_FAULTS)
    return Wstest(await install.wstest(folder, _say)), {}


async def _subject(options, target, directory):
    if options.url is not None:
        return subject.already_running(options.url)
    log = directory / "server.log"
    if options.server is not None:
        return subject.running(subject.words_of(options.server), log)
    program = await subject.build_example(ROOT, target, directory / "build.log", _say)
    return subject.running([program, f"{subject.HOST}:{{port}}"], log)


async def _work(options, tool, cases, server, directory):
    """Runs the cases until they are done, the server ends or the time is over. What has a verdict by then counts."""
    progress = Progress(cases, sys.stdout)
    work = Work(tool, server.url, directory, progress)
    running = together(work.run(cases, options.jobs), server.watch(), progress.show(), until=asyncio.FIRST_COMPLETED)
    try:
        await asyncio.wait_for(running, options.minutes * 60)
    except asyncio.TimeoutError:
        _say(f"not done within {options.minutes:g} minutes")
    except Trouble as trouble:
        _say(str(trouble))
    if work.under_way:
        _say("under way at the end: " + "; ".join(", ".join(cases) for cases in work.under_way.values()))
    return work


def _tell(judgement, reasons, directory, facts):
    page = directory / "index.html"
    report.write_index_json(directory / "index.json", judgement)
    report.write_index_html(page, judgement, facts)
    text = report.findings_text(judgement, reasons)
    if text:
        print(text)
    print(f"report: {report.readable(page)} ({facts[-1]})")
    print(judgement.summary())
    return PASSED if judgement.passed else FAILED


def _self_test():
    tests = unittest.defaultTestLoader.discover(str(HERE / "tests"), top_level_dir=str(HERE))
    result = unittest.TextTestRunner(stream=sys.stdout).run(tests)
    return PASSED if result.wasSuccessful() and result.testsRun > 0 else FAILED


def _say(text):
    print(text, flush=True)


class _Lock:
    """Two runs at once would write over each other's reports. The lock goes with the process, however that ends."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "lock").open("w")

    def __enter__(self):
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Trouble("another run is under way in this tree") from None

    def __exit__(self, *_):
        self._file.close()
