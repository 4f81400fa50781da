"""What the core reads back of what it asked to be made durable."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from coord.raft.types import EntryKind, HardState, Index, LogSlice, Membership
from coord.raft.unstable import cut_to_bytes, sub_run

if TYPE_CHECKING:
    from coord.raft.ready import Ready
    from coord.raft.types import SnapshotMeta, Term

NOTHING = HardState()


class Storage(Protocol):
    """Synchronous reads of the durable log. Writes go through ``Ready``.

    Indexes below ``first_index`` are compacted. All reads see every write reported by
    ``persisted``; they may or may not see later ones.
    """

    def initial_state(self) -> tuple[HardState, Membership, SnapshotMeta | None]:
        """Hard state, newest appended membership, and the marker before the first entry: index
        and term of the entry there, and the configuration in force at it (other fields unused).
        """
        ...

    def first_index(self) -> Index:
        """First index that ``slices`` can return (marker index + 1 for an empty log)."""
        ...

    def last_index(self) -> Index:
        """Last durable index (marker index for an empty log, else 0)."""
        ...

    def term(self, index: Index) -> Term | None:
        """Term of an entry, or of the snapshot marker; None if compacted or beyond the end."""
        ...

    def slices(self, first: Index, last: Index, max_bytes: int) -> list[LogSlice]:
        """Entries first..last inclusive, cut at ``max_bytes`` but never empty. Raises
        CorruptionError (from the implementation) if a checksum fails; the core does not catch."""
        ...

    def snapshot(self) -> SnapshotMeta | None:
        """Newest verified snapshot that can be sent to a follower, or None."""
        ...


class MemoryStorage:
    """A durable log that is not: for tests and simulation. Writes are atomic, as a Ready's are."""

    def __init__(self, hard_state: HardState = NOTHING, runs: Sequence[LogSlice] = ()) -> None:
        self.hard_state = hard_state
        self.membership = Membership()
        """Newest appended configuration."""
        self.marker: SnapshotMeta | None = None
        """Position before the first entry, with the configuration in force there."""
        self.available: SnapshotMeta | None = None
        """What ``snapshot`` answers."""
        self.runs: list[LogSlice] = []
        """Contiguous; the first follows the marker."""
        self._firsts: list[int] = []
        for run in runs:
            self.append(run)
            if run.kind is EntryKind.CONFIG:
                self.membership = Membership.decode(run.payloads[-1])

    # Reading -------------------------------------------------------------------------------

    def initial_state(self) -> tuple[HardState, Membership, SnapshotMeta | None]:
        """See Storage."""
        return self.hard_state, self.membership, self.marker

    def first_index(self) -> Index:
        """See Storage."""
        if self.runs:
            return self.runs[0].first
        return Index(self.marker.index + 1 if self.marker else 1)

    def last_index(self) -> Index:
        """See Storage."""
        if self.runs:
            return self.runs[-1].last
        return self.marker.index if self.marker else Index(0)

    def term(self, index: Index) -> Term | None:
        """See Storage."""
        if self.marker and index == self.marker.index:
            return self.marker.term
        if not self.first_index() <= index <= self.last_index():
            return None
        return self._run_at(index).term

    def slices(self, first: Index, last: Index, max_bytes: int) -> list[LogSlice]:
        """See Storage."""
        assert self.first_index() <= first <= last <= self.last_index(), "outside the log"
        found: list[LogSlice] = []
        while first <= last and (max_bytes > 0 or not found):
            run = self._run_at(first)
            run = cut_to_bytes(sub_run(run, first, Index(min(run.last, last))), max_bytes)
            found.append(run)
            max_bytes -= sum(map(len, run.payloads))
            first = Index(run.last + 1)
        return found

    def snapshot(self) -> SnapshotMeta | None:
        """See Storage."""
        return self.available

    def _run_at(self, index: Index) -> LogSlice:
        return self.runs[bisect_right(self._firsts, index) - 1]

    # Writing -------------------------------------------------------------------------------

    def write(self, ready: Ready) -> None:
        """Make durable what a Ready asks for."""
        if ready.entries:
            self.truncate(ready.entries[0].first)
            for run in ready.entries:
                self.append(run)
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.appended_membership is not None:
            self.membership = ready.appended_membership

    def append(self, run: LogSlice) -> None:
        """Add a run at the end."""
        assert run.first == self.last_index() + 1, "a hole in the log"
        self.runs.append(run)
        self._firsts.append(run.first)

    def truncate(self, index: Index) -> None:
        """Drop ``index`` and everything after it."""
        while self.runs and self.runs[-1].last >= index:
            run = self.runs.pop()
            self._firsts.pop()
            if run.first < index:
                self.append(sub_run(run, run.first, Index(index - 1)))

    def compact(self, marker: SnapshotMeta) -> None:
        """Drop everything up to ``marker.index``, which becomes the position before the first."""
        assert marker.index <= self.last_index(), "compaction beyond the end"
        kept: list[LogSlice] = []
        for run in self.runs:
            if run.last > marker.index:
                first = Index(max(run.first, marker.index + 1))
                kept.append(sub_run(run, first, run.last))
        self.runs = kept
        self._firsts = [run.first for run in kept]
        self.marker = marker

    def install(self, meta: SnapshotMeta) -> None:
        """Replace the log by a snapshot's marker, unless the log already holds its position. The
        file is here now, so it can be sent on."""
        self.available = meta
        if self.term(meta.index) == meta.term:
            self.compact(meta)
            return
        self.runs = []
        self._firsts = []
        self.marker = meta
        self.membership = meta.membership

    def copy(self) -> MemoryStorage:
        """What a restart would find if the process ended now."""
        other = MemoryStorage(self.hard_state)
        other.marker = self.marker
        for run in self.runs:
            other.append(run)
        other.membership = self.membership
        other.available = self.available
        return other
