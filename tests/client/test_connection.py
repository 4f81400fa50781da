"""The TCP side: real sockets on loopback, names resolved at every dial, what is logged."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coord.model.errors import OperationTimeoutError
from coord_client import Client, connect
from coord_client.connection import TcpDialer, boot_clock_ms, random_spread
from tests.client.fake_server import FakeCluster, FakeConnection

ROOT = Path(__file__).parents[2]


class ServedSocket(asyncio.Protocol):
    """The fake service behind a real socket."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has dialled."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._end = FakeConnection(self._cluster, "n1", _ToSocket(transport))
        self._cluster.connections.append(self._end)

    def data_received(self, data: bytes) -> None:
        """The client sends."""
        self._end.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._end.abort()


class _ToSocket:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport.abort()


@asynccontextmanager
async def served(cluster: FakeCluster, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port of a listening fake."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ServedSocket(cluster), host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        cluster.cut()


async def test_operations_over_a_socket(cluster: FakeCluster) -> None:
    """Values of a megabyte pass, whatever pieces the network makes of them."""
    async with served(cluster) as port, connect(f"127.0.0.1:{port}") as client:
        data = bytes(range(256)) * 4_000
        await client.create("/big", data)
        nodes = await asyncio.gather(*(client.get("/big") for _ in range(10)))

        assert all(node.data == data for node in nodes)


async def test_reset_connection_is_replaced(cluster: FakeCluster) -> None:
    """A reset socket is redialled and the session goes on."""
    async with served(cluster) as port, connect(f"127.0.0.1:{port}") as client:
        session = client.session_id
        for _ in range(3):
            cluster.cut()
            await client.sync()

        assert client.session_id == session
        assert cluster.sessions[session].generation == 4


async def test_names_are_resolved_at_every_dial(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the name points elsewhere, the next dial goes there."""
    answers = ["127.0.0.2", "127.0.0.1"]
    asked: list[str] = []

    async def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        address = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with served(cluster) as port, connect(f"coord.test:{port}") as client:
        await client.sync()

    assert asked == ["coord.test", "coord.test"]


async def test_every_address_of_a_name_is_tried(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dead address does not hide the live one behind the same name."""

    async def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        addresses = ("127.0.0.2", "127.0.0.3", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with served(cluster) as port, connect(f"coord.test:{port}") as client:
        assert len(cluster.sessions) == 1
        await client.sync()


async def test_exit_without_threads_resolves_all_the_same(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the interpreter exits no resolver thread can start: names resolve in place."""

    async def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with served(cluster) as port, connect(f"localhost:{port}") as client:
        await client.sync()


async def test_speaking_to_something_else_is_told(cluster: FakeCluster) -> None:
    """A server that answers with another protocol is named as such in the error."""
    loop = asyncio.get_running_loop()

    class Stranger(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await loop.create_server(Stranger, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(OperationTimeoutError, match="protocol error"):
            await connect(f"127.0.0.1:{port}").start(timeout_s=0.2)
    finally:
        server.close()


async def test_accepting_and_hanging_up_is_a_failure(cluster: FakeCluster) -> None:
    """A port that takes connections and closes them is backed off from, session or not."""
    loop = asyncio.get_running_loop()
    dials = 0

    class HangsUp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal dials
            dials += 1
            transport.close()

    server = await loop.create_server(HangsUp, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with connect(f"127.0.0.1:{port}", session=False) as client:
            with pytest.raises(OperationTimeoutError):
                await client.admin.status(timeout_s=0.3)
    finally:
        server.close()

    assert 1 < dials < 10


async def test_connections_and_expiries_are_logged(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Attached, lost, expired: one line each, for whoever looks."""
    caplog.set_level(logging.INFO, "coord_client")
    async with Client(cluster.connect_string, dial=cluster.dial) as client:
        cluster.cut()
        await client.sync()
        cluster.expire(client.session_id)
        await asyncio.sleep(0)
        while client.session_id != 0:
            await asyncio.sleep(0)
        await client.sync()

    texts = [record.getMessage() for record in caplog.records]
    assert sum("attached through" in text for text in texts) == 3
    assert any("reset by peer" in text for text in texts)
    assert any("has expired" in text for text in texts)


async def test_defect_in_dialling_is_reported(cluster: FakeCluster) -> None:
    """An error that is no network error reaches the loop's handler instead of vanishing."""
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    async def dial(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(OperationTimeoutError):
        await Client("h", dial=dial).start(timeout_s=0.01)
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


def test_clock_and_randomness() -> None:
    """The clock does not step back, randomness stays within its range."""
    first, second = boot_clock_ms(), boot_clock_ms()

    assert 0 < first <= second
    assert all(0 <= random_spread() < 1 for _ in range(100))


def test_dialer_starts_at_another_address_each_time() -> None:
    """Two dialers in a row do not pile up on the first address of a name."""
    dialer = TcpDialer()

    assert [dialer.turn(3) for _ in range(4)] == [0, 1, 2, 0]


def test_import_is_light() -> None:
    """The client pulls in no server dependency and little beyond asyncio."""
    program = (
        "import asyncio, sys; before = set(sys.modules); import coord_client;"
        "new = set(sys.modules) - before;"
        "print(*sorted({name.partition('.')[0] for name in new}))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client")])},
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(outcome.stdout.split())
    assert loaded >= {"coord", "coord_client", "msgpack"}
    assert not loaded & {"lmdb", "aiohttp", "click", "rich", "structlog", "uvloop", "random"}
