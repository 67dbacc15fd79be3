"""The two test tools as the queue sees them: run these cases against this subject, leave the reports in this folder.

Each tool can be a client that fuzzes a server, or a server that fuzzes a client. As a server it listens on a port of
its own, and a client is started that asks it for all of its cases. Both tools leave the same kind of report:
`index.json` with a line per case, and a JSON and an HTML page per case.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path

from .children import child, together
from .ports import HOST, free_port, until_accepting

# What is under test, and what the reports call it.
SERVER = "server"
CLIENT = "client"
# Of the versions of the protocol that wstest counts up from the first drafts, the one that became RFC 6455.
RFC_6455_VERSION = 18


class WstestAsClient:
    """The official tool as a client that fuzzes a server."""

    def __init__(self, program):
        self.program = program
        self.title = program.title

    async def run(self, cases, server, directory, started):
        """Runs the cases; calls `started` with each case as it begins. Returns how it ended."""
        words, log = _wstest(self.program, "fuzzingclient", self.spec(cases, server.url, directory), directory)
        try:
            async with child(words, log, cwd=directory) as process:
                await _follow(process, log, started)
                return Ending("the tool", process.returncode, log)
        finally:
            await self.program.release(directory)

    @staticmethod
    def spec(cases, url, directory):
        """The test specification."""
        servers = [{"agent": SERVER, "url": url, "options": {"version": RFC_6455_VERSION}}]
        return {**_cases_spec(cases, directory), "servers": servers}


class WstestAsServer:
    """The official tool as a server that fuzzes a client."""

    def __init__(self, program, identity=None):
        """With an identity it listens for TLS."""
        self.program = program
        self.identity = identity
        self.title = program.title

    async def run(self, cases, client, directory, started):
        """As that of `WstestAsClient`. The reports are complete when the client has ended well."""
        port = free_port()
        spec = {**_cases_spec(cases, directory), **self._where(port)}
        words, log = _wstest(self.program, "fuzzingserver", spec, directory)
        try:
            # Without `--webport 0` it would serve a page at a port that all batches share.
            async with child([*words, "--webport", "0"], log, cwd=directory) as process:
                return await _drive(client, len(cases), process, port, log, started)
        finally:
            await self.program.release(directory)

    def _where(self, port):
        if self.identity is None:
            return {"url": f"ws://{HOST}:{port}"}
        return {"url": f"wss://{HOST}:{port}", **self.identity.spec()}


class KosokuAsClient:
    """The quick tool as a client that fuzzes a server."""

    def __init__(self, program, title):
        self.program = program
        self.title = title

    async def run(self, cases, server, directory, _started):
        """Runs the cases, one at a time, and does not tell which one it is at. The exit code is 1 when one of them did
        not pass.
        """
        log = directory / "log.txt"
        words = _kosoku(self.program, "fuzzingclient", cases, directory)
        async with child([*words, server.url], log) as process:
            await process.wait()
            return Ending("the tool", process.returncode, log)


class KosokuAsServer:
    """The quick tool as a server that fuzzes a client."""

    def __init__(self, program, title):
        self.program = program
        self.title = title

    async def run(self, cases, client, directory, started):
        """As that of `KosokuAsClient`. It ends by itself once a client has asked for the reports, and writes them only
        then.
        """
        log = directory / "log.txt"
        port = free_port()
        words = _kosoku(self.program, "fuzzingserver", cases, directory)
        async with child([*words, f"{HOST}:{port}"], log) as process:
            ending = await _drive(client, len(cases), process, port, log, started)
            if ending.code == 0:
                await process.wait()
            return ending


@dataclass(frozen=True)
class Ending:
    """How the process ended that ran a batch."""

    who: str
    code: int
    log: Path

    def __str__(self):
        return f"{self.who} ended with exit code {self.code}, see {self.log}"


_STARTED = re.compile(rb"^Running test case ID (\S+) ")
_POLL_SECONDS = 0.25


def _wstest(program, mode, spec, directory):
    """The words that start the official tool, and its log."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "spec.json"
    path.write_text(json.dumps(spec, indent=2), "utf-8")
    return [*program.words(directory), "--mode", mode, "--spec", path], directory / "log.txt"


def _cases_spec(cases, directory):
    """What a specification says in either mode: explicit ids, so that no glob of the tool decides what is run."""
    return {
        "outdir": str(directory / "reports"),
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }


def _kosoku(program, mode, cases, directory):
    words = [program, "--mode", mode, "--outdir", directory / "reports"]
    for case in cases:
        words += ["--include", case]
    return words


async def _drive(client, count, server, port, server_log, started):
    """Waits for a fuzzing server, then has the client run all of its cases, which it numbers from 1."""
    await together(until_accepting(HOST, port), server.wait(), until=asyncio.FIRST_COMPLETED)
    if server.returncode is not None:
        return Ending("the tool", server.returncode, server_log)
    log = server_log.with_name("client.txt")
    async with child(client.words(f"{HOST}:{port}", CLIENT, range(1, count + 1)), log) as process:
        await _follow(process, server_log, started)
        return Ending("the client under test", process.returncode, log)


async def _follow(process, log, started):
    """Waits for the process, and reads out of the tool's log which case it is at."""
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
                return


async def _has_ended(process):
    try:
        await asyncio.wait_for(process.wait(), _POLL_SECONDS)
    except asyncio.TimeoutError:
        return False
    return True
