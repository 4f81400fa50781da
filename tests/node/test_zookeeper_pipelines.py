"""Whatever clients send, in whatever pieces, while disk, sockets and room come and go: one reply
each, in order, and no reply that shows a change before its event.
"""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.single import Single
from tests.node.zookeeper import (
    PING,
    WHO_AM_I,
    Request,
    ZooPeer,
    add_watch,
    auth,
    children,
    count,
    create,
    delete,
    exists,
    get,
    multi,
    multi_read,
    put,
    remove_watches,
    set_watches,
    sync,
    zoo,
)

REQUESTS: Final = (
    create("/a"),
    create("/a/b"),
    delete("/a/b"),
    delete("/a"),
    put("/a", b"1"),
    put("/a/b", b"2"),
    multi(put("/a", b"3"), create("/a/b")),
    multi(create("/c"), delete("/c")),
    get("/a", watch=True),
    exists("/a/b", watch=True),
    children("/a", watch=True),
    get("/a/b"),
    sync("/"),
    multi_read(get("/a"), children("/")),
    count("/"),
    set_watches(0, data=["/a"], exist=["/a/b"], child=["/a"]),
    add_watch("/a", 0),
    add_watch("/", 1),
    remove_watches("/a", 3),
    auth("digest", b"u:p"),
    WHO_AM_I,
    PING,
    Request(4, b"\0"),
)
CLIENTS: Final = 2
requests = st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=8)
clients = st.integers(0, CLIENTS - 1)
steps = st.one_of(
    st.tuples(st.just("send"), clients, requests),
    st.tuples(st.sampled_from(["disk", "socket"]), clients, st.booleans()),
    st.tuples(st.sampled_from(["run", "turn"]), clients, st.just(True)),
)


class Play:
    """Two clients of one node, and what they have asked."""

    def __init__(self) -> None:
        self.single = Single()
        self.peers = [zoo(self.single) for _ in range(CLIENTS)]
        self.asked: list[list[int]] = [[] for _ in self.peers]

    def step(self, what: str, client: int, argument: object) -> None:
        """One of the drawn steps."""
        single, peer = self.single, self.peers[client]
        if what == "send":
            assert isinstance(argument, list)
            data, xids = peer.frames(argument)
            cut = len(data) // 2
            peer.feed(data[:cut])
            peer.feed(data[cut:])
            self.asked[client] += xids
        elif what == "disk":
            single.hands.disk_works = bool(argument)
        elif what == "socket":
            hinder = single.node.gateway.drained if argument else single.node.gateway.congested
            hinder(peer.conn)
        elif what == "run":
            single.run()
        elif single.hands.soon:
            single.hands.soon.popleft()()

    def end(self) -> None:
        """Nothing is in the way any more."""
        self.single.hands.disk_works = True
        for peer in self.peers:
            self.single.node.gateway.drained(peer.conn)
        self.single.pass_ms(200)


@settings(max_examples=100, deadline=None)
@given(script=st.lists(steps, max_size=25), room=st.integers(1, 6))
def test_one_reply_each_in_order_and_events_first(
    script: list[tuple[str, int, object]], room: int
) -> None:
    """With room for a few writes only. Pings are answered, in whatever order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coord.node.admission.NODE_WRITES_IN_FLIGHT_MAX", room)
        play = Play()
        for step in script:
            play.step(*step)
        play.end()

        for peer, asked in zip(play.peers, play.asked, strict=True):
            _check_replies(peer, asked)
            _check_events(peer)
        assert play.single.node.gateway.admission.writes_in_flight == 0
        for peer in play.peers:
            play.single.node.gateway.lost(peer.conn)
        assert play.single.node.registry.counts() == (0, 0, 0)


def _check_replies(peer: ZooPeer, asked: list[int]) -> None:
    replies = [it.xid for it in peer.replies()]
    assert [xid for xid in replies if xid != PING.xid] == [xid for xid in asked if xid != PING.xid]
    assert replies.count(-2) == asked.count(-2)
    assert not peer.is_paused()


def _check_events(peer: ZooPeer) -> None:
    """Events that a change caused carry its zxid; those of set_watches carry −1."""
    seen = 0
    for is_event, zxid in peer.link.trace:
        if is_event:
            assert zxid == -1 or zxid > seen, "a reply has shown the change already"
        else:
            seen = max(seen, zxid)
