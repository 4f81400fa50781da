"""Watches of ZooKeeper's clients: what fires when, how often, in which order, and for whom."""

from __future__ import annotations

from typing import Final

import pytest

from coord.model.limits import PATH_BYTES_MAX
from tests.node.single import Single
from tests.node.single import get as native_get
from tests.node.zookeeper import (
    CHANGED,
    CHILDREN,
    CREATED,
    DELETED,
    Event,
    Reply,
    Request,
    add_watch,
    auth,
    check_watches,
    children,
    create,
    delete,
    exists,
    get,
    multi,
    put,
    remove_watches,
    set_acl,
    set_watches,
    zoo,
)

CHILD_KIND, DATA_KIND, ANY_KIND, PERSISTENT_KIND, RECURSIVE_KIND = 1, 2, 3, 4, 5
PERSISTENT: Final = 0
RECURSIVE: Final = 1
SECRET: Final = ((31, "digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="),)
"""For user u with password p alone."""


@pytest.fixture
def single() -> Single:
    """A fresh node that leads itself."""
    return Single()


# --- once -----------------------------------------------------------------------------------------


def test_a_watch_fires_once_and_before_the_reply_that_shows_the_change(single: Single) -> None:
    """Even for the writer's own watch."""
    peer = zoo(single)
    peer.ok(create("/a"))
    peer.ok(get("/a", watch=True))
    peer.link.received.clear()
    xids = peer.send(put("/a", b"1"), put("/a", b"2"))
    single.run()

    first, *replies = peer.link.received
    assert first == Event(CHANGED, "/a")
    assert [it.xid for it in replies if isinstance(it, Reply)] == xids


def test_an_event_comes_before_any_read_that_shows_the_change(single: Single) -> None:
    """On every connection that watches."""
    reader, writer = zoo(single), zoo(single)
    reader.call(exists("/a", watch=True))
    writer.ok(create("/a"))
    reader.ok(get("/a"))

    event, reply = reader.link.received[-2:]
    assert event == Event(CREATED, "/a")
    assert isinstance(reply, Reply)


@pytest.mark.parametrize(
    ("ask", "cause", "events"),
    [
        (get("/a", watch=True), put("/a", b""), [Event(CHANGED, "/a")]),
        (get("/a", watch=True), delete("/a"), [Event(DELETED, "/a")]),
        (get("/a", watch=True), create("/a/b"), []),
        (get("/a", watch=True), set_acl("/a", ((31, "world", "anyone"),)), []),
        (children("/a", watch=True), create("/a/b"), [Event(CHILDREN, "/a")]),
        (children("/a", watch=True), delete("/a"), [Event(DELETED, "/a")]),
        (children("/a", watch=True), put("/a", b""), []),
        (exists("/b", watch=True), create("/b"), [Event(CREATED, "/b")]),
        (exists("/a", watch=True), put("/a", b""), [Event(CHANGED, "/a")]),
        (get("/no", watch=True), create("/no"), []),
        (children("/no", watch=True), create("/no"), []),
        (exists("/a", watch=True), create("/a"), []),
    ],
)
def test_what_fires_what(single: Single, ask: Request, cause: Request, events: list[Event]) -> None:
    """Reads of a node that is missing arm nothing, but for exists."""
    peer = zoo(single)
    peer.ok(create("/a"))
    peer.call(ask)
    peer.call(cause)

    assert peer.events() == events


def test_a_deletion_is_told_once_to_a_connection_that_watches_twice(single: Single) -> None:
    """Data and children; the parent's list is another matter."""
    peer = zoo(single)
    peer.ok(create("/a"))
    peer.ok(create("/a/b"))
    for ask in (get("/a/b", watch=True), children("/a/b", watch=True), children("/a", watch=True)):
        peer.ok(ask)
    peer.ok(delete("/a/b"))

    assert peer.events() == [Event(DELETED, "/a/b"), Event(CHILDREN, "/a")]


def test_watches_end_with_their_connection(single: Single) -> None:
    """All kinds of them."""
    peer = zoo(single)
    peer.ok(create("/a"))
    peer.ok(get("/a", watch=True))
    peer.ok(add_watch("/a", PERSISTENT))
    peer.ok(add_watch("/", RECURSIVE))
    single.node.gateway.lost(peer.conn)

    assert single.node.registry.counts() == (0, 0, 0)


def test_native_and_zookeeper_clients_hear_of_the_same_change(single: Single) -> None:
    """Each in its own protocol."""
    peer, native = zoo(single), single.client()
    peer.ok(create("/a"))
    native.call(native_get("/a", watch=True))
    peer.ok(get("/a", watch=True))
    peer.ok(put("/a", b"1"))

    assert peer.events() == [Event(CHANGED, "/a")]
    assert native.link.received[-1].path == "/a"


# --- persistent -----------------------------------------------------------------------------------


def test_a_persistent_watch_hears_its_node_and_its_children_again_and_again(
    single: Single,
) -> None:
    """It needs no node to be armed."""
    peer = zoo(single)
    peer.ok(add_watch("/a", PERSISTENT))
    for cause in (create("/a"), put("/a", b"1"), create("/a/b"), put("/a/b", b""), delete("/a/b")):
        peer.ok(cause)
    peer.ok(delete("/a"))

    assert peer.events() == [
        Event(CREATED, "/a"),
        Event(CHANGED, "/a"),
        Event(CHILDREN, "/a"),
        Event(CHILDREN, "/a"),
        Event(DELETED, "/a"),
    ]


def test_a_recursive_watch_hears_everything_below_and_no_lists(single: Single) -> None:
    """Not even that of its own node."""
    peer = zoo(single)
    peer.ok(add_watch("/a", RECURSIVE))
    for cause in (create("/a"), create("/a/b"), put("/a/b", b""), create("/ab"), delete("/a/b")):
        peer.ok(cause)

    assert peer.events() == [
        Event(CREATED, "/a"),
        Event(CREATED, "/a/b"),
        Event(CHANGED, "/a/b"),
        Event(DELETED, "/a/b"),
    ]


def test_one_change_is_one_event_however_many_watches_match(single: Single) -> None:
    """And the watches that stay have not been replaced by the one that fired."""
    peer = zoo(single)
    peer.ok(create("/a"))
    peer.ok(create("/a/b"))
    peer.ok(add_watch("/a/b", PERSISTENT))
    peer.ok(add_watch("/a/b", RECURSIVE))
    peer.ok(add_watch("/a", PERSISTENT))
    peer.ok(add_watch("/", RECURSIVE))
    peer.ok(get("/a/b", watch=True))
    peer.ok(children("/a/b", watch=True))
    peer.ok(children("/a", watch=True))
    peer.ok(put("/a/b", b"1"))
    assert peer.events() == [Event(CHANGED, "/a/b")]

    peer.ok(delete("/a/b"))
    assert peer.events() == [Event(DELETED, "/a/b"), Event(CHILDREN, "/a")]

    peer.ok(create("/a/b"))
    assert peer.events() == [Event(CREATED, "/a/b"), Event(CHILDREN, "/a")]


def test_two_changes_of_one_transaction_are_two_events(single: Single) -> None:
    """In the order of its operations, before its reply."""
    peer = zoo(single)
    peer.ok(create("/a"))
    peer.ok(add_watch("/", RECURSIVE))
    peer.ok(get("/a", watch=True))
    peer.link.received.clear()
    peer.ok(multi(put("/a", b"1"), create("/a/b"), put("/a", b"2")))

    assert peer.link.received[:3] == [
        Event(CHANGED, "/a"),
        Event(CREATED, "/a/b"),
        Event(CHANGED, "/a"),
    ]


# --- removing and looking -------------------------------------------------------------------------

ARMED: Final = {
    CHILD_KIND: children("/a", watch=True),
    DATA_KIND: get("/a", watch=True),
    PERSISTENT_KIND: add_watch("/a", PERSISTENT),
    RECURSIVE_KIND: add_watch("/a", RECURSIVE),
}


@pytest.mark.parametrize("armed", ARMED)
@pytest.mark.parametrize(
    "asked", [CHILD_KIND, DATA_KIND, ANY_KIND, PERSISTENT_KIND, RECURSIVE_KIND]
)
def test_only_watches_of_the_named_kind_are_found(single: Single, armed: int, asked: int) -> None:
    """Any is each of them. What is removed is silent; looking removes nothing."""
    peer, other = zoo(single), zoo(single)
    peer.ok(create("/a"))
    peer.ok(ARMED[armed])
    other.ok(ARMED[armed])
    err = 0 if asked in (armed, ANY_KIND) else -121

    assert peer.call(check_watches("/a", asked)).err == err
    assert peer.call(check_watches("/b", asked)).err == -121
    assert peer.call(remove_watches("/a", asked)).err == err
    assert peer.call(check_watches("/a", ANY_KIND)).err == (0 if err else -121)
    assert other.ok(check_watches("/a", ANY_KIND))

    other.ok(delete("/a"))
    assert peer.events() == ([Event(DELETED, "/a")] if err else [])
    assert other.events() == [Event(DELETED, "/a")]


def test_removing_any_removes_all(single: Single) -> None:
    """Of this path."""
    peer = zoo(single)
    peer.ok(create("/a"))
    for request in ARMED.values():
        peer.ok(request)
    peer.ok(remove_watches("/a", ANY_KIND))

    assert single.node.registry.counts() == (0, 0, 0)


# --- after a reconnect ----------------------------------------------------------------------------


def test_what_changed_meanwhile_fires_before_the_answer(single: Single) -> None:
    """And the rest is armed."""
    peer = zoo(single)
    for path in ("/same", "/changed", "/gone", "/parent", "/list", "/quiet"):
        peer.ok(create(path))
    seen = peer.ok(exists("/")).zxid
    peer.ok(put("/changed", b""))
    peer.ok(delete("/gone"))
    peer.ok(create("/list/new"))
    peer.ok(create("/born"))
    peer.link.received.clear()
    peer.ok(
        set_watches(
            seen,
            data=["/same", "/changed", "/gone"],
            exist=["/born", "/unborn"],
            child=["/quiet", "/list", "/gone"],
            persistent=["/parent"],
            recursive=["/parent"],
        )
    )

    *events, reply = peer.link.received
    assert events == [
        Event(CHANGED, "/changed"),
        Event(DELETED, "/gone"),
        Event(CREATED, "/born"),
        Event(CHILDREN, "/list"),
        Event(DELETED, "/gone"),
    ]
    assert isinstance(reply, Reply)
    assert reply.xid == -8

    peer.link.received.clear()
    for cause in (put("/same", b""), create("/unborn"), create("/quiet/x"), create("/parent/x")):
        peer.ok(cause)
    assert peer.events() == [
        Event(CHANGED, "/same"),
        Event(CREATED, "/unborn"),
        Event(CHILDREN, "/quiet"),
        Event(CREATED, "/parent/x"),
        Event(CHILDREN, "/parent"),
    ]


def test_a_long_list_is_armed_in_turns(single: Single) -> None:
    """Others are served between them; what the client sends behind it waits for its answer."""
    peer, other = zoo(single), zoo(single)
    paths = [f"/{n}" for n in range(2_500)]
    xids = peer.send(set_watches(0, exist=paths), exists("/0"))
    turns = 0
    while not peer.link.received:
        single.hands.soon.popleft()()
        other.send(exists("/"))
        turns += 1
    assert turns >= 2
    assert [it.xid for it in peer.replies()] == xids

    other.ok(create("/2499"))
    assert peer.events() == [Event(CREATED, "/2499")]


def test_a_client_that_leaves_halfway_leaves_no_watch(single: Single) -> None:
    """The rest of its list is not armed."""
    peer = zoo(single)
    peer.send(set_watches(0, exist=[f"/{n}" for n in range(2_500)]))
    single.node.gateway.lost(peer.conn)
    single.run()

    assert single.node.registry.counts() == (0, 0, 0)


def test_too_many_watches_are_refused(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error that clients know; those armed stay."""
    monkeypatch.setattr(single.node.registry, "_watches_max", 2)
    peer = zoo(single)
    assert peer.call(set_watches(0, exist=["/a", "/b", "/c"])).err == -127
    assert peer.call(add_watch("/d", PERSISTENT)).err == -127
    assert peer.call(exists("/a", watch=True)).err == -101
    peer.ok(create("/b"))

    assert peer.events() == [Event(CREATED, "/b")]


def test_a_path_too_long_for_any_node_is_not_watched(single: Single) -> None:
    """It would only take memory."""
    peer = zoo(single)
    path = "/a" * PATH_BYTES_MAX

    assert peer.call(exists(path, watch=True)).err == -127
    assert peer.call(add_watch(path, RECURSIVE)).err == -127
    assert peer.call(set_watches(0, exist=[path])).err == -127
    assert single.node.registry.counts() == (0, 0, 0)


# --- who may hear ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [PERSISTENT, RECURSIVE])
def test_changes_of_a_node_that_may_not_be_read_are_not_heard(single: Single, mode: int) -> None:
    """Not by addWatch, which asks nobody: neither its birth nor its values nor its end."""
    owner, spy = zoo(single), zoo(single)
    spy.ok(add_watch("/a", mode))
    owner.ok(auth("digest", b"u:p"))
    owner.ok(add_watch("/a", mode))
    owner.ok(create("/a", acl=SECRET))
    owner.ok(put("/a", b"1"))
    owner.ok(create("/a/b", acl=SECRET))
    owner.ok(delete("/a/b"))
    owner.ok(delete("/a"))

    assert spy.events() == []
    below = (
        [Event(CHILDREN, "/a")] * 2
        if mode == PERSISTENT
        else [Event(CREATED, "/a/b"), Event(DELETED, "/a/b")]
    )
    assert owner.events() == [
        Event(CREATED, "/a"),
        Event(CHANGED, "/a"),
        *below,
        Event(DELETED, "/a"),
    ]


def test_the_parents_acl_decides_who_hears_of_its_list(single: Single) -> None:
    """Also when the parent went in the same transaction."""
    owner, spy = zoo(single), zoo(single)
    owner.ok(auth("digest", b"u:p"))
    owner.ok(create("/open"))
    owner.ok(create("/shut", acl=SECRET))
    spy.ok(add_watch("/open", PERSISTENT))
    spy.ok(add_watch("/shut", PERSISTENT))
    owner.ok(create("/open/x", acl=SECRET))
    owner.ok(create("/shut/x"))
    owner.ok(multi(delete("/shut/x"), delete("/shut")))

    assert spy.events() == [Event(CHILDREN, "/open")]


def test_a_watch_armed_before_the_acl_was_tightened_is_silent(single: Single) -> None:
    """The ACL that the change leaves behind decides."""
    owner, spy = zoo(single), zoo(single)
    owner.ok(auth("digest", b"u:p"))
    owner.ok(create("/a"))
    spy.ok(get("/a", watch=True))
    owner.ok(set_acl("/a", SECRET))
    owner.ok(put("/a", b"1"))

    assert spy.events() == []


def test_set_watches_tells_nothing_of_what_may_not_be_read(single: Single) -> None:
    """A client cannot probe for nodes with it."""
    owner, spy = zoo(single), zoo(single)
    owner.ok(auth("digest", b"u:p"))
    owner.ok(create("/a", acl=SECRET))
    spy.ok(set_watches(0, data=["/a"], exist=["/a"], child=["/a"]))

    assert spy.events() == []
