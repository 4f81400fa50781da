"""Operations of the client against the fake service, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from coord.model.errors import (
    BadArgumentsError,
    BadVersionError,
    MisuseError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    TransactionError,
)
from coord_client import Acl, ConnectionState, CreateMode, forks
from tests.client.fake_server import FakeCluster
from tests.client.helpers import client_of
from tests.client.virtual import in_virtual_time


@in_virtual_time
async def test_created_node_can_be_read(cluster: FakeCluster) -> None:
    """What create wrote, get returns, with the same stat."""
    async with client_of(cluster) as client:
        created = await client.create("/a", b"one")
        node = await client.get("/a")

        assert (node.path, node.data, node.stat) == ("/a", b"one", created.stat)
        assert node.revision >= created.stat.czxid


@in_virtual_time
async def test_exists_of_a_missing_node_is_none(cluster: FakeCluster) -> None:
    """Exists answers None rather than raising."""
    async with client_of(cluster) as client:
        assert await client.exists("/nothing") is None


@in_virtual_time
async def test_set_compares_the_version(cluster: FakeCluster) -> None:
    """A set with another version is refused and says that it did not happen."""
    async with client_of(cluster) as client:
        await client.create("/a", b"one")
        stat = await client.set("/a", b"two", version=0)

        assert stat.version == 1
        with pytest.raises(BadVersionError) as refusal:
            await client.set("/a", b"three", version=0)
        assert refusal.value.definite
        assert (await client.get("/a")).data == b"two"


@in_virtual_time
async def test_put_creates_then_sets(cluster: FakeCluster) -> None:
    """The upsert works whether the node exists or not."""
    async with client_of(cluster) as client:
        first = await client.put("/a/b", b"one", make_parents=True)
        second = await client.put("/a/b", b"two")

        assert (first.version, second.version) == (0, 1)


@in_virtual_time
async def test_create_with_parents_makes_what_is_missing(cluster: FakeCluster) -> None:
    """Missing parents are created; without the flag the error names the missing node."""
    async with client_of(cluster) as client:
        with pytest.raises(NoNodeError):
            await client.create("/a/b/c")
        await client.create("/a/b/c", b"deep", make_parents=True)

        assert (await client.get("/a/b/c")).data == b"deep"
        with pytest.raises(NodeExistsError):
            await client.create("/a/b/c", make_parents=True)


@in_virtual_time
async def test_sequential_names_come_back(cluster: FakeCluster) -> None:
    """The created path has the suffix that the service chose."""
    async with client_of(cluster) as client:
        await client.create("/q")
        mode = CreateMode.PERSISTENT_SEQUENTIAL
        names = [(await client.create("/q/n-", mode=mode)).path for _ in range(2)]

        assert names == ["/q/n-0000000000", "/q/n-0000000001"]


@in_virtual_time
async def test_children_are_paged_inside(cluster: FakeCluster) -> None:
    """A listing longer than a page comes back whole; an expired page starts it again."""
    async with client_of(cluster) as client:
        await client.create("/d")
        await asyncio.gather(*(client.create(f"/d/{number}") for number in range(8)))
        cluster.expire_pages = 1

        assert await client.children("/d") == [str(number) for number in range(8)]


@in_virtual_time
async def test_recursive_delete(cluster: FakeCluster) -> None:
    """Everything below goes; without the flag a node with children stays."""
    async with client_of(cluster) as client:
        await client.create("/a/b/c/d", make_parents=True)
        await asyncio.gather(*(client.create(f"/a/b/{number}") for number in range(300)))
        with pytest.raises(NotEmptyError):
            await client.delete("/a")
        await client.delete("/a", recursive=True)

        assert set(cluster.tree.nodes) == {"/"}


@in_virtual_time
async def test_acl_round_trip(cluster: FakeCluster) -> None:
    """An ACL that was set is returned as values."""
    acl = (Acl(1, "world", "anyone"), Acl(31, "digest", "u:p"))
    async with client_of(cluster) as client:
        await client.create("/a")
        stat = await client.set_acl("/a", acl)

        assert await client.get_acl("/a") == (acl, stat)


@in_virtual_time
async def test_transaction_commits_at_the_end_of_its_block(cluster: FakeCluster) -> None:
    """All operations happen in one revision; results keep their order."""
    async with client_of(cluster) as client:
        await client.create("/a", b"x")
        async with client.transaction() as txn:
            txn.check("/a").compare("/a", "value", "=", b"x")
            txn.create("/b", b"y").set("/a", b"z").delete("/b")
        assert txn.results is not None
        check, compare, created, stat, deleted = txn.results

        assert (check, compare, deleted) == (None, None, None)
        assert created is not None
        assert getattr(created, "path", None) == "/b"
        assert getattr(stat, "version", None) == 1


@in_virtual_time
async def test_failed_transaction_changes_nothing(cluster: FakeCluster) -> None:
    """One refused operation refuses all; the error carries each one's code."""
    async with client_of(cluster) as client:
        txn = client.transaction().create("/a").check("/missing").create("/c")
        with pytest.raises(TransactionError) as refusal:
            await txn.commit()

        assert refusal.value.results == (0, NoNodeError.code, -2)
        assert set(cluster.tree.nodes) == {"/"}


@in_virtual_time
async def test_block_that_raises_commits_nothing(cluster: FakeCluster) -> None:
    """An exception inside the transaction's block discards it."""
    async with client_of(cluster) as client:

        async def discard() -> None:
            async with client.transaction() as txn:
                txn.create("/a")
                raise KeyError

        with pytest.raises(KeyError):
            await discard()
        assert set(cluster.tree.nodes) == {"/"}


@in_virtual_time
async def test_chroot_is_added_and_removed(cluster: FakeCluster) -> None:
    """Paths lie under the chroot on the wire and are seen without it by the caller."""
    async with client_of(cluster) as outer, client_of(cluster, chroot="/app/x") as inner:
        created = await inner.create("/a/b", make_parents=True)
        txn = inner.transaction().create("/a/c")
        results = await txn.commit()

        assert created.path == "/a/b"
        assert getattr(results[0], "path", None) == "/a/c"
        assert await outer.children("/app/x/a") == ["b", "c"]
        assert await inner.children("/") == ["a"]


@in_virtual_time
async def test_closing_ends_the_session(cluster: FakeCluster) -> None:
    """After close the session has ended on the server, and the client refuses to work."""
    client = client_of(cluster)
    async with client:
        session = client.session_id
        await client.create("/e", mode=CreateMode.EPHEMERAL)

    assert not cluster.sessions[session].is_open
    assert "/e" not in cluster.tree.nodes
    assert client.state is ConnectionState.CLOSED
    with pytest.raises(MisuseError):
        await client.get("/e")


@in_virtual_time
async def test_requests_of_one_turn_leave_in_one_write(cluster: FakeCluster) -> None:
    """Concurrent calls share a socket write."""
    async with client_of(cluster) as client:
        await client.create("/a")
        (connection,) = cluster.connections
        before = connection.writes
        await asyncio.gather(*(client.get("/a") for _ in range(100)))

        assert connection.writes == before + 1


@in_virtual_time
async def test_no_host_answers(cluster: FakeCluster) -> None:
    """Start says why each host failed, and that nothing happened."""
    cluster.down = {"n1", "n2", "n3"}
    with pytest.raises(OperationTimeoutError, match=r"n1:2181: .*n2:2181: .*refuses") as error:
        await client_of(cluster).start(timeout_s=1)

    assert error.value.definite


@in_virtual_time
@pytest.mark.parametrize("path", ["a", "/a/", "/a//b", "/a/../b", ""])
async def test_bad_paths_are_refused_before_they_are_sent(cluster: FakeCluster, path: str) -> None:
    """A path that the tree cannot hold costs no round trip."""
    async with client_of(cluster) as client:
        sent = len(cluster.received)
        with pytest.raises(BadArgumentsError):
            await client.get(path)

        assert len(cluster.received) == sent


@in_virtual_time
async def test_unstarted_client_is_refused(cluster: FakeCluster) -> None:
    """Operations before start name the remedy."""
    with pytest.raises(MisuseError, match="async with"):
        await client_of(cluster).get("/a")


@in_virtual_time
async def test_client_is_refused_after_a_fork(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the client in a forked child must not speak for its parent's session."""
    async with client_of(cluster) as client:
        with monkeypatch.context() as patch:
            patch.setattr(forks._Forks, "count", forks.fork_count() + 1)
            with pytest.raises(MisuseError, match="fork"):
                await client.get("/")
            with pytest.raises(MisuseError, match="fork"):
                client.watch("/")
        await client.sync()
