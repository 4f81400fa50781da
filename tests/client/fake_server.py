"""A little service in one process that speaks the native wire: sessions, tree, watches, results.

It has several hosts, which share one state, as if every write reached every node at once; each can
be killed, frozen and revived. There is no network: bytes travel by ``call_soon``, so that tests in
virtual time are deterministic. Faults are methods (``kill``, ``lose_next_reply``, ``refuse_next``,
``expire``, ``compact``…).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from coord.model import requests as rq
from coord.model.acl import OPEN
from coord.model.errors import (
    OK,
    AuthFailedError,
    CompactedError,
    CoordError,
    ListingExpiredError,
    NotReadyError,
    ResultUnknownError,
    SequenceGapError,
    SessionExpiredError,
    SessionMovedError,
    TooLargeError,
    from_code,
)
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.paths import parent_of
from coord.protocol.native import NativeCodec
from tests.client.fake_tree import FakeTree

if TYPE_CHECKING:
    from coord_client.connection import Link
    from coord_client.hosts import Host

HISTORY_ID = 77
WRITES = (rq.Create, rq.Delete, rq.Set, rq.SetAcl, rq.Multi, rq.Close)


@dataclass
class FakeSession:
    """A session and the results that its client has not acknowledged."""

    id: int
    secret: bytes
    timeout_ms: int
    client: str
    generation: int = 0
    last_seq: int = 0
    results: dict[int, tuple[int, int, tuple[Any, ...]]] = field(default_factory=dict)
    conn: FakeConnection | None = None
    is_open: bool = True
    heard_s: float = 0.0


@dataclass
class Stream:
    """A watch stream of one connection."""

    watch_id: int
    path: str
    mode: int
    with_values: bool

    def events_of(self, change: Change) -> list[WatchEvent]:
        """What this stream hears of a change."""
        recursive = self.mode == 2
        events: list[WatchEvent] = []
        below = change.path.startswith(self.path.rstrip("/") + "/")
        if change.path == self.path or (recursive and below):
            events.append(WatchEvent(change.kind, change.path, change.revision, change))
        is_child = change.path != "/" and parent_of(change.path) == self.path
        if not recursive and is_child and change.kind != ChangeKind.DATA:
            kind = ChangeKind.CHILDREN
            events.append(WatchEvent(kind, self.path, change.revision, change))
        return events


class FakeCluster:
    """State and faults."""

    def __init__(self, hosts: int = 3) -> None:
        self.revision = 0
        self.tree = FakeTree(self._is_open)
        self.sessions: dict[int, FakeSession] = {}
        self.connections: list[FakeConnection] = []
        self.dials: list[str] = []
        self.received: list[tuple[int, Any, int, int]] = []
        """Every request, as (xid, request, seq, acked)."""
        self.applied: list[tuple[int, int, Any]] = []
        """Every write that took effect or was refused by the tree: (session, seq, request)."""
        self.log: list[Change] = []
        self.floor = 0
        self.down: set[str] = set()
        self.frozen: set[str] = set()
        self.replies_to_lose = 0
        self.requests_to_lose = 0
        self.refusals: deque[CoordError] = deque()
        self.before_multi: Callable[[], None] | None = None
        """Called once, right before the next transaction is applied."""
        self.attach_refusals: deque[CoordError] = deque()
        self.auth_refusals: deque[CoordError] = deque()
        self.withhold_pings = self.withhold_auth = False
        self.page = 3
        self.users = {b"alice:secret", b"bob:secret"}
        """Credentials of scheme digest that are accepted."""
        self.listing_max = 10_000
        self.expire_pages = 0
        self._names = [f"n{number}" for number in range(1, hosts + 1)]

    @property
    def connect_string(self) -> str:
        """All hosts."""
        return ",".join(self._names)

    def _is_open(self, session: int) -> bool:
        return session in self.sessions and self.sessions[session].is_open

    # --- network -------------------------------------------------------------------------------

    async def dial(self, host: Host, link: Link) -> None:
        """A Dial: connects ``link`` unless the host is down."""
        self.dials.append(host.name)
        await asyncio.sleep(0)
        if host.name in self.down or host.name not in self._names:
            raise ConnectionRefusedError(f"{host} refuses")
        connection = FakeConnection(self, host.name, link)
        self.connections.append(connection)
        link.connection_made(connection)

    # --- faults --------------------------------------------------------------------------------

    def cut(self) -> None:
        """All connections break; the hosts stay."""
        for connection in tuple(self.connections):
            connection.reset()

    def kill(self, host: str) -> None:
        """The host refuses connections, its own break."""
        self.down.add(host)
        for connection in tuple(self.connections):
            if connection.host == host:
                connection.reset()

    def freeze(self, host: str) -> None:
        """The host still accepts connections but says nothing."""
        self.frozen.add(host)

    def host_of(self, session: int) -> str:
        """Where a session is attached."""
        connection = self.sessions[session].conn
        assert connection is not None
        return connection.host

    def expire(self, session_id: int) -> None:
        """End a session as the leader would after its timeout."""
        session = self.sessions[session_id]
        self._end(session)
        if session.conn is not None:
            session.conn.notice("expired", "silent for too long")

    def expire_silently(self, session_id: int) -> None:
        """End a session whose client will learn of it when it comes back."""
        self._end(self.sessions[session_id])

    def expire_overdue(self, now_s: float) -> None:
        """What the leader does: end every session that was silent for its whole timeout."""
        for session in tuple(self.sessions.values()):
            if session.is_open and now_s - session.heard_s >= session.timeout_ms / 1_000:
                self.expire(session.id)

    def _end(self, session: FakeSession) -> None:
        session.is_open = False
        self.revision += 1
        owned = [path for path, node in self.tree.nodes.items() if node.owner == session.id]
        self.publish([self.tree.remove(path, self.revision) for path in sorted(owned)])

    def remove(self, path: str) -> None:
        """Delete a node as an operator would."""
        self.revision += 1
        self.publish([self.tree.remove(path, self.revision)])

    def compact(self) -> None:
        """Forget all history."""
        self.floor = self.revision

    # --- effects -------------------------------------------------------------------------------

    def publish(self, changes: list[Change]) -> None:
        """Record changes of one revision and tell the streams."""
        self.log += changes
        for connection in tuple(self.connections):
            connection.publish(changes)

    def write(self, session: FakeSession, seq: int, acked: int, request: Any) -> None:
        """Apply a write in its turn and store its result."""
        assert seq == session.last_seq + 1
        if self.before_multi is not None and isinstance(request, rq.Multi):
            meddle, self.before_multi = self.before_multi, None
            meddle()
        self.revision += 1
        session.last_seq = seq
        self.applied.append((session.id, seq, request))
        for old in [each for each in session.results if each <= acked]:
            del session.results[old]
        assert seq - acked <= 256, "more than 256 results to keep"
        if isinstance(request, rq.Close):
            session.results[seq] = (OK, self.revision, ())
            self.revision -= 1
            self._end(session)
            return
        try:
            body, changes = self.tree.apply(request, session.id, self.revision)
        except CoordError as error:
            detail = list(getattr(error, "results", ())) or None
            session.results[seq] = (error.code, self.revision, (str(error), detail))
        else:
            session.results[seq] = (OK, self.revision, body)
            self.publish(changes)


class ClientEnd(Protocol):
    """Where a connection's frames go: a client's Link, or a socket."""

    def data_received(self, data: bytes) -> None:
        """A frame of the server."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has hung up."""
        ...


class FakeConnection(asyncio.Transport):
    """The server's end of one connection and, for the client, its transport."""

    def __init__(self, cluster: FakeCluster, host: str, link: ClientEnd) -> None:
        super().__init__()
        self.host = host
        self._cluster = cluster
        self._link = link
        self._codec = NativeCodec()
        self._loop = asyncio.get_running_loop()
        self._session: FakeSession | None = None
        self._generation = 0
        self.streams: dict[int, Stream] = {}
        self.identities = [("ip", "10.0.0.1")]
        self._is_gone = False
        self._expected_seq = 1
        self.writes = 0
        """Socket writes of the client."""
        self.is_deaf = self.is_mute = False
        """What the client sends, or what it is sent, vanishes; nobody is told."""
        self.cut_after = 0
        """Frames that still arrive before the connection breaks; 0: it does not."""

    # --- asyncio.Transport, for the client -------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """The client sends."""
        self.writes += 1
        if not self._is_gone:
            self._loop.call_soon(self._received, bytes(data))

    def abort(self) -> None:
        """The client hangs up."""
        self._gone(None)

    close = abort

    def is_closing(self) -> bool:
        """Part of asyncio.Transport."""
        return self._is_gone

    # --- the server's end ------------------------------------------------------------------------

    def reset(self) -> None:
        """The connection breaks."""
        self._gone(ConnectionResetError("reset by peer"))

    def _gone(self, error: Exception | None) -> None:
        if not self._is_gone:
            self._is_gone = True
            self._cluster.connections.remove(self)
            if self._session is not None and self._session.conn is self:
                self._session.conn = None
            self._loop.call_soon(self._link.connection_lost, error)

    def _send(self, frame: bytes) -> None:
        if not self._is_gone:
            self._loop.call_soon(self._deliver, frame)

    def _deliver(self, frame: bytes) -> None:
        if self._is_gone or self.is_mute:
            return
        self._link.data_received(frame)
        if self.cut_after:
            self.cut_after -= 1
            if not self.cut_after:
                self.reset()

    @property
    def session_id(self) -> int:
        """The session attached here, 0 if none."""
        return 0 if self._session is None else self._session.id

    def notice(self, reason: str, message: str) -> None:
        """Say why, then close."""
        self._send(self._codec.notice(self._cluster.revision, reason, message))
        self._loop.call_soon(self._gone, None)

    def _received(self, data: bytes) -> None:
        if self._is_gone or self.is_deaf or self.host in self._cluster.frozen:
            return
        if self._session is not None:
            self._session.heard_s = self._loop.time()
        for item in self._codec.feed(data):
            if not self.is_closing():
                self._take(item)

    def _take(self, item: tuple[int, Any, int, int]) -> None:
        if self._cluster.requests_to_lose and not isinstance(item[1], rq.Connect):
            self._cluster.requests_to_lose -= 1
            self.reset()
            return
        self._cluster.received.append(item)
        self._serve(*item)

    def _serve(self, xid: int, request: Any, seq: int, acked: int) -> None:
        cluster = self._cluster
        try:
            if isinstance(request, CoordError):
                raise request
            if isinstance(request, rq.Connect):
                self._connect(xid, request)
            elif isinstance(request, WRITES):
                self._write(xid, request, seq, acked)
            elif isinstance(request, rq.Ping):
                if not cluster.withhold_pings:
                    self._reply(xid, ())
            elif isinstance(request, rq.Watch):
                self._watch(xid, request)
            elif isinstance(request, rq.Auth):
                if not cluster.withhold_auth:
                    self._reply(xid, self._auth(request))
            else:
                self._reply(xid, self._read(xid, request))
        except CoordError as error:
            self._send(self._codec.error(xid, cluster.revision, error))

    def _reply(self, xid: int, body: Iterable[Any], revision: int = 0) -> None:
        frame = self._codec.reply(xid, revision or self._cluster.revision, tuple(body))
        self._send(frame)

    # --- identity, sessions ----------------------------------------------------------------------

    def _auth(self, request: rq.Auth) -> tuple[()]:
        if self._cluster.auth_refusals:
            raise self._cluster.auth_refusals.popleft()
        if request.scheme != "digest" or request.credential not in self._cluster.users:
            raise AuthFailedError("nobody knows it here")
        self.identities.append((request.scheme, request.credential.partition(b":")[0].decode()))
        return ()

    def _connect(self, xid: int, request: rq.Connect) -> None:
        cluster = self._cluster
        if cluster.attach_refusals:
            raise cluster.attach_refusals.popleft()
        cluster.revision += 1
        if request.session_id == 0:
            secret = cluster.revision.to_bytes(16, "big")
            session = FakeSession(cluster.revision, secret, request.timeout_ms, request.client)
            cluster.sessions[session.id] = session
        else:
            session = cluster.sessions[request.session_id]
            assert session.secret == request.secret
            if not session.is_open:
                raise SessionExpiredError(f"session {session.id} has ended")
        old, session.conn = session.conn, self
        session.generation += 1
        self._session, self._generation = session, session.generation
        session.heard_s = self._loop.time()
        self._expected_seq = session.last_seq + 1
        if old is not None:
            old.notice("moved", "attached elsewhere")
        info = {"node": self.host, "history_id": HISTORY_ID}
        self._reply(
            xid,
            (session.id, session.secret, session.generation, session.timeout_ms,
             session.last_seq, info),
        )  # fmt: skip

    def _write(self, xid: int, request: Any, seq: int, acked: int) -> None:
        cluster, session = self._cluster, self._session
        if session is None:
            raise NotReadyError("attach a session before writing")
        if session.generation != self._generation:
            raise SessionMovedError("attached elsewhere")
        if not session.is_open:
            raise SessionExpiredError(f"session {session.id} has ended")
        if seq > self._expected_seq:
            raise SequenceGapError(f"expected seq {self._expected_seq}, got {seq}")
        if cluster.refusals:
            raise cluster.refusals.popleft()
        if seq == self._expected_seq:
            cluster.write(session, seq, acked, request)
            self._expected_seq += 1
        if cluster.replies_to_lose:
            cluster.replies_to_lose -= 1
            self.reset()
            return
        stored = session.results.get(seq)
        if stored is None:
            raise ResultUnknownError(f"result of seq {seq} is not kept")
        code, revision, body = stored
        if code == OK:
            self._reply(xid, body, revision)
        else:
            self._send(self._codec.error(xid, revision, code, *body))
        if isinstance(request, rq.Close):
            self._loop.call_soon(self._gone, None)

    # --- reads and watches -----------------------------------------------------------------------

    def _read(self, xid: int, request: Any) -> tuple[Any, ...]:
        cluster, tree = self._cluster, self._cluster.tree
        match request:
            case rq.Get(path, _, _):
                return tree.get(path).data, tree.get(path).stat()
            case rq.Exists(path, _, _):
                return (tree.get(path).stat(),)
            case rq.GetAcl(path, _):
                return tree.get(path).acl or OPEN, tree.get(path).stat()
            case rq.Sync(path):
                return (path,)
            case rq.WhoAmI():
                return (self.identities,)
            case rq.Children():
                return self._children(request)
            case rq.ListWatch(path, recursive, with_values):
                found = tree.subtree(path, recursive=recursive)
                if len(found) > cluster.listing_max:
                    raise TooLargeError("list it in pages")
                self.streams[xid] = Stream(xid, path, 2 if recursive else 1, with_values)
                entries = [
                    (name, node.data if with_values else None, node.stat()) for name, node in found
                ]
                return HISTORY_ID, True, entries
            case rq.Unwatch(watch_id):
                self.streams.pop(watch_id, None)
                return ()
            case rq.Admin(op, arguments):
                return cluster_admin(cluster, op, arguments)
            case _:
                raise AssertionError(f"the fake does not know {request!r}")

    def _children(self, request: rq.Children) -> tuple[Any, ...]:
        if request.revision and self._cluster.expire_pages:
            self._cluster.expire_pages -= 1
            raise ListingExpiredError("too slow")
        node = self._cluster.tree.get(request.path)
        names = [name for name in sorted(node.children) if name > request.after]
        page = names[: min(self._cluster.page, request.limit or len(names))]
        more = len(names) > len(page)
        return page, node.stat(), more, request.revision or self._cluster.revision

    def _watch(self, xid: int, request: rq.Watch) -> None:
        stream = Stream(xid, request.path, request.mode, request.with_values)
        missed: list[Change] = []
        if request.resume is not None:
            history_id, revision = request.resume
            if history_id != HISTORY_ID or revision < self._cluster.floor:
                raise CompactedError("no longer kept")
            missed = [change for change in self._cluster.log if change.revision > revision]
        self.streams[xid] = stream
        self._reply(xid, (HISTORY_ID,))
        for revision in sorted({change.revision for change in missed}):
            self._push(stream, [each for each in missed if each.revision == revision])
        self._send(self._codec.events(xid, self._cluster.revision, 0, True))

    def cancel_streams(self, error: CoordError) -> None:
        """End every stream of this connection."""
        for watch_id in self.streams:
            self._send(self._codec.cancelled(watch_id, self._cluster.revision, error))
        self.streams.clear()

    def publish(self, changes: list[Change]) -> None:
        """Tell this connection's streams."""
        for stream in self.streams.values():
            self._push(stream, changes)

    def _push(self, stream: Stream, changes: list[Change]) -> None:
        events = [event for change in changes for event in stream.events_of(change)]
        for part, event in enumerate(events):
            complete = part == len(events) - 1
            wire = self._codec.changes([event], with_values=stream.with_values)
            self._send(self._codec.events(stream.watch_id, event.revision, part, complete, wire))


def cluster_admin(cluster: FakeCluster, op: int, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """The admin operations that the client's tests need."""
    if op == rq.RESULT_OF:
        session = cluster.sessions[arguments["session"]]
        assert session.secret == arguments["secret"]
        seq = arguments["seq"]
        if seq > session.last_seq:
            return "not applied", 0, 0, []
        stored = session.results.get(seq)
        if stored is None:
            return "unknown", 0, 0, []
        code, revision, body = stored
        return "applied", code, revision, list(body)
    if op == rq.DIGEST:
        return cluster.revision, "0", []
    if op == rq.STATUS:
        return ({"role": "leader"},)
    raise from_code(-6, f"the fake does not know admin operation {op}")
