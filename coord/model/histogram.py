"""How many fell into which range: durations, counted without keeping them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts by upper bound. One thread observes; others may read a moment's counts."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds``: growing, in whatever unit is observed."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Of each bound, not of those below it; the last is of what is above all."""
        self.total = 0.0
        """Sum of what was observed."""

    def observe(self, value: float) -> None:
        """One more. A value that equals a bound counts there."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The bound that ``share`` of the values do not exceed; None of none, the last bound if they
    do."""
    rest = share * sum(counts)
    if not rest:
        return None
    for bound, count in zip(bounds, counts, strict=False):
        rest -= count
        if rest <= 0:
            return bound
    return bounds[-1]
