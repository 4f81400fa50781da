"""Kills at named points of a node's work, in step with it instead of at random times.

The points are reached in the product's own objects, which the harness stands around: the log
writer, the state machine's apply, a client's link, the answers of long work. At a point the
process ends as by kill -9 (or the machine loses power) with everything exactly as it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from coord.sim import US_PER_MS, Killed
from tests.sim.cluster import Cluster

POINTS: Final = (
    "start",
    "before-durable",
    "after-durable",
    "before-apply",
    "after-apply",
    "before-reply",
    "before-answer",
    "after-answer",
)
"""start: nothing opened yet. durable: a log transaction. apply: between commit and apply, and
between apply and everything that follows from it. reply: to a client. answer: of long work, which
is a snapshot taken, verified or installed."""

QUIET_MS_MIN: Final = 40
QUIET_MS_MAX: Final = 240
DOWN_MS_MAX: Final = 120
PATIENCE_MS: Final = 400
"""After waiting so long for the wanted point any other will do."""


class Killer:
    """Ends one process after another, each at the point whose turn it is."""

    def __init__(self, cluster: Cluster, wanted: int) -> None:
        self.fired: Counter[str] = Counter()
        self._cluster = cluster
        self._kernel = cluster.kernel
        self._stream = cluster.kernel.streams.get("kills")
        self._wanted = wanted
        self._quiet_until_us = 0
        self._next = ""
        for member in cluster.members.values():
            member.points = self._points_of(member.id)
        self._choose()

    @property
    def done(self) -> bool:
        """Enough kills."""
        return self.fired.total() >= self._wanted

    def _points_of(self, node: int) -> Callable[[str], None]:
        def reached(point: str) -> None:
            now_us = self._kernel.now_us
            if self.done or (now_us < self._quiet_until_us and point != "start"):
                return
            patient = now_us < self._quiet_until_us + PATIENCE_MS * US_PER_MS
            if point == self._next or not (patient or point == "start"):
                self._kill(node, point)

        return reached

    def _kill(self, node: int, point: str) -> None:
        member = self._cluster.members[node]
        self.fired[point] += 1
        self._choose()
        down_us = self._stream.randrange(1, DOWN_MS_MAX) * US_PER_MS
        self._kernel.schedule(down_us, member.start)
        raise Killed(point, power=self._stream.randrange(5) == 0)

    def _choose(self) -> None:
        """Which point is next, and when; what leads to it is made to happen."""
        self._next = self._stream.choice(POINTS)
        quiet_us = self._stream.randrange(QUIET_MS_MIN, QUIET_MS_MAX) * US_PER_MS
        self._quiet_until_us = self._kernel.now_us + quiet_us
        if self._next.endswith("-answer"):
            self._kernel.schedule(quiet_us, self._take_snapshots)

    def _take_snapshots(self) -> None:
        for member in self._cluster.running():
            if member.node is not None:
                member.node.housekeeping.take_snapshot(lambda _outcome: None)
