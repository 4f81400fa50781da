"""A node behind a real HTTP port, moved by the test's own loop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import pytest

from coord.server.http.doors import HttpDoor
from tests.node.single import Single

ANN = {"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}
BOB = {"Authorization": "Basic " + base64.b64encode(b"bob:hidden").decode()}
ROOT = {"Authorization": "Basic " + base64.b64encode(b"root:toor").decode()}
SUPER = "root:lY9baEGwXmwZENqmbVGJ3Vd1oH0="
"""Digest of root:toor."""


class Answer(NamedTuple):
    """What came back, read whole."""

    status: int
    json: Any
    headers: Any


class Api:
    """A client of the door."""

    def __init__(
        self, single: Single, door: HttpDoor, client: aiohttp.ClientSession, port: int
    ) -> None:
        self.single = single
        self.door = door
        self.client = client
        self.port = port

    def url(self, path: str) -> str:
        """Where the door is."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request with a JSON body."""
        if body is not None:
            more["json"] = body
        async with self.client.request(method, self.url(path), **more) as answer:
            told = await answer.json(content_type=None)
            return Answer(answer.status, told, answer.headers)

    async def get(self, path: str, **more: Any) -> Any:
        """The body of a success."""
        found = await self.ask("GET", path, **more)
        assert found.status == 200, found
        return found.json

    async def post(self, path: str, body: Any, **more: Any) -> Any:
        """The body of a success."""
        found = await self.ask("POST", path, body, **more)
        assert found.status in {200, 201, 202}, found
        return found.json

    async def refused(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """A problem."""
        found = await self.ask(method, path, body, **more)
        assert found.status >= 400, found
        assert found.headers["Content-Type"].startswith("application/problem+json")
        assert found.json["status"] == found.status
        return found

    async def lease(self, timeout_ms: int = 10_000, **more: Any) -> dict[str, str]:
        """The header of a session of its own."""
        made = await self.post("/v1/sessions", {"timeout_ms": timeout_ms}, **more)
        return {"Coord-Session": made["handle"]}


async def _move(single: Single) -> None:
    """Time goes ten times as fast as usual, and everything due is done."""
    while True:
        single.pass_ms(10)
        await asyncio.sleep(0.001)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Open while a test runs."""
    single = Single(super_digest=SUPER)
    door = HttpDoor(single.node, ("coord.example",))
    mover = asyncio.create_task(_move(single))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        await door.start(sock)
        async with aiohttp.ClientSession() as client:
            yield Api(single, door, client, sock.getsockname()[1])
        await door.stop()
    mover.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await mover
