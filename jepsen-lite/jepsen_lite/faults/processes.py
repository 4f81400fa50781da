"""Faults of processes: killed, frozen, restarted in good order."""

from __future__ import annotations

import asyncio
import random
from typing import ClassVar

from jepsen_lite.clusters.cluster import Ability, Cluster, Node
from jepsen_lite.faults.fault import Fault, NoEffectError, names
from jepsen_lite.faults.targets import WORDS, choose


class _OnNodes(Fault):
    needs = frozenset({Ability.PROCESSES})
    words: ClassVar[tuple[str, ...]] = WORDS

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self.struck: list[Node] = []

    async def choose(self) -> list[Node]:
        """The nodes to strike this time."""
        self.struck = await choose(self.word(), self.cluster, self.dice)
        return self.struck


class Kill(_OnNodes):
    """``kill -9``, and a start when the fault is over."""

    name = "kill"
    summary = "kill -9 the processes of nodes; start them again"

    async def start(self) -> list[str]:
        nodes = await self.choose()
        await asyncio.gather(*map(self.take_down, nodes))
        return names(nodes)

    async def verify(self) -> str:
        alive = [node.name for node in self.struck if node.process.is_running]
        if alive:
            raise NoEffectError(f"{', '.join(alive)} still run")
        return f"no process of {', '.join(names(self.struck))} is left"

    async def stop(self) -> None:
        for node in self.struck:
            await self.bring_back(node)


class Pause(_OnNodes):
    """SIGSTOP, and SIGCONT when the fault is over."""

    name = "pause"
    summary = "freeze the processes of nodes (SIGSTOP); let them go on"

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._starts: dict[str, int] = {}

    async def start(self) -> list[str]:
        """A node that another fault keeps down is left alone."""
        nodes = [node for node in await self.choose() if node.process.is_running]
        self.struck = nodes
        self._starts = {node.name: node.process.starts for node in nodes}
        await asyncio.gather(*(node.process.pause() for node in nodes))
        return names(nodes)

    async def verify(self) -> str:
        there = [node for node in self.struck if self._is_the_same(node)]
        awake = [node.name for node in there if not node.process.is_paused]
        if awake:
            raise NoEffectError(f"{', '.join(awake)} are not stopped")
        if not there:
            return "the nodes were down, or went down meanwhile"
        return f"the kernel says that {', '.join(names(there))} are stopped"

    def _is_the_same(self, node: Node) -> bool:
        """Not killed meanwhile by another fault, and not started again."""
        return node.process.is_running and node.process.starts == self._starts[node.name]

    async def stop(self) -> None:
        for node in self.struck:
            node.process.resume()


class Restart(_OnNodes):
    """SIGTERM in turn, each started again before the next goes down."""

    name = "restart"
    summary = "stop nodes in good order (SIGTERM) and start them again, one after another"

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._starts: dict[str, int] = {}
        self._unclean: list[str] = []

    async def start(self) -> list[str]:
        self._unclean = []
        nodes = await self.choose()
        self._starts = {node.name: node.process.starts for node in nodes}
        for node in nodes:
            if not await node.process.terminate():
                self._unclean.append(node.name)
            await self.bring_back(node)
        return names(nodes)

    async def verify(self) -> str:
        same = [n.name for n in self.struck if n.process.starts == self._starts[n.name]]
        if same:
            raise NoEffectError(f"{', '.join(same)} were not restarted")
        late = f"; {', '.join(self._unclean)} had to be killed" if self._unclean else ""
        return f"new processes of {', '.join(names(self.struck))}{late}"

    async def stop(self) -> None:
        for node in self.struck:
            await self.bring_back(node)
