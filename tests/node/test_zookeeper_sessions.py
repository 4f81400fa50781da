"""Sessions of ZooKeeper's clients: opened, attached again, refused, moved, ended, cut off."""

from __future__ import annotations

import msgpack
import pytest

from coord.model import commands
from tests.node.single import Single
from tests.node.zookeeper import (
    CLOSE,
    EPHEMERAL,
    PING,
    Handshake,
    ZooPeer,
    create,
    exists,
    get,
    put,
    zoo,
)

INVALID = Handshake(0, 0, bytes(16))


@pytest.fixture
def single() -> Single:
    """A fresh node that leads itself."""
    return Single()


def again(single: Single, peer: ZooPeer) -> ZooPeer:
    """A second connection with the first one's session."""
    shaken = peer.shaken()
    assert shaken is not None
    second = ZooPeer(single)
    assert second.connect(shaken.session, shaken.password).session == shaken.session
    return second


# --- the handshake --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"), [(5_000, 5_000), (1, 1_000), (-5, 1_000), (10**9, 60_000)]
)
def test_the_timeout_is_negotiated(single: Single, asked: int, given: int) -> None:
    """Within the bounds of the cluster."""
    peer = ZooPeer(single)
    shaken = peer.connect(timeout_ms=asked)

    assert shaken.timeout_ms == given
    assert shaken.session > 0
    assert any(shaken.password)
    assert len(shaken.password) == 16


def test_a_new_session_may_come_with_any_password(single: Single) -> None:
    """There is a client that sends one byte."""
    assert ZooPeer(single).connect(0, b"\0").session > 0


def test_what_comes_before_the_session_waits_for_it(single: Single) -> None:
    """Handshake and requests in one read: nothing is read on, all is answered in order."""
    peer = ZooPeer(single)
    single.hands.disk_works = False
    peer.shake()
    xids = peer.send(create("/a", b"1"), get("/a"), PING)
    single.run()
    assert peer.shaken() is None
    assert not peer.link.received
    assert peer.is_paused()

    single.hands.disk_works = True
    single.run()

    assert peer.shaken() is not None
    assert not peer.is_paused()
    assert sorted(it.xid for it in peer.replies()) == sorted(xids)
    assert all(it.err == 0 for it in peer.replies())


def test_a_session_is_attached_again(single: Single) -> None:
    """On a new connection, with its ephemeral nodes; writes are numbered from one again."""
    first = zoo(single)
    first.ok(create("/e", flags=EPHEMERAL))
    first.ok(put("/e", b"1"))
    first.send(put("/e", b"2"))
    single.node.gateway.lost(first.conn)
    single.run()

    second = again(single, first)

    assert second.ok(get("/e")).stat()["version"] == 2
    assert second.ok(put("/e", b"3")).stat()["version"] == 3


def test_attaching_closes_the_old_connection_silently(single: Single) -> None:
    """Nothing but the end of the stream tells it, and what it still sends has no effect."""
    first = zoo(single)
    before = len(first.link.received)
    again(single, first)

    assert first.is_closed()
    assert len(first.link.received) == before


@pytest.mark.parametrize("password", [bytes(16), b"", b"\xff" * 16])
def test_a_wrong_password_finds_no_session(single: Single, password: bytes) -> None:
    """The answer is that of a session that does not exist; the right one goes on."""
    first = zoo(single)
    shaken = first.shaken()
    assert shaken is not None
    thief = ZooPeer(single)

    assert thief.connect(shaken.session, password) == INVALID
    assert thief.is_closed()
    assert first.ok(exists("/")).err == 0


def test_a_session_that_has_ended_is_not_attached(single: Single) -> None:
    """Its client hears of the expiry."""
    first = zoo(single)
    shaken = first.shaken()
    assert shaken is not None
    first.call(CLOSE)
    second = ZooPeer(single)

    assert second.connect(shaken.session, shaken.password) == INVALID
    assert second.is_closed()


def test_a_session_that_ends_while_it_is_attached_is_not_attached(single: Single) -> None:
    """The log decides: the end stands before the attach."""
    first = zoo(single)
    shaken = first.shaken()
    assert shaken is not None
    second = ZooPeer(single)
    first.send(CLOSE)
    second.shake(shaken.session, shaken.password)
    single.run()

    assert second.shaken() == INVALID
    assert second.is_closed()


@pytest.mark.parametrize("session", [-1, 0x1000_0000_0000_0001, 2**63 - 1])
def test_a_session_of_another_cluster_is_refused_once_that_is_certain(
    single: Single, session: int
) -> None:
    """A client that comes from elsewhere must not try for ever: it hears that it has expired."""
    peer = ZooPeer(single)
    peer.shake(session, b"x" * 16, timeout_ms=3_000)
    single.pass_ms(1_500)

    assert peer.shaken() == INVALID
    assert peer.is_closed()


def test_a_handshake_ahead_of_this_node_waits(single: Single) -> None:
    """Until the node has caught up with what the client has seen."""
    writer = zoo(single)
    applied = single.node.reader.revision
    peer = ZooPeer(single)
    peer.shake(last_zxid=applied + 2)
    single.run()
    assert peer.shaken() is None

    writer.ok(create("/a"))
    assert peer.shaken() is None
    writer.ok(create("/b"))

    shaken = peer.shaken()
    assert shaken is not None
    assert shaken.session > 0


@pytest.mark.parametrize(("timeout_ms", "waits_ms"), [(3_000, 1_000), (60_000, 2_000)])
def test_a_handshake_too_far_ahead_is_closed_without_an_answer(
    single: Single, timeout_ms: int, waits_ms: int
) -> None:
    """After a third of its timeout, two seconds at most; another node may have what it saw."""
    peer = ZooPeer(single)
    peer.shake(last_zxid=1_000_000, timeout_ms=timeout_ms)
    single.pass_ms(waits_ms - 300)
    assert not peer.is_closed()

    single.pass_ms(600)

    assert peer.is_closed()
    assert peer.shaken() is None


def test_a_client_that_leaves_during_its_handshake_leaves_no_session(single: Single) -> None:
    """The session that was opened for it is closed again."""
    peer = ZooPeer(single)
    peer.shake()
    single.node.gateway.lost(peer.conn)
    single.run()

    assert len(single.store.machine.sessions) == 0


# --- the end --------------------------------------------------------------------------------------


def test_closing_a_session_is_answered_and_then_the_connection_ends(single: Single) -> None:
    """After all that was asked before; ephemeral nodes go, what came behind is dropped."""
    peer, other = zoo(single), zoo(single)
    xids = peer.send(create("/e", flags=EPHEMERAL), get("/e"), CLOSE, create("/late"))
    single.run()

    assert [it.xid for it in peer.replies()] == xids[:3]
    assert peer.is_closed()
    assert other.call(exists("/e")).err == -101
    assert other.call(exists("/late")).err == -101


def test_a_silent_session_expires_and_its_connection_is_closed_silently(single: Single) -> None:
    """Timeout and grace have passed without a word."""
    peer = ZooPeer(single)
    peer.connect(timeout_ms=2_000)
    single.pass_ms(10_000)

    assert peer.is_closed()
    assert not peer.link.received
    assert len(single.store.machine.sessions) == 0


def test_pings_keep_a_session(single: Single) -> None:
    """Each is answered at once; so does any other request keep it."""
    peer = ZooPeer(single)
    peer.connect(timeout_ms=2_000)
    for request in [PING, exists("/")] * 5:
        peer.send(request)
        assert peer.link.received, "answered at once, without the log or the leader"
        peer.link.received.clear()
        single.pass_ms(1_500)

    assert not peer.is_closed()


def test_a_ping_overtakes_what_waits(single: Single) -> None:
    """A write on a slow disk is no reason to believe the node dead."""
    peer = zoo(single)
    single.hands.disk_works = False
    peer.send(create("/a"), get("/a"))
    (xid,) = peer.send(PING)

    reply = peer.reply(xid)
    assert reply is not None
    assert reply.zxid == single.node.reader.revision
    assert reply.body == b""


def test_the_end_of_all_sessions_closes_silently(single: Single) -> None:
    """As after a restore."""
    peer = zoo(single)
    packed: bytes = msgpack.packb((commands.END_ALL_SESSIONS, 0, 0, 0, 0, None))
    single.node.driver.propose([packed])
    single.run()

    assert peer.is_closed()
    assert not peer.link.received


# --- cut off --------------------------------------------------------------------------------------


def test_a_node_cut_off_closes_its_clients_and_lets_none_in(
    single: Single, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody confirms its contacts any more: what a ping's answer promises would not be true.
    Native clients stay: their heartbeats just go unanswered."""
    peer, native = zoo(single), single.client()
    monkeypatch.setattr(single.node.driver, "read_index", lambda _id: False)
    single.pass_ms(3_000)

    assert peer.is_closed()
    assert not native.link.is_closed
    late = ZooPeer(single)
    late.shake()
    assert late.is_closed()
    assert late.shaken() is None


def test_a_node_that_slept_does_not_answer_old_pings(single: Single) -> None:
    """Waking up, it cannot know what the others have decided."""
    peer = zoo(single)
    single.hands.now_ms += 60_000
    single.node.ticker.check()

    assert peer.is_closed()


def test_a_node_that_is_back_lets_clients_in(single: Single) -> None:
    """From the first contact that is confirmed."""
    single.hands.now_ms += 60_000
    single.node.ticker.check()
    single.pass_ms(3_000)

    assert zoo(single).shaken() is not None
