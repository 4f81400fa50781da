"""What a report shows, counted from a history: rates, latencies, gaps, what was asked.

Times are seconds since the first operation began.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from jepsen_lite.history import NEVER, Fault, History, Op, Outcome

NS_PER_S: Final = 1_000_000_000
BUCKETS: Final = 120
OPS_DRAWN_MAX: Final = 20_000
AROUND: Final = 200
"""Operations drawn before and after each offending one, if not all can be."""
LABEL_MAX: Final = 160
ERRORS_SHOWN: Final = 12
_NUMBER: Final = re.compile(r"\d+")


class Span(NamedTuple):
    """A fault in seconds, and the longest time without a success that it overlaps."""

    fault: Fault
    start_s: float
    end_s: float
    gap_s: float


class Bucket(NamedTuple):
    """What ended within one slice of time: operations by outcome a second, latencies in ms."""

    start_s: float
    rates: dict[str, float]
    p50_ms: float | None
    p99_ms: float | None


class Facts:
    """Everything counted once."""

    def __init__(self, history: History) -> None:
        self.ops = history.ops
        begins = [op.invoke_ns for op in history.ops] + [f.start_ns for f in history.faults]
        ends = [max(op.invoke_ns, op.complete_ns) for op in history.ops]
        ends += [fault.end_ns for fault in history.faults]
        self.start_ns = min(begins, default=0)
        self.length_s = max(max(ends, default=0) - self.start_ns, 1) / NS_PER_S
        self._done = sorted(op.complete_ns for op in history.ops if op.is_ok)
        self.spans = [self._span(fault) for fault in history.faults]
        self.buckets = list(self._buckets())
        self.longest_gap_s = self._gap(0.0, self.length_s)

    def seconds(self, time_ns: int) -> float:
        """Since the beginning."""
        return (time_ns - self.start_ns) / NS_PER_S

    def _span(self, fault: Fault) -> Span:
        end_s = self.length_s if fault.end_ns == NEVER else self.seconds(fault.end_ns)
        start_s = self.seconds(fault.start_ns)
        return Span(fault, start_s, end_s, self._gap(start_s, end_s))

    def _gap(self, start_s: float, end_s: float) -> float:
        """The longest time between two successes of any client that overlaps these times."""
        first = bisect_right(self._done, self.start_ns + int(start_s * NS_PER_S))
        last = bisect_left(self._done, self.start_ns + int(end_s * NS_PER_S))
        some = self._done[max(0, first - 1) : last + 1]
        return max((b - a for a, b in pairwise(some)), default=0) / NS_PER_S

    def _buckets(self) -> Iterable[Bucket]:
        width_s = self.length_s / BUCKETS
        ended: list[list[Op]] = [[] for _ in range(BUCKETS)]
        for op in self.ops:
            if op.complete_ns != NEVER:
                at = int(self.seconds(op.complete_ns) / width_s)
                ended[min(at, BUCKETS - 1)].append(op)
        for at, some in enumerate(ended):
            counts = Counter(op.outcome.value for op in some)
            took = sorted((op.complete_ns - op.invoke_ns) / 1e6 for op in some if _was_asked(op))
            rates = {name.value: counts[name.value] / width_s for name in Outcome}
            yield Bucket(at * width_s, rates, _quantile(took, 0.5), _quantile(took, 0.99))

    def counts(self) -> dict[str, Counter[str]]:
        """Name of operation → outcome → how many."""
        found: dict[str, Counter[str]] = {}
        for op in self.ops:
            found.setdefault(op.f, Counter())[op.outcome.value] += 1
        return dict(sorted(found.items()))

    def errors(self) -> list[tuple[str, int]]:
        """Errors and how often, most frequent first; those that differ in numbers are one."""
        told = (_NUMBER.sub("…", op.error) for op in self.ops if op.error)
        return Counter(told).most_common(ERRORS_SHOWN)

    def drawn(self, offending: set[int]) -> dict[str, Any]:
        """What the timeline needs: rows (processes), faults, operations as
        [row, begin, end or null, outcome, id, label]."""
        chosen = self._chosen(offending)
        rows = {process: at for at, process in enumerate(_ordered({op.process for op in chosen}))}
        return {
            "length": self.length_s,
            "rows": [str(process) for process in rows],
            "faults": [[s.fault.name, s.start_s, s.end_s, s.fault.targets] for s in self.spans],
            "ops": [
                [
                    rows[op.process],
                    round(self.seconds(op.invoke_ns), 6),
                    None if op.complete_ns == NEVER else round(self.seconds(op.complete_ns), 6),
                    op.outcome.value,
                    op.id,
                    label(op),
                ]
                for op in chosen
            ],
            "offending": sorted(offending),
            "total": len(self.ops),
        }

    def _chosen(self, offending: set[int]) -> list[Op]:
        """All operations if they are few; else those around the offending ones, and a sample."""
        if len(self.ops) <= OPS_DRAWN_MAX:
            return self.ops
        chosen: set[int] = set()
        for op in sorted(offending):
            chosen.update(range(max(0, op - AROUND), min(len(self.ops), op + AROUND)))
            if len(chosen) > OPS_DRAWN_MAX // 2:
                break
        chosen.update(offending)
        step = len(self.ops) // (OPS_DRAWN_MAX // 2) + 1
        chosen.update(range(0, len(self.ops), step))
        return [self.ops[at] for at in sorted(chosen) if at < len(self.ops)]


def _was_asked(op: Op) -> bool:
    """It succeeded, and somebody waited for it: a note of what happened takes no time."""
    return op.is_ok and op.complete_ns > op.invoke_ns


def label(op: Op) -> str:
    """What an operation asked and was told, short."""
    parts = [op.f] if op.key is None else [op.f, str(op.key)]
    if op.value is not None:
        parts.append(json.dumps(op.value))
    if op.is_ok and op.result is not None:
        parts += ["→", json.dumps(op.result)]
    text = " ".join(parts)
    if op.error:
        text = f"{text} ({op.error})"
    return text if len(text) <= LABEL_MAX else f"{text[: LABEL_MAX - 1]}…"


def _ordered(processes: set[int | str]) -> list[int | str]:
    """Numbers by value, then names."""
    return sorted(processes, key=lambda one: (isinstance(one, str), one))


def _quantile(took: list[float], share: float) -> float | None:
    """Of sorted values; None without any."""
    return took[min(len(took) - 1, int(share * len(took)))] if took else None
