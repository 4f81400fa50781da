"""The client port: limits, counting, and who is told to go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coord.server.listener import ClientListener

OPENING = b"\x89CORD\r\n\x01"
"""What a native client says first."""


class Front:
    """A listener on loopback over a gateway that only notes what reaches it."""

    def __init__(self, connections_max: int = 10, per_address_max: int = 10) -> None:
        self.heard: list[str] = []
        self.news = asyncio.Event()
        self.listener = ClientListener(
            self,  # type: ignore[arg-type]  # a gateway, as far as a connection uses it
            connections_max=connections_max,
            per_address_max=per_address_max,
            before_input=lambda: self.note("input"),
            on_closed=lambda: self.note("closed"),
        )
        self.address: tuple[str, int] = ("", 0)

    def note(self, what: str) -> None:
        self.heard.append(what)
        self.news.set()

    def open(self, link: Any, codec: Any, address: str) -> object:
        self.note("open")
        return object()

    def lost(self, connection: object) -> None:
        self.note("lost")

    async def start(self) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.address = sock.getsockname()
        await self.listener.start(sock)

    async def client(self, first: bytes = OPENING) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(*self.address)
        writer.write(first)
        return writer

    async def hears(self, what: str, times: int = 1) -> None:
        while self.heard.count(what) < times:
            self.news.clear()
            await self.news.wait()


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A listener with room for ten."""
    made = Front()
    await made.start()
    yield made
    made.listener.stop_accepting()
    made.listener.abort_all()


async def refused(front: Front) -> bool:
    """Whether one more client is turned away."""
    reader, writer = await asyncio.open_connection(*front.address)
    try:
        data = await reader.read(1)
    except ConnectionResetError:
        return True
    finally:
        writer.close()
    return data == b""


async def gone(writer: asyncio.StreamWriter) -> None:
    """Close the client's side and wait for it."""
    writer.close()
    await writer.wait_closed()


async def test_a_stall_is_looked_for_before_input_is_handled(front: Front) -> None:
    """The check comes first, the gateway second."""
    writer = await front.client()
    await front.hears("open")

    assert front.heard[0] == "input"
    await gone(writer)


async def test_clients_are_counted_in_and_out(front: Front) -> None:
    """A client that leaves makes room."""
    writers = [await front.client() for _ in range(3)]
    await front.hears("open", 3)
    assert front.listener.connections == 3

    for writer in writers:
        await gone(writer)
    await front.hears("closed", 3)
    assert front.listener.connections == 0
    assert front.heard.count("lost") == 3


@pytest.mark.parametrize("limits", [(2, 10), (10, 2)], ids=["in-all", "per-address"])
async def test_one_connection_too_many_is_closed(limits: tuple[int, int]) -> None:
    """Those within the limit are not disturbed, and a place that is freed can be taken."""
    front = Front(*limits)
    await front.start()
    first, second = await front.client(), await front.client()
    await front.hears("open", 2)

    assert await refused(front)
    assert front.listener.refused == 1
    assert front.listener.connections == 2

    await gone(first)
    await front.hears("closed")
    third = await front.client()
    await front.hears("open", 3)
    front.listener.stop_accepting()
    await gone(second)
    await gone(third)
    assert await front.listener.wait_empty(5)


async def test_a_refused_client_is_not_counted_when_it_leaves() -> None:
    """The count never falls below those let in."""
    front = Front(1, 1)
    await front.start()
    writer = await front.client()
    await front.hears("open")
    assert await refused(front)
    assert await refused(front)
    assert front.listener.connections == 1

    front.listener.stop_accepting()
    await gone(writer)
    assert await front.listener.wait_empty(5)
    assert front.listener.connections == 0


async def test_draining_ends_when_the_last_client_has_gone(front: Front) -> None:
    """Nobody connected: at once. Somebody stays: false after the time given."""
    assert await front.listener.wait_empty(0)
    writer = await front.client()
    await front.hears("open")
    front.listener.stop_accepting()
    assert not await front.listener.wait_empty(0)

    front.listener.abort_all()
    assert await front.listener.wait_empty(5)
    await gone(writer)


async def test_a_listener_that_stops_accepting_refuses_new_clients(front: Front) -> None:
    """Those connected stay."""
    writer = await front.client()
    await front.hears("open")
    front.listener.stop_accepting()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*front.address)

    assert front.listener.connections == 1
    await gone(writer)
