"""Writes down what passes through a session machine of the client library: operations, their
numbers and outcomes, and what the machine believes of its session.

Where the library's errors do not carry a revision, the history says ``UNKNOWN_REVISION`` and the
checkers make do with the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coord.model import requests as rq
from coord.model.errors import (
    CoordError,
    NoSpaceError,
    RequestError,
    SessionExpiredError,
    SessionMovedError,
)
from coord.protocol.native_client import Reply
from coord.sim import US_PER_MS, Process
from coord_client.operations import Kind, Operation, Waiter
from coord_client.session import ConnectionState, Session
from tests.sim import programs
from tests.sim.history import UNKNOWN_REVISION, WRITE_KINDS, History, Op, Outcome, SessionLife

NO_ENTRY: Final = frozenset({SessionExpiredError.code, SessionMovedError.code, NoSpaceError.code})
"""Refusals that the log knows nothing of."""
NAMES: Final[dict[type, str]] = {
    rq.Create: "create",
    rq.Delete: "delete",
    rq.Set: "set",
    rq.SetAcl: "set_acl",
    rq.Multi: "multi",
    rq.Close: "close",
    rq.Get: "get",
    rq.Exists: "exists",
    rq.Children: "children",
    rq.Sync: "sync",
}
"""Requests that the history holds, and their kinds there."""


class Waiting:
    """An operation under way: a waiter of the machine's that may tell another."""

    def __init__(self, recorder: SessionRecorder, op: Op, behind: Waiter | None) -> None:
        self.op = op
        self.operation: Operation
        self._recorder = recorder
        self._behind = behind
        self._told = False

    def done(self) -> bool:
        """Told already, or who waits has given up."""
        return self._told or (self._behind is not None and self._behind.done())

    def set_result(self, reply: Reply) -> None:
        """Part of Waiter."""
        self._told = True
        op = self.op
        op.code, op.revision, op.body = 0, reply.revision, reply.body
        # A close of a session that had expired meanwhile is done, too, but not by this write.
        closed_anyway = op.kind == "close" and reply.xid == 0
        if op.kind == "children" and op.body[2]:
            op.revision = UNKNOWN_REVISION  # a page: the model only lists all of them
        self._recorder.ended(self, Outcome.INFO if closed_anyway else Outcome.OK)
        if self._behind is not None:
            self._behind.set_result(reply)

    def set_exception(self, error: BaseException) -> None:
        """Part of Waiter."""
        self._told = True
        assert isinstance(error, CoordError), error
        outcome = Outcome.INFO
        if error.definite:
            # Refused by the log (it has a number), or known to have left no entry.
            decided = isinstance(error, RequestError) and error.code not in NO_ENTRY
            outcome = Outcome.OK if decided and self.op.seq else Outcome.FAIL
        if outcome is Outcome.FAIL and not self.operation.seq:
            self.op.seq = 0  # its number goes to the next write
        self.op.code, self.op.revision = error.code, UNKNOWN_REVISION
        self._recorder.ended(self, outcome)
        if self._behind is not None:
            self._behind.set_exception(error)


class SessionRecorder:
    """Stands around one machine. Its driver calls ``note`` before and after every call of it."""

    def __init__(
        self,
        machine: Session,
        process: Process,
        history: History,
        on_ended: Callable[[Op], None] = lambda _op: None,
    ) -> None:
        self.waiting: dict[Waiting, None] = {}
        self.writes_done = self.reads_done = 0
        self._machine = machine
        self._process = process
        self._history = history
        self._on_ended = on_ended
        self._life: SessionLife | None = None

    @property
    def under_way(self) -> int:
        """How many operations somebody waits for."""
        return sum(not waiting.done() for waiting in self.waiting)

    @property
    def is_idle(self) -> bool:
        """Nobody waits for anything."""
        return not self.under_way

    def begin(self, kind: str, args: tuple[Any, ...], level: int, behind: Waiter | None) -> Waiting:
        """An operation is about to be submitted; what it returns must be its waiter."""
        op = Op(self._process.name, 0, 0, kind, args, level, self._process.kernel.now_us)
        waiting = Waiting(self, op, behind)
        self.waiting[waiting] = None
        self._history.ops.append(op)
        return waiting

    def observe(self, operation: Operation) -> None:
        """The same for an operation that somebody else submits."""
        kind = NAMES.get(type(operation.request))
        if kind is not None and operation.kind in (Kind.READ, Kind.WRITE):
            args, level = arguments_of(operation.request)
            waiting = self.begin(kind, args, level, operation.waiter)
            waiting.operation = operation
            operation.waiter = waiting

    def ended(self, waiting: Waiting, outcome: Outcome) -> None:
        """An operation has its outcome."""
        op = waiting.op
        if outcome is not Outcome.INFO or op.kind not in WRITE_KINDS:
            del self.waiting[waiting]
        op.outcome = outcome
        op.complete_us = self._process.kernel.now_us
        if outcome is Outcome.OK:
            if op.kind in WRITE_KINDS:
                self.writes_done += 1
            else:
                self.reads_done += 1
        self._on_ended(op)

    def breach(self, rule: str, what: object) -> None:
        """The machine was told what no service may say."""
        self._history.breach(rule, f"{self._process.name}: {what}")

    def lost(self) -> None:
        """The connection is gone: what is under way will be sent again."""
        for waiting in self.waiting:
            waiting.op.sent_again = True

    def note(self) -> None:
        """Sessions and numbers of what is under way, before the machine may forget them, and what
        it believes of its session. A write that had a number when its session ended keeps both:
        its fate is asked for."""
        session = self._machine.session_id
        refused = self._machine._returned  # for now: they are sent again, behind later reads
        for waiting in tuple(self.waiting):
            waiting.op.sent_again |= waiting.operation in refused
            op, seq = waiting.op, waiting.operation.seq
            if op.kind not in WRITE_KINDS:
                op.session = session
                if waiting.done():
                    del self.waiting[waiting]
            elif waiting.done():
                self._given_up(waiting)
            elif session and seq and (not op.seq or op.session == session):
                op.sent_again |= op.seq not in (0, seq)  # refused, and sent anew in one breath
                op.session, op.seq = session, seq
        self._note_session()

    def _given_up(self, waiting: Waiting) -> None:
        """Nobody waits for this write. Its number may turn out to be without effect, and then it
        is another write's."""
        op, session = waiting.op, self._machine.session_id
        if op.session != session:
            del self.waiting[waiting]
        elif not waiting.operation.seq or self._is_of_another(waiting):
            op.seq = 0
            del self.waiting[waiting]

    def _is_of_another(self, waiting: Waiting) -> bool:
        seq = waiting.op.seq
        return any(
            other.operation.seq == seq and not other.done() and other.op.kind in WRITE_KINDS
            for other in self.waiting
        )

    def _note_session(self) -> None:
        machine, life = self._machine, self._life
        if life is not None and machine.session_id != life.session:
            if machine.state in (ConnectionState.EXPIRED, ConnectionState.SUSPENDED):
                life.told_expired_us = self._process.kernel.now_us
            self._life = life = None
        if life is None and machine.session_id:
            life = SessionLife(machine.session_id, machine.timeout_ms, machine._secret)
            self._life = self._history.sessions[machine.session_id] = life
        if life is not None:
            life.hold_until_us = max(life.hold_until_us, machine.hold_until_ms * US_PER_MS)


def arguments_of(request: rq.Request) -> tuple[tuple[Any, ...], int]:
    """(args, level) as the history holds them."""
    if isinstance(request, rq.Multi):
        return programs.multi(*request.operations).args, 0  # type: ignore[arg-type]
    if isinstance(request, rq.Close):
        return (), 0
    if isinstance(request, rq.Get | rq.Exists | rq.Children):
        return (request.path,), int(request.level)
    if isinstance(request, rq.Sync):
        return (request.path,), 0
    return tuple(request), 0
