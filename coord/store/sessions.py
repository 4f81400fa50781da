"""Open sessions: who they are, which of their writes were applied, what the results were.

The table lives in memory. Rows are written on open and attach, and every 1,024 indexes those that
changed since ("folded"); what came after the last fold is recovered from the journal. A row is a
function of the log: ``touched`` is the index of the last entry that changed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Self

import msgpack

from coord.store.schema import CRC_BYTES, NO_CRC, U64

Result = tuple[int, int, tuple[Any, ...]]
"""(code, revision, body) of a write that was applied."""

ATTACHES_KEPT: Final = 8


class SessionDetails(NamedTuple):
    """What is looked at when a session is attached or explained.

    ``attaches``: the last eight as (revision, wall_ms, address), newest last.
    """

    secret_hash: bytes
    client: str
    opened_wall_ms: int
    nonce: bytes
    attaches: tuple[tuple[int, int, str], ...]


class SessionFacts(NamedTuple):
    """What changes only when a session is attached.

    ``packed``: its details in msgpack. Every node holds every session: unpacked they take three
    times the memory, and nobody looks at them while the session lives.
    """

    id: int
    timeout_ms: int
    address: str
    packed: bytes

    @classmethod
    def of(cls, session: int, timeout_ms: int, address: str, details: SessionDetails) -> Self:
        """Facts of a session whose client connected from ``address`` last."""
        return cls(session, timeout_ms, address, msgpack.packb(details))

    @property
    def details(self) -> SessionDetails:
        """The rest of them."""
        return SessionDetails(*msgpack.unpackb(self.packed, use_list=False))

    def attached(self, nonce: bytes, timeout_ms: int, attach: tuple[int, int, str]) -> SessionFacts:
        """The facts after another attach."""
        old = self.details
        attaches = (*old.attaches, attach)[-ATTACHES_KEPT:]
        details = old._replace(nonce=nonce, attaches=attaches)
        return SessionFacts.of(self.id, timeout_ms, attach[2], details)


class SessionRow(NamedTuple):
    """One open session. A write makes a new row: what is not committed is never seen.

    Invariant: ``results`` holds those of the writes acked + 1 … last_seq, in order.
    Invariant: ``ephemerals`` equals the number of the session's records in the table of that
    name; it is counted, not stored.
    """

    facts: SessionFacts
    generation: int
    last_seq: int
    acked: int
    results: tuple[Result, ...]
    ephemerals: int
    touched: int

    @property
    def id(self) -> int:
        """Index of the entry that opened it."""
        return self.facts.id

    @property
    def timeout_ms(self) -> int:
        """Silence after which the leader may end it."""
        return self.facts.timeout_ms

    @property
    def secret_hash(self) -> bytes:
        """SHA-256 of the secret that lets a client attach."""
        return self.facts.details.secret_hash

    @property
    def address(self) -> str:
        """Where its client connected from last."""
        return self.facts.address

    @property
    def client(self) -> str:
        """What the client calls itself."""
        return self.facts.details.client

    @property
    def opened_revision(self) -> int:
        """Same number as ``id``."""
        return self.facts.id

    def result_of(self, seq: int) -> Result | None:
        """The kept result of an applied write."""
        if not self.acked < seq <= self.last_seq:
            return None
        return self.results[seq - self.acked - 1]

    def finish(self, seq: int, acked: int, result: Result) -> SessionRow:
        """The row once write ``seq`` has been applied with ``result``; results that the client
        says it has are forgotten."""
        facts, generation, last_seq, known, results, ephemerals, _ = self
        assert seq == last_seq + 1, "a session's writes are applied in order"
        if acked > known:
            acked = min(acked, last_seq)
            results = results[acked - known :]
        else:
            acked = known
        return _new(
            SessionRow,
            (facts, generation, seq, acked, (*results, result), ephemerals, result[1]),
        )

    def encode(self) -> bytes:
        """The record in table ``sessions``, with room for its checksum."""
        state = (self.generation, self.last_seq, self.acked, self.results, self.touched)
        packed: bytes = msgpack.packb((self.facts, *state))
        return NO_CRC + packed

    @classmethod
    def decode(cls, record: bytes) -> SessionRow:
        """Inverse of :meth:`encode`; ``ephemerals`` is 0 until counted."""
        facts, generation, last_seq, acked, results, touched = msgpack.unpackb(
            record[CRC_BYTES:], use_list=False
        )
        return cls(SessionFacts(*facts), generation, last_seq, acked, results, 0, touched)


NOBODY: Final = SessionRow(SessionFacts(0, 0, "", b""), -1, 0, 0, (), 0, 0)
"""Stands for a session that is not open. No command names generation −1."""

_new: Final = tuple.__new__


class SessionTable:
    """All open sessions as of the last committed batch."""

    __slots__ = ("rows", "unfolded")

    def __init__(self) -> None:
        self.rows: dict[int, SessionRow] = {}
        self.unfolded: dict[int, None] = {}
        """Sessions whose row has changed since it was written; insertion-ordered."""

    def get(self, session: int) -> SessionRow | None:
        """An open session."""
        return self.rows.get(session)

    def ids(self) -> list[int]:
        """Ids of all open sessions, ascending."""
        return sorted(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[SessionRow]:
        return iter(self.rows.values())

    def results_of(self, session: int, seq: int) -> Result | None:
        """(code, revision, body) of an open session's write, while it is kept."""
        row = self.rows.get(session)
        return None if row is None else row.result_of(seq)

    def publish(self, batch: SessionBatch) -> None:
        """Take over what a committed batch changed."""
        rows, folded = self.rows, batch.folded
        if folded:
            self.unfolded = {}
        unfolded = self.unfolded
        for session, row in batch.live.items():
            if row is NOBODY:
                rows.pop(session, None)
                unfolded.pop(session, None)
                continue
            rows[session] = row
            if row[6] > folded:
                unfolded[session] = None


class SessionBatch:
    """The session table as one batch of commands sees and changes it; nothing until published.

    ``rows``: the committed ones. ``live``: those this batch has made; NOBODY where it has ended a
    session. ``folded``: index of the last fold in this batch, 0 without.
    """

    __slots__ = ("_table", "count", "folded", "live", "rows")

    def __init__(self, table: SessionTable) -> None:
        self._table = table
        self.rows = table.rows
        self.live: dict[int, SessionRow] = {}
        self.folded = 0
        self.count = len(table)

    def get(self, session: int) -> SessionRow | None:
        """An open session at this point of the batch."""
        row = self.live.get(session)
        if row is None:
            return self.rows.get(session)
        return None if row is NOBODY else row

    def put(self, row: SessionRow) -> None:
        """Replace a session's row."""
        self.live[row.facts.id] = row

    def open(self, row: SessionRow) -> None:
        """A session was opened."""
        self.put(row)
        self.count += 1

    def end(self, session: int) -> None:
        """A session was ended."""
        self.live[session] = NOBODY
        self.count -= 1

    def count_ephemerals(self, session: int, change: int) -> None:
        """A session got (+1) or lost (−1) an ephemeral node."""
        row = self.get(session)
        assert row is not None, "an ephemeral's session is open"
        self.put(row._replace(ephemerals=row.ephemerals + change))

    def open_ids(self) -> list[int]:
        """Ids of the sessions open at this point, ascending."""
        rows = {**self.rows, **self.live}
        return sorted(session for session, row in rows.items() if row is not NOBODY)

    def fold(self, index: int) -> list[SessionRow]:
        """Rows changed since the last fold, which now is at ``index``."""
        unfolded = {} if self.folded else self._table.unfolded
        rows = [self.get(session) for session in {**unfolded, **self.live}]
        last, self.folded = self.folded, index
        return [row for row in rows if row is not None and row.touched > last]


def session_key(session: int) -> bytes:
    """Key in tables ``sessions`` and ``ended``."""
    return U64.pack(session)
