"""A client of ZooKeeper's wire on the one node of ``single``: real bytes, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coord.model.errors import ProtocolError
from coord.protocol.zookeeper import ZooKeeperCodec
from tests.protocol import jute
from tests.protocol.jute import flag, i32, i64, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.node.single import Single

ADDRESS: Final = "198.51.100.9:5000"
CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4
"""Kinds of events."""
EPHEMERAL: Final = 1
SEQUENTIAL: Final = 2


class Event(NamedTuple):
    """A watch fired."""

    kind: int
    path: str


class Reply(NamedTuple):
    """The answer to a request; ``body`` as it came."""

    xid: int
    zxid: int
    err: int
    body: bytes = b""

    def stat(self) -> dict[str, int]:
        """The Stat that ends the body."""
        return jute.Reader(self.body[-jute.STAT.size :]).stat()

    def reader(self) -> jute.Reader:
        """To take the body apart."""
        return jute.Reader(self.body)


class Handshake(NamedTuple):
    """What the node answers first; session 0: it knows no such session."""

    timeout_ms: int
    session: int
    password: bytes


class Request(NamedTuple):
    """One request without its number."""

    operation: int
    record: bytes
    xid: int | None = None


class ZooLink:
    """What the node sends: a handshake, then replies and events in order."""

    def __init__(self) -> None:
        self.handshake: Handshake | None = None
        self.received: list[Reply | Event] = []
        self.trace: list[tuple[bool, int]] = []
        """(whether it was an event, zxid of its header) of all that came, never cleared."""
        self.writes = 0
        self.is_closed = False
        self.is_paused = False
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Bytes from the node."""
        assert not self.is_closed, "nothing is sent after close"
        assert data, "no empty writes"
        self.writes += 1
        self._rest += data
        while len(self._rest) >= 4:
            end = 4 + int.from_bytes(self._rest[:4], "big")
            payload, self._rest = self._rest[4:end], self._rest[end:]
            self._take(jute.Reader(payload))

    def _take(self, reader: jute.Reader) -> None:
        if self.handshake is None:
            assert reader.i32() == 0
            self.handshake = Handshake(reader.i32(), reader.i64(), reader.buffer())
            return
        xid, zxid, err = reader.i32(), reader.i64(), reader.i32()
        self.trace.append((xid == -1, zxid))
        if xid == -1:
            kind, state, path = reader.i32(), reader.i32(), reader.text()
            assert state == 3
            self.received.append(Event(kind, path))
        else:
            self.received.append(Reply(xid, zxid, err, reader.rest))

    def close(self) -> None:
        """The node hangs up."""
        self.is_closed = True

    def pause_reading(self) -> None:
        """The node reads no more."""
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        """The node reads again."""
        assert self.is_paused
        self.is_paused = False


class ZooPeer:
    """A client; ``send`` puts all requests in one socket read."""

    def __init__(self, single: Single, address: str = ADDRESS) -> None:
        self.single = single
        self.link = ZooLink()
        self._codec = ZooKeeperCodec()
        self._xid = 0
        self.conn = single.node.gateway.open(self.link, self._codec, address)

    def feed(self, data: bytes) -> None:
        """Bytes as a socket hands them over."""
        gateway = self.single.node.gateway
        try:
            items = self._codec.feed(data)
        except ProtocolError as error:
            gateway.end(self.conn, "protocol", str(error))
        else:
            gateway.receive(self.conn, items)
            if self.conn.waiting:
                self.conn.weigh(len(data))

    def shake(self, session: int = 0, password: bytes = bytes(16), **others: Any) -> None:
        """Say hello, without waiting for the answer."""
        self.feed(jute.handshake(session, password, **others))

    def connect(self, session: int = 0, password: bytes = bytes(16), **others: Any) -> Handshake:
        """Open or attach."""
        self.shake(session, password, **others)
        self.single.run()
        assert self.link.handshake is not None
        return self.link.handshake

    def frames(self, requests: Iterable[Request]) -> tuple[bytes, list[int]]:
        """(bytes, the xid of each)."""
        parts, xids = [], []
        for operation, record, chosen in requests:
            if chosen is None:
                self._xid += 1
            xids.append(self._xid if chosen is None else chosen)
            parts.append(jute.request(xids[-1], operation, record))
        return b"".join(parts), xids

    def send(self, *requests: Request) -> list[int]:
        """Send in one read; the xids."""
        data, xids = self.frames(requests)
        self.feed(data)
        return xids

    def replies(self) -> list[Reply]:
        """All so far, in order."""
        return [it for it in self.link.received if isinstance(it, Reply)]

    def is_closed(self) -> bool:
        """The node has hung up."""
        return self.link.is_closed

    def is_paused(self) -> bool:
        """The node reads no more for now."""
        return self.link.is_paused

    def shaken(self) -> Handshake | None:
        """The node's answer to the handshake, so far."""
        return self.link.handshake

    def call(self, request: Request) -> Reply:
        """Send one and run until it is answered."""
        (xid,) = self.send(request)
        self.single.run()
        reply = self.reply(xid)
        assert reply is not None, "no answer"
        return reply

    def ok(self, request: Request) -> Reply:
        """Send one that must succeed."""
        reply = self.call(request)
        assert reply.err == 0, reply
        return reply

    def reply(self, xid: int) -> Reply | None:
        """The newest answer to a request, or None so far."""
        found = [it for it in self.link.received if isinstance(it, Reply) and it.xid == xid]
        return found[-1] if found else None

    def events(self) -> list[Event]:
        """Those heard since the last call."""
        heard = [it for it in self.link.received if isinstance(it, Event)]
        self.link.received = [it for it in self.link.received if isinstance(it, Reply)]
        return heard


def zoo(single: Single, address: str = ADDRESS) -> ZooPeer:
    """A client with a session."""
    peer = ZooPeer(single, address)
    assert peer.connect().session > 0
    return peer


# --- requests -------------------------------------------------------------------------------------


def create(
    path: str, data: bytes = b"", flags: int = 0, acl: Iterable[tuple[int, str, str]] = jute.OPEN
) -> Request:
    """Operation 1."""
    return Request(1, jute.create_record(path, data, flags, acl))


def delete(path: str, version: int = -1) -> Request:
    """Operation 2."""
    return Request(2, text(path) + i32(version))


def exists(path: str, *, watch: bool = False) -> Request:
    """Operation 3."""
    return Request(3, text(path) + flag(watch))


def get(path: str, *, watch: bool = False) -> Request:
    """Operation 4."""
    return Request(4, text(path) + flag(watch))


def put(path: str, data: bytes, version: int = -1) -> Request:
    """Operation 5."""
    return Request(5, text(path) + jute.buffer(data) + i32(version))


def get_acl(path: str) -> Request:
    """Operation 6."""
    return Request(6, text(path))


def set_acl(path: str, acl: Iterable[tuple[int, str, str]], version: int = -1) -> Request:
    """Operation 7."""
    return Request(7, text(path) + jute.acl(acl) + i32(version))


def children(path: str, *, watch: bool = False) -> Request:
    """Operation 8."""
    return Request(8, text(path) + flag(watch))


def sync(path: str) -> Request:
    """Operation 9."""
    return Request(9, text(path))


def multi(*operations: Request) -> Request:
    """Operation 14."""
    return Request(14, jute.multi_record(*((it.operation, it.record) for it in operations)))


def multi_read(*reads: Request) -> Request:
    """Operation 22."""
    return Request(22, jute.multi_record(*((it.operation, it.record) for it in reads)))


def auth(scheme: str, credential: bytes) -> Request:
    """Operation 100."""
    return Request(100, i32(0) + text(scheme) + jute.buffer(credential), -4)


def set_watches(
    zxid: int,
    data: Iterable[str] = (),
    exist: Iterable[str] = (),
    child: Iterable[str] = (),
    persistent: Iterable[str] = (),
    recursive: Iterable[str] = (),
) -> Request:
    """Operation 105."""
    lists = (data, exist, child, persistent, recursive)
    return Request(105, i64(zxid) + b"".join(map(texts, lists)), -8)


def add_watch(path: str, mode: int) -> Request:
    """Operation 106; ``mode`` 0 persistent, 1 recursive."""
    return Request(106, text(path) + i32(mode))


def remove_watches(path: str, kind: int) -> Request:
    """Operation 18."""
    return Request(18, text(path) + i32(kind))


def check_watches(path: str, kind: int) -> Request:
    """Operation 17."""
    return Request(17, text(path) + i32(kind))


def ephemerals(prefix: str) -> Request:
    """Operation 103."""
    return Request(103, text(prefix))


def count(path: str) -> Request:
    """Operation 104."""
    return Request(104, text(path))


def reconfig(joining: str) -> Request:
    """Operation 16."""
    return Request(16, text(joining) + text("") + text("") + i64(-1))


PING: Final = Request(11, b"", -2)
WHO_AM_I: Final = Request(107, b"")
CLOSE: Final = Request(-11, b"")
UNKNOWN: Final = Request(999, b"")
