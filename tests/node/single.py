"""One real Node on a simulated disk, alone in its cluster, with time and scheduling by hand."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any

from coord.model import requests as rq
from coord.model.acl import OPEN
from coord.node.node import Node
from coord.node.settings import NodeSettings
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import ClientCodec, encode_request
from coord.protocol.sniff import HELLO, VERSION
from coord.raft import Member, Membership, NodeId, RaftConfig
from coord.store.memory_store import SimDisk, open_memory_store
from coord.store.store import StoreOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord.store.raft_log import LogWrite


class Hands:
    """Clock, scheduler and log writer: nothing happens until the test says so."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.soon: deque[Callable[[], object]] = deque()
        self.later: list[tuple[int, int, Callable[[], object], list[bool]]] = []
        self.writes: deque[tuple[LogWrite, Callable[[BaseException | None], None]]] = deque()
        self.disk_works = True

    def monotonic_ms(self) -> int:
        """Time moves with ``Single.run``."""
        return self.now_ms

    def wall_ms(self) -> int:
        """Some day."""
        return 1_700_000_000_000 + self.now_ms

    def call_soon(self, call: Callable[[], object], /) -> None:
        """Run with the next step."""
        self.soon.append(call)

    def call_later(self, delay_ms: int, call: Callable[[], object]) -> _Timer:
        """Run when time has come."""
        cancelled = [False]
        self.later.append((self.now_ms + delay_ms, len(self.later), call, cancelled))
        return _Timer(cancelled)

    def submit(self, write: LogWrite, on_done: Callable[[BaseException | None], None]) -> None:
        """The write waits while ``disk_works`` is False."""
        self.writes.append((write, on_done))

    def close(self) -> None:
        """Nothing to release."""


class _Timer:
    def __init__(self, cancelled: list[bool]) -> None:
        self._cancelled = cancelled

    def cancel(self) -> None:
        """Forget the call."""
        self._cancelled[0] = True


class NoPeers:
    """A transport for a cluster of one."""

    def start(self, handler: object) -> None:
        """Nobody to talk to."""

    def set_members(self, membership: Membership) -> None:
        """Nobody to dial."""

    def send(self, to: NodeId, messages: Sequence[Any]) -> bool:
        """Nobody is there."""
        raise AssertionError(f"{messages} for {to} in a cluster of one")

    def close(self) -> None:
        """Nothing to end."""


class Link:
    """What the node sends to a client."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.writes = 0
        self.is_closed = False
        self.is_paused = False
        self._codec = ClientCodec()

    def write(self, data: bytes) -> None:
        """Bytes from the node."""
        assert not self.is_closed, "nothing is sent after close"
        self.writes += 1
        self.received.extend(self._codec.feed(data))

    def close(self) -> None:
        """The node hangs up."""
        self.is_closed = True

    def pause_reading(self) -> None:
        """The node reads no more."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """The node reads again."""
        self.is_paused = False


class Peer:
    """A client speaking the native protocol."""

    def __init__(self, single: Single) -> None:
        self.single = single
        self.link = Link()
        self.seq = 0
        self._xid = 0
        self._codec = NativeCodec()
        gateway = single.node.gateway
        self.conn = gateway.open(self.link, self._codec, "198.51.100.7:4000")
        self._codec.feed(HELLO + bytes([VERSION]))

    def send(self, *requests: rq.Request, acked: int = 0) -> list[int]:
        """Send several in one read; their xids."""
        frames, xids = [], []
        for request in requests:
            self._xid += 1
            seq = 0
            if isinstance(
                request, rq.Create | rq.Set | rq.Delete | rq.SetAcl | rq.Multi | rq.Close
            ):
                self.seq += 1
                seq = self.seq
            frames.append(encode_request(self._xid, request, seq, acked))
            xids.append(self._xid)
        self.single.node.gateway.receive(self.conn, self._codec.feed(b"".join(frames)))
        return xids

    def send_raw(self, xid: int, request: rq.Request, seq: int) -> None:
        """One request under numbers of the test's choice."""
        self._xid = max(self._xid, xid)
        items = self._codec.feed(encode_request(xid, request, seq, 0))
        self.single.node.gateway.receive(self.conn, items)

    def call(self, request: rq.Request) -> Any:
        """Send one and run until it is answered."""
        (xid,) = self.send(request)
        self.single.run()
        return self.reply(xid)

    def reply(self, xid: int) -> Any:
        """The answer to a request, or None so far."""
        return next((m for m in self.link.received if getattr(m, "xid", None) == xid), None)

    def connect(self, session: int = 0, secret: bytes = b"", timeout_ms: int = 10_000) -> Any:
        """Open or attach; the reply."""
        return self.call(rq.Connect(session, secret, timeout_ms, 0, "test"))


class Single:
    """The node and the hands that move it."""

    def __init__(self, **settings: Any) -> None:
        self.hands = Hands()
        noise = random.Random(7)
        store = open_memory_store(SimDisk(), StoreOptions(NodeId(1), noise.randbytes))
        me = Member(NodeId(1), store.incarnation)
        store.bootstrap(b"c" * 16, Membership((me,)))
        store.attach(self.hands.call_soon, self.hands)
        self.store = store
        self.node = Node(
            NodeSettings(RaftConfig(NodeId(1), store.incarnation), **settings),
            store,
            self.hands,
            self.hands,
            NoPeers(),
            self.hands,
            noise.randbytes,
            noise.randrange,
            self._fatal,
        )
        self.fatal: BaseException | None = None
        self.node.start()
        self.pass_ms(2_000)
        assert self.node.driver.accepts_proposals

    def _fatal(self, error: BaseException) -> None:
        self.fatal = error

    def run(self) -> None:
        """Until nothing is left to do at this moment."""
        hands = self.hands
        while hands.soon or (hands.writes and hands.disk_works):
            while hands.soon:
                hands.soon.popleft()()
            if hands.writes and hands.disk_works:
                write, done = hands.writes.popleft()
                self.store.log.write([write])
                done(None)

    def pass_ms(self, duration_ms: int) -> None:
        """Let time pass, tick by tick."""
        end_ms = self.hands.now_ms + duration_ms
        self.run()
        while self.hands.now_ms < end_ms:
            self.hands.now_ms += 10
            due = [timer for timer in self.hands.later if timer[0] <= self.hands.now_ms]
            self.hands.later = [t for t in self.hands.later if t[0] > self.hands.now_ms]
            for _, _, call, cancelled in sorted(due, key=lambda timer: timer[:2]):
                if not cancelled[0]:
                    call()
            self.run()

    def client(self) -> Peer:
        """A connected client with a session."""
        peer = Peer(self)
        assert peer.connect().code == 0
        return peer


def create(path: str, data: bytes = b"") -> rq.Create:
    """A plain persistent node."""
    return rq.Create(path, data, OPEN, 0, 0)


def put(path: str, data: bytes) -> rq.Set:
    """Any version."""
    return rq.Set(path, data, -1)


def get(path: str, level: int = 1, *, watch: bool = False) -> rq.Get:
    """A session read unless said otherwise."""
    return rq.Get(path, watch, level)
