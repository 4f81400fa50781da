"""A node that stands still, behind a real HTTP port of this machine."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from coord.server.http.doors import HttpDoor
from tests.node.single import Single


class House:
    """A node, its door, and a client that knocks."""

    def __init__(self, single: Single, client: aiohttp.ClientSession, port: int) -> None:
        self.single = single
        self.client = client
        self.port = port

    def url(self, path: str) -> str:
        """Where the door is."""
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Open while a test runs."""
    single = Single()
    door = HttpDoor(single.node, ("coord.example",))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        await door.start(sock)
        async with aiohttp.ClientSession() as client:
            yield House(single, client, sock.getsockname()[1])
        await door.stop()
