"""aiozk, as it is on PyPI: it asks ``srvr`` before each connection, offers a password of one byte
for a new session, and arms its watches again under an ordinary request number.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiozk import ACL, ZKClient, exc
from aiozk.protocol import SyncRequest
from aiozk.states import States

from tests.zookeeper_clients.ensembles import SHORT_SESSION_MS
from tests.zookeeper_clients.lab import PATIENCE_S, Lab

pytestmark = pytest.mark.needs("aiozk")

Connect = Callable[..., Awaitable[Any]]

SESSION_MS = 4_000
"""aiozk waits for as long after it has lost a connection."""


@pytest.fixture
async def connect(lab: Lab) -> AsyncIterator[Connect]:
    """Opens clients whose root is the test's own directory; closes them with the test."""
    opened: list[Any] = []

    async def open_client(hosts: str = lab.hosts, ms: int = SESSION_MS) -> Any:
        client = ZKClient(hosts, lab.root, session_timeout=ms / 1_000)
        opened.append(client)
        await asyncio.wait_for(client.start(), PATIENCE_S)
        return client

    yield open_client
    for client in opened:
        await client.close()


@pytest.fixture
async def zk(connect: Connect) -> Any:
    """One client, directly connected."""
    return await connect()


async def sync(client: Any) -> None:
    """Let later reads see all that others have been told: reads are local to a server."""
    await client.send(SyncRequest(path=client.normalize_path("/")))


async def next_state(client: Any, *states: Any) -> None:
    """Wait until the client is in one of the states."""
    await asyncio.wait_for(client.session.state.wait_for(*states), PATIENCE_S)


async def test_a_node_is_created_read_changed_listed_and_deleted(zk: Any) -> None:
    """CRUD, and the error of each wrong step."""
    assert await zk.create("/a", b"one") == "/a"
    data, stat = await zk.get("/a")
    assert (data, stat.version, stat.data_length) == (b"one", 0, 3)
    await zk.set("/a", b"two", 0)
    assert await zk.get_data("/a") == b"two"
    await zk.create("/a/b")
    assert await zk.get_children("/a") == ["b"]
    assert await zk.exists("/a/b")
    assert not await zk.exists("/nothing")
    with pytest.raises(exc.NodeExists):
        await zk.create("/a")
    with pytest.raises(exc.NoNode):
        await zk.create("/nothing/below")
    with pytest.raises(exc.BadVersion):
        await zk.set("/a", b"", 7)
    with pytest.raises(exc.NotEmpty):
        await zk.delete("/a", force=True)
    await zk.deleteall("/a")
    assert not await zk.exists("/a")


async def test_every_create_mode(zk: Any) -> None:
    """Plain, sequential, ephemeral and container nodes, all of them made by ``create2``."""
    assert zk.features.create_with_stat
    assert zk.features.containers
    assert await zk.create("/s", sequential=True) == "/s0000000000"
    assert await zk.create("/e", ephemeral=True) == "/e"
    assert await zk.create("/es", ephemeral=True, sequential=True) == "/es0000000002"
    assert await zk.create("/c", container=True) == "/c"
    owners = [(await zk.get(path))[1].ephemeral_owner for path in ("/s0000000000", "/e", "/c")]
    assert owners == [0, zk.session.session_id, 0]
    await zk.ensure_path("/x/y/z")
    assert await zk.exists("/x/y/z")


async def test_watches_fire_and_survive_a_lost_connection(
    lab: Lab, zk: Any, connect: Connect
) -> None:
    """A watch fires; one armed before the connection is lost fires for what changed meanwhile."""
    watcher = await connect(lab.relayed)
    await watcher.create("/w", b"")  # Its own write: its reads may lag behind another's.
    seen: asyncio.Queue[Any] = asyncio.Queue()
    watch = watcher.recipes.DataWatcher()
    watch.set_client(watcher)
    watch.add_callback("/w", seen.put_nowait)
    assert await asyncio.wait_for(seen.get(), PATIENCE_S) == b""
    await zk.set_data("/w", b"1", force=True)
    assert await asyncio.wait_for(seen.get(), PATIENCE_S) == b"1"
    lab.cut()
    await next_state(watcher, States.SUSPENDED)
    await zk.set_data("/w", b"2", force=True)
    lab.mend()
    await next_state(watcher, States.CONNECTED)
    assert await asyncio.wait_for(seen.get(), PATIENCE_S) == b"2"
    watch.remove_callback("/w", seen.put_nowait)


async def test_a_transaction_is_all_or_nothing(zk: Any) -> None:
    """One that commits and one that does not."""
    transaction = zk.begin_transaction()
    transaction.create("/t", data=b"1")
    transaction.set_data("/t", b"2", version=0)
    transaction.check_version("/t", version=1)
    result = await transaction.commit()
    assert bool(result)
    assert await zk.get_data("/t") == b"2"
    transaction = zk.begin_transaction()
    transaction.delete("/t", version=1)
    transaction.check_version("/nothing", version=0)
    assert not await transaction.commit()
    assert await zk.exists("/t")


async def test_acls_are_kept(zk: Any) -> None:
    """An ACL that lets everybody read and nobody write."""
    read_only = ACL.make("world", "anyone", read=True, admin=True)
    await zk.create("/r", b"x", acl=[read_only])
    assert await zk.get_data("/r") == b"x"
    with pytest.raises(exc.NoAuth):
        await zk.set_data("/r", b"y", force=True)
    acl = await zk.get_acl("/r")
    assert [(entry.id.scheme, entry.id.id) for entry in acl] == [("world", "anyone")]


async def test_ephemerals_go_with_the_client(zk: Any, connect: Connect) -> None:
    """Closing a client deletes its ephemerals."""
    owner = await connect()
    await owner.create("/e", ephemeral=True)
    await sync(zk)
    assert await zk.exists("/e")
    await owner.close()
    await sync(zk)
    assert not await zk.exists("/e")


async def test_a_session_outlives_the_node_it_was_on(lab: Lab, zk: Any) -> None:
    """After ``kill -9`` of that node the same session goes on elsewhere."""
    await zk.create("/e", ephemeral=True)
    before = zk.session.session_id
    lab.kill_node_of(os.getpid())
    await next_state(zk, States.SUSPENDED)
    await next_state(zk, States.CONNECTED)
    assert zk.session.session_id == before
    assert (await zk.get("/e"))[1].ephemeral_owner == before
    await zk.create("/after")


async def test_an_expired_session_is_replaced(lab: Lab, connect: Connect) -> None:
    """Kept away for longer than its timeout, the client starts a new session."""
    client = await connect(lab.relayed, SHORT_SESSION_MS)
    await client.create("/e", ephemeral=True)
    before = client.session.session_id
    await asyncio.to_thread(lab.expire, f"{lab.root}/e")
    await next_state(client, States.CONNECTED)
    await sync(client)
    assert not await client.exists("/e")
    assert client.session.session_id != before


async def test_a_lock_has_one_holder(zk: Any, connect: Connect) -> None:
    """The second client gets the lock when the first lets go."""
    other = await connect()
    order: list[str] = []

    async def hold(client: Any, name: str) -> None:
        lock = client.recipes.Lock("/lock")
        async with lock:
            order.append(f"{name} in")
            await client.exists("/lock")
            order.append(f"{name} out")

    async with asyncio.TaskGroup() as group:
        group.create_task(hold(zk, "a"))
        group.create_task(hold(other, "b"))
    assert sorted(order[:2]) in (["a in", "a out"], ["b in", "b out"])
    assert len(order) == 4
