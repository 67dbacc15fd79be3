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

from . import install, report, subject, tls
from .cases import select
from .children import together
from .options import OUR_CLIENT, parse
from .ports import HOST
from .progress import Progress
from .tools import CLIENT, SERVER, KosokuAsClient, KosokuAsServer, WstestAsClient, WstestAsServer
from .trouble import Trouble
from .verdict import judge, load_faults, load_golden
from .work import Work

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
GOLDEN = {SERVER: HERE / "golden-server.tsv", CLIENT: HERE / "golden-client.tsv"}
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
    role = SERVER if options.client is None else CLIENT
    with _Lock(folder):
        golden = load_golden(GOLDEN[role])
        cases = select(golden, options.cases)
        directory = folder / (("quick-" if options.quick else "tls-" if options.tls else "") + role)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        identity = await tls.self_signed(directory) if options.tls and role == CLIENT else None
        tool, faults = await _tool(options, role, folder / "tools", identity)
        async with await _subject(options, target, directory, identity) as tested:
            _say(f"{len(cases)} cases against {tested.title}, {options.jobs} at once, {tool.title}")
            begin = time.monotonic()
            work = await _work(options, tool, cases, tested, directory)
            took = time.monotonic() - begin
        expected = {case: golden[case] for case in cases}
        judgement = judge(expected, work.outcomes, faults)
        return _tell(judgement, work.reasons, role, directory, [tested.title, tool.title, f"{took:.0f} s"])


async def _tool(options, role, folder, identity):
    """The tool, which takes the other role; as a server with an identity it listens for TLS."""
    if options.quick:
        kind = KosokuAsClient if role == SERVER else KosokuAsServer
        program = await install.kosoku(folder, _say)
        return kind(program, f"the quick tool {install.KOSOKU}"), load_faults(QUICK_FAULTS)
    program = await install.wstest(folder, _say)
    return (WstestAsClient(program) if role == SERVER else WstestAsServer(program, identity)), {}


async def _subject(options, target, directory, identity):
    if options.url is not None:
        return subject.already_running(options.url)
    if options.client:
        words = subject.words_of("--client", options.client, subject.CLIENT_PLACES)
        return subject.started_per_batch(words[0], words)
    build_log = directory / "build.log"
    features = ["tls"] if options.tls else []
    if options.client == OUR_CLIENT:
        program = await subject.build_example(ROOT, target, "autobahn_client", build_log, _say, features)
        trusted = [] if identity is None else ["--ca", identity.cert]
        words = [program, "--update-reports", *trusted, *subject.CLIENT_PLACES]
        return subject.started_per_batch("our client", words)
    log = directory / "server.log"
    if options.server is not None:
        return subject.running(subject.words_of("--server", options.server, subject.SERVER_PLACES), log)
    name, scheme = ("tls_echo", "wss") if options.tls else ("echo", "ws")
    program = await subject.build_example(ROOT, target, name, build_log, _say, features)
    return subject.running([program, f"{HOST}:{{port}}"], log, scheme)


async def _work(options, tool, cases, tested, directory):
    """Runs the cases until they are done, a server under test ends or the time is over. What has a verdict by then
    counts.
    """
    progress = Progress(cases, sys.stdout)
    work = Work(tool, tested, directory, progress)
    running = together(work.run(cases, options.jobs), tested.watch(), progress.show(), until=asyncio.FIRST_COMPLETED)
    try:
        await asyncio.wait_for(running, options.minutes * 60)
    except asyncio.TimeoutError:
        _say(f"not done within {options.minutes:g} minutes")
    except Trouble as trouble:
        _say(str(trouble))
    if work.under_way:
        _say("under way at the end: " + "; ".join(", ".join(cases) for cases in work.under_way.values()))
    return work


def _tell(judgement, reasons, role, directory, facts):
    page = directory / "index.html"
    report.write_index_json(directory / "index.json", judgement, role)
    report.write_index_html(page, judgement, role, facts)
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
