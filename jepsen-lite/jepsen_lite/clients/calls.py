"""Writes down every request that passes through a session of ``coord_client``, for the check
against the committed log: its session and number, its outcome, what the service answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.errors import (
    CoordError,
    NoSpaceError,
    RequestError,
    SessionExpiredError,
    SessionMovedError,
)
from coord.model.znode import STAT_BYTES, Stat
from coord.protocol.native_client import Incoming, Reply
from coord_client.operations import Kind, Operation, Waiter
from coord_client.session import Session, SessionSettings
from jepsen_lite.history import UNKNOWN_REVISION, Call, Json, Outcome, to_text
from jepsen_lite.recorder import now_ns

if TYPE_CHECKING:
    from jepsen_lite.history_file import Writer

NO_ENTRY: Final = frozenset({SessionExpiredError.code, SessionMovedError.code, NoSpaceError.code})
"""Refusals that the log knows nothing of."""
KINDS: Final[dict[type, str]] = {
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
"""Requests that are written down, and what the history calls them."""
PARTS: Final[dict[type, str]] = {
    **KINDS,
    rq.Check: "check",
    rq.Compare: "compare",
    rq.Guard: "guard",
}
"""Operations of a multi, and what the history calls them."""
WRITES: Final = frozenset({"create", "delete", "set", "set_acl", "multi", "close"})


def plain(value: Any) -> Json:
    """A request's or reply's field as JSON: bytes as text, a packed Stat as its numbers."""
    if isinstance(value, bytes | bytearray | memoryview):
        return to_text(bytes(value))
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def arguments(request: rq.Request) -> tuple[list[Json], int]:
    """(args, level) of a request that is written down."""
    if isinstance(request, rq.Multi):
        return [[PARTS[type(each)], *plain(each)] for each in request.operations], 0
    if isinstance(request, rq.Close):
        return [], 0
    if isinstance(request, rq.Get | rq.Exists | rq.Children):
        return [request.path], int(request.level)
    return list(plain(request)), 0


_STAT_AT: Final = {"create": 1, "set": 0, "set_acl": 0, "get": 1, "exists": 0, "children": 1}
"""Where in its reply's body an operation's Stat stands."""


def body_of(kind: str, body: tuple[Any, ...], parts: list[Json]) -> list[Json]:
    """A reply's body as JSON."""
    if kind == "multi":
        return [
            [int(row[0]), *body_of(part[0], tuple(row[1:]), [])]
            for part, row in zip(parts, body, strict=True)
        ]
    at = _STAT_AT.get(kind, -1)
    return [
        list(Stat.unpack(each)) if place == at and _is_stat(each) else plain(each)
        for place, each in enumerate(body)
    ]


def _is_stat(value: Any) -> bool:
    return isinstance(value, bytes | memoryview) and len(value) == STAT_BYTES


class _Waiting:
    """Stands between the machine and who waits for an operation."""

    def __init__(self, session: RecordedSession, operation: Operation, call: Call) -> None:
        self.call = call
        self.operation = operation
        self._session = session
        self._behind: Waiter = operation.waiter
        self._is_told = False

    def done(self) -> bool:
        """Told already, or who waits has given up."""
        return self._is_told or self._behind.done()

    def set_result(self, reply: Reply, /) -> None:
        """Part of Waiter."""
        self._is_told = True
        call = self.call
        parts = call.args if call.kind == "multi" else []
        call.revision, call.body = reply.revision, body_of(call.kind, reply.body, parts)
        # A close of a session that had expired meanwhile is done, too, but not by this write.
        closed_anyway = call.kind == "close" and reply.xid == 0
        self._session.was_closed |= call.kind == "close"
        if call.kind == "children" and reply.body[2]:
            call.revision = UNKNOWN_REVISION  # a page: a model only lists all of them
        self._session.ended(self, Outcome.INFO if closed_anyway else Outcome.OK)
        self._behind.set_result(reply)

    def set_exception(self, error: BaseException, /) -> None:
        """Part of Waiter."""
        self._is_told = True
        assert isinstance(error, CoordError), error
        outcome = Outcome.INFO
        if error.definite:
            # Refused by the log (it has a number), or known to have left no entry.
            decided = isinstance(error, RequestError) and error.code not in NO_ENTRY
            is_read = self.call.kind not in WRITES
            outcome = Outcome.OK if decided and (self.call.seq or is_read) else Outcome.FAIL
        if error.code == NoSpaceError.code:
            self.call.seq = 0  # its number goes to the next write
        self.call.code = error.code
        self._session.ended(self, outcome)
        self._behind.set_exception(error)


class RecordedSession(Session):
    """The library's session machine, with a witness before and after everything that it does."""

    def __init__(
        self,
        writer: Writer,
        settings: SessionSettings,
        spread: Callable[[], float],
        on_push: Callable[[Incoming], None],
    ) -> None:
        super().__init__(settings, spread, on_push)
        self._writer = writer
        self._waiting: dict[_Waiting, None] = {}
        self.was_closed = False
        """The service has said that the session has ended, as its client asked."""

    # --- the machine's entrances ------------------------------------------------------------------

    def submit(self, operation: Operation, *, first: bool = False) -> None:
        """Take an operation, and remember it."""
        kind = KINDS.get(type(operation.request))
        if kind is None or operation.kind not in (Kind.READ, Kind.WRITE):
            super().submit(operation, first=first)
            return
        args, level = arguments(operation.request)
        call = Call(self.session_id, 0, kind, args, now_ns(), level=level)
        waiting = _Waiting(self, operation, call)
        super().submit(operation, first=first)  # may refuse: then nobody has asked for anything
        operation.waiter = waiting
        self._waiting[waiting] = None

    def take_output(self, now_ms: int) -> list[bytes]:
        """What is sent may have been given its number."""
        frames = super().take_output(now_ms)
        self._note()
        return frames

    def receive(self, data: bytes, now_ms: int) -> None:
        """Answers."""
        self._note()
        super().receive(data, now_ms)
        self._note()

    def lost(self, why: str) -> None:
        """What is under way will be sent again."""
        self._note()
        for waiting in self._waiting:
            waiting.call.sent_again = True
        super().lost(why)
        self._note()

    def tick(self, now_ms: int) -> None:
        """Operations may run out of time."""
        self._note()
        super().tick(now_ms)
        self._note()

    def close(self) -> None:
        """Whatever is left will never be known."""
        self._note()
        super().close()
        for waiting in tuple(self._waiting):
            self.ended(waiting, Outcome.INFO)

    # --- what they leave --------------------------------------------------------------------------

    def ended(self, waiting: _Waiting, outcome: Outcome) -> None:
        """A call has its outcome."""
        if waiting not in self._waiting:
            return  # it has been written
        del self._waiting[waiting]
        call = waiting.call
        call.outcome, call.complete_ns = outcome, now_ns()
        self._writer.call(call)

    def _note(self) -> None:
        """Sessions and numbers of what is under way, before the machine may forget them. A write
        that had a number when its session ended keeps both: its fate is asked for."""
        session = self.session_id
        for waiting in tuple(self._waiting):
            call, seq = waiting.call, waiting.operation.seq
            if call.kind not in WRITES:
                call.session = session
                if waiting.done():
                    self.ended(waiting, Outcome.INFO)
            elif session and seq and (not call.seq or call.session == session):
                call.session, call.seq = session, seq
            elif waiting.done():
                self._given_up(waiting)

    def _given_up(self, waiting: _Waiting) -> None:
        """Nobody waits for this write. Until it has been answered its number may turn out to be
        without effect, and another write's."""
        call = waiting.call
        if not waiting.operation.seq and call.session == self.session_id:
            call.seq = 0
            self.ended(waiting, Outcome.FAIL)
        elif call.session != self.session_id:
            self.ended(waiting, Outcome.INFO)
