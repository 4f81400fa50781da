"""Faults of the network short of a partition: slow, lossy, confused, broken connections."""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from typing import ClassVar

from jepsen_lite.clusters.cluster import Ability, Cluster
from jepsen_lite.clusters.weather import CLIENTS, CUT, Conditions, Path
from jepsen_lite.faults.fault import Fault, NoEffectError, names
from jepsen_lite.faults.targets import choose


class _Weather(Fault):
    """Bad conditions on every way between some nodes and the others."""

    needs = frozenset({Ability.PATHS})
    words: ClassVar[tuple[str, ...]] = ("one", "leader", "all")

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._paths: list[tuple[Path, int]] = []

    @abstractmethod
    def conditions(self) -> Conditions:
        """What the ways are to be like."""

    @staticmethod
    @abstractmethod
    def count(path: Path) -> int:
        """How often the fault struck on a way."""

    async def start(self) -> list[str]:
        nodes = await choose(self.word(), self.cluster, self.dice)
        everybody = [node.name for node in self.cluster.nodes]
        conditions = self.conditions()
        struck = {
            pair
            for node in nodes
            for other in everybody
            if other != node.name
            for pair in ((node.name, other), (other, node.name))
        }
        paths = [self.cluster.weather.path(*pair) for pair in sorted(struck)]
        self._paths = [(path, self.count(path)) for path in paths]
        self.cluster.weather.lay(self, dict.fromkeys(struck, conditions))
        return names(nodes)

    async def verify(self) -> str:
        hits = sum(self.count(path) - before for path, before in self._paths)
        if not hits:
            raise NoEffectError("no frame was affected")
        return f"{hits} frames were {self.done} on {len(self._paths)} ways"

    done: ClassVar[str]
    """What happened to a frame, as a participle."""

    async def stop(self) -> None:
        self.cluster.weather.lay(self, {})


class Delay(_Weather):
    """100 ± 50 ms on each way."""

    name = "delay"
    summary = "50 to 150 ms more for each message between nodes"
    done = "delayed"

    def conditions(self) -> Conditions:
        return Conditions(delay_s=0.05, jitter_s=0.1)

    @staticmethod
    def count(path: Path) -> int:
        return path.held_frames


class Bandwidth(_Weather):
    """A thin line."""

    name = "bandwidth"
    summary = "128 KiB/s on each way between nodes"
    done = "held back"

    def conditions(self) -> Conditions:
        return Conditions(bytes_per_s=128 * 1024)

    @staticmethod
    def count(path: Path) -> int:
        return path.held_frames


class Drop(_Weather):
    """Messages are lost within connections."""

    name = "drop"
    summary = "lose 20 % of the messages between nodes"
    needs = frozenset({Ability.PATHS, Ability.FRAMES})
    done = "lost"

    def conditions(self) -> Conditions:
        return Conditions(drop=0.2)

    @staticmethod
    def count(path: Path) -> int:
        return path.dropped


class Duplicate(_Weather):
    """Messages arrive twice, the second time later, also over another connection."""

    name = "duplicate"
    summary = "deliver 20 % of the messages between nodes twice"
    needs = frozenset({Ability.PATHS, Ability.FRAMES})
    done = "doubled"

    def conditions(self) -> Conditions:
        return Conditions(duplicate=0.2)

    @staticmethod
    def count(path: Path) -> int:
        return path.duplicated


class Reorder(_Weather):
    """Messages are overtaken."""

    name = "reorder"
    summary = "deliver 20 % of the messages between nodes up to 0.3 s late, out of order"
    needs = frozenset({Ability.PATHS, Ability.FRAMES})
    done = "overtaken"

    def conditions(self) -> Conditions:
        return Conditions(reorder=0.2)

    @staticmethod
    def count(path: Path) -> int:
        return path.reordered


class Reset(Fault):
    """Connections break, some answers to clients with them: what was asked has happened, and
    whoever asked does not know."""

    name = "reset"
    summary = "break the connections between nodes, and of clients before their answers arrive"
    needs = frozenset({Ability.PATHS})
    words: ClassVar[tuple[str, ...]] = ("one", "leader", "all")

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._breaking: asyncio.Task[None] | None = None
        self._broken = 0

    async def start(self) -> list[str]:
        nodes = await choose(self.word(), self.cluster, self.dice)
        self._broken = 0
        self._breaking = asyncio.create_task(self._break(frozenset(names(nodes))))
        return names(nodes)

    async def _break(self, struck: frozenset[str]) -> None:
        weather = self.cluster.weather
        while True:
            weather.lay(self, {(name, CLIENTS): CUT for name in struck})
            await asyncio.sleep(self.dice.uniform(0.01, 0.1))
            self._broken += weather.reset(lambda ends: bool(struck & set(ends)))
            weather.lay(self, {})
            await asyncio.sleep(self.dice.uniform(0.1, 1.0))

    async def verify(self) -> str:
        if not self._broken:
            raise NoEffectError("there was no connection to break")
        return f"{self._broken} connections were broken"

    async def stop(self) -> None:
        if self._breaking is not None:
            self._breaking.cancel()
            await asyncio.gather(self._breaking, return_exceptions=True)
            self._breaking = None
        self.cluster.weather.lay(self, {})
