"""One port, three front doors: which one a connection's first bytes open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from coord.model import requests as rq
from coord.node.connection import Connection
from coord.protocol.native import NativeCodec
from coord.protocol.zookeeper import ZooKeeperCodec
from coord.server.listener import ClientListener
from coord.server.newcomers import Newcomers
from tests.protocol import jute

NATIVE = b"\x89CORD\r\n\x01"
REQUEST_BYTES_MAX = 10_000


class House:
    """A listener on loopback over a gateway that only notes who came and what was asked."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.asked: list[Any] = []
        self.ended: list[str] = []
        self.listener = ClientListener(
            self,  # type: ignore[arg-type]  # a gateway, as far as a connection uses it
            connections_max=10,
            per_address_max=10,
            before_input=lambda: None,
            words=self.answer,
            request_bytes_max=REQUEST_BYTES_MAX,
        )
        self.address: tuple[str, int] = ("", 0)

    def answer(self, word: bytes) -> bytes | None:
        """All but one."""
        return None if word == b"wchp" else word.upper() + b"!\n"

    def open(self, link: Any, codec: Any, address: str) -> Connection:
        """A client."""
        self.connections.append(Connection(link, codec, address))
        return self.connections[-1]

    def receive(self, conn: Connection, items: list[Any]) -> None:
        """What it asks; answered by its kind."""
        for _, request, _, _ in items:
            self.asked.append(request)
            conn.link.write(type(request).__name__.encode())

    def end(self, conn: Connection, reason: str, message: str) -> None:
        """It broke the rules."""
        del message
        self.ended.append(reason)
        conn.link.close()

    def lost(self, conn: Connection) -> None:
        """It has gone."""

    async def start(self) -> None:
        """Listen."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.address = sock.getsockname()
        await self.listener.start(sock)

    async def says(self, *pieces: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client that sends these, each on its own."""
        reader, writer = await asyncio.open_connection(*self.address)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return reader, writer


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """All doors."""
    made = House()
    await made.start()
    yield made
    made.listener.stop_accepting()
    made.listener.abort_all()


async def test_the_native_hello_opens_the_native_door(house: House) -> None:
    """Its codec, and whatever follows."""
    _, writer = await house.says(NATIVE)
    await _until(lambda: bool(house.connections))

    assert isinstance(house.connections[0].codec, NativeCodec)
    assert not house.connections[0].is_zookeeper
    writer.close()


@pytest.mark.parametrize("cut", [1, 4, 20])
async def test_a_zookeeper_handshake_opens_its_door(house: House, cut: int) -> None:
    """However it is cut; the requests behind it come through the same codec."""
    stream = jute.handshake() + jute.request(1, 11, b"")
    reader, writer = await house.says(stream[:cut], stream[cut:])

    assert await reader.readexactly(len("ConnectPing")) == b"ConnectPing"
    assert isinstance(house.connections[0].codec, ZooKeeperCodec)
    assert house.asked == [rq.Connect(0, b"", 10_000, 0, "zookeeper"), rq.Ping()]
    writer.close()


@pytest.mark.parametrize("pieces", [[b"ruok"], [b"r", b"uo", b"k"], [b"ruok\n"]])
async def test_a_word_is_answered_and_the_connection_closed(
    house: House, pieces: list[bytes]
) -> None:
    """The answer ends with the stream."""
    reader, writer = await house.says(*pieces)

    assert await reader.read() == b"RUOK!\n"
    assert not house.connections
    writer.close()


@pytest.mark.parametrize("head", [b"wchp", b"GET / HTTP/1.1\r\n\r\n", b"nope", b"\x16\x03\x01"])
async def test_what_is_not_answered_is_closed(house: House, head: bytes) -> None:
    """A word without an answer, and what is no protocol of ours."""
    reader, writer = await house.says(head)

    assert await reader.read() == b""
    assert not house.connections
    writer.close()


@pytest.mark.parametrize("head", [b"", b"ru", b"\x89CO", b"\0\0", jute.handshake()[:30]])
async def test_who_stops_halfway_is_closed(house: House, head: bytes) -> None:
    """Before a word, a hello or a handshake is complete; perhaps before its bytes have come."""
    house.listener.newcomers = Newcomers(1)
    with contextlib.suppress(ConnectionError):
        reader, writer = await house.says(head)
        assert await reader.read() == b""
        writer.close()
    await _until(lambda: not house.listener.connections)


async def test_a_request_above_the_limit_ends_the_connection(house: House) -> None:
    """The limit of the listener, not that of the protocol."""
    reader, writer = await house.says(jute.handshake())
    assert await reader.readexactly(len("Connect")) == b"Connect"
    writer.write(jute.i32(REQUEST_BYTES_MAX + 1))

    assert await reader.read() == b""
    assert house.ended == ["protocol"]
    writer.close()


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)
