"""Open sessions: who they are, which of their writes were applied, what the results were.

The table lives in memory. Rows are written on open and attach, and every 1,024 indexes those that
changed since ("folded"); what came after the last fold is recovered from the journal. A row is a
function of the log: ``touched`` is the index of the last entry that changed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgpack

from coord.store.schema import CRC_BYTES, NO_CRC, U64

Result = tuple[int, int, tuple[Any, ...]]
"""(code, revision, body) of a write that was applied."""

ATTACHES_KEPT: Final = 8


class SessionFacts(NamedTuple):
    """What changes only when a session is attached.

    ``attaches``: the last eight as (revision, wall_ms, address), newest last.
    """

    id: int
    timeout_ms: int
    secret_hash: bytes
    address: str
    client: str
    opened_revision: int
    opened_wall_ms: int
    nonce: bytes
    attaches: tuple[tuple[int, int, str], ...]


class SessionRow:
    """One open session.

    Invariant: ``results`` holds those of the writes acked + 1 … last_seq, in order.
    Invariant: ``ephemerals`` equals the session's records in the table of that name; it is
    counted, not stored.
    """

    __slots__ = ("acked", "ephemerals", "facts", "generation", "last_seq", "results", "touched")

    def __init__(
        self,
        facts: SessionFacts,
        generation: int,
        last_seq: int,
        acked: int,
        results: list[Result],
        ephemerals: int,
        touched: int,
    ) -> None:
        self.facts = facts
        self.generation = generation
        self.last_seq = last_seq
        self.acked = acked
        self.results = results
        self.ephemerals = ephemerals
        self.touched = touched

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
        return self.facts.secret_hash

    @property
    def address(self) -> str:
        """Where its client connected from last."""
        return self.facts.address

    @property
    def client(self) -> str:
        """What the client calls itself."""
        return self.facts.client

    @property
    def opened_revision(self) -> int:
        """Same number as ``id``."""
        return self.facts.opened_revision

    def copy(self) -> SessionRow:
        """An independent copy, for a batch to change."""
        return SessionRow(
            self.facts,
            self.generation,
            self.last_seq,
            self.acked,
            self.results[:],
            self.ephemerals,
            self.touched,
        )

    def result_of(self, seq: int) -> Result | None:
        """The kept result of an applied write."""
        if not self.acked < seq <= self.last_seq:
            return None
        return self.results[seq - self.acked - 1]

    def finish(self, seq: int, acked: int, index: int, result: Result) -> None:
        """Record that write ``seq`` was applied at ``index`` with ``result``, and forget the
        results that the client says it has."""
        assert seq == self.last_seq + 1, "a session's writes are applied in order"
        if acked > self.acked:
            acked = min(acked, self.last_seq)
            del self.results[: acked - self.acked]
            self.acked = acked
        self.last_seq = seq
        self.results.append(result)
        self.touched = index

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
        return cls(SessionFacts(*facts), generation, last_seq, acked, list(results), 0, touched)


class SessionTable:
    """All open sessions as of the last committed batch."""

    __slots__ = ("_rows", "unfolded")

    def __init__(self) -> None:
        self._rows: dict[int, SessionRow] = {}
        self.unfolded: dict[int, None] = {}
        """Sessions whose row has changed since it was written; insertion-ordered."""

    def get(self, session: int) -> SessionRow | None:
        """An open session. The row is replaced, not changed, by the next batch that touches it."""
        return self._rows.get(session)

    def ids(self) -> list[int]:
        """Ids of all open sessions, ascending."""
        return sorted(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[SessionRow]:
        return iter(self._rows.values())

    def results_of(self, session: int, seq: int) -> Result | None:
        """(code, revision, body) of an open session's write, while it is kept."""
        row = self._rows.get(session)
        return None if row is None else row.result_of(seq)

    def add(self, row: SessionRow) -> None:
        """Loading: enter a row as read from the environment."""
        self._rows[row.id] = row

    def publish(self, batch: SessionBatch) -> None:
        """Take over what a committed batch changed."""
        rows = self._rows
        for session, row in batch.live.items():
            if row is None:
                rows.pop(session, None)
            else:
                rows[session] = row
        if batch.folded:
            self.unfolded = batch.touched
        else:
            self.unfolded.update(batch.touched)


class SessionBatch:
    """The session table as one batch of commands sees and changes it; nothing until published.

    ``live``: rows this batch has touched (None: ended). ``touched``: those not folded since.
    """

    __slots__ = ("_table", "count", "folded", "live", "touched")

    def __init__(self, table: SessionTable) -> None:
        self._table = table
        self.live: dict[int, SessionRow | None] = {}
        self.touched: dict[int, None] = {}
        self.folded = False
        self.count = len(table)

    def touch(self, session: int) -> SessionRow | None:
        """A row of this batch's own to change; None if the session is not open."""
        row = self.live.get(session)
        if row is None:
            if session in self.live:
                return None
            base = self._table.get(session)
            if base is None:
                return None
            row = self.live[session] = base.copy()
        self.touched[session] = None
        return row

    def is_open(self, session: int) -> bool:
        """Whether the session is open at this point of the batch."""
        if session in self.live:
            return self.live[session] is not None
        return self._table.get(session) is not None

    def add(self, row: SessionRow) -> None:
        """A session was opened."""
        self.live[row.id] = row
        self.count += 1

    def end(self, session: int) -> None:
        """A session was ended."""
        self.live[session] = None
        self.touched.pop(session, None)
        self.count -= 1

    def open_ids(self) -> list[int]:
        """Ids of the sessions open at this point, ascending."""
        ids = [session for session in self._table.ids() if session not in self.live]
        return sorted([*ids, *(session for session, row in self.live.items() if row is not None)])

    def take_unfolded(self) -> list[SessionRow]:
        """Rows changed since the last fold; from now on they count as folded."""
        ids = dict(self.touched) if self.folded else {**self._table.unfolded, **self.touched}
        self.folded = True
        self.touched = {}
        found = (self.live[i] if i in self.live else self._table.get(i) for i in ids)
        return [row for row in found if row is not None]


def session_key(session: int) -> bytes:
    """Key in tables ``sessions`` and ``ended``."""
    return U64.pack(session)
