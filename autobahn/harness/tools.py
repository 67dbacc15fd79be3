"""The two test tools as the queue sees them: run these cases against this url, leave the reports in this folder.

Both leave the same kind of report: `index.json` with a line per case, and a JSON and an HTML page per case. Another
role (a client under test) is another class here, whose `run` starts what that role needs.
"""

import asyncio
import json
import re

from .children import child

# What wstest calls the server in its reports.
AGENT = "server"
# Of the versions of the protocol that wstest counts up from the first drafts, the one that became RFC 6455.
RFC_6455_VERSION = 18


class Wstest:
    """The official tool as a client that fuzzes a server."""

    def __init__(self, program):
        self.program = program
        self.title = program.title

    async def run(self, cases, url, directory, started):
        """Runs the cases; calls `started` with each case as it begins. Returns the exit code."""
        directory.mkdir(parents=True, exist_ok=True)
        spec = directory / "spec.json"
        spec.write_text(json.dumps(self.spec(cases, url, directory), indent=2), "utf-8")
        log = directory / "log.txt"
        words = [*self.program.words(directory), "--mode", "fuzzingclient", "--spec", spec]
        try:
            async with child(words, log, cwd=directory) as process:
                return await _follow(process, log, started)
        finally:
            await self.program.release(directory)

    @staticmethod
    def spec(cases, url, directory):
        """The test specification: explicit ids, so that no glob of the tool decides what is run."""
        return {
            "outdir": str(directory / "reports"),
            "servers": [{"agent": AGENT, "url": url, "options": {"version": RFC_6455_VERSION}}],
            "cases": list(cases),
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }


class Kosoku:
    """The quick tool as a client that fuzzes a server."""

    def __init__(self, program, title):
        self.program = program
        self.title = title

    async def run(self, cases, url, directory, _started):
        """Runs the cases, one at a time, and does not tell which one it is at. Returns the exit code, which is 1 when
        one of them did not pass.
        """
        words = [self.program, "--mode", "fuzzingclient", "--outdir", directory / "reports"]
        for case in cases:
            words += ["--include", case]
        async with child([*words, url], directory / "log.txt") as process:
            return await process.wait()


_STARTED = re.compile(rb"^Running test case ID (\S+) ")
_POLL_SECONDS = 0.25


async def _follow(process, log, started):
    """Waits for the process, and reads out of its log which case it is at."""
    with log.open("rb") as lines:
        rest = b""
        while True:
            has_ended = await _has_ended(process)
            *whole, rest = (rest + lines.read()).split(b"\n")
            for line in whole:
                found = _STARTED.match(line)
                if found:
                    started(found.group(1).decode())
            if has_ended:
                return process.returncode


async def _has_ended(process):
    try:
        await asyncio.wait_for(process.wait(), _POLL_SECONDS)
    except asyncio.TimeoutError:
        return False
    return True
