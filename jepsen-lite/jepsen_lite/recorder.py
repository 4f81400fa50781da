"""Writes down what clients do, as it happens, on one monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from jepsen_lite.clients.store import InDoubtError, RefusedError
from jepsen_lite.history import UNKNOWN_REVISION, Json, Op, Outcome

if TYPE_CHECKING:
    from jepsen_lite.clients.store import Store
    from jepsen_lite.history_file import Writer

now_ns: Final = time.monotonic_ns


class Answer(NamedTuple):
    """What a successful operation returned, and its place in the service's order if it said so."""

    result: Json = None
    revision: int = UNKNOWN_REVISION


@dataclass(slots=True)
class Counts:
    """Operations so far, by outcome."""

    ok: int = 0
    fail: int = 0
    info: int = 0
    latest_ok_ns: int = 0
    longest_gap_ns: int = 0
    """Longest time without a successful operation."""
    errors: dict[str, int] = field(default_factory=dict)
    """How often each kind of error was met."""

    def add(self, op: Op) -> None:
        """Count one."""
        if op.outcome is Outcome.OK:
            self.ok += 1
            if self.latest_ok_ns:
                self.longest_gap_ns = max(self.longest_gap_ns, op.complete_ns - self.latest_ok_ns)
            self.latest_ok_ns = op.complete_ns
        elif op.outcome is Outcome.FAIL:
            self.fail += 1
        else:
            self.info += 1
        if op.error:
            kind = op.error.partition(":")[0]
            self.errors[kind] = self.errors.get(kind, 0) + 1


class Recorder:
    """Gives each operation its times and outcome and writes it to the history."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.counts = Counts()

    async def perform(
        self,
        process: int | str,
        store: Store,
        f: str,
        key: str | int | None,
        value: Json,
        action: Callable[[], Awaitable[Answer]],
    ) -> Op:
        """Run ``action`` as one operation. A refusal is a fail, doubt is an info; any other
        exception is a fault of the harness and is not caught."""
        op, session = Op(process, f, key, value, now_ns()), store.session_id
        try:
            answer = await action()
        except RefusedError as refusal:
            op.outcome, op.error = Outcome.FAIL, refusal.text
        except InDoubtError as doubt:
            op.error = doubt.text
        else:
            op.outcome, op.result, op.revision = Outcome.OK, answer.result, answer.revision
        op.complete_ns = now_ns()
        # A session that ended meanwhile (by this very operation, perhaps) is the one that did it.
        op.session, op.node = store.session_id or session, store.node
        return self.note(op)

    def note(self, op: Op) -> Op:
        """Write down an operation that is over."""
        self.counts.add(op)
        self.writer.op(op)
        return op
