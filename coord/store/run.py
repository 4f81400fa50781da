"""One batch being applied: everything in it is committed as a whole or dropped as a whole."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from coord.model.commands import STAMP
from coord.model.errors import (
    LimitError,
    RequestError,
    ResultUnknownError,
    SequenceGapError,
    SessionExpiredError,
    SessionMovedError,
)
from coord.store.applied import Applied, AppliedBatch, ApplyLimits
from coord.store.digest import MASK, Totals
from coord.store.journal import JournalTail, JournalWriter
from coord.store.journal_rows import ROW, pack_extra
from coord.store.records import Records
from coord.store.schema import FORMAT_VERSION, NO_CRC, PathKeys, Tables
from coord.store.sessions import SessionBatch, SessionRow, SessionTable
from coord.store.state import State
from coord.store.tree import Tree
from coord.store.write_behind import BehindWriter

STEP_OPERATIONS: Final = 500
"""Operations between two yields: a few milliseconds."""

Steps = Generator[None, None, None]
Outcome = tuple[int, Any, tuple[Any, ...]]
"""(code, detail for the journal row, reply body)."""


class Run:
    """The state after the committed one plus the entries applied so far.

    ``index`` is the entry being applied, ``log_ms`` the newest stamp seen. Tables that only some
    commands use are cached in ``others``; ``tree`` caches its own.
    """

    __slots__ = (
        "_others",
        "batch",
        "ended_due",
        "first_block",
        "index",
        "journal",
        "limits",
        "log_ms",
        "oldest_ms",
        "sessions",
        "tables",
        "totals",
        "tree",
        "txn",
        "wall_ms",
    )

    def __init__(
        self,
        txn: BehindWriter,
        tables: Tables,
        limits: ApplyLimits,
        state: State,
        tail: JournalTail,
        sessions: SessionTable,
        keys: PathKeys,
        limited: frozenset[bytes],
    ) -> None:
        self.txn = txn
        self.tables = tables
        self.limits = limits
        self.totals = Totals(0, 0)
        """What this batch adds outside the folds: the journal's part."""
        self.sessions = SessionBatch(sessions)
        self.tree = Tree(txn, tables, keys, self.sessions, limits.ephemerals_per_session, limited)
        self.journal = JournalWriter(txn, tables.journal, self.totals, tail, state.journal_size)
        self.index = state.applied
        self.wall_ms = 0
        self.log_ms = state.log_ms
        self.first_block = state.first_block
        self.oldest_ms = state.oldest_ms
        self.ended_due = state.ended_due
        self.batch = AppliedBatch(state.applied + 1, state.applied, state.term)
        self._others: dict[str, Records] = {}

    def others(self, name: str) -> Records:
        """Cache of one of the tables sessions, ended, ended_order, facts."""
        records = self._others.get(name)
        if records is None:
            records = Records(self.txn, getattr(self.tables, name))
            self._others[name] = records
        return records

    def put(self, name: str, key: bytes, body: bytes) -> None:
        """Write a record of one of the ``others``."""
        records = self.others(name)
        records.store(key, NO_CRC + body)

    def drop(self, name: str, key: bytes) -> None:
        """Delete a record of one of the ``others``."""
        self.others(name).store(key, None)

    def enter(self, index: int, wall_ms: int, log_ms: int, session: int, who: Any) -> None:
        """Begin with an entry. log_ms never decreases, whatever the stamp says."""
        self.index = index
        self.wall_ms = wall_ms
        self.log_ms = max(self.log_ms, log_ms)
        tree = self.tree
        tree.index, tree.wall_ms, tree.log_ms = index, wall_ms, self.log_ms
        tree.index_packed, tree.wall_packed = index.to_bytes(8, "big"), wall_ms.to_bytes(8, "big")
        tree.session, tree.who = session, who
        tree.row = []

    def answer(
        self, kind: int, session: int, generation: int, seq: int, code: int, body: tuple[Any, ...]
    ) -> None:
        """Report the current entry's outcome."""
        self.batch.results.append(Applied(self.index, kind, session, generation, seq, code, body))

    def refuse(
        self, kind: int, session: int, generation: int, seq: int, error: RequestError
    ) -> None:
        """Report that the current entry had no effect."""
        message = str(error)
        self.answer(kind, session, generation, seq, error.code, (message,) if message else ())

    def keep(self, kind: int, session: int, seq: int, acked: int, outcome: Outcome) -> None:
        """Enter the current entry in the journal."""
        row = self.sessions.get(session) if session else None
        address = b"" if row is None else row.facts.address.encode()
        spilled, changes = self.journal.spill(self.index, self.tree.row)
        extra = pack_extra(self.tree.who, outcome[1])
        stamp = STAMP.pack(self.wall_ms, self.log_ms)
        length = ROW.size + len(address) + len(extra) + len(changes)
        fields = (length, self.index, stamp, kind, outcome[0], session, seq, acked, spilled)
        head = ROW.pack(*fields, len(address), len(extra))
        self.journal.rows.append(head + address + extra + changes)

    def finish(
        self, kind: int, session: int, generation: int, seq: int, acked: int, outcome: Outcome
    ) -> None:
        """Record the outcome of the current entry: session, journal, report."""
        code, _, body = outcome
        row = self.sessions.get(session) if session else None
        if row is not None:
            self.sessions.put(row.finish(seq, acked, (code, self.index, body)))
        self.keep(kind, session, seq, acked, outcome)
        self.answer(kind, session, generation, seq, code, body)

    def state(self, before: State, term: int) -> State:
        """What is committed with this batch: digest and size without what is not folded."""
        return State(
            FORMAT_VERSION,
            self.index,
            term,
            self.log_ms,
            (before.digest + self.totals.digest) & MASK,
            before.size + self.totals.size,
            self.journal.size,
            self.first_block,
            self.oldest_ms,
            self.ended_due,
        )


def obstacle(
    row: SessionRow | None, generation: int, seq: int, acked: int, in_flight_max: int
) -> tuple[int, tuple[Any, ...]] | None:
    """Why a sequenced write has no effect, as (code, body); None: it is the next one.

    A repeated write answers its first code and body again.
    """
    if row is None:
        return SessionExpiredError.code, ("the session has ended",)
    if generation != row.generation:
        return SessionMovedError.code, (f"the session was attached again ({row.generation})",)
    if seq <= row.last_seq:
        result = row.result_of(seq)
        if result is None:
            return ResultUnknownError.code, (f"the result of write {seq} is no longer kept",)
        return result[0], result[2]
    if seq != row.last_seq + 1:
        return SequenceGapError.code, (f"write {seq} came, {row.last_seq + 1} is next",)
    if row.last_seq - max(acked, row.acked) >= in_flight_max:
        return LimitError.code, (f"{in_flight_max} writes have not been acknowledged",)
    return None
