"""The end of the log in memory: every entry not yet durable, and recent ones that are.

Kept as the runs they arrived in, so that a batch costs a few list operations however long it is.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from coord.raft.types import EntryKind, Index, LogSlice

_ENTRY_OVERHEAD = 48
_RUN_OVERHEAD = 256


def size_of(payloads: list[bytes]) -> int:
    """Approximate memory of a run in bytes, so that bounds hold for tiny entries as well."""
    return sum(map(len, payloads)) + _ENTRY_OVERHEAD * len(payloads) + _RUN_OVERHEAD


def sub_run(run: LogSlice, first: Index, last: Index) -> LogSlice:
    """Entries first..last of a run that covers them; the run itself if that is all of it."""
    start = first - run.first
    stop = last - run.first + 1
    assert 0 <= start < stop <= len(run.payloads), "outside the run"
    if start == 0 and stop == len(run.payloads):
        return run
    return LogSlice(first, run.term, run.kind, run.payloads[start:stop])


def payload_bytes(run: LogSlice) -> int:
    """Bytes of a run's payloads."""
    return sum(map(len, run.payloads))


def cut_to_bytes(run: LogSlice, max_bytes: int) -> LogSlice:
    """The longest prefix of a run within ``max_bytes`` of payload, at least one entry."""
    if payload_bytes(run) <= max_bytes:
        return run
    ends = list(accumulate(map(len, run.payloads)))
    count = max(1, bisect_right(ends, max_bytes))
    return LogSlice(run.first, run.term, run.kind, run.payloads[:count])


def joins(run: LogSlice, other: LogSlice) -> bool:
    """``other``, which follows ``run``, may become one run with it."""
    return other.term == run.term and other.kind is run.kind is EntryKind.NORMAL


def joined(runs: list[LogSlice]) -> LogSlice:
    """The longest single run that consecutive runs begin with."""
    run = runs[0]
    count = 1
    while count < len(runs) and joins(run, runs[count]):
        count += 1
    if count == 1:
        return run
    payloads = run.payloads.copy()
    for other in runs[1:count]:
        payloads += other.payloads
    return LogSlice(run.first, run.term, run.kind, payloads)


class Tail:
    """Consecutive runs from ``first`` up to ``last``; empty when ``last == first - 1``.

    Invariant: runs are contiguous, and their terms never decrease.
    """

    __slots__ = ("_firsts", "_runs", "_sizes", "bytes", "first", "last")

    def __init__(self, first: Index) -> None:
        self.first = first
        self.last = Index(first - 1)
        self.bytes = 0
        self._runs: list[LogSlice] = []
        self._firsts: list[int] = []
        self._sizes: list[int] = []

    def append(self, run: LogSlice) -> int:
        """Add a run that starts right after the end; gives its size."""
        assert run.first == self.last + 1, "a hole in the log"
        assert not self._runs or self._runs[-1].term <= run.term, "terms go backwards"
        size = size_of(run.payloads)
        self._runs.append(run)
        self._firsts.append(run.first)
        self._sizes.append(size)
        self.bytes += size
        self.last = run.last
        return size

    def truncate(self, index: Index) -> None:
        """Drop ``index`` and everything after it."""
        if index <= self.first:
            self.restart(index)
            return
        at = self._position(index)
        kept = self._runs[at]
        self.bytes -= sum(self._sizes[at:])
        del self._runs[at:], self._firsts[at:], self._sizes[at:]
        self.last = Index(kept.first - 1)
        if kept.first < index:
            self.append(sub_run(kept, kept.first, Index(index - 1)))

    def restart(self, first: Index) -> None:
        """Hold nothing; the next run starts at ``first``."""
        self._runs.clear()
        self._firsts.clear()
        self._sizes.clear()
        self.bytes = 0
        self.first = first
        self.last = Index(first - 1)

    def evict(self, last: Index, target: int) -> None:
        """Drop whole runs from the front, none beyond ``last``, until ``target`` bytes remain."""
        count = 0
        size = self.bytes
        while size > target and count < len(self._runs) and self._runs[count].last <= last:
            size -= self._sizes[count]
            count += 1
        if count:
            self.first = Index(self._runs[count - 1].last + 1)
            self.bytes = size
            del self._runs[:count], self._firsts[:count], self._sizes[:count]

    def run_at(self, index: Index) -> LogSlice:
        """The run that holds ``index``."""
        return self._runs[self._position(index)]

    def read(self, first: Index, last: Index) -> list[LogSlice]:
        """The runs covering first..last, the outer ones cut to fit."""
        assert self.first <= first <= last <= self.last, "outside the tail"
        low, high = self._position(first), self._position(last)
        runs = self._runs[low : high + 1]
        if low == high:
            return [sub_run(runs[0], first, last)]
        runs[0] = sub_run(runs[0], first, runs[0].last)
        runs[-1] = sub_run(runs[-1], runs[-1].first, last)
        return runs

    def gather(self, first: Index, max_bytes: int) -> tuple[LogSlice, int]:
        """From ``first``, as many entries of one term and kind as fit, in one run; and about
        how many bytes that is."""
        at = self._position(first)
        run = self._runs[at]
        size = self._sizes[at]
        if run.first < first:
            run = sub_run(run, first, run.last)
        if size > max_bytes:
            run = cut_to_bytes(run, max_bytes)
            return run, payload_bytes(run)
        stop = at + 1
        while stop < len(self._runs) and joins(run, self._runs[stop]):
            if size + self._sizes[stop] > max_bytes:
                break
            size += self._sizes[stop]
            stop += 1
        if stop == at + 1:
            return run, size
        return joined([run, *self._runs[at + 1 : stop]]), size

    def _position(self, index: Index) -> int:
        # Most lookups are for the newest entries.
        if index >= self._firsts[-1]:
            return len(self._firsts) - 1
        return bisect_right(self._firsts, index) - 1
