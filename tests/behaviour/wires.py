"""One abstract client, two wires. Requests are the service's own values; what comes back is so
too: answers with ZooKeeper's codes and Stats by field, and events.

Sans I/O: bytes to send are returned, bytes received are handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from coord.model import requests as rq
from coord.model.errors import OK, TransactionError
from coord.protocol.native_client import (
    OPENING,
    ClientCodec,
    NoticePush,
    OneShotPush,
    Reply,
    StreamPush,
    encode_request,
)
from coord.protocol.native_requests import WRITES
from tests.protocol import jute
from tests.protocol.jute import Reader
from tests.protocol.zookeeper_requests import encoded

Stat = dict[str, int]

PERSISTENT: Final = 1
RECURSIVE: Final = 2


class Opened(NamedTuple):
    """The answer to a handshake; ``session`` 0: there is no such session for this client."""

    session: int
    secret: bytes
    timeout_ms: int


class Answer(NamedTuple):
    """The answer to the request ``id``. ``code`` is ZooKeeper's number, 0 for success.

    ``body`` as ``coord.model.requests`` says, with Stats by field. Of a Multi: one (code, *body)
    for each operation, creates without their Stat, and ``code`` that of the one that failed.
    """

    id: int
    code: int
    revision: int
    body: tuple[Any, ...]


class Event(NamedTuple):
    """A watch fired."""

    kind: int
    path: str
    revision: int


class StopWatching(NamedTuple):
    """Close the persistent or recursive watch of a path."""

    path: str


Message = Opened | Answer | Event
Request = rq.Request | StopWatching


class Wire(Protocol):
    """One connection's end of a protocol."""

    def hello(self, session: int, secret: bytes, timeout_ms: int) -> bytes:
        """The first bytes: open a session, or attach one."""

    def encode(self, request: Request) -> tuple[int, bytes]:
        """(id, bytes) of a request."""

    def decode(self, data: bytes) -> list[Message]:
        """What the server said, in order."""


# --- native ---------------------------------------------------------------------------------------

_SEQUENCED: Final = tuple(
    {1: rq.Create, 2: rq.Delete, 5: rq.Set, 7: rq.SetAcl, 14: rq.Multi, -11: rq.Close}[operation]
    for operation in WRITES
)
_ZOOKEEPER_CODES: Final = {-203: -8, -204: -127}
"""What this service says in another way than ZooKeeper."""


def _stat(raw: bytes) -> Stat:
    return Reader(raw).stat()


_NATIVE_BODIES: Final[dict[type, Callable[..., tuple[Any, ...]]]] = {
    rq.Create: lambda path, stat: (path, _stat(stat)),
    rq.Set: lambda stat: (_stat(stat),),
    rq.SetAcl: lambda stat: (_stat(stat),),
    rq.Get: lambda data, stat: (data, _stat(stat)),
    rq.Exists: lambda stat: (_stat(stat),),
    rq.Children: lambda names, stat, *_: (names, _stat(stat)),
    rq.GetAcl: lambda acl, stat: ([tuple(entry) for entry in acl], _stat(stat)),
    rq.Watch: lambda *_: (),
}


class NativeWire:
    """The service's own protocol."""

    def __init__(self) -> None:
        self._codec = ClientCodec()
        self._xid = 0
        self._seq = 0
        self._pending: dict[int, Any] = {}
        self._streams: dict[str, int] = {}

    def hello(self, session: int, secret: bytes, timeout_ms: int) -> bytes:
        """Preamble and CONNECT."""
        _, data = self.encode(rq.Connect(session, secret, timeout_ms, 0, "behaviour"))
        return OPENING + data

    def encode(self, request: Request) -> tuple[int, bytes]:
        """One frame; writes are numbered."""
        self._xid += 1
        if isinstance(request, rq.Watch):
            self._streams[request.path] = self._xid
        elif isinstance(request, StopWatching):
            request = rq.Unwatch(self._streams.pop(request.path))
        is_sequenced = isinstance(request, _SEQUENCED)
        self._seq += is_sequenced
        self._pending[self._xid] = request
        return self._xid, encode_request(self._xid, request, self._seq if is_sequenced else 0)

    def decode(self, data: bytes) -> list[Message]:
        """Replies, one-shot watches, the changes of streams."""
        found: list[Message] = []
        for message in self._codec.feed(data):
            if isinstance(message, Reply):
                found.append(self._answer(message))
            elif isinstance(message, OneShotPush):
                found.append(Event(message.kind, message.path, message.revision))
            elif isinstance(message, StreamPush):
                found += [Event(c.kind, c.path, message.revision) for c in message.changes]
            else:
                assert isinstance(message, NoticePush), message
        return found

    def _answer(self, reply: Reply) -> Message:
        request = self._pending.pop(reply.xid)
        code, body = reply.code, reply.body
        if isinstance(request, rq.Connect):
            if code != OK:
                return Opened(0, b"", 0)
            session, secret, _, timeout_ms, self._seq, *_ = body
            return Opened(session, secret, timeout_ms)
        if code == TransactionError.code:
            codes = [_ZOOKEEPER_CODES.get(one, one) for one in body[1]]
            failed = next(one for one in codes if one != OK)
            return Answer(reply.xid, failed, reply.revision, tuple((one,) for one in codes))
        if code != OK:
            return Answer(reply.xid, _ZOOKEEPER_CODES.get(code, code), reply.revision, ())
        if isinstance(request, rq.Multi):
            results = tuple(
                _native_result(operation, *result)
                for operation, result in zip(request.operations, body, strict=True)
            )
            return Answer(reply.xid, OK, reply.revision, results)
        # ZooKeeper answers an authentication without saying a revision.
        revision = 0 if isinstance(request, rq.Auth) else reply.revision
        return Answer(reply.xid, OK, revision, _native_body(request, body))


def _native_result(operation: Any, code: int, *body: Any) -> tuple[Any, ...]:
    """Of a multi. ZooKeeper says the path alone of what was created: so much is compared."""
    result = _native_body(operation, body)
    return (code, result[0]) if isinstance(operation, rq.Create) else (code, *result)


def _native_body(request: Any, body: tuple[Any, ...]) -> tuple[Any, ...]:
    read = _NATIVE_BODIES.get(type(request))
    return body if read is None else read(*body)


# --- ZooKeeper's ----------------------------------------------------------------------------------

_EVENT_XID: Final = -1
_PING_XID: Final = -2
_AUTH_XID: Final = -4
_SYNC_CONNECTED: Final = 3


def _read_nothing(reader: Reader) -> tuple[Any, ...]:
    del reader
    return ()


_ZOOKEEPER_BODIES: Final[dict[type, Callable[[Reader], tuple[Any, ...]]]] = {
    rq.Create: lambda reader: (reader.text(), reader.stat()),
    rq.Set: lambda reader: (reader.stat(),),
    rq.SetAcl: lambda reader: (reader.stat(),),
    rq.Get: lambda reader: (reader.buffer(), reader.stat()),
    rq.Exists: lambda reader: (reader.stat(),),
    rq.Children: lambda reader: (reader.vector(reader.text), reader.stat()),
    rq.GetAcl: lambda reader: (reader.acl(), reader.stat()),
    rq.Sync: lambda reader: (reader.text(),),
    rq.AddWatch: lambda reader: (reader.i32(),)[1:],
    rq.WhoAmI: lambda reader: (reader.vector(lambda: [reader.text(), reader.text()]),),
}


class ZooKeeperWire:
    """ZooKeeper's protocol. Replies must come in the order of requests, pings apart."""

    def __init__(self) -> None:
        self._rest = b""
        self._xid = 0
        self._is_open = False
        self._pending: deque[tuple[int, int, Any]] = deque()

    def hello(self, session: int, secret: bytes, timeout_ms: int) -> bytes:
        """The handshake, which has no number; requests are numbered as on the other wire."""
        self._xid = 1
        return jute.handshake(session, secret or bytes(16), timeout_ms)

    def encode(self, request: Request) -> tuple[int, bytes]:
        """One frame. Creates are create2, so that a Stat comes back as on the other wire."""
        if isinstance(request, rq.Watch):
            request = rq.AddWatch(request.path, request.mode - PERSISTENT)
        elif isinstance(request, StopWatching):
            request = rq.RemoveWatches(request.path, 3)
        self._xid += 1
        xid = _AUTH_XID if isinstance(request, rq.Auth) else self._xid
        if isinstance(request, rq.Ping):
            xid = _PING_XID
        operation, record = encoded(request)
        self._pending.append((xid, self._xid, request))
        return self._xid, jute.request(xid, operation, record)

    def decode(self, data: bytes) -> list[Message]:
        """The handshake's answer, replies, events."""
        self._rest += data
        found: list[Message] = []
        while len(self._rest) >= 4:
            end = 4 + int.from_bytes(self._rest[:4], "big")
            if end > len(self._rest):
                break
            found.append(self._message(Reader(self._rest[4:end])))
            self._rest = self._rest[end:]
        return found

    def _message(self, reader: Reader) -> Message:
        if not self._is_open:
            self._is_open = True
            assert reader.i32() == 0
            timeout_ms, session, secret = reader.i32(), reader.i64(), reader.buffer()
            assert not reader.flag()
            reader.end()
            return Opened(session, secret, timeout_ms)
        xid, revision, code = reader.i32(), reader.i64(), reader.i32()
        if xid == _EVENT_XID:
            kind, state, path = reader.i32(), reader.i32(), reader.text()
            assert state == _SYNC_CONNECTED
            reader.end()
            return Event(kind, path, revision)
        expected, identity, request = self._pending.popleft()
        assert xid == expected, "replies come in the order of requests"
        if code != OK:
            reader.end()
            return Answer(identity, code, revision, ())
        body = (
            _results(request.operations, reader)
            if isinstance(request, rq.Multi)
            else _ZOOKEEPER_BODIES.get(type(request), _read_nothing)(reader)
        )
        reader.end()
        if isinstance(request, rq.Multi):
            code = next((result[0] for result in body if result[0] != OK), OK)
        return Answer(identity, code, revision, body)


_RESULT_KINDS: Final = {rq.Delete: 2, rq.Set: 5, rq.Check: 13}
_PLAIN_MODES: Final = frozenset(range(4))


def _results(operations: tuple[Any, ...], reader: Reader) -> tuple[Any, ...]:
    results: list[tuple[Any, ...]] = []
    for operation in operations:
        kind, is_done, code = reader.i32(), reader.flag(), reader.i32()
        assert not is_done
        if kind == -1:
            assert reader.i32() == code
            results.append((code,))
        else:
            assert code == OK
            results.append((OK, *_result(operation, kind, reader)))
    assert (reader.i32(), reader.flag(), reader.i32()) == (-1, True, -1)
    return tuple(results)


def _result(operation: Any, kind: int, reader: Reader) -> tuple[Any, ...]:
    if isinstance(operation, rq.Create):
        path = reader.text()
        assert kind == (1 if operation.mode in _PLAIN_MODES else 15)
        if kind == 15:
            reader.stat()
        return (path,)
    assert kind == _RESULT_KINDS[type(operation)]
    return _ZOOKEEPER_BODIES.get(type(operation), _read_nothing)(reader)


WIRES: Final[dict[str, Callable[[], Wire]]] = {"native": NativeWire, "zookeeper": ZooKeeperWire}
