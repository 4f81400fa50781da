"""Registers whose writes all differ (Gibbons and Korach, 1997). O(n log n), no search.

All operations on one value form a cluster. A cluster was certainly the present value from the end
of its first operation to the begin of its last one, if that comes later. Two clusters contradict
each other exactly if each has an operation that was over before one of the other began.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from jepsen_lite.history import History, Op, Outcome
from jepsen_lite.models import frozen
from jepsen_lite.verdict import Judgement, under

BEFORE_ALL = -1


@dataclass(slots=True)
class _Cluster:
    """The operations on one value. ``ends_ns``: when the first was over; ``begins_ns``: when the
    last began. ``write``: None for the initial value."""

    write: Op | None
    first: Op | None = None
    last: Op | None = None
    ends_ns: int = BEFORE_ALL
    begins_ns: int = BEFORE_ALL

    def add(self, op: Op) -> None:
        """Take in an operation."""
        if self.write is not None and (self.first is None or op.end_ns < self.ends_ns):
            self.first, self.ends_ns = op, op.end_ns
        if op.invoke_ns > self.begins_ns:
            self.last, self.begins_ns = op, op.invoke_ns

    @property
    def is_forward(self) -> bool:
        """It was certainly present for some time."""
        return self.ends_ns < self.begins_ns


def check(history: History) -> Judgement:
    """Whether each register is linearizable; reads of what was never written are named first."""
    judgement = Judgement("zones")
    checked = 0
    for key, ops in history.by_key().items():
        some = [op for op in ops if op.f in {"read", "write"}]
        checked += len(some)
        clusters = _clusters(judgement, key, some)
        if clusters is not None:
            for one, other in _conflicts(clusters):
                _report(judgement, key, one, other)
    judgement.figures = {"operations": checked}
    return judgement


def _clusters(judgement: Judgement, key: str | int | None, ops: list[Op]) -> list[_Cluster] | None:
    """None if two writes are of the same value: then clusters say nothing."""
    clusters: dict[Hashable, _Cluster] = {None: _Cluster(None)}
    failed: dict[Hashable, Op] = {}
    for op in ops:
        value = frozen(op.value)
        if op.f == "write" and op.may_have_happened:
            if value in clusters:
                judgement.cannot_say(f"{under(key)}{op.value!r:.60} is written more than once")
                return None
            clusters[value] = _Cluster(op)
            clusters[value].add(op)
        elif op.f == "write":
            failed[value] = op
    for op in ops:
        if op.f == "read" and op.outcome is Outcome.OK:
            cluster = clusters.get(frozen(op.result))
            if cluster is None:
                _phantom(judgement, key, op, failed.get(frozen(op.result)))
            elif cluster.write is not None and op.end_ns < cluster.write.invoke_ns:
                judgement.add(
                    "future",
                    f"{under(key)}{op} was over before {cluster.write} began",
                    op.id,
                    cluster.write.id,
                )
            else:
                cluster.add(op)
    # A write that was not answered and whose value nobody saw may not have happened.
    return [
        cluster
        for cluster in clusters.values()
        if cluster.write is None or cluster.write.is_ok or cluster.first is not cluster.write
    ]


def _phantom(judgement: Judgement, key: str | int | None, op: Op, failed: Op | None) -> None:
    if failed is not None:
        sentence = f"{under(key)}{op} shows what {failed} wrote, which was said to have failed"
        judgement.add("aborted", sentence, op.id, failed.id)
    else:
        judgement.add("phantom", f"{under(key)}{op} shows a value that nobody wrote", op.id)


def _conflicts(clusters: list[_Cluster]) -> Iterator[tuple[_Cluster, _Cluster]]:
    """Pairs of which neither value can have come first."""
    forward = sorted((c for c in clusters if c.is_forward), key=lambda c: c.ends_ns)
    longest: list[_Cluster] = []
    """Of the forward ones up to each place, the one that was present longest."""
    for cluster in forward:
        if longest and cluster.ends_ns < longest[-1].begins_ns:
            yield cluster, longest[-1]
        keep = longest and longest[-1].begins_ns > cluster.begins_ns
        longest.append(longest[-1] if keep else cluster)
    ends = [cluster.ends_ns for cluster in forward]
    for cluster in clusters:
        if not cluster.is_forward:
            at = bisect_left(ends, cluster.begins_ns)
            if at and longest[at - 1].begins_ns > cluster.ends_ns:
                yield cluster, longest[at - 1]


def _report(judgement: Judgement, key: str | int | None, one: _Cluster, other: _Cluster) -> None:
    shown = [op for op in (one.first, other.last, other.first, one.last) if op is not None]
    if one.first is None or other.first is None:
        later = other if one.first is None else one
        stale = one if one.first is None else other
        sentence = f"{stale.last} still shows the initial value, though {later.first} was over"
    else:
        sentence = (
            f"{one.first} was over before {other.last} began, and {other.first} before {one.last}:"
            " neither value can have come first"
        )
    judgement.add("stale", f"{under(key)}{sentence}", *dict.fromkeys(op.id for op in shown))
