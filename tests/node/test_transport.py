"""Links over real loopback sockets: identity, redial, bounds, and who hears what."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from coord.node import transport as module
from coord.node.peer_codec import FrameSplitter, decode_body, encode_batch, encode_control
from coord.node.peer_hello import HELLO_BYTES_MAX, Hello
from coord.node.peer_link import QUEUE_MESSAGES_MAX
from coord.node.peer_messages import DigestSample
from coord.node.roster import Roster
from coord.node.transport import (
    DIAL_DELAY_MS_MAX,
    DIAL_DELAY_MS_MIN,
    PeerTransport,
    dial_delay_ms,
    split_address,
)
from coord.raft.types import Incarnation, Member, Membership, NodeId

CLUSTER = b"c" * 16
N1, N2 = NodeId(1), NodeId(2)


class Node:
    """A transport, its handler and what it has heard."""

    def __init__(
        self,
        node: int,
        incarnation: int,
        membership: Membership,
        configured: Mapping[NodeId, str] | None = None,
    ) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        self.hello = Hello(
            NodeId(node), Incarnation(incarnation), random.randbytes(8), cluster_id=CLUSTER
        )
        self.roster = Roster(NodeId(node), configured or {}, {})
        self.roster.set_members(membership, 0)
        self.fatal: list[BaseException] = []
        self.transport = PeerTransport(
            self.hello, self.roster, jitter=lambda n: n - 1, on_fatal=self.fatal.append
        )
        self.heard: list[tuple[Any, ...]] = []
        self._news = asyncio.Event()

    def on_messages(self, peer: NodeId, incarnation: int, messages: list[Any]) -> None:
        self._hear("messages", peer, incarnation, *messages)

    def on_link_up(self, peer: NodeId, hello: dict[str, Any]) -> None:
        self._hear("up", peer, hello["incarnation"])

    def on_link_lost(self, peer: NodeId) -> None:
        self._hear("lost", peer)

    def _hear(self, *what: Any) -> None:
        self.heard.append(what)
        self._news.set()

    async def until(self, done: Callable[[], object]) -> None:
        """Wait for something heard to make ``done`` true."""
        while not done():
            self._news.clear()
            await self._news.wait()

    async def hears(self, *what: Any) -> None:
        await self.until(lambda: what in self.heard)

    async def start(self) -> None:
        await self.transport.listen(self.sock)
        self.transport.start(self)


Start = Callable[..., Awaitable[Node]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts nodes, and closes them at the end."""
    nodes: list[Node] = []

    async def start_one(node: int, **changes: Any) -> Node:
        incarnation, configured = changes.pop("incarnation", node * 10), changes.pop("peers", {})
        made = Node(node, incarnation, Membership(), configured)
        if changes:
            made.transport.introduce(replace(made.hello, **changes))
        nodes.append(made)
        await made.start()
        return made

    yield start_one
    for node in nodes:
        node.transport.close()
        assert not node.fatal


def members(*nodes: tuple[int, int, str]) -> Membership:
    """Voters as (id, incarnation, address)."""
    return Membership(
        tuple(Member(NodeId(n), Incarnation(inc), peer=address) for n, inc, address in nodes)
    )


async def connected_pair(start: Start) -> tuple[Node, Node]:
    """Two nodes that list and dial each other."""
    first = await start(1)
    second = await start(2)
    both = members((1, 10, first.address), (2, 20, second.address))
    first.transport.set_members(both)
    second.transport.set_members(both)
    await first.until(lambda: first.transport.connected() == (2,))
    await second.until(lambda: second.transport.connected() == (1,))
    return first, second


class RawPeer:
    """A peer made of a plain stream, for what no decent peer does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.splitter = FrameSplitter(HELLO_BYTES_MAX)
        self.frames: list[Any] = []

    @classmethod
    async def dial(cls, node: Node) -> RawPeer:
        host, port = split_address(node.address)
        return cls(*await asyncio.open_connection(host, port))

    def say(self, control: dict[str, Any]) -> None:
        self.writer.write(encode_control(control))

    async def next(self) -> Any:
        """The next frame, None at the end of the stream."""
        while not self.frames:
            try:
                data = await self.reader.read(65_536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.frames += [decode_body(body) for body in self.splitter.feed(data)]
        return self.frames.pop(0)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def raw_hello(node: int = 2, incarnation: int = 20, **changes: Any) -> dict[str, Any]:
    """Node 2's hello, or what differs from it."""
    plain = Hello(NodeId(node), Incarnation(incarnation), b"raw-peer", cluster_id=CLUSTER)
    return replace(plain, **changes).to_wire()


async def raw_listener(node: Node) -> tuple[socket.socket, RawPeer]:
    """Make the node dial a node 2 that is a plain stream."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    node.transport.set_members(members((1, 10, node.address), (2, 20, address)))
    accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
    return listener, RawPeer(*await asyncio.open_connection(sock=accepted))


async def lonely(start: Start) -> Node:
    """Node 1, which lists a node 2 that nobody listens for."""
    first = await start(1)
    first.transport.set_members(members((1, 10, first.address), (2, 20, "127.0.0.1:1")))
    return first


# --- pure ---------------------------------------------------------------------------------------


def test_redials_start_fast_double_and_stop_growing() -> None:
    """20 ms at first, 2 s at most, whatever the attempt."""
    delays = [dial_delay_ms(attempt, lambda _: 0) for attempt in range(40)]

    assert delays[:4] == [20, 40, 80, 160]
    assert delays == sorted(delays)
    assert delays[-1] == DIAL_DELAY_MS_MAX


def test_jitter_takes_away_at_most_half() -> None:
    """Two nodes that lost each other do not redial in step, and none redials at once."""
    for attempt in range(12):
        longest = dial_delay_ms(attempt, lambda _: 0)
        shortest = dial_delay_ms(attempt, lambda n: n - 1)
        assert longest // 2 < shortest <= longest
        assert shortest >= DIAL_DELAY_MS_MIN // 2


@pytest.mark.parametrize(
    ("address", "parts"),
    [("h1:2281", ("h1", 2281)), ("[::1]:80", ("::1", 80)), ("10.0.0.1:1", ("10.0.0.1", 1))],
)
def test_addresses_are_split(address: str, parts: tuple[str, int]) -> None:
    """Names, IPv4 and bracketed IPv6."""
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["", "h1", "h1:", ":80", "h1:0", "h1:65536", "h1:x"])
def test_bad_addresses_are_refused(address: str) -> None:
    """A host and a port between 1 and 65535, nothing else."""
    with pytest.raises(ValueError, match="host:port"):
        split_address(address)


# --- two nodes ----------------------------------------------------------------------------------


async def test_batches_arrive_in_order_with_the_senders_identity(start: Start) -> None:
    """One send is one batch; what is sent first arrives first."""
    first, second = await connected_pair(start)
    for index in range(3):
        assert first.transport.send(N2, [DigestSample(index, 0), DigestSample(index, 1)])

    def samples() -> list[Any]:
        return [m for kind, *rest in second.heard if kind == "messages" for m in rest[2:]]

    await second.until(lambda: len(samples()) == 6)
    assert samples() == [DigestSample(i, j) for i in range(3) for j in range(2)]
    assert all(what[1:3] == (1, 10) for what in second.heard if what[0] == "messages")


async def test_a_send_without_a_link_is_dropped(start: Start) -> None:
    """The caller learns it at once."""
    first = await start(1)

    assert not first.transport.send(N2, [DigestSample(1, 1)])


async def test_a_lost_peer_is_reported_at_once_and_redialled(start: Start) -> None:
    """EOF tells the handler; when the peer is back, so is the link."""
    first, second = await connected_pair(start)
    second.transport.close()
    await first.hears("lost", 2)

    again = Node(2, 20, members((1, 10, first.address), (2, 20, "")))
    await again.start()
    first.transport.set_members(members((1, 10, first.address), (2, 20, again.address)))
    try:
        await again.until(lambda: again.transport.connected() == (1,))
        await first.until(lambda: first.transport.connected() == (2,))
    finally:
        again.transport.close()


async def test_a_new_handler_hears_of_the_links_that_are_up(start: Start) -> None:
    """Bootstrap hands over to the node without new connections."""
    first, _ = await connected_pair(start)
    first.heard.clear()
    first.transport.start(first)

    assert ("up", 2, 20) in first.heard


async def test_a_removed_member_loses_its_links(start: Start) -> None:
    """Both directions end, and it is not let in again."""
    first, second = await connected_pair(start)
    first.transport.set_members(members((1, 10, first.address)))
    await second.hears("lost", 1)

    assert first.transport.connected() == ()
    assert not first.transport.send(N2, [DigestSample(1, 1)])


async def test_news_of_a_node_reach_its_peers(start: Start) -> None:
    """A hello on a live link replaces the first one."""
    first, second = await connected_pair(start)
    second.heard.clear()
    first.transport.introduce(replace(first.hello, version="next"))
    await second.hears("up", 1, 10)


async def test_news_during_an_introduction_are_not_lost(start: Start) -> None:
    """What has changed between our hello and the answer to it is told after the answer."""
    first = await start(1)
    listener, peer = await raw_listener(first)
    assert (await peer.next())["version"] == ""
    first.transport.introduce(replace(first.hello, version="next"))
    peer.say(raw_hello())

    assert (await peer.next())["version"] == "next"
    await peer.close()
    listener.close()


async def test_a_node_that_joins_dials_whom_its_peer_has_shown(start: Start) -> None:
    """The leader that must let it in may be nobody it was configured with, and not dial it."""
    fourth = await start(4)
    joining = await start(2, peers={N1: "127.0.0.1:1"}, cluster_id=b"", empty=True)
    shown = members((1, 10, "127.0.0.1:1"), (4, 40, fourth.address))
    fourth.transport.set_members(shown)
    peer = await RawPeer.dial(joining)
    peer.say(raw_hello(1, 10, index=50, membership=shown))
    await joining.hears("up", 1, 10)

    joining.transport.introduce(replace(joining.hello, empty=True))
    await fourth.hears("up", 2, 20)
    await joining.hears("up", 4, 40)
    await peer.close()


async def test_a_node_says_when_it_is_not_empty_any_more(start: Start) -> None:
    """It has joined, and its log has told it who the members are: others may believe it."""
    joining = await start(2, peers={N1: "127.0.0.1:1"}, empty=True)
    peer = await RawPeer.dial(joining)
    peer.say(raw_hello(1, 10))
    assert (await peer.next())["empty"] is True

    shown = members((1, 10, "127.0.0.1:1"), (2, 20, joining.address))
    joining.transport.set_members(shown)
    said = await peer.next()
    assert (said["empty"], said["membership"]) == (False, shown.encode())
    await peer.close()


async def test_a_candidate_is_reported_but_its_messages_are_not(start: Start) -> None:
    """A wiped node under a known id: hello yes, messages only once it is a member."""
    first = await lonely(start)
    wiped = await RawPeer.dial(first)
    wiped.say(raw_hello(incarnation=99, empty=True))
    await first.hears("up", 2, 99)
    assert (await wiped.next())["node_id"] == 1

    wiped.writer.write(encode_batch([DigestSample(1, 1)]))
    wiped.say({"probe": 5})
    assert await wiped.next() == {"alive": 5}
    assert not [what for what in first.heard if what[0] == "messages"]

    first.transport.set_members(members((1, 10, first.address), (2, 99, "127.0.0.1:1")))
    wiped.writer.write(encode_batch([DigestSample(2, 2)]))
    await first.hears("messages", 2, 99, DigestSample(2, 2))
    await wiped.close()


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hello", "complaint"),
    [
        (raw_hello(node=7), "not a member"),
        (raw_hello(incarnation=99), "replaced"),
        (raw_hello(cluster_id=b"d" * 16), "cluster"),
        (raw_hello(to=NodeId(3)), "dialled"),
    ],
    ids=["stranger", "old-disk", "other-cluster", "wrong-address"],
)
async def test_who_does_not_belong_is_told_why_and_closed(
    start: Start, hello: dict[str, Any], complaint: str
) -> None:
    """The refusal travels, so that the other side's log names the reason."""
    first = await lonely(start)
    peer = await RawPeer.dial(first)
    peer.say(hello)

    assert complaint in (await peer.next())["refused"]
    assert await peer.next() is None
    assert not first.heard
    await peer.close()


async def test_a_refused_peer_that_insists_is_logged_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """It dials every two seconds until somebody acts."""
    first = await lonely(start)
    for _ in range(3):
        peer = await RawPeer.dial(first)
        peer.say(raw_hello(node=7))
        assert "refused" in await peer.next()
        await peer.close()

    assert [record.message for record in caplog.records].count("peer refused") == 1


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\1\xc1",
        encode_batch([DigestSample(1, 1)]),
        encode_control({"probe": 1}),
        encode_control({**raw_hello(), "node_id": "two"}),
    ],
    ids=["http", "no-msgpack", "batch-first", "probe-first", "bad-hello"],
)
async def test_noise_instead_of_a_hello_ends_the_connection(start: Start, noise: bytes) -> None:
    """Nothing is answered and nothing is reported."""
    first = await lonely(start)
    peer = await RawPeer.dial(first)
    peer.writer.write(noise)

    assert await peer.next() is None
    assert not first.heard
    await peer.close()


async def test_noise_from_a_member_ends_the_link(start: Start) -> None:
    """A malformed frame is a protocol error; the peer is reported lost."""
    first = await lonely(start)
    peer = await RawPeer.dial(first)
    peer.say(raw_hello())
    await first.hears("up", 2, 20)
    peer.writer.write(b"\0\0\0\1\x07")
    await first.hears("lost", 2)
    await peer.close()


async def test_a_silent_connection_is_closed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing must not hold one of the few places for strangers."""
    monkeypatch.setattr(module, "HELLO_TIMEOUT_S", 0.01)
    first = await lonely(start)
    peer = await RawPeer.dial(first)

    assert await peer.next() is None
    await peer.close()


async def test_strangers_are_few(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a new connection is closed before its hello."""
    monkeypatch.setattr(module, "STRANGERS_MAX", 1)
    first = await start(1)
    silent = await RawPeer.dial(first)
    late = await RawPeer.dial(first)

    assert await late.next() is None
    await silent.close()
    await late.close()


# --- one identity, two connections --------------------------------------------------------------


async def test_the_same_process_may_reconnect(start: Start) -> None:
    """The new connection takes over; nobody is reported lost."""
    first = await lonely(start)
    old = await RawPeer.dial(first)
    old.say(raw_hello())
    await first.hears("up", 2, 20)
    new = await RawPeer.dial(first)
    new.say(raw_hello())
    assert (await new.next())["node_id"] == 1

    new.writer.write(encode_batch([DigestSample(1, 1)]))
    await first.hears("messages", 2, 20, DigestSample(1, 1))
    assert ("lost", 2) not in first.heard
    await old.close()
    await new.close()


async def test_a_second_live_process_with_one_identity_is_refused_and_alarmed(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The first answers the probe, so somebody has copied a data directory."""
    first = await lonely(start)
    old = await RawPeer.dial(first)
    old.say(raw_hello())
    assert (await old.next())["node_id"] == 1
    copy = await RawPeer.dial(first)
    copy.say(raw_hello(process=b"copycopy"))
    assert await old.next() == {"probe": 1}
    old.say({"alive": 1})

    assert "already connected" in (await copy.next())["refused"]
    assert first.transport.duplicates == 1
    assert [record.levelname for record in caplog.records if "one identity" in record.message]
    await old.close()
    await copy.close()


async def test_a_dead_connection_gives_way_to_a_new_process(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first does not answer the probe: it is reported lost and the second let in."""
    monkeypatch.setattr(module, "PROBE_TIMEOUT_S", 0.01)
    first = await lonely(start)
    dead = await RawPeer.dial(first)
    dead.say(raw_hello())
    await first.hears("up", 2, 20)
    successor = await RawPeer.dial(first)
    successor.say(raw_hello(process=b"restart1"))

    assert (await successor.next())["node_id"] == 1
    assert first.heard == [("up", 2, 20), ("lost", 2), ("up", 2, 20)]
    assert first.transport.duplicates == 0
    await dead.close()
    await successor.close()


# --- bounds -------------------------------------------------------------------------------------


async def test_a_full_queue_drops_the_newest_batch(start: Start) -> None:
    """A peer that does not read costs bounded memory, and the sender is told."""
    first = await start(1)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    first.transport.set_members(members((1, 10, first.address), (2, 20, address)))
    loop = asyncio.get_running_loop()
    accepted, _ = await loop.sock_accept(listener)
    await loop.sock_sendall(accepted, encode_control(raw_hello()))
    await first.until(lambda: first.transport.connected() == (2,))

    big = [DigestSample(n, 2**60) for n in range(QUEUE_MESSAGES_MAX // 2)]
    sent = 0
    while first.transport.send(N2, big):
        sent += 1
        assert sent < 10_000, "the queue has no bound"
    assert sent > 0
    accepted.close()
    listener.close()
