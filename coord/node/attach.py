"""Opens sessions and attaches them to connections of this node.

Both are entries in the log, so that every node agrees on which attach is the newest. A handshake
ahead of this node's applied index waits for it, bounded, and is then sent elsewhere.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coord.model import commands
from coord.model.errors import (
    OK,
    AuthFailedError,
    BadArgumentsError,
    CoordError,
    LimitError,
    NotReadyError,
    SessionExpiredError,
    SessionMovedError,
)
from coord.model.limits import SECRET_BYTES, SESSION_TIMEOUT_MS, SESSIONS_MAX
from coord.model.types import NO_SESSION, SessionId
from coord.node import read_only
from coord.node.connection import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord.model.requests import Connect
    from coord.node.connection import Connection
    from coord.node.forwarding import Forwarder
    from coord.node.gateway import Gateway
    from coord.node.ports import Clock
    from coord.node.reads import ReadRounds
    from coord.store.applied import Applied
    from coord.store.member_store import Store

CATCH_UP_MS_MAX: Final = 2_000
HANDSHAKE_MS_MAX: Final = 10_000


class _Pending:
    """An open or attach that is on its way through the log."""

    __slots__ = ("command", "conn", "secret", "session", "since_ms", "xid")

    def __init__(
        self,
        conn: Connection,
        xid: int,
        secret: bytes,
        command: bytes,
        since_ms: int,
        session: int = NO_SESSION,
    ) -> None:
        self.conn: Connection | None = conn
        """None once the client has gone: the session it opened is then closed again."""
        self.session = session
        """To be attached; NO_SESSION: to be opened."""
        self.xid = xid
        self.secret = secret
        self.command = command
        self.since_ms = since_ms


class _Behind(NamedTuple):
    """A handshake that waits for this node to apply ``revision``.

    ``round``: once it is confirmed, this node has applied all that was committed before the
    handshake: a session unknown then does not exist.
    """

    revision: int
    deadline_ms: int
    round: int
    conn: Connection
    xid: int
    request: Connect


class Attachments:
    """Handshakes of one node."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        forwarder: Forwarder,
        rounds: ReadRounds,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        clamp_timeout_ms: Callable[[int], int],
        info: Callable[[], dict[str, Any]],
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._forwarder = forwarder
        self._rounds = rounds
        self._clock = clock
        self._random_bytes = random_bytes
        self._clamp = clamp_timeout_ms
        self._info = info
        self._pending: dict[bytes, _Pending] = {}
        """By secret hash (open) or nonce (attach)."""
        self._behind: list[_Behind] = []

    def connect(self, conn: Connection, xid: int, request: Connect) -> None:
        """A client's CONNECT request."""
        if conn.phase is not Phase.NEW:
            self._fail(conn, xid, BadArgumentsError("this connection has a session already"))
            return
        conn.phase = Phase.ATTACHING
        if conn.is_zookeeper:
            if self._gateway.is_cut_off:
                self._without_quorum(conn, xid, request)
                return
            conn.holds += 1
            conn.hush()
        conn.client = request.client
        conn.timeout_ms = self._clamp(request.timeout_ms or SESSION_TIMEOUT_MS)
        wanted = max(request.last_revision, request.session_id)
        if wanted > self._store.machine.applied_index:
            wait_ms = min(conn.timeout_ms // 3, CATCH_UP_MS_MAX)
            self._behind.append(
                _Behind(wanted, self._now() + wait_ms, self._rounds.join(), conn, xid, request)
            )
            self._forwarder.wake()
        else:
            self._start(conn, xid, request)

    def _without_quorum(self, conn: Connection, xid: int, request: Connect) -> None:
        """Nothing can enter the log: served reads alone, if both sides want that, else closed."""
        applied = self._store.machine.applied_index
        is_made_up = request.session_id >= read_only.LOCAL_SESSION
        seen = max(request.last_revision, 0 if is_made_up else request.session_id)
        is_ahead = seen > applied  # a session that this node has not heard of yet has not ended
        if is_ahead or not self._gateway.is_read_only or not read_only.is_content(conn):
            self._gateway.close(conn)
            return
        conn.timeout_ms = self._clamp(request.timeout_ms)
        try:
            session, secret = read_only.admit(conn, request, self._store, self._random_bytes)
        except CoordError as error:
            self._fail(conn, xid, error)
            return
        body = (session, secret, 0, conn.timeout_ms, 0, self._info())
        self._gateway.send(conn, conn.codec.reply(xid, applied, body))

    def _start(self, conn: Connection, xid: int, request: Connect) -> None:
        if request.session_id == NO_SESSION:
            self._open(conn, xid)
            return
        row = self._store.machine.sessions.get(SessionId(request.session_id))
        if row is None:
            text = f"session {request.session_id:#x} has ended; `coord why-session` tells why"
            self._fail(conn, xid, SessionExpiredError(text))
        elif not hmac.compare_digest(sha256(request.secret).digest(), row.secret_hash):
            self._fail(conn, xid, AuthFailedError("the session's secret does not match"))
        else:
            nonce = self._random_bytes(SECRET_BYTES)
            command = commands.attach_session(
                request.session_id,
                nonce,
                conn.timeout_ms,
                conn.address,
                restart_seq=conn.is_zookeeper,
            )
            self._submit(
                nonce,
                _Pending(conn, xid, request.secret, command, self._now(), request.session_id),
            )

    def _open(self, conn: Connection, xid: int) -> None:
        if len(self._store.machine.sessions) >= SESSIONS_MAX:
            self._fail(conn, xid, LimitError(f"{SESSIONS_MAX} sessions are open in this cluster"))
            return
        secret = self._random_bytes(SECRET_BYTES)
        digest = sha256(secret).digest()
        command = commands.open_session(conn.timeout_ms, digest, conn.address, conn.client)
        self._submit(digest, _Pending(conn, xid, secret, command, self._now()))

    def _submit(self, key: bytes, pending: _Pending) -> None:
        self._pending[key] = pending
        self._forwarder.forward(pending.command)

    def _now(self) -> int:
        return self._clock.monotonic_ms()

    # --- what the log decided -------------------------------------------------------------------

    def on_control(self, applied: Applied) -> None:
        """An entry about sessions was applied."""
        if applied.kind == commands.OPEN_SESSION:
            self._opened(applied)
        elif applied.kind == commands.ATTACH_SESSION:
            self._attached(applied)
        elif applied.kind in (commands.CLOSE_SESSION, commands.EXPIRE_SESSION):
            self._ended(applied)
        elif applied.kind == commands.END_ALL_SESSIONS:
            for conn in list(self._gateway.attached.values()):
                text = "the cluster was restored; every session has ended"
                self._gateway.end(conn, "expired", text)

    def _ended(self, applied: Applied) -> None:
        """A session has ended; its client hears that in answer to its wish, or as a notice."""
        conn = self._gateway.attached.get(applied.session)
        if conn is None or applied.code != OK:
            return
        if applied.kind == commands.CLOSE_SESSION and self._gateway.answer(conn, applied):
            self._gateway.close(conn)
        else:
            error = SessionExpiredError(f"session {applied.session:#x} has expired")
            self._gateway.end(conn, "expired", str(error))

    def _opened(self, applied: Applied) -> None:
        """A session was created; perhaps for a connection of this node."""
        pending = self._pending.pop(applied.body[0], None) if applied.code == 0 else None
        if pending is None:
            return
        self._forwarder.progress += 1
        if pending.conn is None:
            close = commands.close_session(applied.session, applied.generation, 1, 0)
            self._forwarder.forward(close)
        else:
            self._attach(pending, applied, last_seq=0)

    def _attached(self, applied: Applied) -> None:
        """A session was attached: here, or elsewhere (then its connection here is obsolete)."""
        if applied.code != 0:
            self._not_attached(applied.session)
            return
        nonce, last_seq = applied.body
        pending = self._pending.pop(nonce, None)
        old = self._gateway.attached.get(applied.session)
        if old is not None and old.generation < applied.generation:
            error = SessionMovedError(f"session {old.session:#x} is attached elsewhere")
            self._gateway.end(old, "moved", str(error))
        if pending is not None and pending.conn is not None:
            self._forwarder.progress += 1
            self._attach(pending, applied, last_seq)

    def _not_attached(self, session: int) -> None:
        """The session had ended when its attach was applied: nobody attaches it any more."""
        for key in [key for key, it in self._pending.items() if it.session == session]:
            pending = self._pending.pop(key)
            self._forwarder.progress += 1
            if pending.conn is not None:
                text = f"session {session:#x} has ended; `coord why-session` tells why"
                self._fail(pending.conn, pending.xid, SessionExpiredError(text))

    def _attach(self, pending: _Pending, applied: Applied, last_seq: int) -> None:
        conn = pending.conn
        assert conn is not None
        conn.phase = Phase.ATTACHED
        conn.session = SessionId(applied.session)
        conn.generation = applied.generation
        conn.next_seq = last_seq + 1
        row = self._store.machine.sessions.get(conn.session)
        conn.acked = row.acked if row is not None else 0
        self._gateway.attached[conn.session] = conn
        body = (
            conn.session,
            pending.secret,
            conn.generation,
            conn.timeout_ms,
            last_seq,
            self._info(),
        )
        self._gateway.send(conn, conn.codec.reply(pending.xid, applied.index, body))
        if conn.is_zookeeper:
            self._gateway.unhold(conn)

    def _fail(self, conn: Connection, xid: int, error: CoordError) -> None:
        """A native client may try again on its connection; ZooKeeper's has the one attempt."""
        conn.phase = Phase.NEW
        revision = self._store.machine.applied_index
        frame = conn.codec.error(xid, revision, error)
        if frame:
            self._gateway.send(conn, frame)
        if conn.is_zookeeper:
            self._gateway.close(conn)

    # --- time and loss --------------------------------------------------------------------------

    def on_revision(self, revision: int) -> None:
        """This node has applied up to ``revision``: handshakes that waited for it go on."""
        if self._behind:
            ready = [entry for entry in self._behind if entry.revision <= revision]
            self._behind = [entry for entry in self._behind if entry.revision > revision]
            for entry in ready:
                self._start(entry.conn, entry.xid, entry.request)

    def expire(self) -> None:
        """Give up on handshakes that waited too long; the client tries another node."""
        now_ms = self._now()
        late = [entry for entry in self._behind if entry.deadline_ms <= now_ms]
        if late:
            self._behind = [entry for entry in self._behind if entry.deadline_ms > now_ms]
        for entry in late:
            self._fail(entry.conn, entry.xid, self._too_late(entry))
        for key, pending in list(self._pending.items()):
            if pending.since_ms + HANDSHAKE_MS_MAX <= now_ms:
                del self._pending[key]
                if pending.conn is not None:
                    text = "no leader accepted the session in time; try again"
                    self._fail(pending.conn, pending.xid, NotReadyError(text))

    def _too_late(self, entry: _Behind) -> CoordError:
        request, applied = entry.request, self._store.machine.applied_index
        is_known = request.session_id <= applied or self._rounds.confirmed < entry.round
        if request.last_revision > applied or is_known:
            return NotReadyError(
                f"this node has not applied revision {entry.revision} yet; try another node"
            )
        return SessionExpiredError(f"session {request.session_id:#x} is not of this cluster")

    def lost(self, conn: Connection) -> None:
        """The client has gone."""
        self._behind = [entry for entry in self._behind if entry.conn is not conn]
        if conn.session != NO_SESSION:
            return
        for key, pending in list(self._pending.items()):
            if pending.conn is conn and pending.session == NO_SESSION:
                pending.conn = None
            elif pending.conn is conn:
                # Not sent again: a late attach would take the session from its client's next
                # connection.
                del self._pending[key]

    def unapplied(self) -> Iterable[bytes]:
        """Commands that a new leader must get."""
        pending = self._pending.values()
        return [entry.command for entry in pending if entry.conn is not None]
