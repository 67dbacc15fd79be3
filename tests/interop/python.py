"""Python's `websockets` as the client of the echo example: one case is one function, named for the rule it shows.

    python.py --list
    python.py --echo PROGRAM --tcp HOST:PORT --unix PATH

Every case runs over TCP and over a Unix-domain socket. Each prints one line, tab-separated: its outcome (`ok` or
`FAILED`), its name, and the seconds it took or what went wrong.
"""

import argparse
import asyncio
import contextlib
import http.client
import os
import signal
import socket
import tempfile
import time

from websockets.asyncio.client import connect, unix_connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

MIB = 1 << 20
SECONDS_PER_CASE = 60
LETTERS = "aé€𝄞"  # one, two, three and four bytes in UTF-8


class Server:
    """Where an echo server listens, and how to reach it over one kind of socket."""

    def __init__(self, kind, tcp, unix):
        self.kind, self.tcp, self.unix = kind, tcp, unix
        self.uri = f"ws://{tcp}/echo?from=python"

    def connect(self, **options):
        options = {"compression": None, "max_size": None, "ping_interval": None, "proxy": None} | options
        if self.kind == "tcp":
            return connect(self.uri, **options)
        return unix_connect(self.unix, self.uri, **options)

    def socket(self):
        """A plain blocking socket."""
        if self.kind == "tcp":
            host, port = self.tcp.rsplit(":", 1)
            return socket.create_connection((host, int(port)), timeout=30)
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plain.settimeout(30)
        plain.connect(self.unix)
        return plain


@contextlib.asynccontextmanager
async def echo_server(server, *options):
    """An echo process of its own, for what would disturb the other cases."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "echo.sock")
        process = await asyncio.create_subprocess_exec(
            server.echo, *options, "127.0.0.1:0", f"unix:{path}", stdout=asyncio.subprocess.PIPE
        )
        try:
            lines = [(await process.stdout.readline()).decode() for _ in range(2)]
            tcp = next(line for line in lines if "ws://" in line).split("ws://")[1].strip()
            yield process, Server(server.kind, tcp, path)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def echoed(ws, message):
    """Sends a message and checks that the next one is the same, and of the same type."""
    await ws.send(message)
    answer = await ws.recv()
    assert type(answer) is type(message), f"sent {type(message)}, got {type(answer)}"
    assert answer == message, f"{len(answer)} other bytes came for {len(message)}"


async def closed_by_server(ws):
    """The close code that the server sends."""
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, f"no close frame came: {closed}"
        return closed.rcvd.code


# Messages


async def text_comes_back_as_text(server):
    async with server.connect() as ws:
        await echoed(ws, "Rock it with gnezdo")


async def binary_comes_back_as_binary(server):
    async with server.connect() as ws:
        await echoed(ws, bytes(range(256)))


async def an_empty_message_comes_back_empty(server):
    async with server.connect() as ws:
        await echoed(ws, "")
        await echoed(ws, b"")


async def text_of_many_bytes_per_letter_survives(server):
    async with server.connect() as ws:
        for repeat in range(1, 200):
            await echoed(ws, LETTERS * repeat)


async def every_length_at_the_borders_of_the_frame_head_comes_back(server):
    async with server.connect() as ws:
        for length in (1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537):
            await echoed(ws, os.urandom(length))
            await echoed(ws, "x" * length)


async def sixteen_mebibytes_of_binary_come_back(server):
    async with server.connect() as ws:
        await echoed(ws, os.urandom(16 * MIB))


async def sixteen_mebibytes_of_text_come_back(server):
    async with server.connect() as ws:
        await echoed(ws, LETTERS * (16 * MIB // len(LETTERS.encode())))


async def a_thousand_messages_in_flight_keep_their_order(server):
    async with server.connect() as ws:

        async def send_all():
            for number in range(1000):
                await ws.send(f"{number}:" + "x" * (number % 700))

        sender = asyncio.create_task(send_all())
        for number in range(1000):
            assert (await ws.recv()).split(":")[0] == str(number)
        await sender


async def a_fragmented_message_comes_back_whole(server):
    async with server.connect() as ws:
        await ws.send(["frag", "", "men", "ts ", "€𝄞"])
        assert await ws.recv() == "fragments €𝄞"
        await ws.send([os.urandom(1000)] * 50)
        assert len(await ws.recv()) == 50_000


async def a_letter_cut_by_a_fragment_border_survives(server):
    async with server.connect() as ws:
        encoded = LETTERS.encode()
        for cut in range(1, len(encoded)):
            for opcode, fin, data in ((Opcode.TEXT, False, encoded[:cut]), (Opcode.CONT, True, encoded[cut:])):
                ws.transport.write(Frame(opcode, data, fin=fin).serialize(mask=True))
            assert await ws.recv() == LETTERS


# Control frames


async def a_ping_is_answered_with_its_payload(server):
    async with server.connect() as ws:
        for payload in (b"", b"x", os.urandom(125)):
            await asyncio.wait_for(await ws.ping(payload), 30)


async def a_ping_inside_a_fragmented_message_is_answered_at_once(server):
    async with server.connect() as ws:

        async def fragments():
            yield "before "
            await asyncio.wait_for(await ws.ping(b"inside"), 30)
            yield "after"

        await ws.send(fragments())
        assert await ws.recv() == "before after"


async def an_unasked_pong_changes_nothing(server):
    async with server.connect() as ws:
        await ws.pong(b"nobody asked")
        await echoed(ws, "still here")


async def a_client_that_keeps_alive_by_pings_stays(server):
    async with server.connect(ping_interval=0.05, ping_timeout=30) as ws:
        await asyncio.sleep(1)
        await echoed(ws, "still here")
        assert ws.latency > 0


# The closing handshake


async def every_close_code_a_client_may_send_is_answered_with_itself(server):
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        async with server.connect() as ws:
            await ws.close(code, "for a reason")
            assert ws.close_code == code, f"{code} was answered with {ws.close_code}"


async def a_close_without_a_code_is_answered_without_one(server):
    async with server.connect() as ws:
        ws.transport.write(Frame(Opcode.CLOSE, b"").serialize(mask=True))
        await asyncio.wait_for(ws.wait_closed(), 30)
        assert ws.protocol.close_rcvd.code == 1005, ws.protocol.close_rcvd


async def what_was_sent_before_a_close_is_echoed_before_it(server):
    async with server.connect() as ws:
        for number in range(100):
            await ws.send(str(number))
        closing = asyncio.create_task(ws.close())
        assert [message async for message in ws] == [str(number) for number in range(100)]
        await closing


async def a_broken_frame_is_answered_with_1002(server):
    for broken in (b"\x81\x01a", b"\xf1\x80\0\0\0\0", b"\x83\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x09\x80\0\0\0\0"):
        async with server.connect() as ws:
            ws.transport.write(broken)
            assert await closed_by_server(ws) == 1002, broken


async def text_that_is_no_utf8_is_answered_with_1007(server):
    async with server.connect() as ws:
        ws.transport.write(Frame(Opcode.TEXT, b"\xc3\x28").serialize(mask=True))
        assert await closed_by_server(ws) == 1007


async def a_message_over_the_limit_is_answered_with_1009(server):
    async with echo_server(server, "--max-message", "1000") as (_, small):
        async with small.connect() as ws:
            await echoed(ws, "x" * 1000)
            await ws.send("x" * 1001)
            assert await closed_by_server(ws) == 1009
        async with small.connect(compression="deflate") as ws:
            await ws.send("x" * 1001)
            assert await closed_by_server(ws) == 1009


async def sigterm_closes_every_connection_with_1001(server):
    async with echo_server(server) as (process, mortal):
        clients = [await mortal.connect() for _ in range(20)]
        for ws in clients:
            await echoed(ws, "before")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.gather(*map(closed_by_server, clients)) == [1001] * 20
        assert await asyncio.wait_for(process.wait(), 30) == 0


# The opening handshake


async def an_offered_subprotocol_is_not_agreed_to(server):
    async with server.connect(subprotocols=["chat", "superchat"]) as ws:
        assert ws.subprotocol is None
        await echoed(ws, "without it")


async def frames_in_the_segment_of_the_request_are_served(server):
    protocol = ClientProtocol(parse_uri(server.uri))
    protocol.send_request(protocol.connect())
    frames = b"".join(Frame(Opcode.TEXT, data).serialize(mask=True) for data in (b"first", b"second"))
    with server.socket() as plain:
        plain.sendall(b"".join(protocol.data_to_send()) + frames)
        events = []
        while len(events) < 3:
            received = plain.recv(65536)
            assert received, f"the server left after {events}"
            protocol.receive_data(received)
            events += protocol.events_received()
    assert events[0].status_code == 101
    assert [event.data for event in events[1:]] == [b"first", b"second"]


async def a_request_that_asks_for_no_websocket_is_answered_426(server):
    client = http.client.HTTPConnection("localhost")
    client.sock = server.socket()
    client.request("GET", "/")
    response = client.getresponse()
    response.read()
    assert response.status == 426, response.status
    client.close()


# Compression


async def compressed_messages_come_back(server, offer):
    async with server.connect(extensions=[offer]) as ws:
        assert ws.protocol.extensions, "the offer was declined"
        for message in ("", "x", LETTERS * 1000, "compressible " * 10_000, os.urandom(5000), b"\0" * MIB):
            for _ in range(3):
                await echoed(ws, message)
        await ws.send(["compressed ", "in ", "fragments " * 1000])
        assert await ws.recv() == "compressed in " + "fragments " * 1000


async def compression_as_the_library_offers_it_works(server):
    async with server.connect(compression="deflate") as ws:
        assert ws.protocol.extensions
        await echoed(ws, "compressible " * 10_000)


async def compression_without_parameters_works(server):
    await compressed_messages_come_back(server, ClientPerMessageDeflateFactory())


async def compression_without_context_takeover_works(server):
    for theirs, ours in ((True, False), (False, True), (True, True)):
        offer = ClientPerMessageDeflateFactory(
            server_no_context_takeover=theirs, client_no_context_takeover=ours
        )
        await compressed_messages_come_back(server, offer)


async def compression_in_every_window_works(server):
    for bits in range(9, 16):
        offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=bits)
        await compressed_messages_come_back(server, offer)


async def the_servers_window_is_no_larger_than_the_client_asked(server):
    for bits in range(9, 16):
        offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
        async with server.connect(extensions=[offer]) as ws:
            assert ws.protocol.extensions[0].remote_max_window_bits <= bits


async def sixteen_mebibytes_of_compressed_text_come_back(server):
    async with server.connect(compression="deflate") as ws:
        await echoed(ws, LETTERS * (16 * MIB // len(LETTERS.encode())))


# Many connections


async def a_hundred_connections_after_another_are_served(server):
    for number in range(100):
        async with server.connect() as ws:
            await echoed(ws, str(number))


async def a_hundred_connections_at_once_are_served(server):
    async def one(number):
        async with server.connect() as ws:
            for turn in range(10):
                await echoed(ws, f"{number} {turn}" + "x" * number * 50)

    await asyncio.gather(*(one(number) for number in range(100)))


HELPERS = {"compressed_messages_come_back", "echoed", "closed_by_server"}
CASES = [
    case
    for name, case in list(globals().items())
    if asyncio.iscoroutinefunction(case) and name not in HELPERS
]


async def run(case, server):
    name, began = f"{server.kind}::{case.__name__}", time.monotonic()
    try:
        await asyncio.wait_for(case(server), SECONDS_PER_CASE)
        print("ok", name, f"{time.monotonic() - began:.2f} s", sep="\t", flush=True)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".replace("\n", " ")
        print("FAILED", name, what, sep="\t", flush=True)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    for option in ("--echo", "--tcp", "--unix"):
        parser.add_argument(option)
    arguments = parser.parse_args()
    Server.echo = arguments.echo
    for kind in ("tcp", "unix"):
        for case in CASES:
            if arguments.list:
                print(f"{kind}::{case.__name__}")
            else:
                await run(case, Server(kind, arguments.tcp, arguments.unix))


asyncio.run(main())
