"""RaftLog: one view of the durable log and the tail in memory, with the marks that move over it.

Order of the marks: first - 1 ≤ applied ≤ cursor ≤ min(commit, stable), and stable ≤ handed ≤ last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft.invariants import InvariantViolation, require
from coord.raft.types import Index, LogSlice, Term
from coord.raft.unstable import Tail, cut_to_bytes, joined, payload_bytes, sub_run

if TYPE_CHECKING:
    from coord.raft.config import RaftConfig
    from coord.raft.storage import Storage


HANDED_OUT_MAX = 4_096
"""Entries handed out and not applied yet, beyond which no more are."""


class RaftLog:
    """Reads go to the tail if it holds the entry, else to storage, which then has it durably."""

    __slots__ = (
        "_storage",
        "applied",
        "cache_bytes",
        "commit",
        "cursor",
        "first",
        "handed",
        "last_term",
        "marker_term",
        "stable",
        "tail",
    )

    def __init__(self, storage: Storage, config: RaftConfig, applied: Index) -> None:
        self._storage = storage
        self.cache_bytes = config.cache_bytes
        self.first: Index = storage.first_index()
        """First index that has not been compacted away."""
        last = storage.last_index()
        self.marker_term: Term = storage.term(Index(self.first - 1)) or Term(0)
        """Term of the entry before ``first``."""
        self.last_term: Term = storage.term(last) or Term(0)
        """Invariant: the term of ``last``."""
        self.tail = Tail(Index(last + 1))
        self.stable: Index = last
        """Durable up to here, and no write under way will undo it. Invariant: ≤ handed."""
        self.handed: Index = last
        """Given to the driver to write. Invariant: stable ≤ handed ≤ last."""
        start = Index(max(applied, self.first - 1))
        self.commit: Index = start
        """Known to be committed. Invariant: never decreases, ≤ last."""
        self.cursor: Index = start
        """Given to the driver to apply. Invariant: applied ≤ cursor ≤ min(commit, stable)."""
        self.applied: Index = start
        """Applied by the state machine."""
        require(start <= last, "applied-within-durable", f"applied {start}, durable {last}")

    @property
    def last(self) -> Index:
        """Index of the newest entry."""
        return self.tail.last

    def term(self, index: Index) -> Term | None:
        """Term of an entry or of the marker before the first; None if not in the log."""
        if index >= self.tail.first:
            return self.tail.run_at(index).term if index <= self.tail.last else None
        if index < self.first:
            return self.marker_term if index == self.first - 1 else None
        return self._storage.term(index)

    def append(self, run: LogSlice) -> int:
        """Add entries at the end; gives their size in memory."""
        self.last_term = run.term
        return self.tail.append(run)

    def truncate(self, index: Index) -> None:
        """Forget ``index`` and everything after it, durable or not."""
        if not self.commit < index <= self.last:
            detail = f"truncation from {index}, committed up to {self.commit}"
            raise InvariantViolation("committed-for-ever", detail)
        self.tail.truncate(index)
        before = Index(index - 1)
        self.stable = min(self.stable, before)
        self.handed = min(self.handed, before)
        term = self.term(before)
        assert term is not None, "the entry before a conflict has no term"
        self.last_term = term

    def restore(self, index: Index, term: Term) -> None:
        """Start over after an installed snapshot: nothing but its marker is left."""
        self.tail.restart(Index(index + 1))
        self.first = Index(index + 1)
        self.marker_term = self.last_term = term
        self.stable = self.handed = self.commit = self.cursor = self.applied = index

    def compact(self, first: Index) -> None:
        """The driver cut the durable log: entries before ``first`` are gone."""
        if first <= self.first:
            return
        require(
            first <= self.applied + 1,
            "compacted-within-applied",
            f"cut up to {first}, applied up to {self.applied}",
        )
        term = self.term(Index(first - 1)) or self._storage.term(Index(first - 1))
        assert term is not None, "the marker before the first entry has no term"
        self.first = first
        self.marker_term = term
        self.tail.evict(Index(first - 1), 0)

    def matches(self, index: Index, term: Term) -> bool:
        """The log holds (index, term), so it is equal to any log that does, up to there."""
        return self.term(index) == term

    def is_up_to_date(self, index: Index, term: Term) -> bool:
        """A log that ends in (index, term) is at least as up to date as this one (§5.4.1)."""
        return (term, index) >= (self.last_term, self.last)

    def find_at_most(self, index: Index, term: Term) -> Index:
        """The last index ≤ ``index`` whose term is ≤ ``term``; the marker's if there is none.

        Terms only grow along the log, so a binary search does.
        """
        low, high = int(self.first) - 1, int(min(index, self.last))
        if high < low:
            return index  # compacted here: only a snapshot can tell
        while low < high:
            middle = (low + high + 1) // 2
            if (self.term(Index(middle)) or 0) <= term:
                low = middle
            else:
                high = middle - 1
        return Index(low)

    def first_conflict(self, run: LogSlice) -> Index | None:
        """The first entry of ``run`` that differs from what the log holds at its index, or lies
        beyond the end; None if all are here. The entry before the run must match already.

        Where the log agrees it agrees on a prefix of the run (Log Matching).
        """
        low, high = int(run.first), int(min(run.last, self.last)) + 1
        if low < high and self.term(Index(high - 1)) == run.term:
            low = high
        while low < high:
            middle = (low + high) // 2
            if self.term(Index(middle)) == run.term:
                low = middle + 1
            else:
                high = middle
        return None if low > run.last else Index(low)

    def entries(self, first: Index, max_bytes: int) -> tuple[LogSlice, int]:
        """As many entries from ``first`` as fit, of one term and kind, at least one; and about
        how many bytes that is."""
        if first >= self.tail.first:
            return self.tail.gather(first, max_bytes)
        run = joined(self._storage.slices(first, Index(self.tail.first - 1), max_bytes))
        return run, payload_bytes(run)

    def is_cached(self, index: Index) -> bool:
        """Reading this entry needs no storage."""
        return index >= self.tail.first

    def take_unhanded(self) -> list[LogSlice]:
        """Entries the driver has not been told to write yet, in order."""
        if self.handed == self.tail.last:
            return []
        runs = self.tail.read(Index(self.handed + 1), self.tail.last)
        self.handed = self.tail.last
        return runs

    @property
    def applicable(self) -> Index:
        """How far the state machine may go: committed, and durable on this very node."""
        return min(self.commit, self.stable)

    @property
    def may_hand_out(self) -> bool:
        """There is something to apply, and not too much of what was handed out is unapplied: a
        backlog stays in the log and does not gather in the driver's memory."""
        return self.cursor < self.applicable and self.cursor - self.applied < HANDED_OUT_MAX

    def take_committed(self, max_bytes: int) -> list[LogSlice]:
        """The next entries to apply, cut at about ``max_bytes``; none if there are none."""
        limit = self.applicable
        runs: list[LogSlice] = []
        while self.cursor < limit and max_bytes > 0:
            first = Index(self.cursor + 1)
            if first < self.tail.first:
                last = Index(min(limit, self.tail.first - 1))
                batch = self._storage.slices(first, last, max_bytes)
                max_bytes -= sum(map(payload_bytes, batch))
            else:
                run = self.tail.run_at(first)
                run = sub_run(run, first, Index(min(run.last, limit)))
                size = payload_bytes(run)
                batch = [run if size <= max_bytes else cut_to_bytes(run, max_bytes)]
                max_bytes -= size
            runs += batch
            self.cursor = batch[-1].last
        return runs

    def commit_to(self, index: Index) -> bool:
        """Raise the commit index; True if it moved. It never goes back."""
        if index <= self.commit:
            return False
        if index > self.tail.last:
            raise InvariantViolation("commit-within-log", f"{index} beyond {self.tail.last}")
        self.commit = index
        return True

    def stable_to(self, index: Index) -> None:
        """A write up to ``index`` is durable."""
        if index > self.handed:
            detail = f"durable up to {index}, written up to {self.handed}"
            raise InvariantViolation("durable-within-log", detail)
        self.stable = max(self.stable, index)

    def applied_to(self, index: Index) -> None:
        """The state machine has applied up to ``index``; the cache may shrink."""
        if index > self.cursor:
            detail = f"applied {index}, committed here {self.cursor}"
            raise InvariantViolation("applied-within-commit", detail)
        self.applied = max(self.applied, index)
        if self.tail.bytes > self.cache_bytes + (self.cache_bytes >> 3):
            self.tail.evict(min(self.applied, self.stable), self.cache_bytes)
