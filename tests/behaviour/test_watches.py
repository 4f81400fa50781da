"""Watches: who hears what, how often, and in which order with replies. The same on each wire."""

from __future__ import annotations

import pytest

from coord.model import requests as rq
from coord.model.acl import ALL, READ, Acl
from coord.model.znode import CreateMode
from tests.behaviour.clients import (
    Client,
    children,
    create,
    delete,
    exists,
    get,
    multi,
    put,
    watch,
)
from tests.behaviour.conftest import NewClient
from tests.behaviour.wires import (
    PERSISTENT,
    RECURSIVE,
    Answer,
    Event,
    Opened,
    StopWatching,
)

CREATED, DELETED, DATA, CHILDREN = 1, 2, 3, 4
EPHEMERAL = int(CreateMode.EPHEMERAL)
ANYONE = Acl(ALL, "world", "anyone")


@pytest.fixture
def other(new: NewClient) -> Client:
    """Somebody else."""
    return new()


# --- once -----------------------------------------------------------------------------------------


def test_a_data_watch_fires_once(client: Client, other: Client) -> None:
    """On the next change of the data, and never again."""
    client.ok(create("/a"))
    client.ok(get("/a", watch=True))
    other.ok(create("/a/child"))
    assert client.events() == []
    other.ok(put("/a", b"1"))
    other.ok(put("/a", b"2"))
    assert client.events() == [(DATA, "/a")]
    client.ok(exists("/a", watch=True))
    other.ok(delete("/a/child"))
    other.ok(delete("/a"))
    assert client.events() == [(DELETED, "/a")]


def test_an_exist_watch_waits_for_the_node(client: Client, other: Client) -> None:
    """The answer is that there is none; the watch stays until there is."""
    assert client.code(exists("/a", watch=True)) == -101
    other.ok(create("/b"))
    assert client.events() == []
    other.ok(create("/a"))
    assert client.events() == [(CREATED, "/a")]
    other.ok(put("/a", b"1"))
    assert client.events() == []


@pytest.mark.parametrize("read", [get, children])
def test_other_reads_of_a_missing_node_arm_nothing(
    client: Client, other: Client, read: type
) -> None:
    """There is nothing to watch."""
    assert client.code(read("/a", watch=True)) == -101
    other.ok(create("/a"))
    other.ok(create("/a/b"))
    other.ok(put("/a", b"1"))
    assert client.events() == []


def test_a_child_watch_hears_of_the_list(client: Client, other: Client) -> None:
    """Of a child that came or went, not of one that changed, nor of grandchildren."""
    client.ok(create("/a"))
    client.ok(create("/a/b"))
    client.ok(children("/a", watch=True))
    other.ok(put("/a", b"1"))
    other.ok(put("/a/b", b"1"))
    other.ok(create("/a/b/c"))
    assert client.events() == []
    other.ok(create("/a/d"))
    other.ok(create("/a/e"))
    assert client.events() == [(CHILDREN, "/a")]
    client.ok(children("/a", watch=True))
    other.ok(delete("/a/e"))
    assert client.events() == [(CHILDREN, "/a")]


def test_a_deleted_node_is_told_once(client: Client, other: Client) -> None:
    """However many watches it had; its parent's list comes after it."""
    client.ok(create("/a"))
    client.ok(create("/a/b"))
    client.ok(get("/a/b", watch=True))
    client.ok(children("/a/b", watch=True))
    client.ok(children("/a", watch=True))
    other.ok(delete("/a/b"))
    assert client.events() == [(DELETED, "/a/b"), (CHILDREN, "/a")]


def test_a_child_watch_hears_of_its_own_nodes_end(client: Client, other: Client) -> None:
    """There is no list any more."""
    client.ok(create("/a"))
    client.ok(children("/a", watch=True))
    other.ok(delete("/a"))
    other.ok(create("/a"))
    other.ok(create("/a/b"))
    assert client.events() == [(DELETED, "/a")]


def test_a_created_node_comes_before_its_parents_list(client: Client, other: Client) -> None:
    """Both are told of one revision."""
    client.ok(create("/a"))
    client.code(exists("/a/b", watch=True))
    client.ok(children("/a", watch=True))
    made = other.call(create("/a/b"))
    assert client.events() == [(CREATED, "/a/b"), (CHILDREN, "/a")]
    heard = [message for message in client.received if isinstance(message, Event)]
    assert {event.revision for event in heard} == {made.revision}


def test_armed_twice_fires_once(client: Client, other: Client) -> None:
    """The same watch again is the same watch."""
    client.ok(create("/a"))
    for _ in range(3):
        client.ok(get("/a", watch=True))
        client.ok(exists("/a", watch=True))
    other.ok(put("/a", b"1"))
    assert client.events() == [(DATA, "/a")]


def test_nobody_hears_of_an_acl(client: Client, other: Client) -> None:
    """It changes no data and no list."""
    client.ok(create("/a"))
    client.ok(get("/a", watch=True))
    client.ok(children("/a", watch=True))
    client.ok(watch("/a", PERSISTENT))
    other.ok(rq.SetAcl("/a", (ANYONE, Acl(READ, "ip", "127.0.0.1")), -1))
    assert client.events() == []


def test_a_failed_write_fires_nothing(client: Client, other: Client) -> None:
    """Nothing has changed."""
    client.ok(create("/a"))
    client.ok(get("/a", watch=True))
    client.ok(children("/a", watch=True))
    other.call(multi(put("/a", b"1"), create("/a/b"), rq.Check("/none", -1)))
    other.call(put("/a", b"1", 9))
    assert client.events() == []


def test_every_client_has_its_own(client: Client, new: NewClient) -> None:
    """What one has heard, another hears too."""
    client.ok(create("/a"))
    many = [new() for _ in range(5)]
    for each in many:
        each.ok(get("/a", watch=True))
    client.ok(put("/a", b"1"))
    assert [each.events() for each in many] == [[(DATA, "/a")]] * 5
    assert client.events() == []


# --- order ----------------------------------------------------------------------------------------


def test_an_event_comes_before_the_reply_to_its_own_write(client: Client) -> None:
    """The writer is told that it changed before it is told that it has changed it."""
    client.ok(create("/a"))
    client.ok(get("/a", watch=True))
    (identity,) = client.send(put("/a", b"1"))
    client.answer(identity)
    event, answer = client.received[-2:]
    assert isinstance(event, Event)
    assert isinstance(answer, Answer)
    assert (event.kind, event.path, event.revision) == (DATA, "/a", answer.revision)


def test_events_and_replies_come_in_the_order_of_revisions(client: Client) -> None:
    """Each event after the replies of earlier writes, before those of its own and later ones."""
    for path in ("/a", "/b", "/c"):
        client.ok(create(path))
    client.ok(watch("/b", PERSISTENT))
    before = len(client.received)
    ids = client.send(*(put(path, b"1") for path in ("/a", "/b", "/c", "/b", "/a")))
    client.answer(ids[-1])
    new = client.received[before:]
    assert [type(message) for message in new] == [
        Answer, Event, Answer, Answer, Event, Answer, Answer,
    ]  # fmt: skip
    assert [message.id for message in new if isinstance(message, Answer)] == ids
    revisions = [m.revision for m in new if not isinstance(m, Opened)]
    assert revisions == sorted(revisions)


def test_an_event_comes_before_any_reply_that_shows_the_change(
    client: Client, other: Client
) -> None:
    """Whoever has read the new value has heard of it before."""
    client.ok(create("/a", b"old"))
    client.ok(get("/a", watch=True))
    (identity,) = other.send(put("/a", b"new"))
    reads = [client.call(get("/a"))]
    while client.progress() or reads[-1].body[0] == b"old":
        reads.append(client.call(get("/a")))
    (event,) = (message for message in client.received if isinstance(message, Event))
    heard_at = client.received.index(event)
    seen = [read.body[0] for read in reads]
    assert set(seen) == {b"old", b"new"}
    assert seen == [b"new" if client.received.index(read) > heard_at else b"old" for read in reads]
    assert event.revision == other.answer(identity).revision


def test_events_come_in_the_order_of_changes(client: Client, other: Client) -> None:
    """Across watches and nodes."""
    client.ok(create("/r"))
    client.ok(watch("/r", RECURSIVE))
    ids = other.send(
        *(create(f"/r/{number}") for number in range(10)),
        *(put(f"/r/{number}", b"1") for number in reversed(range(10))),
        *(delete(f"/r/{number}") for number in range(10)),
    )
    other.answer(ids[-1])
    expected = [(CREATED, f"/r/{number}") for number in range(10)]
    expected += [(DATA, f"/r/{number}") for number in reversed(range(10))]
    expected += [(DELETED, f"/r/{number}") for number in range(10)]
    assert client.events() == expected


def test_a_transactions_events_carry_its_revision(client: Client, other: Client) -> None:
    """One event for each operation, in their order."""
    client.ok(create("/a"))
    client.ok(create("/b"))
    for path in ("/a", "/b", "/c"):
        client.call(exists(path, watch=True))
    client.ok(children("/", watch=True))
    answer = other.call(multi(put("/b", b"1"), create("/c"), delete("/a")))
    assert client.events() == [(DATA, "/b"), (CREATED, "/c"), (CHILDREN, "/"), (DELETED, "/a")]
    heard = [message for message in client.received if isinstance(message, Event)]
    assert {event.revision for event in heard} == {answer.revision}


# --- watches that stay ----------------------------------------------------------------------------


def test_a_persistent_watch_stays(client: Client, other: Client) -> None:
    """It needs no node, and hears the node and its list until it is closed."""
    client.ok(watch("/a", PERSISTENT))
    for request in (
        create("/a"), put("/a", b"1"), put("/a", b"2"), create("/a/b"), put("/a/b", b"x"),
        create("/a/b/c"), delete("/a/b/c"), delete("/a/b"), delete("/a"), create("/a"),
    ):  # fmt: skip
        other.ok(request)
    assert client.events() == [
        (CREATED, "/a"), (DATA, "/a"), (DATA, "/a"), (CHILDREN, "/a"), (CHILDREN, "/a"),
        (DELETED, "/a"), (CREATED, "/a"),
    ]  # fmt: skip
    client.ok(StopWatching("/a"))
    other.ok(put("/a", b"3"))
    assert client.events() == []


def test_a_recursive_watch_hears_everything_below(client: Client, other: Client) -> None:
    """Each node as itself, never as a list."""
    client.ok(watch("/a", RECURSIVE))
    for request in (
        create("/ab"), create("/a"), create("/a/b"), create("/a/b/c"), put("/a/b/c", b"1"),
        delete("/a/b/c"), delete("/a/b"), put("/a", b"1"), put("/ab", b"1"),
    ):  # fmt: skip
        other.ok(request)
    assert client.events() == [
        (CREATED, "/a"), (CREATED, "/a/b"), (CREATED, "/a/b/c"), (DATA, "/a/b/c"),
        (DELETED, "/a/b/c"), (DELETED, "/a/b"), (DATA, "/a"),
    ]  # fmt: skip
    client.ok(StopWatching("/a"))
    other.ok(put("/a", b"3"))
    assert client.events() == []


def test_the_whole_tree(client: Client, other: Client) -> None:
    """Recursive at the root."""
    client.ok(watch("/", RECURSIVE))
    other.ok(create("/a"))
    other.ok(create("/a/b"))
    assert client.events() == [(CREATED, "/a"), (CREATED, "/a/b")]


def test_ephemerals_that_go_with_their_session_are_heard(client: Client, other: Client) -> None:
    """One entry deletes them all: one revision."""
    client.ok(create("/a"))
    other.ok(create("/a/x", mode=EPHEMERAL))
    other.ok(create("/a/y", mode=EPHEMERAL))
    client.ok(watch("/a", RECURSIVE))
    client.ok(exists("/a/x", watch=True))
    assert client.ok(StopWatching("/a")) == ()
    client.ok(children("/a", watch=True))
    closed = other.call(rq.Close())
    assert client.events() == [(DELETED, "/a/x"), (CHILDREN, "/a")]
    heard = [message for message in client.received if isinstance(message, Event)]
    assert {event.revision for event in heard} == {closed.revision}


# --- who may hear ---------------------------------------------------------------------------------


def test_only_who_may_read_hears(client: Client, other: Client) -> None:
    """READ is asked when the event is delivered, not when the watch is set."""
    client.ok(watch("/a", RECURSIVE))
    other.ok(rq.Auth("digest", b"alice:secret"))
    other.ok(create("/a"))
    other.ok(create("/a/own", acl=(Acl(ALL, "auth", ""),)))
    other.ok(put("/a/own", b"1"))
    other.ok(create("/a/open"))
    assert client.events() == [(CREATED, "/a"), (CREATED, "/a/open")]
    client.ok(rq.Auth("digest", b"alice:secret"))
    other.ok(put("/a/own", b"2"))
    assert client.events() == [(DATA, "/a/own")]


# --- the connection's end -------------------------------------------------------------------------


def test_watches_go_with_their_connection(client: Client, connect: NewClient) -> None:
    """The session lives on without them; the client arms them again."""
    dropped = connect()
    opened = dropped.open()
    client.ok(create("/a"))
    dropped.ok(get("/a", watch=True))
    dropped.ok(watch("/a", PERSISTENT))
    dropped.drop()

    again = connect()
    again.open(opened.session, opened.secret)
    client.ok(put("/a", b"1"))
    assert again.events() == []
    again.ok(get("/a", watch=True))
    client.ok(put("/a", b"2"))
    assert again.events() == [(DATA, "/a")]
