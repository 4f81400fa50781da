"""The session machine: what a client sends, sends again, and concludes. Sans-IO.

It does no I/O and reads no clock: bytes and ``now_ms`` (milliseconds of a clock that keeps running
while the machine sleeps) come in as arguments, bytes and resolved operations come out. An asyncio
driver (``connection.py``) and a simulator run the same code. The driver's duties:

1. When ``wants_connection``: dial a host; once the bytes can flow, call :meth:`Session.opened`.
2. Feed what arrives to :meth:`Session.receive`; pushes go to ``on_push`` in their order among the
   replies, so that an event is known before any reply that reflects it.
3. After any call, write :meth:`Session.take_output` to the connection.
4. If ``drop_reason`` is set after a call: close the connection.
5. When the connection is gone for whatever reason: :meth:`Session.lost`, then 1.
6. Call :meth:`Session.tick` no later than :attr:`Session.wake_at_ms`.

Exactly-once (``docs/protocol.md``): writes carry a dense number (seq), and everything up to
``acked`` has been answered. After a re-attach the server names the last seq it applied: writes up
to it are sent again under their old number and answer their stored result; later ones certainly
had no effect and are numbered afresh, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final, NamedTuple

from coord.model import errors
from coord.model.limits import (
    CONNECTION_REQUESTS_MAX,
    SESSION_TIMEOUT_MS,
    WRITES_IN_FLIGHT_MAX,
)
from coord.model.requests import DIGEST, Admin, Auth, Close, Connect, ListWatch, Ping
from coord.protocol.native_client import (
    OPENING,
    ClientCodec,
    Incoming,
    NoticePush,
    Reply,
    encode_request,
)
from coord_client.credentials import Credentials
from coord_client.liveness import PROBE_MS, Due, Liveness
from coord_client.operations import NEVER_MS, Fate, Kind, Operation, Waiter
from coord_client.retry import (
    MAYBE_SEQUENCED,
    NOT_SEQUENCED,
    SESSION_GONE,
    TRANSIENT,
    backoff_ms,
)

OUTPUT_BYTES: Final = 1 << 20
"""What one take_output encodes at most: a slow socket must not pile up copies in memory."""
REFUSALS_BEFORE_MOVING: Final = 4
"""So many transient refusals in a row, and another host is tried."""


class ConnectionState(Enum):
    """What a user of the client can count on."""

    CONNECTED = "connected"
    """Attached to a node, which answers."""
    SUSPENDED = "suspended"
    """No node answers now; the session, its ephemerals and holds may well live on."""
    EXPIRED = "expired"
    """The service has ended the session: its ephemerals are gone. A new one will be opened."""
    CLOSED = "closed"
    """The client has been closed."""


class SessionSettings(NamedTuple):
    """Times in milliseconds. ``timeout_ms`` 0: no session, for admin calls and stale reads."""

    timeout_ms: int = SESSION_TIMEOUT_MS
    client_name: str = ""
    attach_ms: int = 1_500
    """How long a node may take to answer CONNECT before another is tried."""
    probe_ms: int = PROBE_MS
    """How long a node may owe an answer in silence before it is suspected of being frozen."""
    drift_ppm: int = 1_000
    """Bound on how much faster a server's clock may run than ours, in millionths; the service may
    ask for more."""
    waiting_max: int = 16_384
    """Operations waiting for room on the wire; one more is refused as OverloadedError."""


class _Phase(Enum):
    DISCONNECTED = 0
    ATTACHING = 1
    ATTACHED = 2


class Session:
    """One session with the service, across connections; after its end, the next one.

    Invariants: 1. seqs in ``_window`` ascend and lie in (acked, next_seq).
    2. len(_window) ≤ WRITES_IN_FLIGHT_MAX. 3. An operation is in exactly one of ``_queue``,
    ``_pending``, ``_returned``, ``_fates``, or resolved.
    """

    def __init__(
        self,
        settings: SessionSettings,
        spread: Callable[[], float],
        on_push: Callable[[Incoming], None],
    ) -> None:
        """``spread``: randomness in [0, 1) for pauses; ``on_push`` takes watch pushes."""
        self._settings = settings
        self._spread = spread
        self._on_push = on_push
        self.state = ConnectionState.SUSPENDED
        self.session_id = 0
        self.generation = 0
        self.timeout_ms = settings.timeout_ms
        self.last_revision = 0
        """Greatest revision any answer or event has shown."""
        self.info: dict[str, Any] = {}
        """What the node said of itself when we attached."""
        self.drop_reason: str | None = None
        self.attaches = 0
        """Counts successful attaches: a change tells the driver to renew its watches."""
        self._secret = b""
        self._phase = _Phase.DISCONNECTED
        self._codec = ClientCodec()
        self._credentials = Credentials()
        self._urgent: list[bytes] = []
        self._queue: deque[Operation] = deque()
        self._pending: dict[int, Operation] = {}
        self._window: dict[int, Operation] = {}
        self._fates: list[Fate] = []
        self._xid = 0
        self._next_seq = 1
        self._applied_seq = 0
        self._connect_xid = 0
        self._connect_sent_ms = 0
        self._phase_deadline_ms = NEVER_MS
        self._lets_go = False
        self._liveness = Liveness(settings.probe_ms)
        self._deadline_ms = NEVER_MS
        self._returned: list[Operation] = []
        self._refused_seq = 0
        self._writes_flying = 0
        self._refusals = 0
        self._paused_until_ms = 0

    # --- what a driver asks --------------------------------------------------------------------

    @property
    def wants_connection(self) -> bool:
        """Whether the driver should dial."""
        return self._phase is _Phase.DISCONNECTED and self.state is not ConnectionState.CLOSED

    @property
    def is_attached(self) -> bool:
        """Whether requests can be sent now."""
        return self._phase is _Phase.ATTACHED

    @property
    def hold_until_ms(self) -> int:
        """Until when the service cannot give away what this session holds; 0 if it might already.

        (send time of the last confirmed heartbeat) + timeout × (1 − drift bound). Compare it with
        the same clock at every use.
        """
        return 0 if self._lets_go else self._liveness.hold_until_ms

    def let_go(self) -> None:
        """The session is about to be ended: from now on the service may give everything away."""
        self._lets_go = True

    @property
    def wake_at_ms(self) -> int:
        """When :meth:`tick` wants to be called at the latest; NEVER_MS: not at all."""
        wake = min(self._deadline_ms, self._phase_deadline_ms)
        if self._phase is _Phase.ATTACHED:
            wake = min(wake, self._liveness.wake_at_ms(is_owed=bool(self._pending)))
            if self._goes_back and not self._writes_flying:
                wake = min(wake, self._paused_until_ms)
        return wake

    @property
    def _goes_back(self) -> bool:
        """Whether refused operations must be sent again before anything else."""
        return bool(self._returned or self._refused_seq)

    @property
    def acked(self) -> int:
        """Every write up to this number has been answered and its result may be forgotten."""
        for seq in self._window:
            return seq - 1
        return self._next_seq - 1

    # --- requests ------------------------------------------------------------------------------

    def submit(self, operation: Operation, *, first: bool = False) -> None:
        """Take an operation; its waiter hears of the outcome.

        ``first`` puts it before all that waits (renewed watches: events precede later reads).
        Raises OverloadedError past the bound, MisuseError for a write without a session.
        """
        if self.state is ConnectionState.CLOSED:
            raise errors.MisuseError("the client is closed")
        if len(self._queue) >= self._settings.waiting_max and not first:
            raise errors.OverloadedError(
                f"{len(self._queue)} operations wait in this client already; pause and retry"
            )
        if operation.kind is Kind.WRITE and not self._settings.timeout_ms:
            raise errors.MisuseError("this client has no session: it can read, not write")
        self._deadline_ms = min(self._deadline_ms, operation.deadline_ms)
        if first:
            self._queue.appendleft(operation)
        else:
            self._queue.append(operation)

    def prove(self, request: Auth, waiter: Waiter) -> None:
        """Send a credential, and send it again first thing on every connection to come."""
        self._credentials.add(request, waiter)
        if self._phase is not _Phase.DISCONNECTED:
            self._xid = xid = self._xid + 1
            self._urgent.append(self._credentials.newest(xid))

    def take_output(self, now_ms: int) -> list[bytes]:
        """Frames to write now, in order. Call again after writing, until it returns none."""
        out, self._urgent = self._urgent, []
        if self._phase is not _Phase.ATTACHED or self._goes_back:
            return out
        queue, pending, budget = self._queue, self._pending, OUTPUT_BYTES
        if queue and not pending:
            self._liveness.asked(now_ms)
        while queue and budget > 0 and len(pending) < CONNECTION_REQUESTS_MAX:
            operation = queue[0]
            if operation.waiter.done():
                queue.popleft()
                self._forget(operation)
                continue
            if operation.kind is Kind.WRITE and not self._number(operation):
                break
            queue.popleft()
            self._xid = xid = self._xid + 1
            acked = self.acked if operation.kind is Kind.WRITE else 0
            try:
                frame = encode_request(xid, operation.request, operation.seq, acked)
            except errors.CoordError as error:
                self._unnumber(operation)
                operation.fail(error)
                continue
            pending[xid] = operation
            operation.in_flight = True
            out.append(frame)
            budget -= len(frame)
        return out

    def _number(self, operation: Operation) -> bool:
        """Give a write its seq; False if the window is full."""
        if not operation.seq:
            if self._next_seq - 1 - self.acked >= WRITES_IN_FLIGHT_MAX:
                return False
            operation.seq = self._next_seq
            self._next_seq += 1
            self._window[operation.seq] = operation
        self._writes_flying += 1
        return True

    def _unnumber(self, operation: Operation) -> None:
        """What was about to be sent cannot be: its seq goes to the next write."""
        if operation.kind is Kind.WRITE:
            assert operation.seq == self._next_seq - 1, "only what was never sent is refused here"
            self._writes_flying -= 1
            self._next_seq -= 1
            del self._window[operation.seq]
            operation.seq = 0

    def _forget(self, operation: Operation) -> None:
        """A write nobody waits for leaves the window; its stored result may go."""
        if operation.seq:
            self._window.pop(operation.seq, None)

    # --- connection events ---------------------------------------------------------------------

    def opened(self, now_ms: int) -> None:
        """A new connection can carry bytes: say hello and attach."""
        assert self._phase is _Phase.DISCONNECTED, "one connection at a time"
        self._codec = ClientCodec()
        proofs = list(self._credentials.frames(self._xid))
        self._xid += len(proofs)
        self._urgent = [OPENING, *proofs]
        self.drop_reason = None
        if not self._settings.timeout_ms:
            self._become_attached()
            return
        self._phase = _Phase.ATTACHING
        self._phase_deadline_ms = now_ms + self._settings.attach_ms
        self._connect_sent_ms = now_ms
        self._xid = self._connect_xid = self._xid + 1
        connect = Connect(
            self.session_id,
            self._secret,
            self._settings.timeout_ms,
            self.last_revision,
            self._settings.client_name,
        )
        self._urgent.append(encode_request(self._connect_xid, connect))

    def lost(self, why: str) -> None:
        """The connection is gone. Nothing is concluded about writes until the next attach."""
        if self._phase is _Phase.DISCONNECTED:
            return
        self._phase = _Phase.DISCONNECTED
        self._phase_deadline_ms = NEVER_MS
        self.drop_reason = None
        self._urgent = []
        self._liveness.lost()
        self._refused_seq = self._writes_flying = self._paused_until_ms = 0
        again: list[Operation] = []
        for operation in (*self._returned, *self._pending.values()):
            if operation.kind is Kind.ONCE:
                operation.lose(why)
            else:
                operation.in_flight = False
                again.append(operation)
        self._returned = []
        self._pending = {}
        self._queue.extendleft(reversed(again))
        if self.state is ConnectionState.CONNECTED:
            self.state = ConnectionState.SUSPENDED

    def receive(self, data: bytes, now_ms: int) -> None:
        """Digest what arrived. Raises ProtocolError: the driver drops the connection."""
        self._liveness.heard(now_ms)
        pending = self._pending
        for message in self._codec.feed(data):
            self.last_revision = max(self.last_revision, message.revision)
            if type(message) is not Reply:
                self._pushed(message)
            elif (operation := pending.pop(message.xid, None)) is None:
                self._control_reply(message, now_ms)
            elif operation.kind is Kind.WRITE:
                self._write_answered(operation, message, now_ms)
            elif message.code != errors.OK:
                self._read_refused(operation, message, now_ms)
            else:
                self._refusals = 0
                if type(operation.request) is ListWatch and not message.body[1]:
                    pending[message.xid] = operation  # a listing in several frames: more is coming
                if not operation.waiter.done():
                    operation.waiter.set_result(message)
            if self.drop_reason is not None:
                break  # what follows on a connection we give up is void

    def tick(self, now_ms: int) -> None:
        """Let time pass: heartbeats, silence, deadlines, pauses."""
        if now_ms >= self._deadline_ms:
            self._sweep(now_ms)
        if now_ms >= self._phase_deadline_ms:
            self._phase_deadline_ms = NEVER_MS
            self._drop("the node did not answer in time when we attached")
        if self._phase is not _Phase.ATTACHED:
            return
        if self._goes_back and now_ms >= self._paused_until_ms and not self._writes_flying:
            self._requeue_returned()
        if self.session_id:
            self._stay_alive(now_ms)

    def close(self) -> None:
        """No more: everything that waits fails; the session is not ended by this."""
        for operation in self._all_operations():
            operation.lose("the client was closed")
        self._credentials.close()
        for table in (self._queue, self._pending, self._returned, self._fates, self._window):
            table.clear()
        self._phase = _Phase.DISCONNECTED
        self._deadline_ms = self._phase_deadline_ms = NEVER_MS
        self._liveness.ended()
        self.state = ConnectionState.CLOSED

    # --- answers -------------------------------------------------------------------------------

    def _control_reply(self, reply: Reply, now_ms: int) -> None:
        if self._liveness.is_ping(reply.xid):
            if reply.code == errors.OK:
                self._liveness.confirmed(reply.xid)
            else:
                self._session_refused(reply)
        elif reply.xid == self._connect_xid and self._phase is _Phase.ATTACHING:
            if reply.code == errors.OK:
                self._attached(reply, now_ms)
            else:
                self._session_refused(reply)
        elif self._credentials.is_about(reply) and (refusal := self._credentials.judged(reply)):
            self._drop(f"the node refused: {refusal}")

    def _attached(self, reply: Reply, now_ms: int) -> None:
        session_id, secret, generation, timeout_ms, last_seq, info = reply.body
        if session_id == self.session_id and last_seq < self._applied_seq:
            raise errors.ProtocolError(
                f"the node knows writes up to {last_seq}, {self._applied_seq} were answered"
            )
        self.session_id, self._secret, self.generation = session_id, secret, generation
        self.timeout_ms, self.info = timeout_ms, info
        drift_ppm = max(self._settings.drift_ppm, info.get("drift_ppm", 0))
        self._liveness.attached(self._connect_sent_ms, now_ms, timeout_ms, drift_ppm)
        self._renumber(last_seq)
        self._become_attached()

    def _become_attached(self) -> None:
        self._phase = _Phase.ATTACHED
        self._phase_deadline_ms = NEVER_MS
        self._refusals = self._paused_until_ms = 0
        self.state = ConnectionState.CONNECTED
        self.attaches += 1

    def _renumber(self, last_seq: int) -> None:
        """Sort the writes that wait into applied (ask again) and without effect (start afresh)."""
        assert not self._pending
        self._window = {}
        for operation in self._queue:
            if operation.seq > last_seq:
                operation.seq = 0
            elif operation.seq and not operation.waiter.done():
                self._window[operation.seq] = operation
        self._applied_seq = last_seq
        self._next_seq = last_seq + 1

    def _write_answered(self, operation: Operation, reply: Reply, now_ms: int) -> None:
        self._writes_flying -= 1
        operation.in_flight = False
        code, seq = reply.code, operation.seq
        if code in NOT_SEQUENCED:
            self._write_refused(operation, reply, now_ms)
        elif code in SESSION_GONE:
            self._returned.append(operation)  # stays unresolved until its fate is known
            self._session_refused(reply)
        elif self._refused_seq and seq > self._refused_seq:
            self._returned.append(operation)
            self._drop("a write was answered though its predecessor was refused")
        else:
            self._window.pop(seq, None)
            if code not in MAYBE_SEQUENCED:
                self._applied_seq = max(self._applied_seq, seq)
            self._refusals = 0
            if operation.waiter.done():
                return
            if code == errors.OK:
                operation.waiter.set_result(reply)
            else:
                operation.waiter.set_exception(reply.error())

    def _write_refused(self, operation: Operation, reply: Reply, now_ms: int) -> None:
        """Go back: this write and those behind it, all refused, are sent again in order."""
        code, seq = reply.code, operation.seq
        if seq > self._applied_seq:
            if code == errors.SequenceGapError.code and not self._refused_seq:
                self._returned.append(operation)
                self._drop("the node misses a write that we sent")
                return
            self._refused_seq = min(self._refused_seq or seq, seq)
            self._window.pop(seq, None)
            operation.seq = 0
        if code in TRANSIENT:
            self._return(operation, code, now_ms)
        else:
            operation.fail(reply.error())
        if self._goes_back and not self._writes_flying and now_ms >= self._paused_until_ms:
            self._requeue_returned()

    def _read_refused(self, operation: Operation, reply: Reply, now_ms: int) -> None:
        code = reply.code
        if code in SESSION_GONE and type(operation.request) is not Admin:
            if operation.kind is Kind.ONCE:
                operation.fail(reply.error())
            else:
                operation.in_flight = False
                self._returned.append(operation)
            self._session_refused(reply)
        elif code in TRANSIENT and operation.kind is not Kind.ONCE and self.session_id:
            self._return(operation, code, now_ms)
        else:
            operation.fail(reply.error())

    def _return(self, operation: Operation, code: int, now_ms: int) -> None:
        """Keep a refused operation for another attempt after a pause."""
        self._returned.append(operation)
        if code == errors.SequenceGapError.code:
            return
        if now_ms >= self._paused_until_ms:
            self._refusals += 1
            self._paused_until_ms = now_ms + backoff_ms(self._refusals, self._spread())
            if self._refusals >= REFUSALS_BEFORE_MOVING and code != errors.OverloadedError.code:
                self._drop("the node keeps saying that it is not ready")

    def _requeue_returned(self) -> None:
        assert not self._writes_flying
        if self._refused_seq:
            self._next_seq = self._refused_seq
            self._refused_seq = 0
        self._queue.extendleft(reversed(self._returned))
        self._returned = []

    def _session_refused(self, reply: Reply) -> None:
        """CONNECT, a heartbeat or a request was refused for the session's sake."""
        if reply.code == errors.SessionExpiredError.code:
            self._expire()
        else:
            self._drop(f"the node refused: {reply.error()}")

    def _pushed(self, push: Incoming) -> None:
        if type(push) is not NoticePush:
            self._on_push(push)
        elif push.reason == "expired":
            self._expire()
        else:
            self._drop(f"the node says {push.reason}: {push.message}")

    def _drop(self, reason: str) -> None:
        if self.drop_reason is None:
            self.drop_reason = reason

    # --- heartbeats, deadlines, the end of a session --------------------------------------------

    def _stay_alive(self, now_ms: int) -> None:
        due, why = self._liveness.due(now_ms, is_owed=bool(self._pending))
        if due is Due.LEAVE:
            self._drop(why)
        elif due is not Due.NOTHING:
            self._xid = xid = self._xid + 1
            if due is Due.PING:
                self._liveness.pinged(xid, now_ms)
                self._urgent.append(encode_request(xid, Ping()))
            else:
                self._liveness.probed(now_ms)
                self._urgent.append(encode_request(xid, Admin(DIGEST, {})))

    def _sweep(self, now_ms: int) -> None:
        """Fail what is overdue; what remains gives the next deadline."""
        why = "the node is silent" if self.is_attached else "no node could be reached"
        if self._returned:
            why = "the service keeps refusing for now"
        nearest = NEVER_MS
        for operation in self._all_operations():
            if operation.waiter.done():
                continue
            if operation.deadline_ms <= now_ms:
                operation.time_out(why)
            else:
                nearest = min(nearest, operation.deadline_ms)
        self._deadline_ms = nearest
        for operation in (*self._returned, *self._queue):
            if operation.waiter.done():
                self._forget(operation)
        self._returned = [each for each in self._returned if not each.waiter.done()]
        self._queue = deque(each for each in self._queue if not each.waiter.done())
        self._fates = [fate for fate in self._fates if not fate.done()]

    def _all_operations(self) -> Iterator[Operation]:
        yield from self._pending.values()
        yield from self._returned
        yield from self._queue
        for fate in self._fates:
            yield fate.write

    def _expire(self) -> None:
        """The service ended the session: learn the fate of its writes, then open another."""
        self._drop("the session has expired")
        ended = self.session_id
        writes: list[Operation] = []
        kept: list[Operation] = []
        for operation in (*self._returned, *self._pending.values(), *self._queue):
            if operation.kind is Kind.ONCE and operation.in_flight:
                operation.lose("the session has expired")
                continue
            operation.in_flight = False
            if operation.kind is not Kind.WRITE:
                kept.append(operation)
            elif isinstance(operation.request, Close):
                if not operation.waiter.done():
                    operation.waiter.set_result(Reply(0, errors.OK, self.last_revision, ()))
            elif operation.seq:
                writes.append(operation)
            else:
                operation.fail(
                    errors.SessionExpiredError(f"session {ended:#x} has ended; it was not sent")
                )
        self._returned = []
        self._pending = {}
        self._window = {}
        self._queue = deque(kept)
        self._ask_fate(ended, writes)
        self.session_id = self.generation = self._applied_seq = 0
        self._refused_seq = self._writes_flying = 0
        self._secret, self._next_seq = b"", 1
        self._liveness.ended()
        self.state = ConnectionState.EXPIRED

    def _ask_fate(self, ended: int, writes: list[Operation]) -> None:
        """Ask what became of writes in flight, first thing on the next connection."""
        fates = [Fate(ended, self._secret, each) for each in writes if not each.waiter.done()]
        self._fates = [fate for fate in self._fates if not fate.done()] + fates
        self._queue.extendleft(fate.question() for fate in reversed(fates))
