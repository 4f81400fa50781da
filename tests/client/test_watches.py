"""Watch streams: nothing lost, nothing twice, in order, through whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from coord.model import requests as rq
from coord.model.errors import (
    CompactedError,
    ConnectionLostError,
    MisuseError,
    NoAuthError,
    NoNodeError,
)
from coord_client import ChangeKind, WatchBatch, WatchStream, watches
from tests.client.fake_server import FakeCluster
from tests.client.helpers import client_of, settle, until
from tests.client.virtual import in_virtual_time

CREATED, DELETED, DATA = ChangeKind.CREATED, ChangeKind.DELETED, ChangeKind.DATA


def arrived(stream: WatchStream) -> list[WatchBatch]:
    """Batches that are here already."""
    batches = []
    while (batch := stream.next_nowait()) is not None:
        batches.append(batch)
    return batches


def events(batches: list[WatchBatch]) -> list[tuple[ChangeKind, str]]:
    """Kinds and paths."""
    return [(change.kind, change.path) for batch in batches for change in batch.changes]


@in_virtual_time
async def test_recursive_watch_hears_everything_below(cluster: FakeCluster) -> None:
    """Creates, sets and deletes of the node and its subtree, with values before and after."""
    async with client_of(cluster) as client:
        await client.create("/a")
        async with client.watch("/a", recursive=True, values=True) as stream:
            await client.create("/a/b", b"1")
            await client.set("/a/b", b"2")
            await client.delete("/a/b")
            await client.create("/other")
            await settle()
            heard = arrived(stream)

        assert events(heard) == [(CREATED, "/a/b"), (DATA, "/a/b"), (DELETED, "/a/b")]
        change = heard[1].changes[0]
        assert (change.prev_data, change.data) == (b"1", b"2")
        assert change.stat is not None
        assert heard[1].revision == change.stat.mzxid


@in_virtual_time
async def test_plain_watch_hears_the_node_and_its_list_of_children(cluster: FakeCluster) -> None:
    """Without recursive: own changes, and that the children changed."""
    async with client_of(cluster) as client:
        await client.create("/a")
        async with client.watch("/a") as stream:
            await client.create("/a/b", b"1")
            await client.set("/a/b", b"2")
            await client.set("/a", b"x")
            await settle()

            heard = events(arrived(stream))
        assert heard == [(ChangeKind.CHILDREN, "/a"), (DATA, "/a")]


@in_virtual_time
async def test_transaction_arrives_as_one_batch(cluster: FakeCluster) -> None:
    """However many parts the server sends it in."""
    async with client_of(cluster) as client:
        async with client.watch("/", recursive=True) as stream:
            await client.transaction().create("/a").create("/b").create("/c").commit()
            await settle()
            (batch,) = arrived(stream)

        assert len(batch.changes) == 3


@in_virtual_time
async def test_watch_hears_writes_sent_after_the_call(cluster: FakeCluster) -> None:
    """The stream listens from the call on, even if nobody iterates yet."""
    async with client_of(cluster) as client:
        stream = client.watch("/", recursive=True)
        await client.create("/a")

        assert events([await anext(stream)]) == [(CREATED, "/a")]
        stream.close()


@in_virtual_time
async def test_event_is_here_before_the_reply_that_reflects_it(cluster: FakeCluster) -> None:
    """When a read shows a change, the watcher has been given it."""
    async with (
        client_of(cluster) as one,
        client_of(cluster) as two,
        one.watch("/", recursive=True) as stream,
    ):
        await two.create("/a")
        await one.get("/a")

        assert events(arrived(stream)) == [(CREATED, "/a")]


@in_virtual_time
async def test_nothing_is_lost_or_repeated_through_cuts(cluster: FakeCluster) -> None:
    """A stream resumes after the last complete revision, whenever the connection breaks."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        stream = one.watch("/", recursive=True)
        await one.sync()
        for number in range(60):
            await two.create(f"/{number}")
            if number % 3 == 0:
                cluster.cut()
            if number % 7 == 0:
                await settle()
        await one.sync()
        await settle()

        assert events(arrived(stream)) == [(CREATED, f"/{number}") for number in range(60)]
        stream.close()


@in_virtual_time
async def test_revision_cut_in_the_middle_is_delivered_whole_and_once(
    cluster: FakeCluster,
) -> None:
    """Parts of a revision that was not completed are dropped: the resume sends all of it."""
    async with client_of(cluster) as client:
        stream = client.watch("/", recursive=True)
        await client.sync()
        (connection,) = cluster.connections
        connection.cut_after = 2
        await client.transaction().create("/a").create("/b").create("/c").commit()
        await settle()
        batches = arrived(stream)

        assert [len(batch.changes) for batch in batches] == [3]
        stream.close()


@in_virtual_time
async def test_stream_survives_the_session(cluster: FakeCluster) -> None:
    """Watches hang on revisions, not on sessions."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        stream = one.watch("/", recursive=True)
        await one.sync()
        cluster.expire(one.session_id)
        await two.create("/a")
        await settle()

        assert events(arrived(stream)) == [(CREATED, "/a")]
        stream.close()


@in_virtual_time
async def test_compacted_stream_gets_a_fresh_listing(cluster: FakeCluster) -> None:
    """What can no longer be told is replaced by all there is; then events go on."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        await two.create("/a", b"1")
        stream = one.watch("/a", recursive=True, values=True)
        await one.sync()
        cluster.down = {"n1", "n2", "n3"}
        connection = next(c for c in cluster.connections if c.session_id == one.session_id)
        connection.reset()
        await two.set("/a", b"2")
        await two.create("/a/b", b"3")
        cluster.compact()
        cluster.down.clear()
        await one.sync()
        await two.set("/a/b", b"4")
        await one.sync()
        listing, change = arrived(stream)

        assert listing.listing is not None
        assert [(node.path, node.data) for node in listing.listing] == [
            ("/a", b"2"),
            ("/a/b", b"3"),
        ]
        assert listing.changes == ()
        assert events([change]) == [(DATA, "/a/b")]
        stream.close()


@in_virtual_time
async def test_compacted_stream_of_a_deleted_node_lists_nothing(cluster: FakeCluster) -> None:
    """The node is gone: an empty listing, and its next creation is heard."""
    async with client_of(cluster) as one, client_of(cluster) as two:
        await two.create("/a")
        stream = one.watch("/a")
        await one.sync()
        cluster.down = {"n1", "n2", "n3"}
        next(c for c in cluster.connections if c.session_id == one.session_id).reset()
        await two.delete("/a")
        cluster.compact()
        cluster.down.clear()
        await one.sync()
        await two.create("/a")
        await one.sync()
        listing, created = arrived(stream)

        assert listing.listing == ()
        assert events([created]) == [(CREATED, "/a")]
        stream.close()


@in_virtual_time
async def test_list_and_watch_leaves_nothing_between(cluster: FakeCluster) -> None:
    """The listing is as of a revision, and every later change is heard."""
    async with client_of(cluster) as client:
        await client.create("/a/b", b"1", make_parents=True)
        listing, stream = await client.list_and_watch("/a")
        await client.set("/a/b", b"2")
        batch = await anext(stream)

        assert [(node.path, node.data) for node in listing.nodes] == [("/a", b""), ("/a/b", b"1")]
        assert batch.revision > listing.revision
        stream.close()


@in_virtual_time
@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("recursive", [True, False])
async def test_large_subtree_is_listed_in_pages(
    cluster: FakeCluster, values: bool, recursive: bool
) -> None:
    """Past the limit of one listing: all nodes come, and then every change since, also those that
    happened while the pages were read."""
    cluster.listing_max = 10
    async with client_of(cluster) as client:
        await client.create("/a/sub/deep", make_parents=True)
        await asyncio.gather(*(client.create(f"/a/{number:03}", b"x") for number in range(50)))
        opening = asyncio.ensure_future(
            client.list_and_watch("/a", recursive=recursive, values=values)
        )
        for number in range(10):
            await client.create(f"/a/new{number}")
        listing, stream = await opening
        await client.create("/a/last")
        await settle()
        known = {node.path for node in listing.nodes}
        for change in (change for batch in arrived(stream) for change in batch.changes):
            assert change.kind in {CREATED, ChangeKind.CHILDREN}
            known.add(change.path)
        stream.close()

    expected = {path for path in cluster.tree.nodes if path.startswith("/a")}
    if recursive:
        assert known == expected
    else:
        assert known >= {"/a", "/a/sub", *(f"/a/{number:03}" for number in range(50))}
        assert "/a/sub/deep" not in known
    assert listing.nodes[0].path == "/a"
    assert {node.data for node in listing.nodes} == ({b"", b"x"} if values else {None})


@in_virtual_time
async def test_list_and_watch_of_nothing_is_refused(cluster: FakeCluster) -> None:
    """A missing node is an error, and leaves no stream."""
    async with client_of(cluster) as client:
        with pytest.raises(NoNodeError):
            await client.list_and_watch("/nothing")


@in_virtual_time
async def test_chroot_is_removed_from_events(cluster: FakeCluster) -> None:
    """Paths in events are the caller's."""
    async with client_of(cluster, chroot="/app") as client:
        await client.create("/x", make_parents=True)
        async with client.watch("/", recursive=True) as stream:
            await client.create("/x/y")
            await client.set("/", b"1")
            await settle()

            heard = events(arrived(stream))
        assert heard == [(CREATED, "/x/y"), (DATA, "/")]


@in_virtual_time
async def test_slow_consumer_is_bounded_and_loses_nothing(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the stream stops on the server; it resumes when the consumer has caught up."""
    monkeypatch.setattr(watches, "BUFFER_CHANGES_MAX", 10)
    async with client_of(cluster) as one, client_of(cluster) as two:
        stream = one.watch("/", recursive=True)
        await one.sync()
        for number in range(100):
            await two.create(f"/{number}")
        await settle()
        cluster.cut()
        await one.sync()
        assert not any(connection.streams for connection in cluster.connections)
        first = arrived(stream)
        assert len(first) == 11
        heard = events(first)
        while len(heard) < 100:
            heard += events([await anext(stream)])

        assert heard == [(CREATED, f"/{number}") for number in range(100)]
        stream.close()


@in_virtual_time
async def test_streams_are_renewed_before_anything_else_in_their_order(
    cluster: FakeCluster,
) -> None:
    """On a new connection: connect, the streams, then what waits."""
    async with client_of(cluster) as client:
        streams = [client.watch(path) for path in ("/a", "/b", "/c")]
        await client.sync()
        cluster.cut()
        cluster.received.clear()
        await client.create("/d")

        sent = [request for _, request, _, _ in cluster.received]
        assert isinstance(sent[0], rq.Connect)
        assert [getattr(request, "path", "") for request in sent[1:]] == ["/a", "/b", "/c", "/d"]
        for stream in streams:
            stream.close()


@in_virtual_time
async def test_closed_stream_ends_here_and_there(cluster: FakeCluster) -> None:
    """Iteration stops after what has arrived; the server forgets the watch."""
    async with client_of(cluster) as client:
        stream = client.watch("/", recursive=True)
        await client.create("/a")
        await settle()
        stream.close()
        await client.create("/b")
        heard = [batch async for batch in stream]

        assert events(heard) == [(CREATED, "/a")]
        (connection,) = cluster.connections
        await until(lambda: not connection.streams)


@in_virtual_time
async def test_stream_closed_before_it_was_established_leaves_no_watch(
    cluster: FakeCluster,
) -> None:
    """Closing at once tells the server too, when it answers."""
    async with client_of(cluster) as client:
        client.watch("/").close()
        await settle()

        (connection,) = cluster.connections
        assert not connection.streams


@in_virtual_time
async def test_closing_the_client_ends_its_streams(cluster: FakeCluster) -> None:
    """A waiting consumer is told, not left hanging."""
    client = client_of(cluster)
    async with client:
        stream = client.watch("/")
        waiting = asyncio.ensure_future(anext(stream))
        await settle()
    with pytest.raises(ConnectionLostError):
        await waiting


@in_virtual_time
async def test_stream_that_the_service_ends_says_why(cluster: FakeCluster) -> None:
    """What had arrived comes first, then the error."""
    async with client_of(cluster) as client:
        stream = client.watch("/", recursive=True)
        await client.create("/a")
        cluster.connections[0].cancel_streams(NoAuthError("no longer yours"))
        await settle()

        assert events([await anext(stream)]) == [(CREATED, "/a")]
        with pytest.raises(NoAuthError, match="no longer yours"):
            await anext(stream)


@in_virtual_time
async def test_stream_compacted_while_it_runs_is_listed_afresh(cluster: FakeCluster) -> None:
    """A server that cannot keep up with a stream's history says so; the client lists."""
    async with client_of(cluster) as client:
        stream = client.watch("/", recursive=True)
        await client.create("/a")
        cluster.connections[0].cancel_streams(CompactedError("gone"))
        await settle()
        await client.create("/b")
        await settle()
        first, listing, second = arrived(stream)

        assert events([first, second]) == [(CREATED, "/a"), (CREATED, "/b")]
        assert listing.listing is not None
        assert [node.path for node in listing.listing] == ["/", "/a"]
        stream.close()


@in_virtual_time
async def test_two_readers_of_one_stream_are_refused(cluster: FakeCluster) -> None:
    """Each consumer opens a stream of its own."""
    async with client_of(cluster) as client:
        stream = client.watch("/")
        first = asyncio.ensure_future(anext(stream))
        await settle()
        with pytest.raises(MisuseError, match="two tasks"):
            await anext(stream)
        first.cancel()
        stream.close()
