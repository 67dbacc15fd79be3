"""The server under test: our own example, another command, or one that runs already. Knows processes, no test cases."""

import asyncio
import contextlib
import shlex
import socket
from urllib.parse import urlsplit

from .children import child, finish, tail
from .trouble import Trouble

BUILD_SECONDS = 1800.0
START_SECONDS = 20.0
HOST = "127.0.0.1"


class Subject:
    """A server that answers at `url`, for as long as `watch` does not end."""

    def __init__(self, url, process=None, log=None):
        self.url = url
        self._process = process
        self._log = log

    async def watch(self):
        """Ends, in trouble, when the server does. A server that somebody else started is not watched."""
        if self._process is None:
            await asyncio.get_running_loop().create_future()
        code = await self._process.wait()
        raise Trouble(f"the server under test ended with exit code {code}; its last lines:\n{tail(self._log)}")


async def build_example(root, target, log, say):
    """Builds our echo server as it is locked, and returns the path of the program."""
    say("building the echo example")
    await finish(["cargo", "build", "--release", "--locked", "--example", "echo"], log, BUILD_SECONDS, cwd=root)
    return target / "release/examples/echo"


@contextlib.asynccontextmanager
async def running(command, log):
    """Starts a server and waits until it accepts connections. `{port}` in the command becomes a free port."""
    port = _free_port()
    words = [str(word).replace("{port}", str(port)) for word in command]
    async with child(words, log) as process:
        subject = Subject(f"ws://{HOST}:{port}", process, log)
        await _until_accepting(subject, HOST, port)
        yield subject


@contextlib.asynccontextmanager
async def already_running(url):
    """A server that somebody else started and will end."""
    parts = urlsplit(url)
    if parts.scheme != "ws" or not parts.hostname:
        raise Trouble(f"--url: not ws://host:port: {url}")
    subject = Subject(url)
    await _until_accepting(subject, parts.hostname, parts.port or 80)
    yield subject


def words_of(command):
    """Splits a command line as a shell would; without `{port}` nobody could tell the server where to listen."""
    if "{port}" not in command:
        raise Trouble("--server: the command must contain {port}")
    return shlex.split(command)


def _free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


async def _until_accepting(subject, host, port):
    end = asyncio.get_running_loop().time() + START_SECONDS
    while not await _accepts(host, port):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(subject.watch(), 0.1)
        if asyncio.get_running_loop().time() > end:
            raise Trouble(f"nothing accepts connections at {host}:{port} after {START_SECONDS:.0f} s")


async def _accepts(host, port):
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
