"""Read-only mode: what a node without a quorum serves to those who asked for it."""

from __future__ import annotations

import pytest

from tests.node.single import Single
from tests.node.zookeeper import (
    CLOSE,
    EPHEMERAL,
    PING,
    Handshake,
    ZooPeer,
    children,
    count,
    create,
    delete,
    exists,
    get,
    multi,
    put,
    reconfig,
    set_watches,
    sync,
    zoo,
)


class Lonely:
    """A node with one node in its tree, and one session, that loses its quorum."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, read_only: bool = True) -> None:
        self.single = Single(read_only=read_only)
        self.before = zoo(self.single)
        self.before.ok(create("/a", b"1"))
        self.before.ok(create("/e", flags=EPHEMERAL))
        self._patch = monkeypatch
        self.read_index = self.single.node.driver.read_index
        self._patch.setattr(self.single.node.driver, "read_index", lambda _id: False)
        self.single.pass_ms(3_000)
        assert self.before.is_closed()

    def heal(self) -> None:
        """The quorum is back."""
        self._patch.setattr(self.single.node.driver, "read_index", self.read_index)
        self.single.pass_ms(3_000)

    def client(self, session: int = 0, password: bytes = b"", *, content: bool = True) -> ZooPeer:
        """Somebody who takes what there is, or not."""
        peer = ZooPeer(self.single)
        peer.shake(session, password, read_only=content)
        return peer


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch) -> Lonely:
    """Read-only mode allowed."""
    return Lonely(monkeypatch)


def test_only_who_asked_for_it_is_let_in(lonely: Lonely) -> None:
    """The others go elsewhere."""
    assert lonely.single.node.gateway.is_read_only
    assert lonely.client(content=False).is_closed()
    assert not lonely.client().is_closed()


def test_nobody_is_let_in_unless_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the settings, which do not."""
    lonely = Lonely(monkeypatch, read_only=False)

    assert not lonely.single.node.gateway.is_read_only
    assert lonely.client().is_closed()


def test_reads_are_served_and_writes_refused_in_order(lonely: Lonely) -> None:
    """With the last state applied; nothing enters the log."""
    applied = lonely.single.node.reader.revision
    peer = lonely.client()
    xids = peer.send(
        get("/a"),
        put("/a", b"2"),
        children("/"),
        create("/b"),
        count("/"),
        sync("/"),
        multi(delete("/a")),
        set_watches(0, data=["/a"]),
        reconfig("server.9=h:1:2;3"),
        exists("/b", watch=True),
        get("/a"),
    )
    lonely.single.pass_ms(100)

    assert [it.xid for it in peer.replies()] == xids
    assert [it.err for it in peer.replies()] == [
        0, -119, 0, -119, 0, -119, -119, 0, -119, -101, 0,
    ]  # fmt: skip
    assert all(it.zxid == applied for it in peer.replies())
    assert lonely.single.node.raft.last_index == applied


def test_pings_are_answered(lonely: Lonely) -> None:
    """As long as the client speaks, it is connected: there is no leader who could expire it."""
    peer = lonely.client()
    for _ in range(5):
        lonely.single.pass_ms(5_000)
        peer.send(PING)
    assert len(peer.replies()) == 5


def test_a_known_session_is_itself(lonely: Lonely) -> None:
    """By its password; it keeps its id and its timeout is that of the handshake."""
    known = lonely.before.shaken()
    assert known is not None
    peer = lonely.client(known.session, known.password)

    assert peer.shaken() == known
    thief = lonely.client(known.session, b"x" * 16)
    assert thief.shaken() == Handshake(0, 0, bytes(16))
    assert thief.is_closed()


def test_a_session_made_up_here_is_unknown_elsewhere(lonely: Lonely) -> None:
    """Its client opens a real one once there is a quorum."""
    shaken = lonely.client().shaken()
    assert shaken is not None
    assert shaken.session > 2**62
    assert len(lonely.single.store.machine.sessions) == 1


def test_the_end_of_a_session_is_answered(lonely: Lonely) -> None:
    """Though nothing ends but the connection."""
    peer = lonely.client()
    (xid,) = peer.send(CLOSE)

    assert [it.xid for it in peer.replies()] == [xid]
    assert peer.is_closed()


def test_a_client_that_has_seen_more_is_closed(lonely: Lonely) -> None:
    """It must not go back in time."""
    peer = ZooPeer(lonely.single)
    peer.shake(read_only=True, last_zxid=lonely.single.node.reader.revision + 1)

    assert peer.is_closed()
    assert peer.shaken() is None


def test_a_quorum_ends_it(lonely: Lonely) -> None:
    """Those served reads are sent to come back, and are then served everything."""
    known = lonely.before.shaken()
    assert known is not None
    peer = lonely.client(known.session, known.password)
    peer.send(get("/a", watch=True))
    lonely.heal()
    assert peer.is_closed()
    assert lonely.single.node.registry.counts() == (0, 0, 0)

    again = ZooPeer(lonely.single)
    assert again.connect(known.session, known.password).session == known.session
    assert again.ok(put("/a", b"2"))
    assert again.ok(exists("/e"))
