"""Faults of the network short of a partition: slow, lossy, confused, broken connections."""

from __future__ import annotations

import asyncio
import random
from typing import ClassVar

from jepsen_lite.clusters.cluster import Ability, Cluster
from jepsen_lite.clusters.weather import CLIENTS, CUT, Conditions, Path
from jepsen_lite.faults.fault import Fault, NoEffectError, names
from jepsen_lite.faults.partitions import between
from jepsen_lite.faults.targets import choose


class _Weather(Fault):
    """Bad conditions on every way between some nodes and the others."""

    words: ClassVar[tuple[str, ...]] = ("one", "leader", "all")
    conditions: ClassVar[Conditions]
    """What the ways are to be like."""
    counter: ClassVar[str]
    """What a way counts of it: the name of a field of Path."""
    done: ClassVar[str]
    """What happened to a message, as a participle."""

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._paths: list[Path] = []
        self._before = 0

    async def start(self) -> list[str]:
        nodes = await choose(self.word(), self.cluster, self.dice)
        pairs = between(names(nodes), names(list(self.cluster.nodes)))
        self._paths = [self.cluster.weather.path(*pair) for pair in sorted(pairs)]
        self.cluster.weather.lay(self, dict.fromkeys(pairs, self.conditions))
        self._before = self._count()
        return names(nodes)

    def _count(self) -> int:
        self.cluster.weather.measure()
        return sum(getattr(path, self.counter) for path in self._paths)

    async def verify(self) -> str:
        hits = self._count() - self._before
        if not hits:
            raise NoEffectError("no message was affected")
        return f"{hits} messages were {self.done} on {len(self._paths)} ways"

    async def stop(self) -> None:
        self.cluster.weather.lay(self, {})


class Delay(_Weather):
    """100 ± 50 ms on each way."""

    name = "delay"
    summary = "50 to 150 ms more for each message between nodes"
    needs = frozenset({Ability.PATHS, Ability.SLOWNESS})
    conditions = Conditions(delay_s=0.05, jitter_s=0.1)
    counter = "held_frames"
    done = "delayed"


class Bandwidth(_Weather):
    """A thin line."""

    name = "bandwidth"
    summary = "128 KiB/s on each way between nodes"
    needs = frozenset({Ability.PATHS, Ability.SLOWNESS})
    conditions = Conditions(bytes_per_s=128 * 1024)
    counter = "held_frames"
    done = "held back"


class Drop(_Weather):
    """Messages are lost within connections."""

    name = "drop"
    summary = "lose 20 % of the messages between nodes"
    needs = frozenset({Ability.PATHS, Ability.FRAMES})
    conditions = Conditions(drop=0.2)
    counter = "dropped"
    done = "lost"


class Loss(_Weather):
    """Packets are lost: TCP hides that, and is slow."""

    name = "packet-loss"
    summary = "lose 20 % of the packets between nodes"
    needs = frozenset({Ability.PATHS, Ability.PACKETS})
    conditions = Conditions(drop=0.2)
    counter = "dropped"
    done = "lost in packets"


class Duplicate(_Weather):
    """Messages arrive twice, the second time later, also over another connection."""

    name = "duplicate"
    summary = "deliver 20 % of the messages between nodes twice"
    needs = frozenset({Ability.PATHS, Ability.FRAMES})
    conditions = Conditions(duplicate=0.2)
    counter = "duplicated"
    done = "doubled"


class Reorder(_Weather):
    """Messages are overtaken."""

    name = "reorder"
    summary = "deliver 20 % of the messages between nodes up to 0.3 s late, out of order"
    needs = frozenset({Ability.PATHS, Ability.FRAMES})
    conditions = Conditions(reorder=0.2)
    counter = "reordered"
    done = "overtaken"


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
