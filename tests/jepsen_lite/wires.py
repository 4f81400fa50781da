"""A server and a dialler on both sides of a proxy, for tests of what happens in between."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from jepsen_lite.clusters.pipe import Framing
from jepsen_lite.clusters.proxy import Proxy
from jepsen_lite.clusters.weather import Weather

HOST = "127.0.0.1"
WITHIN_S = 10.0


def frame(body: bytes) -> bytes:
    """A frame as nodes send it."""
    return struct.pack(">I", len(body)) + body


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, as long as a test may."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.002)


class Server:
    """Collects what arrives on each connection, and can answer."""

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        self.ended: list[bool] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection until its end."""
        at = len(self.received)
        self.received.append(bytearray())
        self.ended.append(False)
        self.writers.append(writer)
        try:
            while data := await reader.read(65_536):
                self.received[at] += data
        except ConnectionError:
            pass
        finally:
            self.ended[at] = True
            writer.close()

    @property
    def everything(self) -> bytes:
        """Bytes of all connections."""
        return b"".join(map(bytes, self.received))


class World:
    """n1 dials n2 through a proxy."""

    def __init__(self, weather: Weather, server: Server, port: int) -> None:
        self.weather = weather
        self.server = server
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of n1."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        self._writers.append(writer)
        return reader, writer

    def close(self) -> None:
        """Break every connection of ours."""
        for writer in (*self._writers, *self.server.writers):
            writer.transport.abort()


@asynccontextmanager
async def world(framing: Framing | None = None) -> AsyncIterator[World]:
    """A server, a proxy before it, and clear weather."""
    server, weather = Server(), Weather()
    listening = await asyncio.start_server(server.serve, HOST, 0)
    target = listening.sockets[0].getsockname()
    dice = random.Random(1)
    proxy = Proxy(weather, "n2", target, "n1", framing=framing, dice=dice)
    port = await proxy.start(HOST, 0)
    made = World(weather, server, port)
    try:
        yield made
    finally:
        made.close()
        await proxy.close()
        listening.close()
        await listening.wait_closed()
