"""A process that looks like a node from outside: it answers every status request on one port.

Arguments: port, node id, then how it behaves: ``plain``, or ``stubborn`` (ignores SIGTERM).
"""

from __future__ import annotations

import asyncio
import signal
import sys

import msgpack

from coord.protocol.native_client import OPENING


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(len(OPENING))
    length = int.from_bytes(await reader.readexactly(4), "big")
    await reader.readexactly(length)
    payload = msgpack.packb([1, 0, 1, {"node": int(sys.argv[2]), "leader": 1}])
    writer.write(len(payload).to_bytes(4, "big") + payload)
    writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_serve())
