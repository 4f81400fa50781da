"""Counters: what a read may show, and whether every increment counted once. O(n log n).

Bounds for any deltas: all acknowledged before the read began must be in, what began after it was
over cannot be. If every delta is 1 the check is exact: reads order themselves by what they show,
and between two neighbours as many increments must fit as the difference says.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import accumulate, pairwise

from jepsen_lite.checkers.intervals import Placed, backwards, newest_before, oldest_after
from jepsen_lite.history import History, Op
from jepsen_lite.verdict import Judgement, under


def check(history: History) -> Judgement:
    """Whether each key's reads are those of a counter."""
    judgement = Judgement("counter")
    checked = reads_seen = 0
    for key, ops in history.by_key().items():
        adds = [op for op in ops if op.f == "add" and op.may_have_happened]
        reads = [op for op in ops if op.f == "read" and op.is_ok]
        checked += len(adds) + len(reads)
        reads_seen += len(reads)
        before = judgement.found
        _check_bounds(judgement, key, adds, reads)
        if judgement.found == before and all(op.value == 1 for op in adds):
            _check_fit(judgement, key, adds, reads)
    if not reads_seen:
        judgement.cannot_say("nobody read the counter")
    judgement.figures = {"operations": checked, "reads": reads_seen}
    return judgement


class _Sum:
    """Sum of deltas of operations up to a time."""

    def __init__(self, deltas: Iterable[tuple[int, int]]) -> None:
        some = sorted(deltas)
        self._times = [time for time, _ in some]
        self._sums = [0, *accumulate(delta for _, delta in some)]

    def before(self, time: int) -> int:
        """Of those strictly before."""
        return self._sums[bisect_left(self._times, time)]

    def until(self, time: int) -> int:
        """Of those at or before."""
        return self._sums[bisect_right(self._times, time)]


def _check_bounds(
    judgement: Judgement, key: str | int | None, adds: list[Op], reads: list[Op]
) -> None:
    up = [op for op in adds if op.value > 0]
    down = [op for op in adds if op.value < 0]
    up_sure = _Sum((op.end_ns, op.value) for op in up)
    up_tried = _Sum((op.invoke_ns, op.value) for op in up)
    down_sure = _Sum((op.end_ns, op.value) for op in down)
    down_tried = _Sum((op.invoke_ns, op.value) for op in down)
    for op in reads:
        low = up_sure.before(op.invoke_ns) + down_tried.until(op.end_ns)
        high = up_tried.until(op.end_ns) + down_sure.before(op.invoke_ns)
        if op.result < low:
            sentence = f"{under(key)}{op}: acknowledged before it began was at least {low}"
            judgement.add("lost", sentence, op.id)
        elif op.result > high:
            sentence = f"{under(key)}{op}: tried before it was over was at most {high}"
            judgement.add("too-much", sentence, op.id)


def _check_fit(
    judgement: Judgement, key: str | int | None, adds: list[Op], reads: list[Op]
) -> None:
    """Gap ``rank`` lies behind the reads of that rank (0: before all). Each increment may go into
    a range of gaps; they are filled in order, the most urgent increments first."""
    values = sorted({0, *(op.result for op in reads)})
    ranks = {value: rank for rank, value in enumerate(values)}
    placed = [Placed(ranks[op.result], op) for op in reads]
    stale = backwards(placed)
    for later, earlier in stale:
        sentence = f"{under(key)}{later.op} shows less than {earlier.op}, which was over before it"
        judgement.add("stale", sentence, later.op.id, earlier.op.id)
    if stale:
        return
    last = len(values) - 1
    after = oldest_after(placed, adds)
    opens: list[list[tuple[int, Op]]] = [[] for _ in values]
    for op, before in newest_before(placed, adds):
        following = after[op.id]
        earliest = before.place if before else 0
        latest = last if following is None else following.place - 1
        if latest < earliest:
            _report_lost(judgement, key, op)
            return
        opens[earliest].append((latest, op))
    waiting: list[tuple[int, int, Op]] = []
    for rank, (value, following_value) in enumerate(pairwise([*values, values[-1]])):
        for latest, op in opens[rank]:
            heappush(waiting, (latest, op.id, op))
        for _ in range(following_value - value):
            if not waiting:
                sentence = f"{under(key)}no increments explain the step to {following_value}"
                judgement.add("too-much", sentence)
                return
            heappop(waiting)
        if rank < last and waiting and waiting[0][0] == rank:
            _report_lost(judgement, key, waiting[0][2])
            return


def _report_lost(judgement: Judgement, key: str | int | None, op: Op) -> None:
    sentence = f"{under(key)}{op} is missing in reads that began after it was over"
    judgement.add("lost", sentence, op.id)
