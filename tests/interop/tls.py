"""Python's `websockets` as a client over TLS.

    tls.py --address HOST:PORT --ca PEM --case NAME

Ends with exit code 0 where the case of this name went as it should, else with a traceback.
"""

import argparse
import asyncio
import ssl

from websockets.asyncio.client import connect

SECONDS = 120


def connected(address, context, **options):
    return connect(f"wss://{address}/echo", ssl=context, max_size=None, proxy=None, **options)


async def messages_come_back(address, context):
    for compression in (None, "deflate"):
        async with connected(address, context, compression=compression) as ws:
            for message in ("text é€𝄞", b"\x00\xff", "", "x" * 70_000):
                await ws.send(message)
                assert await ws.recv() == message
            assert ws.transport.get_extra_info("ssl_object").version() == "TLSv1.3"


async def a_large_message_comes_back(address, context):
    message = bytes(range(251)) * 4_000
    async with connected(address, context, compression=None) as ws:
        for _ in range(3):
            await ws.send(message)
        for _ in range(3):
            assert await ws.recv() == message


async def it_closes_in_order(address, context):
    async with connected(address, context) as ws:
        await ws.close(4_001, "done")
        assert ws.close_code == 4_001


async def a_stranger_is_not_trusted(address, _context):
    try:
        async with connected(address, ssl.create_default_context()):
            raise AssertionError("it was trusted")
    except ssl.SSLCertVerificationError:
        pass


async def main():
    parser = argparse.ArgumentParser()
    for option in ("--address", "--ca", "--case"):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    context = ssl.create_default_context(cafile=arguments.ca)
    # It is no authority's certificate, and trusted all the same.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    await asyncio.wait_for(globals()[arguments.case](arguments.address, context), SECONDS)


asyncio.run(main())
