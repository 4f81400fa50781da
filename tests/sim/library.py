"""A simulated client that is the client library: its session machine, driven in virtual time.

The machine decides what is sent again and what became of it; this file only moves bytes, lets time
pass and writes the history. Where the library's errors do not carry a revision, the history says
``UNKNOWN_REVISION`` and the checkers make do with the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coord.model.errors import (
    CoordError,
    RequestError,
    SessionExpiredError,
    SessionMovedError,
)
from coord.protocol.native_client import Incoming, Reply
from coord.sim import US_PER_MS, End, Network, Process, host_name
from coord_client.operations import NEVER_MS, Kind, Operation
from coord_client.session import ConnectionState, Session, SessionSettings
from tests.sim.clients import PORT, RECONNECT_MS_MAX
from tests.sim.history import UNKNOWN_REVISION, WRITE_KINDS, History, Op, Outcome, SessionLife

if TYPE_CHECKING:
    from coord.sim.kernel import Event
    from tests.sim.programs import Program

SESSION_GONE: Final = frozenset({SessionExpiredError.code, SessionMovedError.code})


class _Waiting:
    """An operation under way: the waiter that the session machine tells of its outcome."""

    def __init__(self, client: LibraryClient, op: Op) -> None:
        self.op = op
        self.operation: Operation
        self._client = client
        self._told = False

    def done(self) -> bool:
        return self._told

    def set_result(self, reply: Reply) -> None:
        self._told = True
        self.op.code, self.op.revision, self.op.body = 0, reply.revision, reply.body
        # A close of a session that had expired meanwhile is done, too, but not by this write.
        closed_anyway = self.op.kind == "close" and reply.xid == 0
        self._client.ended(self, Outcome.INFO if closed_anyway else Outcome.OK)

    def set_exception(self, error: BaseException) -> None:
        self._told = True
        assert isinstance(error, CoordError), error
        outcome = Outcome.INFO
        if error.definite:
            # Refused by the log (it has a number), or known to have left no entry.
            decided = isinstance(error, RequestError) and error.code not in SESSION_GONE
            outcome = Outcome.OK if decided and self.op.seq else Outcome.FAIL
        self.op.code, self.op.revision = error.code, UNKNOWN_REVISION
        self._client.ended(self, outcome)


class LibraryClient:
    """One client process on the library's session machine; same use as ``SimClient``."""

    def __init__(
        self,
        network: Network,
        name: str,
        nodes: int,
        program: Program,
        history: History,
        *,
        depth: int = 1,
        think_ms: int = 0,
        timeout_ms: int = 4_000,
        patience_ms: int = 2_000,
    ) -> None:
        self.process = Process(network.kernel, name)
        self.history = history
        self.program = program
        self.stopping = self.vanished = False
        self.writes_done = self.reads_done = 0
        self._network = network
        self._nodes = nodes
        self._depth = depth
        self._think_ms = think_ms
        self._stream = network.kernel.streams.get(f"client/{name}")
        settings = SessionSettings(
            timeout_ms=timeout_ms, client_name=name, attach_ms=patience_ms, probe_ms=patience_ms
        )
        self._machine = Session(settings, self._stream.random, self._on_push)
        self._end: End | None = None
        self._dialling = False
        self._waiting: dict[_Waiting, None] = {}
        self._timer: Event | None = None
        self._pump_due = False
        self._life: SessionLife | None = None

    @property
    def is_idle(self) -> bool:
        """Nothing is under way."""
        return not self._waiting

    @property
    def session(self) -> int:
        """The present session, 0 if there is none."""
        return self._machine.session_id

    def start(self) -> None:
        """Begin."""
        self.process.start()
        self._connect()
        self._pump()

    def vanish(self) -> None:
        """Die for good: the session is left to expire."""
        self.vanished = True
        self.process.crash()
        self._network.process_died(self.process, power=False)

    def hang_up(self) -> None:
        """Leave this node; come back on any."""
        if self._end is not None:
            self._end.close()
            self._lost("hung up")

    # --- connection -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self._dialling and self._end is None and self._machine.wants_connection:
            self._dialling = True
            node = host_name(self._stream.randrange(self._nodes) + 1)
            self._network.dial(self.process, node, PORT, self.process.name, self._dialled)

    def _dialled(self, end: End | None, _answer: Any) -> None:
        self._dialling = False
        if end is None:
            self._later()
            return
        self._end = end
        end.handler = self
        self._machine.opened(self._now_ms())
        self._after()

    def _later(self) -> None:
        self.process.call_later(self._stream.randrange(1, RECONNECT_MS_MAX), self._connect)

    def _lost(self, why: str) -> None:
        self._end = None
        for waiting in self._waiting:
            waiting.op.sent_again = True
        self._machine.lost(why)
        self._later()
        self._after()

    def on_item(self, item: bytes) -> None:
        """Bytes from the node."""
        self._note_numbers()
        self._machine.receive(item, self._now_ms())
        self._after()

    def on_end(self) -> None:
        """The connection is gone."""
        self._lost("the node has gone")

    def _on_push(self, push: Incoming) -> None:
        raise AssertionError(f"{self.process.name} has no watches and got {push}")

    def _now_ms(self) -> int:
        return self.process.clock.monotonic_ms()

    def _after(self) -> None:
        """The driver's duties after any call."""
        machine, end = self._machine, self._end
        while end is not None and (frames := machine.take_output(self._now_ms())):
            end.write(b"".join(frames))
        self._note_numbers()
        self._note_session()
        if machine.drop_reason is not None and end is not None:
            end.close()
            self._lost(machine.drop_reason)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if machine.wake_at_ms < NEVER_MS:
            delay_ms = max(1, machine.wake_at_ms - self._now_ms())
            self._timer = self.process.call_later(delay_ms, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._note_numbers()
        self._machine.tick(self._now_ms())
        self._after()

    # --- history --------------------------------------------------------------------------------

    def _note_numbers(self) -> None:
        """Sessions and numbers of what is under way, before the machine may forget them. A write
        that had a number when its session ended keeps both: its fate is asked for."""
        session = self._machine.session_id
        for waiting in self._waiting:
            op, seq = waiting.op, waiting.operation.seq
            if op.kind not in WRITE_KINDS:
                op.session = session
            elif session and seq and (not op.seq or op.session == session):
                op.session, op.seq = session, seq

    def _note_session(self) -> None:
        machine, life = self._machine, self._life
        if life is not None and machine.session_id != life.session:
            if machine.state in (ConnectionState.EXPIRED, ConnectionState.SUSPENDED):
                life.told_expired_us = self._network.kernel.now_us
            self._life = life = None
        if life is None and machine.session_id:
            life = SessionLife(machine.session_id, machine.timeout_ms)
            self._life = self.history.sessions[machine.session_id] = life
        if life is not None:
            life.hold_until_us = max(life.hold_until_us, machine.hold_until_ms * US_PER_MS)

    def ended(self, waiting: _Waiting, outcome: Outcome) -> None:
        """An operation has its outcome."""
        op = waiting.op
        del self._waiting[waiting]
        op.outcome = outcome
        op.complete_us = self._network.kernel.now_us
        if outcome is Outcome.OK:
            if op.kind in WRITE_KINDS:
                self.writes_done += 1
            else:
                self.reads_done += 1
        self.program.answered(op)
        self._pump()

    # --- requests -------------------------------------------------------------------------------

    def _pump(self) -> None:
        if not self._pump_due and not self.stopping:
            self._pump_due = True
            pause_ms = self._stream.randrange(self._think_ms + 1) if self._think_ms else 0
            self.process.call_later(pause_ms, self._submit)

    def _submit(self) -> None:
        self._pump_due = False
        while not self.stopping and len(self._waiting) < self._depth:
            intent = self.program.next()
            if intent is None:
                return
            now_us = self._network.kernel.now_us
            op = Op(self.process.name, 0, 0, intent.kind, intent.args, intent.level, now_us)
            waiting = _Waiting(self, op)
            kind = Kind.WRITE if intent.kind in WRITE_KINDS else Kind.READ
            waiting.operation = Operation(intent.request, waiting, kind, NEVER_MS)
            self._waiting[waiting] = None
            self.history.ops.append(op)
            self._machine.submit(waiting.operation)
        self._after()
