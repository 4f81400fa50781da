"""FIFO queues of distinct values, by the patterns that every illegal history has. O(n log n).

After Henzinger, Sezgin and Vafeiadis (2013): a history is illegal exactly if a value comes out
that did not go in or twice, if one overtakes another, or if the queue seemed empty while something
was certainly inside at every moment. Exact if every dequeue was answered; unanswered ones may have
taken any value, so that values that never came out then prove less.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from dataclasses import dataclass

from jepsen_lite.history import FOREVER, History, Op
from jepsen_lite.models import frozen
from jepsen_lite.verdict import Judgement, under


@dataclass(slots=True)
class _Item:
    """One value's way through the queue. ``out``: None if nobody is known to have taken it."""

    into: Op
    out: Op | None = None

    @property
    def out_ns(self) -> int:
        """When its taker began; beyond all times if there is none."""
        return FOREVER if self.out is None else self.out.invoke_ns


def check(history: History) -> Judgement:
    """Whether each key is a queue."""
    judgement = Judgement("queue")
    checked = 0
    for key, ops in history.by_key().items():
        some = [op for op in ops if op.f in {"enqueue", "dequeue"}]
        checked += len(some)
        items = _items(judgement, key, some)
        if items is None or judgement.found:
            continue
        doubts = sum(op.f == "dequeue" and op.may_have_happened and not op.is_ok for op in some)
        _check_order(judgement, key, items, doubts)
        _check_empty(judgement, key, items, some, doubts)
    judgement.figures = {"operations": checked}
    return judgement


def _items(judgement: Judgement, key: str | int | None, ops: list[Op]) -> list[_Item] | None:
    items: dict[Hashable, _Item] = {}
    for op in ops:
        if op.f == "enqueue":
            if frozen(op.value) in items:
                judgement.cannot_say(f"{under(key)}{op.value!r:.60} is enqueued more than once")
                return None
            items[frozen(op.value)] = _Item(op)
    for op in ops:
        if op.f == "dequeue" and op.is_ok and op.result is not None:
            item = items.get(frozen(op.result))
            _take_out(judgement, key, op, item)
            if item is not None:
                item.out = op
    return [item for item in items.values() if item.into.is_ok or item.out is not None]


def _take_out(judgement: Judgement, key: str | int | None, op: Op, item: _Item | None) -> None:
    if item is None:
        judgement.add("phantom", f"{under(key)}{op} got what nobody put in", op.id)
    elif not item.into.may_have_happened:
        sentence = f"{under(key)}{op} got what {item.into} put in, which failed"
        judgement.add("aborted", sentence, op.id, item.into.id)
    elif op.end_ns < item.into.invoke_ns:
        sentence = f"{under(key)}{op} was over before {item.into} began"
        judgement.add("future", sentence, op.id, item.into.id)
    elif item.out is not None:
        sentence = f"{under(key)}{op} and {item.out} got the same value"
        judgement.add("duplicate", sentence, op.id, item.out.id)


def _check_order(
    judgement: Judgement, key: str | int | None, items: list[_Item], doubts: int
) -> None:
    """What went in before another, and was still inside when that other had come out."""
    entered = sorted(items, key=lambda item: item.into.end_ns)
    last_out: _Item | None = None
    at = 0
    excused: set[int] = set()
    for item in sorted(items, key=lambda item: item.into.invoke_ns):
        while at < len(entered) and entered[at].into.end_ns < item.into.invoke_ns:
            earlier = entered[at]
            at += 1
            if earlier.out is None and len(excused) < doubts:
                excused.add(earlier.into.id)
            elif last_out is None or earlier.out_ns > last_out.out_ns:
                last_out = earlier
        if last_out is None or item.out is None or item.out.end_ns >= last_out.out_ns:
            continue
        when = "never came out" if last_out.out is None else f"came out later, by {last_out.out}"
        sentence = (
            f"{under(key)}{item.out} overtook {last_out.into}, which went in before and {when}"
        )
        judgement.add("order", sentence, item.out.id, last_out.into.id)


def _check_empty(
    judgement: Judgement, key: str | int | None, items: list[_Item], ops: list[Op], doubts: int
) -> None:
    """A queue that seemed empty though something was inside all the time."""
    stays = sorted(
        (item.into.end_ns, item.out_ns)
        for item in items
        if item.into.end_ns < item.out_ns and not (item.out is None and doubts)
    )
    occupied: list[list[int]] = []
    for start_ns, end_ns in stays:
        if occupied and start_ns < occupied[-1][1]:
            occupied[-1][1] = max(occupied[-1][1], end_ns)
        else:
            occupied.append([start_ns, end_ns])
    starts = [start_ns for start_ns, _ in occupied]
    for op in ops:
        if op.f != "dequeue" or not op.is_ok or op.result is not None:
            continue
        at = bisect_left(starts, op.invoke_ns)
        if at and op.end_ns < occupied[at - 1][1]:
            sentence = f"{under(key)}{op} found nothing, though something was inside all the time"
            judgement.add("empty", sentence, op.id)
