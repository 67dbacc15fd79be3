"""TCP ports of this machine: one that is free, and one that answers. Knows no processes."""

import asyncio
import contextlib
import socket

HOST = "127.0.0.1"
POLL_SECONDS = 0.1


def free_port():
    """A port that nobody listened on a moment ago. Whoever is told to take it may still find it taken."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


async def until_accepting(host, port):
    """Waits, without a bound of its own, until something accepts connections there."""
    while not await _accepts(host, port):
        await asyncio.sleep(POLL_SECONDS)


async def _accepts(host, port):
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
