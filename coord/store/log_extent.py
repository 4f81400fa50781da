"""What the durable log reaches from and to, and where its terms begin."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from coord.model.errors import CorruptionError
from coord.raft.types import Index, LogSlice, SnapshotMeta, Term
from coord.store.kv import ReadTxn, Table
from coord.store.log_records import run_head


class LogExtent(NamedTuple):
    """The log's extent as of one commit.

    Invariants: first = (marker.index or 0) + 1; first − 1 ≤ last; ``terms`` holds (first index of
    a term, term), ascending in both, and its first item is not above ``first`` unless empty.
    """

    first: Index
    last: Index
    terms: tuple[tuple[Index, Term], ...]
    marker: SnapshotMeta | None
    tail: bytes = b""
    """Start of the record of the last run, its checksum included; empty without one."""

    def term(self, index: Index) -> Term | None:
        """Term of an entry or of the marker; None outside the log."""
        if not self.first - 1 <= index <= self.last:
            return None
        if index == self.first - 1:
            return self.marker.term if self.marker is not None else Term(0)
        at = bisect_right(self.terms, index, key=_first_of)
        return self.terms[at - 1][1]

    def appended(self, run: LogSlice, tail: bytes) -> LogExtent:
        """With ``run`` at its end; ``tail`` begins the record of its last piece."""
        last, terms = run.last, self.terms
        if not terms or terms[-1][1] != run.term:
            assert not terms or terms[-1][1] < run.term, "the term of entries decreases"
            terms = (*terms, (run.first, run.term))
        return LogExtent(self.first, last, terms, self.marker, tail)

    def truncated(self, index: Index) -> LogExtent:
        """Without ``index`` and what follows it; something is appended at once, or nothing is
        left."""
        kept = tuple(item for item in self.terms if item[0] < index)
        return LogExtent(self.first, Index(index - 1), kept, self.marker)

    def cut(self, marker: SnapshotMeta) -> LogExtent:
        """Beginning after ``marker``."""
        at = bisect_right(self.terms, marker.index + 1, key=_first_of)
        terms = self.terms[max(at - 1, 0) :]
        tail = self.tail if self.last > marker.index else b""
        return LogExtent(Index(marker.index + 1), self.last, terms, marker, tail)


TAIL_BYTES = 12
"""Of a run's record: its checksum and its term."""


def _first_of(item: tuple[Index, Term]) -> Index:
    return item[0]


def read_extent(name: str, txn: ReadTxn, table: Table, marker: SnapshotMeta | None) -> LogExtent:
    """Read the whole log: every record's checksum, that no entry is missing, and that the terms
    do not decrease. A member votes and acknowledges by what its log holds, so it looks before it
    speaks.

    Raises CorruptionError naming the file, ``name``, and the entry.
    """
    first = Index(marker.index + 1 if marker is not None else 1)
    last = Index(first - 1)
    terms: list[tuple[Index, Term]] = []
    count = 0
    tail = b""
    for key, value in txn.scan(table, b""):
        count += 1
        begin, end, of_run = run_head(name, key, value)
        if txn.get(key, None, table) != value:
            raise CorruptionError(f"{name}: table log, entry {begin}: no lookup finds it")
        if end < first:
            continue  # behind the marker: nobody reads it
        if begin > last + 1:
            raise CorruptionError(f"{name}: table log, entry {last + 1}: missing")
        if begin <= last and begin >= first:
            raise CorruptionError(f"{name}: table log, entry {begin}: is there twice")
        if not terms or of_run != terms[-1][1]:
            if terms and of_run < terms[-1][1]:
                raise CorruptionError(f"{name}: table log, entry {begin}: its term decreases")
            terms.append((max(begin, first), of_run))
        last, tail = end, bytes(value[:TAIL_BYTES])
    recorded = txn.count(table)
    if count != recorded:
        raise CorruptionError(f"{name}: table log: {count} records found, {recorded} recorded")
    return LogExtent(first, last, tuple(terms), marker, tail)
