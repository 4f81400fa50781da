"""Sweeps over real time, which most checkers share.

An operation comes *before* another if it was over before the other began. Intervals are closed:
ending and beginning at the same nanosecond is being concurrent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from jepsen_lite.history import Op

P = TypeVar("P", bound=Any)


class Placed(NamedTuple):
    """An operation and its place in an order that is claimed or derived. Places compare."""

    place: Any
    op: Op


class Backwards(NamedTuple):
    """``later`` began after ``earlier`` was over, and has the smaller place."""

    later: Placed
    earlier: Placed


def newest_before(ended: Iterable[Placed], asked: Iterable[Op]) -> list[tuple[Op, Placed | None]]:
    """For each of ``asked``, by begin: of those over before it began, one with the greatest
    place. O(n log n)."""
    done = sorted(ended, key=lambda placed: placed.op.end_ns)
    ends = [placed.op.end_ns for placed in done]
    found: list[tuple[Op, Placed | None]] = []
    newest: Placed | None = None
    at = 0
    for op in sorted(asked, key=lambda op: op.invoke_ns):
        while at < len(done) and ends[at] < op.invoke_ns:
            if newest is None or done[at].place > newest.place:
                newest = done[at]
            at += 1
        found.append((op, newest))
    return found


def oldest_after(begun: Iterable[Placed], asked: Iterable[Op]) -> dict[int, Placed | None]:
    """For each of ``asked``, by id: of those that began after it was over, one with the smallest
    place."""
    rest = sorted(begun, key=lambda placed: placed.op.invoke_ns)
    found: dict[int, Placed | None] = {}
    oldest: Placed | None = None
    for op in sorted(asked, key=lambda op: op.end_ns, reverse=True):
        while rest and rest[-1].op.invoke_ns > op.end_ns:
            placed = rest.pop()
            if oldest is None or placed.place < oldest.place:
                oldest = placed
        found[op.id] = oldest
    return found


def backwards(placed: Iterable[Placed]) -> list[Backwards]:
    """Every operation whose place is smaller than that of one that was over before it began."""
    every = list(placed)
    places = {one.op.id: one for one in every}
    found = []
    for op, newest in newest_before(every, [one.op for one in every]):
        later = places[op.id]
        if newest is not None and later.place < newest.place:
            found.append(Backwards(later, newest))
    return found
