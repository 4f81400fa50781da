"""Faults of the clock that a node reads; the machine's own is never touched."""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from typing import Any, ClassVar, Final

from jepsen_lite.clusters.cluster import Ability, Cluster
from jepsen_lite.faults.fault import Fault, NoEffectError, names
from jepsen_lite.faults.targets import choose

WATCHED_S: Final = 0.2
HOUR_MS: Final = 3_600_000


class _Clock(Fault):
    """Moves the clocks of some nodes; a node that is down is left alone."""

    needs = frozenset({Ability.CLOCK})
    words: ClassVar[tuple[str, ...]] = ("one", "leader", "minority", "all")

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self.struck: list[Any] = []
        """Nodes with a ``clock`` method."""
        self._starts: list[int] = []

    async def start(self) -> list[str]:
        self.struck = []
        for node in await choose(self.word(), self.cluster, self.dice):
            if await self._tell(node, self.change()) is not None:
                self.struck.append(node)
        self._starts = [node.process.starts for node in self.struck]
        return names(self.struck)

    @abstractmethod
    def change(self) -> dict[str, float]:
        """What to tell a clock."""

    @abstractmethod
    def is_wrong(self, before: dict[str, float], after: dict[str, float]) -> bool:
        """Whether two looks, WATCHED_S apart, show the fault."""

    async def verify(self) -> str:
        shown: list[str] = []
        for node, starts in zip(self.struck, self._starts, strict=True):
            before = await self._tell(node, {})
            await asyncio.sleep(WATCHED_S)
            after = await self._tell(node, {})
            if before is None or after is None or node.process.starts != starts:
                continue  # killed meanwhile, by another fault: a new process has a new clock
            if not self.is_wrong(before, after):
                raise NoEffectError(f"the clock of {node.name} is right")
            shown.append(f"{node.name}: {_difference(before, after)}")
        return "; ".join(shown) or "the nodes went down meanwhile"

    async def stop(self) -> None:
        for node in self.struck:
            await self._tell(node, {"rate": 1.0, "wall_ms": 0})

    @staticmethod
    async def _tell(node: Any, change: dict[str, float]) -> dict[str, float] | None:
        """What the clock shows then; None if the node is down or frozen."""
        try:
            shown: dict[str, float] = await node.clock(**change)
        except (OSError, TimeoutError, ValueError):
            return None
        return shown


def _difference(before: dict[str, float], after: dict[str, float]) -> str:
    system = after["system_ms"] - before["system_ms"]
    own = after["monotonic_ms"] - before["monotonic_ms"]
    wall = after["wall_ms"] - after["system_wall_ms"]
    ahead = after["monotonic_ms"] - after["system_ms"]
    return f"{own:.0f} ms in {system:.0f} ms, {ahead:.0f} ms ahead, wall clock off by {wall:.0f} ms"


class ClockJump(_Clock):
    """Monotonic time jumps ahead; the wall clock jumps either way."""

    name = "clock-jump"
    summary = "jump 0.1 to 20 s ahead; the wall clock up to an hour either way"

    def change(self) -> dict[str, float]:
        forward = int(10 ** self.dice.uniform(2, 4.3))
        return {"forward_ms": forward, "wall_ms": self.dice.randint(-HOUR_MS, HOUR_MS)}

    def is_wrong(self, before: dict[str, float], after: dict[str, float]) -> bool:
        del before
        # Either way: a clock that drifts as well may have lost more than it has gained.
        return abs(after["monotonic_ms"] - after["system_ms"]) >= 20


class ClockDrift(_Clock):
    """Time goes at half to twice its pace."""

    name = "clock-drift"
    summary = "time passes at 0.5 to 2 times its pace"

    def change(self) -> dict[str, float]:
        return {"rate": self.dice.choice((0.5, 0.7, 1.5, 2.0))}

    def is_wrong(self, before: dict[str, float], after: dict[str, float]) -> bool:
        own = after["monotonic_ms"] - before["monotonic_ms"]
        system = after["system_ms"] - before["system_ms"]
        return abs(own - system) >= system / 10


class ClockFreeze(_Clock):
    """Time stands still."""

    name = "clock-freeze"
    needs = frozenset({Ability.CLOCK, Ability.FREEZE})
    summary = "time stands still for the node"

    def change(self) -> dict[str, float]:
        return {"rate": 0.0}

    def is_wrong(self, before: dict[str, float], after: dict[str, float]) -> bool:
        return after["monotonic_ms"] == before["monotonic_ms"]
