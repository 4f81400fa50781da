"""Makes things go wrong, as the plan's list of faults says, and undoes each after its time."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from coord.sim import US_PER_MS
from tests.sim.faults import TABLE
from tests.sim.phases import IN_PHASE
from tests.sim.strike import Strike

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster
    from tests.sim.plan import Fault

PATIENCE_US: Final = 1_000 * US_PER_MS
"""A fault that waits for its phase longer than this strikes without it."""


class Nemesis:
    """Injects faults from ``start`` to ``stop``; ``done`` counts them by kind, ``in_phase`` those
    that met the phase they waited for."""

    def __init__(self, cluster: Cluster) -> None:
        self.done: Counter[str] = Counter()
        self.in_phase: Counter[str] = Counter()
        self._cluster = cluster
        self._plan = cluster.plan
        self._kernel = cluster.kernel
        self.active = False
        """Faults may strike and end; afterwards ``Cluster.heal`` has undone them all."""
        self.waiting: list[Fault] = []
        """Due, and waiting for their phase. Looked at after every event of a node."""

    def start(self) -> None:
        """Begin: every fault is put on the clock."""
        self.active = True
        for fault in self._plan.faults:
            self._kernel.schedule(fault.at_ms * US_PER_MS, partial(self._due, fault))
        if self._plan.snapshot_ms:
            self._take_snapshots()

    def stop(self) -> None:
        """No new faults. Those that last are undone by ``Cluster.heal``."""
        self.active = False
        self.waiting.clear()

    def look(self) -> None:
        """Something has happened at a node: the phase that a fault waits for may have come."""
        for fault in [it for it in self.waiting if IN_PHASE[it.phase](self._cluster)]:
            self.waiting.remove(fault)
            self.in_phase[fault.phase] += 1
            # Not inside that node's event: whoever it kills must not go on.
            self._kernel.schedule(0, partial(self._strike, fault))

    def _due(self, fault: Fault) -> None:
        if not fault.phase:
            self._strike(fault)
            return
        self.waiting.append(fault)
        self._kernel.schedule(PATIENCE_US, lambda: self._lose_patience(fault))

    def _lose_patience(self, fault: Fault) -> None:
        if any(waiting is fault for waiting in self.waiting):
            self.waiting = [waiting for waiting in self.waiting if waiting is not fault]
            self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        if not self.active:
            return
        self.done[fault.kind] += 1
        self._kernel.emit("nemesis", fault.kind)
        TABLE[fault.kind](Strike(self._cluster, fault))

    def _take_snapshots(self) -> None:
        """Everywhere, again and again: what the older of two covers is cut from the log, and who
        lags behind that needs one."""
        for member in self._cluster.running():
            if member.node is not None:
                member.node.housekeeping.take_snapshot(lambda _outcome: None)
        if self.active:
            self._kernel.schedule(self._plan.snapshot_ms * US_PER_MS, self._take_snapshots)
