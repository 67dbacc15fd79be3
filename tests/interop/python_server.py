"""Python's `websockets` as a server for clients of others: what it does is asked for by the path of the request.

    python_server.py --unix PATH

Serves on a free port of the loopback and at PATH, prints one line for each (`tcp HOST:PORT`, `unix PATH`) and a third
(`early HOST:PORT`) for the server that sends its first message in the segment of its answer. Ends with its standard input.
"""

import argparse
import asyncio
import sys
import urllib.parse

from websockets.asyncio.server import serve, unix_serve
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol


async def echo(ws, _query):
    async for message in ws:
        await ws.send(message)


async def headers(ws, _query):
    """Tells which lines the request had."""
    await ws.send("\n".join(f"{name}: {value}" for name, value in ws.request.headers.raw_items()))
    await ws.wait_closed()


async def close(ws, query):
    await ws.close(int(query["code"][0]), query.get("reason", [""])[0])


async def closed(ws, _query):
    """Waits for the client's close frame; the library answers it."""
    await ws.wait_closed()


async def leave(ws, _query):
    """Ends the stream without a close frame."""
    ws.transport.close()


async def fragments(ws, _query):
    await ws.send(["frag", "", "men", "ts ", "€𝄞"])
    await ws.send([bytes([byte]) for byte in range(200)])
    ws.transport.write(Frame(Opcode.TEXT, "€".encode()[:1], fin=False).serialize(mask=False))
    ws.transport.write(Frame(Opcode.PING, b"between").serialize(mask=False))
    ws.transport.write(Frame(Opcode.CONT, "€".encode()[1:], fin=True).serialize(mask=False))
    await ws.wait_closed()


async def ping(ws, _query):
    """Pings, and tells that the pong came."""
    for payload in (b"", b"x", bytes(125)):
        await asyncio.wait_for(await ws.ping(payload), 30)
    await ws.send("all pongs came")
    await ws.wait_closed()


CASES = {case.__name__: case for case in (echo, headers, close, closed, leave, fragments, ping)}


async def answer(ws):
    url = urllib.parse.urlsplit(ws.request.path)
    await CASES[url.path.strip("/")](ws, urllib.parse.parse_qs(url.query))


def refuse(connection, request):
    """Answers by HTTP where that is asked for."""
    if request.path.startswith("/refuse"):
        return connection.respond(403, "not you\n")
    return None


async def early(reader, writer):
    """Sends the answer and the first messages in one write."""
    protocol = ServerProtocol()
    protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
    protocol.send_response(protocol.accept(protocol.events_received()[0]))
    protocol.send_text(b"first")
    protocol.send_text(b"second")
    writer.write(b"".join(protocol.data_to_send()))
    while received := await reader.read(65536):
        protocol.receive_data(received)
        writer.write(b"".join(protocol.data_to_send()))
        if protocol.close_expected():
            break
    writer.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unix", required=True)
    path = parser.parse_args().unix
    options = {
        "max_size": None,
        "ping_interval": None,
        "subprotocols": ["news", "chat"],
        "select_subprotocol": lambda _ws, offered: next((name for name in offered if name in ("news", "chat")), None),
        "process_request": refuse,
    }
    tcp = await serve(answer, "127.0.0.1", 0, **options)
    unix = await unix_serve(answer, path, **options)
    first = await asyncio.start_server(early, "127.0.0.1", 0)
    where = ["{}:{}".format(*server.sockets[0].getsockname()) for server in (tcp, first)]
    print(f"tcp {where[0]}\nunix {path}\nearly {where[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    unix.close()


asyncio.run(main())
