"""One request on its way through the session machine, and who waits for it. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, Protocol

from coord.model.errors import (
    OK,
    ConnectionLostError,
    CoordError,
    OperationTimeoutError,
    SessionExpiredError,
)
from coord.model.requests import RESULT_OF, Admin, Request
from coord.protocol.native_client import Reply

NEVER_MS: Final = 1 << 62
"""Deadline of an operation that waits as long as it takes."""


class Waiter(Protocol):
    """Who hears of the outcome: an asyncio future, or whatever a simulation puts in its place.

    ``done`` is True once a result was set or the caller gave up; the machine then sets nothing.
    """

    def done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """The reply frame arrived."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """The operation failed with a CoordError."""
        ...


class Kind(IntEnum):
    """What becomes of an operation whose connection is lost before the answer came."""

    READ = 0
    """Has no effect: sent again."""
    WRITE = 1
    """Sequenced: sent again under the same number, applied once."""
    ONCE = 2
    """Neither: fails as ConnectionLostError, it may have happened."""
    STREAM = 3
    """A read answered by one frame or more, then by pushes: sent again from its beginning."""


class Operation:
    """One request.

    Invariant: ``seq`` ≠ 0 exactly if the request is a write that has been sent under that number
    and is not known to be without effect.
    """

    __slots__ = ("deadline_ms", "in_flight", "kind", "request", "seq", "waiter")

    def __init__(self, request: Request, waiter: Waiter, kind: Kind, deadline_ms: int) -> None:
        self.request = request
        self.waiter = waiter
        self.kind = kind
        self.deadline_ms = deadline_ms
        self.seq = 0
        self.in_flight = False

    @property
    def may_have_happened(self) -> bool:
        """Whether an effect cannot be excluded now."""
        if self.kind is Kind.WRITE:
            return self.seq != 0
        return self.kind is Kind.ONCE and self.in_flight

    def fail(self, error: CoordError) -> None:
        """Tell the caller, if there still is one."""
        if not self.waiter.done():
            self.waiter.set_exception(error)

    def time_out(self, why: str) -> None:
        """The caller's time is up; ``why`` is what the machine was waiting for."""
        name = type(self.request).__name__.lower()
        definite = not self.may_have_happened
        hope = "it did not happen" if definite else "it may still happen"
        text = f"{name}: no answer in time, {why}; {hope}"
        self.fail(OperationTimeoutError(text, definite=definite))

    def lose(self, why: str) -> None:
        """The connection is gone and the request must not be repeated."""
        definite = not self.may_have_happened
        self.fail(ConnectionLostError(why, definite=definite))


class Fate:
    """Waits for RESULT_OF: tells a write that was in flight when its session ended what became
    of it. The service answers [outcome, code, revision, body] during ten minutes."""

    def __init__(self, session_id: int, secret: bytes, write: Operation) -> None:
        assert write.seq > 0
        self.write = write
        self._session_id = session_id
        self._secret = secret

    def question(self) -> Operation:
        """RESULT_OF as a read that is asked until it is answered."""
        arguments: dict[str, object] = {
            "session": self._session_id,
            "secret": self._secret,
            "seq": self.write.seq,
        }
        return Operation(Admin(RESULT_OF, arguments), self, Kind.READ, NEVER_MS)

    def done(self) -> bool:
        """True once the caller has given up."""
        return self.write.waiter.done()

    def set_result(self, reply: Reply, /) -> None:
        """The service has looked."""
        outcome, code, revision, body = reply.body
        if outcome != "applied":
            self._expired(definite=outcome == "not applied")
            return
        result = Reply(0, code, revision, tuple(body))
        if code == OK:
            self.write.waiter.set_result(result)
        else:
            self.write.fail(result.error())

    def set_exception(self, error: BaseException, /) -> None:
        """The service cannot say (the ten minutes are over); nor can we."""
        del error
        self._expired(definite=False)

    def _expired(self, *, definite: bool) -> None:
        fate = "was not applied" if definite else "may have been applied: its result is not known"
        error = SessionExpiredError(f"session {self._session_id:#x} has ended; this write {fate}")
        error.definite = definite
        self.write.fail(error)
