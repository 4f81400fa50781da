"""The front half of a node: client connections, the order of their sessions, replies and events.

Batches go down (commands to the leader), batches come up (what was applied); a request costs no
task, future or callback of its own. Order (design promise 3): a session's writes are proposed in
the order sent; a read runs when every earlier write of its session has been applied here, and
holds back the later ones until served; events of a revision leave before any reply that reflects
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from coord.model import commands
from coord.model import requests as rq
from coord.model.errors import (
    OK,
    CoordError,
    NotReadyError,
    OverloadedError,
    SequenceGapError,
)
from coord.model.limits import CONNECTION_REQUESTS_MAX, KIB, REPLY_BURST_BYTES
from coord.model.types import NO_SESSION, ReadLevel
from coord.node import read_only
from coord.node.admission import Admission
from coord.node.callers import with_acls_resolved
from coord.node.connection import Connection, Phase, Waiting
from coord.node.outboxes import Outboxes
from coord.node.repeats import answer_to, result_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from coord.node.attach import Attachments
    from coord.node.forwarding import Forwarder
    from coord.node.liveness import Liveness
    from coord.node.ports import ClientLink, Codec
    from coord.node.reads import ReadRounds, ReadServer
    from coord.node.streams import Streams
    from coord.node.traffic import NodeTraffic
    from coord.store.applied import Applied, AppliedBatch
    from coord.store.member_store import Store

WRITES: Final = frozenset({rq.Set, rq.Create, rq.Delete, rq.SetAcl, rq.Multi, rq.Close})
READS: Final = frozenset({rq.Get, rq.Exists, rq.Children, rq.GetAcl})
STREAM_OPENS: Final = frozenset({rq.Watch, rq.ListWatch})
_LINEARIZABLE: Final = int(ReadLevel.LINEARIZABLE)
_STALE: Final = int(ReadLevel.STALE)
_GAP: Final = SequenceGapError.code
LARGE_FRAME_BYTES: Final = 16 * KIB
_SHOW_THE_TREE: Final = frozenset({rq.HISTORY, rq.WHY_SESSION, rq.RESULT_OF})
"""Admin requests whose answers a stream that is catching up must not be behind."""
_BARE_WRITES: Final = frozenset({rq.Set, rq.Delete})
"""Carry no ACL."""


class Service(Protocol):
    """Serves kinds of requests in their turn."""

    KINDS: ClassVar[tuple[type, ...]]
    gateway: Gateway

    def serve(self, conn: Connection, xid: int, request: Any) -> None:
        """Answer now, or hold the connection and answer later."""
        ...


class Gateway:
    """All client connections of one node."""

    def __init__(
        self,
        store: Store,
        reads: ReadServer,
        rounds: ReadRounds,
        streams: Streams,
        services: Sequence[Service],
        forwarder: Forwarder,
        liveness: Liveness,
        admin: Any,
        traffic: NodeTraffic,
        *,
        offers_read_only: bool,
    ) -> None:
        self.connections: dict[Connection, None] = {}
        self.attached: dict[int, Connection] = {}
        """By session. Invariant: phase is ATTACHED and generation is the newest known here."""
        self.attachments: Attachments
        self.admission = Admission()
        self.draining = False
        self.is_cut_off = False
        """The leader has not confirmed this node's contacts for too long: what ZooKeeper's clients
        are told by their pings would not be true."""
        self._offers_read_only = offers_read_only
        self.traffic = traffic
        self._store = store
        self._reads = reads
        self._rounds = rounds
        self._streams = streams
        self._forwarder = forwarder
        self._liveness = liveness
        self._admin = admin
        self._outboxes = Outboxes(reads, traffic)
        self.flush = self._outboxes.flush
        """One socket write for each connection with output."""
        self._waiting_reads: dict[Connection, None] = {}
        self._special: dict[type, Callable[[Connection, int, Any], None]] = {
            rq.HangUp: self._refuse_and_close,
            rq.Ping: self._pong,
            rq.Admin: admin.call,
        }
        """What neither reads one node nor writes."""
        for service in (streams, *services):
            service.gateway = self
            self._special.update(dict.fromkeys(service.KINDS, service.serve))

    # --- connections ----------------------------------------------------------------------------

    def open(self, link: ClientLink, codec: Codec, address: str) -> Connection:
        """A client has said hello."""
        conn = Connection(link, codec, address)
        self.connections[conn] = None
        self.traffic.opened(conn)
        return conn

    def lost(self, conn: Connection) -> None:
        """The link ended. Requests in flight may still commit; their replies go nowhere."""
        if self.connections.pop(conn, self) is self:
            return
        conn.phase = Phase.CLOSED
        conn.holds += 1
        self.admission.forget(conn)
        conn.waiting.clear()
        conn.outbox.clear()
        conn.events.clear()
        self._waiting_reads.pop(conn, None)
        self._streams.drop(conn)
        self.attachments.lost(conn)
        self._admin.lost(conn)
        self.traffic.left(conn)
        if self.attached.get(conn.session) is conn:
            del self.attached[conn.session]

    def end(self, conn: Connection, reason: str, message: str) -> None:
        """Tell the client why (ZooKeeper's wire has no word for it), flush, close."""
        if conn.phase is not Phase.CLOSED:
            if not conn.is_zookeeper:
                self._outboxes.put(
                    conn, conn.codec.notice(self._reads.reader.revision, reason, message)
                )
            self.close(conn)

    def close(self, conn: Connection) -> None:
        """Send what is queued, then end the connection."""
        if conn.phase is not Phase.CLOSED:
            self.flush()
            conn.link.close()
            self.lost(conn)

    def end_all(self, reason: str, message: str) -> None:
        """Close every connection (drain, snapshot installed): clients come back and resume."""
        for conn in list(self.connections):
            self.end(conn, reason, message)

    def congested(self, conn: Connection) -> None:
        """The socket takes no more for now: nothing new is served until it has drained."""
        if not conn.is_congested:
            conn.is_congested = True
            conn.holds += 1

    def drained(self, conn: Connection) -> None:
        """Go on where ``congested`` stopped."""
        if conn.is_congested:
            conn.is_congested = False
            self.release(conn)

    def release(self, conn: Connection) -> None:
        """One reason to hold back is gone."""
        self.unhold(conn)
        self.flush()

    def unhold(self, conn: Connection) -> None:
        """As ``release``, where a flush follows anyway."""
        conn.holds -= 1
        if conn.phase is not Phase.CLOSED and not conn.holds:
            self._pump(conn)
            self._resume(conn)

    def tick(self, *, has_space: bool) -> None:
        """Called every TICK_MS; ``has_space``: the disk takes more."""
        self.admission.has_space = has_space
        self.admission.admit(self.release)

    @property
    def is_read_only(self) -> bool:
        """Without a quorum, sessions that allow it are served what was applied last."""
        return self.is_cut_off and self._offers_read_only

    def set_cut_off(self, is_cut_off: bool) -> None:
        """Cut off: ZooKeeper's clients go elsewhere, and are not let in again before it is over,
        or only to read; those come back when it is."""
        if is_cut_off != self.is_cut_off:
            self.is_cut_off = is_cut_off
            for conn in [conn for conn in self.connections if conn.is_zookeeper]:
                if is_cut_off or conn.phase is Phase.READ_ONLY:
                    self.close(conn)

    # --- requests -------------------------------------------------------------------------------

    def receive(self, conn: Connection, items: Sequence[tuple[int, Any, int, int]]) -> None:
        """Requests decoded from one socket read, in order: (xid, request, seq, acked)."""
        if conn.phase is Phase.ATTACHED:
            self._liveness.heard(conn.session)
        traffic = conn.traffic
        traffic.received += len(items)
        if traffic.tick_ms != self._liveness.now_ms and items:
            self.traffic.arrived(conn, type(items[-1][1]), self._liveness.now_ms)
        serve, outbox, burst = self._reads.serve, conn.outbox, 0
        asked = self.traffic.asked
        for xid, request, seq, acked in items:
            kind = type(request)
            asked[kind] += 1
            if conn.waiting or conn.holds:
                self._other(conn, kind, xid, request, seq, acked)
            elif (
                kind in READS
                and not conn.in_flight
                and (request.level == _STALE or (request.level and conn.session))
            ):
                frame = serve(conn, xid, request)
                outbox.append(frame)
                burst += len(frame)
                if burst > REPLY_BURST_BYTES:
                    burst = 0
                    self._outboxes.mark(conn)
                    self.flush()
            elif kind in WRITES:
                self._write(conn, xid, request, seq, acked)
            else:
                self._other(conn, kind, xid, request, seq, acked)
        if outbox and not conn.dirty:
            conn.dirty = True
            self._outboxes.dirty.append(conn)
        if self._forwarder.commands:
            self._forwarder.wake()
        if self._outboxes.dirty:
            self.flush()
        if conn.backlog > CONNECTION_REQUESTS_MAX:
            conn.hush()

    def _other(
        self, conn: Connection, kind: type, xid: int, request: Any, seq: int, acked: int
    ) -> None:
        if conn.phase is Phase.CLOSED:
            return
        if conn.phase is Phase.READ_ONLY and kind in read_only.REFUSED:
            self._wait(conn, xid, read_only.refusal(), 0, 0)
        elif kind is rq.Ping and conn.phase is Phase.ATTACHED:
            if conn.is_zookeeper:
                self._pong(conn, xid, request)
            else:
                self._liveness.ping(conn, xid)
        elif kind is rq.Connect:
            self.attachments.connect(conn, xid, request)
        elif kind is rq.Admin and not (conn.holds and request.op in _SHOW_THE_TREE):
            self._admin.call(conn, xid, request)
        elif (
            conn.session == NO_SESSION
            and not conn.is_zookeeper
            and kind is not rq.Auth
            and getattr(request, "level", 0) != _STALE
        ):
            error = (
                request
                if isinstance(request, CoordError)
                else NotReadyError("connect (open or attach a session) before this request")
            )
            self.refuse(conn, xid, error)
        else:
            self._wait(conn, xid, request, seq, acked)

    def _wait(self, conn: Connection, xid: int, request: Any, seq: int, acked: int) -> None:
        round_id = 0
        if self._needs_round(request):
            round_id = self._rounds.join()
            self._forwarder.wake()
            self._waiting_reads[conn] = None
        conn.wait(Waiting(xid, request, seq, acked, round_id))
        if not conn.in_flight:
            self._pump(conn)

    @staticmethod
    def _needs_round(request: Any) -> bool:
        kind = type(request)
        if kind in READS:
            return bool(request.level == _LINEARIZABLE)
        return kind is rq.Sync or (
            kind in STREAM_OPENS and getattr(request, "resume", None) is None
        )

    def _pump(self, conn: Connection) -> None:
        """Serve what waits, as far as the session's order allows."""
        waiting, burst = conn.waiting, 0
        while waiting and not conn.holds:
            xid, request, seq, acked, round_id = waiting[0]
            kind = type(request)
            if kind in WRITES:
                waiting.popleft()
                self._write(conn, xid, request, seq, acked)
                self._forwarder.wake()
                continue
            if conn.in_flight or round_id > self._rounds.confirmed:
                return
            waiting.popleft()
            special = self._special.get(kind)
            if special is not None:
                conn.holds += 1  # What it releases is not served from within.
                special(conn, xid, request)
                conn.holds -= 1
            elif isinstance(request, CoordError):
                self.refuse(conn, xid, request)
            else:
                frame = self._reads.serve(conn, xid, request)
                self._outboxes.put(conn, frame)
                burst += len(frame)
                if burst > REPLY_BURST_BYTES:
                    burst = 0
                    self.flush()
        if not waiting:
            self._waiting_reads.pop(conn, None)

    # --- writes ---------------------------------------------------------------------------------

    def _write(self, conn: Connection, xid: int, request: Any, seq: int, acked: int) -> None:
        if seq != conn.next_seq or conn.phase is not Phase.ATTACHED:
            if not conn.is_zookeeper:
                self._out_of_order(conn, xid, seq)
                return
            if conn.phase is Phase.READ_ONLY:
                self._write_without_quorum(conn, xid, request)
                return
            assert conn.phase is Phase.ATTACHED, "held until then, and from its end on"
            seq = conn.next_seq
            acked = seq - 1
        conn.acked = max(conn.acked, acked)
        refusal = self.admission.refusal(conn, request, seq)
        if refusal is not None:
            self._put_off(conn, xid, request, refusal)
            return
        kind = type(request)
        if kind is rq.Close:
            command = commands.close_session(conn.session, conn.generation, seq, acked)
        else:
            if kind not in _BARE_WRITES:
                request = with_acls_resolved(request, conn)
            command = commands.encode_write(
                request, conn.session, conn.generation, seq, acked, conn.identities
            )
        conn.next_seq = seq + 1
        conn.launch(seq, xid, command)
        self.admission.writes_in_flight += 1
        self.admission.bytes_in_flight += len(command)
        self._forwarder.commands.append(command)

    def _write_without_quorum(self, conn: Connection, xid: int, request: Any) -> None:
        if type(request) is rq.Close:
            self.send(conn, conn.codec.reply(xid, self._reads.reader.revision, ()))
            self.close(conn)
        else:
            self.refuse(conn, xid, read_only.refusal())

    def _put_off(self, conn: Connection, xid: int, request: Any, refusal: CoordError) -> None:
        """The write is not taken on: refused, or first in line for room."""
        if conn.is_zookeeper and isinstance(refusal, OverloadedError):
            conn.wait_first(Waiting(xid, request, 0, 0, 0))
            self.admission.line_up(conn)
        else:
            self._answer_in_order(conn, xid, refusal)

    def _out_of_order(self, conn: Connection, xid: int, seq: int) -> None:
        answer = answer_to(conn, seq, self._store)
        if isinstance(answer, CoordError):
            self._answer_in_order(conn, xid, answer)
        else:
            self._outboxes.put(conn, result_frame(conn, xid, *answer))

    def _answer_in_order(self, conn: Connection, xid: int, error: CoordError) -> None:
        """The refused write was next in line: it stays ahead of everything that waits."""
        if conn.in_flight:
            conn.wait_first(Waiting(xid, error, 0, 0, 0))
        else:
            self.refuse(conn, xid, error)

    def refuse(self, conn: Connection, xid: int, error: CoordError) -> None:
        """Answer with ``error``, or close where the wire has no answer but that."""
        if conn.codec.closes_on(error):
            self.close(conn)
        else:
            self._outboxes.put(conn, conn.codec.error(xid, self._reads.reader.revision, error))

    def _pong(self, conn: Connection, xid: int, request: rq.Ping) -> None:
        """ZooKeeper's ping: says no more than that this node is there."""
        del request
        self._outboxes.put(conn, conn.codec.reply(xid, self._reads.reader.revision, ()))

    def _refuse_and_close(self, conn: Connection, xid: int, request: rq.HangUp) -> None:
        self.refuse(conn, xid, request.error)
        self.close(conn)

    # --- what comes up from the core ------------------------------------------------------------

    def on_applied(self, batch: AppliedBatch) -> None:
        """Events first, then results, then the reads that waited for them; one write a client."""
        self._reads.reader.refresh()
        if batch.changes:
            self._streams.publish(batch, self._outboxes.mark)
        attached, touched = self.attached, []
        for applied in batch.results:
            if applied.kind >= commands.OPEN_SESSION:
                self.attachments.on_control(applied)
                self._liveness.on_control(applied)
                continue
            conn = attached.get(applied.session)
            if conn is not None and self.answer(conn, applied):
                touched.append(conn)
        if touched:
            self._forwarder.progress += 1
        for conn in touched:
            if conn.waiting and not conn.in_flight:
                self._pump(conn)
            self._resume(conn)
        self.attachments.on_revision(batch.last)
        self.admission.admit(self.unhold)
        self.flush()

    def answer(self, conn: Connection, applied: Applied) -> bool:
        """Reply to the write that was applied; False if it is not one this connection awaits
        (a duplicate, a gap that resending mends, an older generation)."""
        in_flight = conn.in_flight
        if not in_flight or applied.generation != conn.generation:
            return False
        if applied.code == _GAP:
            # What should have come before it was overtaken or lost on its way to the leader, and
            # as long as other sessions' writes are applied nobody else would notice.
            self._forwarder.resend_later()
            return False
        if in_flight[0][0] != applied.seq:
            return False
        _, xid, command = in_flight.popleft()
        self.admission.writes_in_flight -= 1
        self.admission.bytes_in_flight -= len(command)
        if applied.code == OK:
            frame = conn.codec.reply(xid, applied.index, applied.body)
        elif conn.codec.closes_on(applied.code):
            self.close(conn)
            return False
        else:
            frame = result_frame(conn, xid, applied.code, applied.index, applied.body)
        if conn.events:
            conn.events.append((applied.index, frame))
        else:
            conn.outbox.append(frame)
        if not conn.dirty:
            conn.dirty = True
            self._outboxes.dirty.append(conn)
        return True

    def on_reads_confirmed(self, round_id: int) -> None:
        """Linearizable rounds up to ``round_id`` may be served."""
        self._rounds.confirmed = max(self._rounds.confirmed, round_id)
        for conn in list(self._waiting_reads):
            if not conn.in_flight:
                self._pump(conn)
            self._resume(conn)
        self.flush()

    def unapplied(self) -> Iterable[bytes]:
        """Every command taken and not applied here, each session's in order: what a new leader
        must get (apply drops what it already has)."""
        for conn in self.attached.values():
            for _, _, command in conn.in_flight:
                yield command

    # --- output ---------------------------------------------------------------------------------

    def send(self, conn: Connection, frame: bytes) -> None:
        """Queue a frame. A large one leaves at once, so that a socket that takes no more is
        noticed before the next is made."""
        if conn.phase is not Phase.CLOSED:
            self._outboxes.put(conn, frame)
            if len(frame) > LARGE_FRAME_BYTES:
                self.flush()

    def _resume(self, conn: Connection) -> None:
        if conn.paused and not conn.holds and conn.backlog <= CONNECTION_REQUESTS_MAX // 2:
            conn.paused = False
            conn.link.resume_reading()
