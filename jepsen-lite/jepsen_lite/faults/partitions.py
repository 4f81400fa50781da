"""Partitions: which ways are cut, in which direction, for how long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any, ClassVar

from jepsen_lite.clusters.cluster import Ability, Cluster
from jepsen_lite.clusters.weather import CLIENTS, CUT, Path
from jepsen_lite.faults.fault import Fault, NoEffectError, names
from jepsen_lite.faults.targets import choose

Pair = tuple[str, str]


def between(some: Iterable[str], others: Iterable[str]) -> set[Pair]:
    """Both ways between two groups."""
    right = list(others)
    return {pair for a in some for b in right for pair in ((a, b), (b, a)) if a != b}


class _Cut(Fault):
    """Cuts ways, and proves that nothing crossed them."""

    needs = frozenset({Ability.PATHS})

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._before: dict[Pair, tuple[int, int]] = {}

    @property
    def names(self) -> list[str]:
        """All nodes."""
        return [node.name for node in self.cluster.nodes]

    def cut(self, pairs: set[Pair]) -> None:
        """Cut these ways, and none that this fault has cut before."""
        self.cluster.weather.lay(self, dict.fromkeys(pairs, CUT))
        self._before = {pair: _counts(self.cluster.weather.path(*pair)) for pair in pairs}

    async def verify(self) -> str:
        tried = 0
        self.cluster.weather.measure()
        for pair, (crossed, held) in self._before.items():
            path = self.cluster.weather.path(*pair)
            now_crossed, now_held = _counts(path)
            if now_crossed != crossed:
                lost = f"{now_crossed - crossed} bytes"
                raise NoEffectError(f"{lost} crossed from {pair[0]} to {pair[1]}")
            tried += now_held - held
        ways = len(self._before)
        if not tried and not self._is_any_down():
            raise NoEffectError("nobody tried to cross")
        return f"no byte crossed {ways} ways; {tried} frames and connections had to wait"

    def _is_any_down(self) -> bool:
        """Whether another fault has silenced a node."""
        processes = [node.process for node in self.cluster.nodes]
        return any(process.is_paused or not process.is_running for process in processes)

    async def stop(self) -> None:
        self.cut(set())


def _counts(path: Path) -> tuple[int, int]:
    """(bytes that crossed, attempts that had to wait)."""
    return path.crossed_bytes, path.held_frames + path.waited


class Partition(_Cut):
    """Some nodes do not hear some others."""

    name = "partition"
    summary = "cut the ways between nodes, in the shape that the target names"
    words: ClassVar[tuple[str, ...]] = ("one", "leader", "halves", "bridge", "ring", "one-way")

    async def start(self) -> list[str]:
        word = self.word()
        pairs = await self._pairs(word)
        self.cut(pairs)
        return sorted({f"{a}→{b}" for a, b in pairs})

    async def _pairs(self, word: str) -> set[Pair]:
        (leader,) = await choose("leader", self.cluster, self.dice)
        others = [name for name in self.names if name != leader.name]
        self.dice.shuffle(others)
        if word == "leader":
            return between([leader.name], others)
        if word == "one":
            (node,) = await choose(word, self.cluster, self.dice)
            return between([node.name], self.names)
        if word == "one-way":
            from_it = {(leader.name, other) for other in others}
            return from_it if self.dice.random() < 0.5 else {(b, a) for a, b in from_it}
        # The leader is never in the middle: followers hardly speak to each other.
        names = [leader.name, *others]
        if word == "halves":
            at = len(names) // 2
            return between(names[:at], names[at:])
        if word == "ring" and len(names) >= 5:
            return _ring(names)
        at = len(names) // 2
        return between(names[:at], names[at + 1 :])


def _ring(names: list[str]) -> set[Pair]:
    """Each node hears the next two and the last two of a circle of five: every node sees a
    majority, no two the same. Larger circles: as many neighbours as a majority takes."""
    count = len(names)
    reach = max(1, (count // 2) // 2)
    return {
        (names[a], names[b])
        for a in range(count)
        for b in range(count)
        if reach < (b - a) % count < count - reach
    }


class ClientPartition(_Cut):
    """Clients cannot reach some nodes; the nodes hear each other."""

    name = "client-partition"
    summary = "cut clients from one node, the leader or a majority"
    words: ClassVar[tuple[str, ...]] = ("one", "leader", "majority")

    async def start(self) -> list[str]:
        nodes = await choose(self.word(), self.cluster, self.dice)
        self.cut(between([CLIENTS], [node.name for node in nodes]))
        return [node.name for node in nodes]


class _Changing(_Cut):
    """A partition that changes while it lasts."""

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._changing: asyncio.Task[None] | None = None
        self.changes = 0

    async def start(self) -> list[str]:
        self.changes = 0
        self._changing = asyncio.create_task(self.change())
        return self.names

    async def change(self) -> None:
        """Cut and heal until cancelled."""
        raise NotImplementedError

    async def verify(self) -> str:
        if not self.changes:
            raise NoEffectError("no way was cut")
        return f"ways were cut and healed {self.changes} times"

    async def stop(self) -> None:
        if self._changing is not None:
            self._changing.cancel()
            await asyncio.gather(self._changing, return_exceptions=True)
            self._changing = None
        await super().stop()


class Flapping(_Changing):
    """The leader is cut off and back, again and again."""

    name = "flapping"
    summary = "isolate the leader of the moment for up to a second, again and again"

    async def change(self) -> None:
        while True:
            (node,) = await choose("leader", self.cluster, self.dice)
            self.cut(between([node.name], self.names))
            await asyncio.sleep(self.dice.uniform(0.1, 1.0))
            self.cut(set())
            self.changes += 1
            await asyncio.sleep(self.dice.uniform(0.1, 0.8))


class Swizzle(_Changing):
    """Nodes are cut off one after another and come back in another order."""

    name = "swizzle"
    summary = "cut off nodes one by one, let them back in another order"

    async def change(self) -> None:
        while True:
            gone: list[str] = []
            victims = self.dice.sample(self.names, self.cluster.majority)
            for name in victims:
                await self._become([*gone, name])
                gone.append(name)
            self.dice.shuffle(gone)
            while gone:
                gone.pop()
                await self._become(gone)

    async def _become(self, gone: list[str]) -> None:
        self.cut(between(gone, self.names))
        self.changes += 1
        await asyncio.sleep(self.dice.uniform(0.1, 0.6))


class Isolation(Fault):
    """Nodes lose their network altogether, clients and all."""

    name = "isolation"
    summary = "take the whole network of nodes away, from each other and from clients"
    needs = frozenset({Ability.NETWORKS})
    words: ClassVar[tuple[str, ...]] = ("one", "leader", "minority", "majority")

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._struck: list[tuple[Any, list[str]]] = []
        """Containers, with the networks that they had."""

    async def start(self) -> list[str]:
        nodes = await choose(self.word(), self.cluster, self.dice)
        for node in nodes:
            container: Any = node.process
            networks = await asyncio.to_thread(container.networks)
            self._struck.append((container, networks))
            await asyncio.to_thread(container.disconnect, networks)
        return names(nodes)

    async def verify(self) -> str:
        for container, _ in self._struck:
            if left := await asyncio.to_thread(container.networks):
                raise NoEffectError(f"a node is still attached to {', '.join(left)}")
        return "the engine says that no network is attached"

    async def stop(self) -> None:
        while self._struck:
            container, networks = self._struck[-1]
            await asyncio.to_thread(container.connect, networks)
            self._struck.pop()
