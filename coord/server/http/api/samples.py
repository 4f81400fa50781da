"""What this node did in each of the last minutes' seconds, for charts."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coord.model.histogram import quantile
from coord.node.gateway import READS, WRITES
from coord.node.traffic import LATENCY_BOUNDS_MS

if TYPE_CHECKING:
    from coord.node.node import Node

INTERVAL_MS: Final = 1_000
KEPT: Final = 300
_NONE: Final = (0,) * (len(LATENCY_BOUNDS_MS) + 1)


class Counts(NamedTuple):
    """Totals since the node started."""

    requests: int
    replies: int
    applied: int
    writes: int
    reads: int
    timed_ms: float
    latencies: tuple[int, ...]
    """Of the reads and writes that were timed, by LATENCY_BOUNDS_MS: heartbeats wait for the
    leader's next round, and questions about the cluster for members that may be gone."""


class Samples:
    """A ring of ``KEPT`` samples; each is what grew since the one before."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._last: Counts | None = None
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)

    async def keep_up(self) -> None:
        """Runs as long as the door."""
        while True:
            self.take()
            await asyncio.sleep(INTERVAL_MS / 1_000)

    def take(self) -> None:
        """Look once."""
        counts, last = self._counts(), self._last
        self._last = counts
        if last is None:
            return
        grown = [now - then for now, then in zip(counts.latencies, last.latencies, strict=True)]
        timed = sum(grown)
        gateway = self._node.gateway
        self._kept.append({
            "wall_ms": self._node.clock.wall_ms(),
            "requests": max(0, counts.requests - last.requests),
            "replies": max(0, counts.replies - last.replies),
            "applied": counts.applied - last.applied,
            "writes": counts.writes - last.writes,
            "reads": counts.reads - last.reads,
            "latency_ms": (counts.timed_ms - last.timed_ms) / timed if timed else None,
            "latency_p50_ms": quantile(LATENCY_BOUNDS_MS, grown, 0.5),
            "latency_p99_ms": quantile(LATENCY_BOUNDS_MS, grown, 0.99),
            "connections": len(gateway.connections),
            "in_flight": gateway.admission.writes_in_flight,
        })  # fmt: skip

    def _counts(self) -> Counts:
        gateway = self._node.gateway
        traffic = gateway.traffic
        timed = [it for kind, it in traffic.by_kind.items() if kind in READS or kind in WRITES]
        return Counts(
            *traffic.totals(gateway.connections),
            self._node.driver.applied_entries,
            sum(traffic.asked[kind] for kind in WRITES),
            sum(traffic.asked[kind] for kind in READS),
            sum(it.total for it in timed),
            tuple(map(sum, zip(_NONE, *(it.counts for it in timed), strict=True))),
        )

    def told(self) -> dict[str, Any]:
        """Oldest first."""
        return {"interval_ms": INTERVAL_MS, "samples": list(self._kept)}
