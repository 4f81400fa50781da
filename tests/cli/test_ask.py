"""Questions to one node without a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest

from coord.cli import ask
from coord.model import requests
from coord.model.errors import ConnectionLostError, NoNodeError, ProtocolError
from coord.protocol.native_client import OPENING


def _frame(*fields: Any) -> bytes:
    payload: bytes = msgpack.packb(fields)
    return len(payload).to_bytes(4, "big") + payload


@asynccontextmanager
async def _server(answer: bytes, heard: list[bytes] | None = None) -> AsyncIterator[str]:
    """A node that answers the first request with ``answer`` and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opening = await reader.readexactly(len(OPENING))
        length = int.from_bytes(await reader.readexactly(4), "big")
        payload = await reader.readexactly(length)
        if heard is not None:
            heard.extend((opening, payload))
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_answer_is_the_body() -> None:
    """A status request opens the native protocol, sends one frame, and returns the reply's body."""
    heard: list[bytes] = []
    async with _server(_frame(1, 0, 17, {"node": 2}, [1]), heard) as address:
        body = await ask.ask(address, requests.STATUS)

    assert body == ({"node": 2}, [1])
    assert heard[0] == OPENING
    assert msgpack.unpackb(heard[1])[:2] == [1, requests.STATUS]


async def test_pushes_before_the_answer_are_skipped() -> None:
    """A notice that arrives first is not taken for the answer."""
    notice = _frame(-3, 0, 17, "draining", "bye")
    async with _server(notice + _frame(1, 0, 17, {})) as address:
        assert await ask.ask(address, requests.STATUS) == ({},)


async def test_refusal_is_raised() -> None:
    """An error reply becomes the error it stands for."""
    async with _server(_frame(1, NoNodeError.code, 17, "no session 5", None)) as address:
        with pytest.raises(NoNodeError, match="no session 5"):
            await ask.ask(address, requests.WHY_SESSION, {"session": 5})


async def test_silent_close_is_a_lost_connection() -> None:
    """A node that hangs up leaves the outcome open."""
    async with _server(b"") as address:
        with pytest.raises(ConnectionLostError, match="without an answer") as caught:
            await ask.ask(address, requests.STATUS)

    assert not caught.value.definite


@pytest.mark.parametrize("answer", [b"\xff" * 12, _frame(1, 0, 17), b"\x00\x00\x00\x01\xc1"])
async def test_nonsense_is_a_protocol_error(answer: bytes) -> None:
    """Something else that listens there is not mistaken for a node."""
    async with _server(answer) as address:
        with pytest.raises(ProtocolError):
            await ask.ask(address, requests.STATUS)


async def test_nobody_listens() -> None:
    """A refused connection is definite: nothing was asked."""
    with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1:1: ") as caught:
        await ask.ask("127.0.0.1:1", requests.STATUS)

    assert caught.value.definite


async def test_one_silent_node_does_not_hide_the_others() -> None:
    """Answers and failures come back side by side, in the order asked."""
    async with _server(_frame(1, 0, 17, {"node": 2})) as address:
        answers = await ask.answers_of(["127.0.0.1:1", address], requests.STATUS, 5.0)

    assert [answer.body for answer in answers] == [None, ({"node": 2},)]
    assert "refused" in answers[0].error.lower()


@pytest.mark.parametrize(
    ("hosts", "addresses"),
    [
        ("h1:2181,h2:2182/app/x", ["h1:2181", "h2:2182"]),
        ("h1", ["h1:2181"]),
        (" h1 , h2 ", ["h1:2181", "h2:2181"]),
        ("[::1]:99", ["[::1]:99"]),
        ("[::1]", ["[::1]:2181"]),
    ],
)
def test_connect_string_names_addresses(hosts: str, addresses: list[str]) -> None:
    """Ports have a default, a path is not part of an address."""
    assert ask.addresses_of(hosts) == addresses
