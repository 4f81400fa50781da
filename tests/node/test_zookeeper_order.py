"""What ZooKeeper's clients rely on: one reply each, in order, and an answer at every limit that
they survive.
"""

from __future__ import annotations

import pytest

from coord.model.limits import CONNECTION_REQUESTS_MAX
from tests.node.single import Single
from tests.node.single import put as native_put
from tests.node.zookeeper import (
    CHANGED,
    PING,
    UNKNOWN,
    WHO_AM_I,
    Event,
    Request,
    ZooPeer,
    auth,
    count,
    create,
    delete,
    ephemerals,
    exists,
    get,
    multi,
    multi_read,
    put,
    set_watches,
    sync,
    zoo,
)
from tests.protocol import jute


@pytest.fixture
def single() -> Single:
    """A fresh node that leads itself."""
    return Single()


def test_replies_come_in_the_order_of_requests(single: Single) -> None:
    """Whatever is asked in one read: writes, reads, barriers, refusals, questions."""
    peer = zoo(single)
    xids = peer.send(
        create("/a", b"0"),
        get("/a"),
        put("/a", b"1"),
        sync("/"),
        get("/missing"),
        auth("digest", b"u:p"),
        put("/a", b"2", 77),
        Request(4, b"\0"),
        multi(create("/b"), delete("/b")),
        multi_read(get("/a"), get("/b")),
        count("/"),
        ephemerals("/"),
        set_watches(0, data=["/a"]),
        WHO_AM_I,
        get("/a"),
    )
    single.run()

    assert [it.xid for it in peer.replies()] == xids
    assert [it.err for it in peer.replies()] == [0, 0, 0, 0, -101, 0, -103, -5, *[0] * 7]


def test_a_read_sees_exactly_the_writes_before_it(single: Single) -> None:
    """The writes of one session take effect in order, and reads stand between them."""
    peer = zoo(single)
    peer.ok(create("/a"))
    xids = peer.send(put("/a", b"1"), get("/a"), put("/a", b"2"), get("/a"), put("/a", b"3"))
    single.run()

    seen = [peer.reply(xid) for xid in xids]
    assert seen[1] is not None
    assert seen[3] is not None
    assert (seen[1].reader().buffer(), seen[3].reader().buffer()) == (b"1", b"2")


def test_the_zxid_of_a_reply_is_that_of_its_write_or_of_the_state_read(single: Single) -> None:
    """Clients remember it as what they have seen."""
    peer = zoo(single)
    made = peer.ok(create("/a"))
    changed = peer.ok(put("/a", b"1"))

    assert changed.zxid == changed.stat()["mzxid"] == made.zxid + 1
    assert peer.ok(get("/a")).zxid == changed.zxid
    assert peer.call(exists("/no")).zxid == changed.zxid
    assert peer.ok(sync("/")).zxid >= changed.zxid


def test_a_write_refused_is_none(single: Single) -> None:
    """It takes its number all the same: later ones are not held up by it."""
    peer = zoo(single)
    assert peer.call(put("/no", b"")).err == -101
    assert peer.ok(create("/a")).err == 0
    assert peer.call(create("/a")).err == -110
    assert peer.ok(put("/a", b"")).err == 0


def test_more_writes_than_a_native_session_may_have_open(single: Single) -> None:
    """A reply that was written counts as received: nothing is kept for a client that cannot ask
    for it again."""
    peer = zoo(single)
    peer.ok(create("/a"))
    xids = peer.send(*(put("/a", b"") for _ in range(1_000)))
    single.run()

    assert [it.err for it in peer.replies()[1:]] == [0] * len(xids)
    row = single.store.machine.sessions.get(peer.conn.session)
    assert row is not None
    assert len(row.results) <= 1


def test_a_sync_waits_for_a_quorum(single: Single) -> None:
    """As a real barrier, and what comes behind it waits with it."""
    peer = zoo(single)
    peer.ok(create("/a"))
    answered = len(peer.replies())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single.node.driver, "read_index", lambda _id: False)
        xids = peer.send(sync("/"), get("/a"))
        single.run()
        assert len(peer.replies()) == answered
    single.pass_ms(100)

    assert [it.xid for it in peer.replies()[answered:]] == xids


# --- what cannot be taken -------------------------------------------------------------------------


def test_an_unknown_operation_is_answered_in_order_and_ends_the_connection(single: Single) -> None:
    """What stood before it is answered, what comes behind it is dropped."""
    peer = zoo(single)
    xids = peer.send(create("/a"), get("/a"), UNKNOWN, create("/b"), exists("/c", watch=True))
    single.run()

    assert [(it.xid, it.err) for it in peer.replies()] == [
        (xids[0], 0),
        (xids[1], 0),
        (xids[2], -6),
    ]
    assert peer.is_closed()
    assert zoo(single).call(exists("/b")).err == -101
    assert single.node.registry.counts().watches == 0


def test_nothing_of_a_read_is_served_behind_the_end(single: Single) -> None:
    """Even if all of it could be answered at once: nobody would drop the watches."""
    peer = zoo(single)
    peer.send(UNKNOWN, exists("/a", watch=True), create("/a"), PING, sync("/"), WHO_AM_I)
    single.run()

    assert [it.err for it in peer.replies()] == [-6]
    assert single.node.registry.counts().watches == 0
    assert single.node.gateway.admission.writes_in_flight == 0


def test_a_broken_stream_is_closed(single: Single) -> None:
    """Without a word: nobody knows what the next bytes would mean."""
    peer = zoo(single)
    peer.feed(b"\xff\xff\xff\xff" + bytes(100))

    assert peer.is_closed()
    assert not peer.link.received


@pytest.mark.parametrize("head", [b"\0\0\0\x01\0", jute.frame(bytes(9)), b"\0\0\0\0"])
def test_a_handshake_that_is_none_is_closed(single: Single, head: bytes) -> None:
    """Before there is anything to lose."""
    peer = ZooPeer(single)
    peer.feed(head)

    assert peer.is_closed()
    assert not single.node.gateway.connections


# --- limits ---------------------------------------------------------------------------------------


def test_a_full_node_lets_writes_wait(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no answer that says *later* in this protocol. They wait, unread, and go on in
    order once there is room; native clients are refused meanwhile."""
    monkeypatch.setattr("coord.node.admission.NODE_WRITES_IN_FLIGHT_MAX", 3)
    peers = [zoo(single) for _ in range(3)]
    native = single.client()
    peers[0].ok(create("/a"))
    single.hands.disk_works = False
    sent = [peer.send(*(put("/a", b"") for _ in range(5)), get("/a")) for peer in peers]
    (refused,) = native.send(native_put("/a", b""))
    single.run()

    assert single.node.gateway.admission.writes_in_flight == 3
    assert all(peer.is_paused() for peer in peers)
    assert native.reply(refused).code == -205

    single.hands.disk_works = True
    single.run()

    for peer, xids in zip(peers, sent, strict=True):
        mine = [it for it in peer.replies() if it.xid in xids]
        assert [it.xid for it in mine] == xids
        assert all(it.err == 0 for it in mine)
        assert not peer.is_paused()
    versions = [peer.reply(xids[-1]) for peer, xids in zip(peers, sent, strict=True)]
    assert max(it.stat()["version"] for it in versions if it is not None) == 15


def test_who_waits_for_room_is_not_taken_for_dead(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads its pings meanwhile."""
    monkeypatch.setattr("coord.node.admission.NODE_WRITES_IN_FLIGHT_MAX", 0)
    peer = zoo(single)
    (xid,) = peer.send(create("/a"))
    single.pass_ms(30_000)
    assert not peer.is_closed()
    assert peer.reply(xid) is None

    monkeypatch.setattr("coord.node.admission.NODE_WRITES_IN_FLIGHT_MAX", 10)
    single.pass_ms(100)
    reply = peer.reply(xid)
    assert reply is not None
    assert reply.err == 0


def test_who_leaves_while_it_waits_is_forgotten(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is written later."""
    monkeypatch.setattr("coord.node.admission.NODE_WRITES_IN_FLIGHT_MAX", 0)
    peer = zoo(single)
    peer.send(create("/a"))
    single.node.gateway.lost(peer.conn)
    monkeypatch.setattr("coord.node.admission.NODE_WRITES_IN_FLIGHT_MAX", 10)
    single.run()

    assert not list(single.node.gateway.admission.in_line())
    assert zoo(single).call(exists("/a")).err == -101


def test_without_space_a_write_is_refused_with_the_quota_error(single: Single) -> None:
    """Deletes pass; the order of replies stays."""
    peer = zoo(single)
    peer.ok(create("/a"))
    single.node.gateway.admission.has_space = False
    xids = peer.send(get("/a"), put("/a", b"1"), delete("/a"), exists("/a"))
    single.run()

    assert [it.xid for it in peer.replies()[1:]] == xids
    assert [it.err for it in peer.replies()[1:]] == [0, -125, 0, -101]


def test_without_space_a_transaction_that_frees_some_passes(single: Single) -> None:
    """A hold is released by one that checks and deletes: nobody would get it otherwise."""
    peer = zoo(single)
    peer.ok(create("/a"))
    peer.ok(create("/b"))
    single.node.gateway.admission.has_space = False

    assert peer.call(multi(delete("/a"))).err == 0
    assert peer.call(multi(delete("/b"), create("/c"))).err == -125
    assert [peer.call(exists(path)).err for path in ("/a", "/b")] == [-101, 0]


def test_a_client_with_too_many_open_requests_is_not_read(single: Single) -> None:
    """Until half of them have been answered."""
    peer = zoo(single)
    single.hands.disk_works = False
    peer.send(*(create(f"/{n}") for n in range(CONNECTION_REQUESTS_MAX + 1)))
    assert peer.is_paused()

    single.hands.disk_works = True
    single.run()

    assert not peer.is_paused()
    assert len(peer.replies()) == CONNECTION_REQUESTS_MAX + 1


@pytest.mark.parametrize(
    "request_", [count("/"), set_watches(0), WHO_AM_I, multi_read(get("/")), exists("/")]
)
def test_a_thousand_questions_at_once(single: Single, request_: Request) -> None:
    """Each is answered, in order, without any depth of calls."""
    peer = zoo(single)
    single.hands.disk_works = False
    xids = peer.send(create("/a"), *[request_] * 1_500)
    single.hands.disk_works = True
    single.run()

    assert [it.xid for it in peer.replies()] == xids


def test_large_requests_that_wait_are_bounded_by_their_bytes(single: Single) -> None:
    """A thousand of them could be a thousand megabytes."""
    peer = zoo(single)
    peer.ok(create("/a"))
    single.hands.disk_works = False
    sent = peer.send(put("/a", b""), get("/a"))
    while not peer.is_paused():
        sent += peer.send(put("/a", bytes(900_000)))
        assert len(sent) < 20

    single.hands.disk_works = True
    single.run()

    assert not peer.is_paused()
    assert [it.xid for it in peer.replies()[1:]] == sent


def test_events_are_not_held_back_by_room(single: Single, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for room still hears of changes at once."""
    peer, other = zoo(single), zoo(single)
    peer.ok(create("/a"))
    peer.ok(get("/a", watch=True))
    monkeypatch.setattr("coord.node.admission.NODE_WRITES_IN_FLIGHT_MAX", 1)
    single.hands.disk_works = False
    other.send(put("/a", b"1"))
    peer.send(put("/a", b"2"), put("/a", b"3"))
    single.hands.disk_works = True
    single.run()

    assert peer.events() == [Event(CHANGED, "/a")]
