"""What is under test: a server, our own example, another command or one that runs already; or a client, our own or
another command. Knows processes, no test cases.
"""

import asyncio
import contextlib
import shlex
from urllib.parse import urlsplit

from .children import child, finish, tail, together
from .ports import HOST, free_port, until_accepting
from .trouble import Trouble

BUILD_SECONDS = 1800.0
# Where a URL goes that names no port (RFC 6455 §3).
PORTS = {"ws": 80, "wss": 443}
START_SECONDS = 20.0
# What the commands of other subjects must contain, so that they can be told where to go and what to do.
SERVER_PLACES = ("{port}",)
CLIENT_PLACES = ("{addr}", "{agent}", "{cases}")


class Server:
    """A server that answers at `url`, for as long as `watch` does not end."""

    def __init__(self, url, process=None, log=None):
        self.url = url
        self.title = url
        self._process = process
        self._log = log

    async def watch(self):
        """Ends, in trouble, when the server does. A server that somebody else started is not watched."""
        if self._process is None:
            await asyncio.get_running_loop().create_future()
        code = await self._process.wait()
        raise Trouble(f"the server under test ended with exit code {code}; its last lines:\n{tail(self._log)}")


class Client:
    """A client that is started for each batch of cases: it runs them one after the other, has the reports written, and
    ends.
    """

    def __init__(self, title, command):
        self.title = title
        self._command = command

    def words(self, addr, agent, cases):
        """The command that runs the cases of these numbers."""
        values = dict(zip(CLIENT_PLACES, (addr, agent, ",".join(map(str, cases)))))
        return [_filled(word, values) for word in self._command]

    async def watch(self):
        """Between two batches there is nothing that could end."""
        await asyncio.get_running_loop().create_future()


async def build_example(root, target, name, log, say, features=()):
    """Builds one of our examples as it is locked, and returns the path of the program."""
    say(f"building the example {name}")
    words = ["cargo", "build", "--release", "--locked", "--example", name, "--features", ",".join(features)]
    await finish(words, log, BUILD_SECONDS, cwd=root)
    return target / "release/examples" / name


@contextlib.asynccontextmanager
async def running(command, log, scheme="ws"):
    """Starts a server and waits until it accepts connections. `{port}` in the command becomes a free port."""
    port = free_port()
    async with child([_filled(word, {"{port}": str(port)}) for word in command], log) as process:
        server = Server(f"{scheme}://{HOST}:{port}", process, log)
        await _until_accepting(server, HOST, port)
        yield server


@contextlib.asynccontextmanager
async def already_running(url):
    """A server that somebody else started and will end."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise Trouble(f"--url: neither ws://host:port nor wss://host:port: {url}")
    server = Server(url)
    await _until_accepting(server, parts.hostname, parts.port or PORTS[parts.scheme])
    yield server


@contextlib.asynccontextmanager
async def started_per_batch(title, command):
    """A client, of which nothing runs yet."""
    yield Client(title, command)


def words_of(option, command, places):
    """Splits a command line as a shell would; one that lacks a place could not be told what to do."""
    missing = [place for place in places if place not in command]
    if missing:
        raise Trouble(f"{option}: the command must contain {' and '.join(missing)}")
    return shlex.split(command)


def _filled(word, values):
    word = str(word)
    for place, value in values.items():
        word = word.replace(place, value)
    return word


async def _until_accepting(server, host, port):
    accepting = together(until_accepting(host, port), server.watch(), until=asyncio.FIRST_COMPLETED)
    try:
        await asyncio.wait_for(accepting, START_SECONDS)
    except asyncio.TimeoutError:
        raise Trouble(f"nothing accepts connections at {host}:{port} after {START_SECONDS:.0f} s") from None
