"""Histories: what was asked, what was answered, which faults struck, what the log says.

``Op`` is one operation as the workload sees it (``read x``, ``acquire lock``); ``Call`` is one
request to coord's tree, which the order check compares with the committed log. ``history_file``
reads and writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

NEVER: Final = -1
"""``complete_ns`` of an operation whose end nobody saw."""
FOREVER: Final = 1 << 62
"""After all times."""
UNKNOWN_REVISION: Final = -1

Json = Any
"""What JSON can hold: None, bool, int, float, str, lists of it, maps from str to it."""


class Outcome(Enum):
    """OK: it happened. FAIL: it certainly did not. INFO: it may have, now or later."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(slots=True)
class Op:
    """One operation of the workload.

    ``process`` does one thing at a time. ``f``: what it does, in the words of the workload;
    ``key``: to what (histories fall apart by key); ``value``: with which argument. Times are
    nanoseconds of one monotonic clock; ``complete_ns`` is NEVER only if ``outcome`` is INFO.
    ``result`` is meaningful if ``outcome`` is OK. ``revision``: the place in the service's order
    that the answer named, or UNKNOWN_REVISION. ``id``: its place among the operations.
    """

    process: int | str
    f: str
    key: str | int | None
    value: Json
    invoke_ns: int
    complete_ns: int = NEVER
    outcome: Outcome = Outcome.INFO
    result: Json = None
    session: int = 0
    revision: int = UNKNOWN_REVISION
    error: str | None = None
    node: str | None = None
    id: int = -1

    @property
    def is_ok(self) -> bool:
        """It happened, and its result is known."""
        return self.outcome is Outcome.OK

    @property
    def may_have_happened(self) -> bool:
        """It was not certainly without effect."""
        return self.outcome is not Outcome.FAIL

    @property
    def end_ns(self) -> int:
        """When it was over at the latest: beyond all times if nobody knows."""
        return self.complete_ns if self.outcome is Outcome.OK else FOREVER

    def __str__(self) -> str:
        what = self.f if self.key is None else f"{self.f} {self.key}"
        value = "" if self.value is None else f" {self.value!r:.60}"
        told = f" -> {self.result!r:.60}" if self.is_ok and self.result is not None else ""
        return f"#{self.id} ({self.process}: {what}{value}{told}, {self.outcome.value})"


@dataclass(slots=True)
class Call:
    """One request to coord's tree, as sent by a session.

    ``kind``: create, delete, set, set_acl, multi, close, get, exists, children or sync. ``args``:
    the request's arguments in its order; ``body``: the reply's. Bytes are text (see ``to_text``),
    Stats are lists of eleven numbers. OK: the service answered, with ``code`` 0 or with a refusal
    that the log (or the state read) decided. FAIL: it left no entry. INFO: nobody knows. ``seq``:
    a write's number in its session, 0 if it never had one. ``op``: the operation it is part of.
    """

    session: int
    seq: int
    kind: str
    args: list[Json]
    invoke_ns: int
    complete_ns: int = NEVER
    outcome: Outcome = Outcome.INFO
    code: int = 0
    body: list[Json] = field(default_factory=list)
    revision: int = UNKNOWN_REVISION
    level: int = 0
    """Of a read: 0 linearizable; 1, 2 served locally."""
    sent_again: bool = False
    op: int = -1
    id: int = -1


@dataclass(slots=True)
class Fault:
    """One fault from start to end. ``verified``: how it was seen to have taken effect."""

    name: str
    targets: list[str]
    start_ns: int
    end_ns: int = NEVER
    verified: str = ""


class LogRun(NamedTuple):
    """Consecutive entries of the committed log, as one node tells it."""

    node: str
    first: int
    term: int
    kind: int
    payloads: list[bytes]


@dataclass(slots=True)
class History:
    """Everything a run leaves for its checkers. ``meta``: how it was made, for the report."""

    workload: str = ""
    model: str = ""
    meta: dict[str, Json] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    log: list[LogRun] = field(default_factory=list)
    is_cut_short: bool = False
    """The file ends within a line: its writer was interrupted."""

    def add(self, op: Op) -> Op:
        """Append an operation and number it."""
        op.id = len(self.ops)
        self.ops.append(op)
        return op

    def by_key(self) -> dict[str | int | None, list[Op]]:
        """The operations of each key, in the order of the history."""
        found: dict[str | int | None, list[Op]] = {}
        for op in self.ops:
            found.setdefault(op.key, []).append(op)
        return found

    def named(self, *names: str) -> list[Op]:
        """The operations called so that may have happened."""
        return [op for op in self.ops if op.f in names and op.may_have_happened]


def to_text(data: bytes) -> str:
    """Bytes as a JSON text: UTF-8, any other byte b as the code point U+DC00 + b."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Inverse of :func:`to_text`."""
    return text.encode("utf-8", "surrogateescape")


def entries(log: Iterable[LogRun]) -> Iterator[tuple[int, int, int, bytes]]:
    """(index, term, kind, payload) of each entry of some runs."""
    for run in log:
        for at, payload in enumerate(run.payloads):
            yield run.first + at, run.term, run.kind, payload
