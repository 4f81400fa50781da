"""A connection that the node ends is gone soon, whether its client reads what is left or not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from coord.model.limits import MIB
from coord.server import connection
from coord.server.listener import ClientListener

ANSWER = bytes(12 * MIB)
PATIENCE_S = 120


class Door:
    """A listener whose every word has an answer that no socket's buffers hold."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.listener = ClientListener(
            self,  # type: ignore[arg-type]  # a gateway that nobody gets as far as
            connections_max=10,
            per_address_max=10,
            before_input=lambda: None,
            on_closed=self.closed.set,
            words=lambda _: ANSWER,
        )

    async def client(self) -> socket.socket:
        """Somebody who has asked and reads nothing by itself."""
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        await self.listener.start(bound)
        asking = socket.socket()
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        asking.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(asking, bound.getsockname())
        await loop.sock_sendall(asking, b"stat")
        return asking


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """Open."""
    made = Door()
    yield made
    made.listener.stop_accepting()
    made.listener.abort_all()


async def received(asking: socket.socket) -> int:
    """Bytes up to the end of the connection."""
    loop, count = asyncio.get_running_loop(), 0
    while data := await loop.sock_recv(asking, MIB):
        count += len(data)
    return count


async def test_a_client_that_does_not_read_its_answer_loses_it(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep a connection, and megabytes, for as long as it likes."""
    monkeypatch.setattr(connection, "LINGER_MS", 50)
    asking = await door.client()
    async with asyncio.timeout(PATIENCE_S):
        await door.closed.wait()

    assert door.listener.connections == 0
    with asking:
        assert await received(asking) < len(ANSWER)


async def test_a_client_that_reads_gets_all_of_its_answer(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the connection ends."""
    monkeypatch.setattr(connection, "LINGER_MS", PATIENCE_S * 1_000)
    with await door.client() as asking:
        assert await received(asking) == len(ANSWER)
    async with asyncio.timeout(PATIENCE_S):
        await door.closed.wait()
