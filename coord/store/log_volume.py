"""How many bytes of log lie behind an index: decides when to take a snapshot and how far to cut.

Kept in memory as a few samples; what was there at start is taken to be spread evenly.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from coord.raft.types import Index

_SAMPLE_BYTES: Final = 256 * 1024


class LogVolume:
    """Cumulated bytes by index. Grows on the writer thread, is asked on the loop.

    Invariant: ``samples`` ascends in both index and bytes, and is never empty.
    """

    __slots__ = ("_last", "_samples", "_total")

    def __init__(self, first: Index, last: Index, size: int) -> None:
        self._samples: list[tuple[int, int]] = [(first - 1, 0)]
        self._total = 0
        self._last: int = first - 1
        if last >= first:
            self._samples.append((last, size))
            self._total, self._last = size, last

    def add(self, last: Index, size: int) -> None:
        """A run of ``size`` bytes ending at ``last`` was written. After a truncation the bytes
        of what was dropped still count: they were written, and a snapshot ends that."""
        while len(self._samples) > 1 and self._samples[-1][0] >= last:
            self._samples.pop()
        self._total += size
        self._last = last
        if self._total - self._samples[-1][1] >= _SAMPLE_BYTES:
            self._samples.append((last, self._total))

    def cut(self, first: Index, last: Index) -> None:
        """The log now starts at ``first`` (and was replaced as a whole if it starts anew)."""
        if last < first:
            self._samples, self._last = [(last, self._total)], last
            return
        before = self._bytes_to(first - 1)
        kept = [sample for sample in self._samples if sample[0] >= first]
        self._samples = [(first - 1, before), *kept]

    @property
    def total(self) -> int:
        """Bytes written so far, and what was there at start."""
        return self._total

    def bytes_after(self, index: Index) -> int:
        """Bytes of the entries after ``index``."""
        return self._total - self._bytes_to(index)

    def _bytes_to(self, index: int) -> int:
        samples = self._samples
        at = bisect_right(samples, index, key=lambda sample: sample[0])
        if at == 0:
            return samples[0][1]
        low_index, low = samples[at - 1]
        high_index, high = samples[at] if at < len(samples) else (self._last, self._total)
        if high_index <= low_index:
            return high if index >= high_index else low
        inside = min(index, high_index) - low_index
        return low + (high - low) * inside // (high_index - low_index)
