"""Faults of disks: slow, stuck, failing, full; power losses; damage to files."""

from __future__ import annotations

import asyncio
import errno
import random
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Final

from jepsen_lite.clusters.cluster import Ability, Cluster
from jepsen_lite.clusters.disk import Counts
from jepsen_lite.faults.administration import BACK_WITHIN_S, has_rejoined, incarnation_of
from jepsen_lite.faults.fault import Fault, NoEffectError, names
from jepsen_lite.faults.targets import choose

STUCK_MS: Final = 600_000
LAST_S: Final = (0.05, 0.5)
POLL_S: Final = 0.05


class _OnDisks(Fault):
    """Something about the disks of some nodes of the local cluster."""

    needs = frozenset({Ability.DISK, Ability.PROCESSES})
    words: ClassVar[tuple[str, ...]] = ("one", "leader", "minority", "all")

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self.struck: list[Any] = []
        """Nodes with a ``disk``."""
        self._before: list[Counts] = []

    async def start(self) -> list[str]:
        self.struck = list(await choose(self.word(), self.cluster, self.dice))
        self._before = [node.disk.counts() for node in self.struck]
        for node in self.struck:
            self.strike(node)
        return names(self.struck)

    @abstractmethod
    def strike(self, node: Any) -> None:
        """Make the disk of a node bad."""

    def nothing(self, what: str) -> str:
        """No call was affected. Raises NoEffectError, unless another fault had the nodes down."""
        if all(node.process.is_running and not node.process.is_paused for node in self.struck):
            raise NoEffectError(what)
        return "the nodes were down"

    def hits(self) -> Counts:
        """What the shims have done since the fault began, on all struck nodes."""
        now = [node.disk.counts() for node in self.struck]
        grown = [
            [a - b for a, b in zip(after, before, strict=True)]
            for after, before in zip(now, self._before, strict=True)
        ]
        return Counts(*map(sum, zip(*grown, strict=True)))

    async def stop(self) -> None:
        for node in self.struck:
            node.disk.behave()


class SlowDisk(_OnDisks):
    """Every sync takes longer."""

    name = "slow-disk"
    summary = "each sync of a node takes 20 to 200 ms more"

    def strike(self, node: Any) -> None:
        node.disk.behave(sync_delay_ms=self.dice.randint(20, 200))

    async def verify(self) -> str:
        hits = self.hits()
        if not hits.delayed:
            return self.nothing("nothing was synced")
        return f"{hits.delayed} syncs were delayed"


class StuckDisk(_OnDisks):
    """A sync does not return until the fault is over."""

    name = "stuck-disk"
    summary = "syncs of a node do not return"
    words = ("one", "leader", "minority")

    def strike(self, node: Any) -> None:
        node.disk.behave(sync_delay_ms=STUCK_MS)

    async def verify(self) -> str:
        hits = self.hits()
        if not hits.delayed:
            return self.nothing("nothing was synced")
        return f"{hits.delayed} syncs hang"


class FailingDisk(_OnDisks):
    """Syncs or writes return errors; a node must end rather than acknowledge anything."""

    name = "failing-disk"
    summary = "syncs or writes of a node fail (EIO, ENOSPC); it must end and acknowledge nothing"
    words = ("one", "leader", "minority")

    def strike(self, node: Any) -> None:
        node.process.may_end()
        if self.dice.random() < 0.5:
            node.disk.behave(sync_error=errno.EIO)
        else:
            node.disk.behave(write_error=self.dice.choice((errno.EIO, errno.ENOSPC)))

    async def stop(self) -> None:
        await super().stop()
        for node in self.struck:
            await self.bring_back(node)

    async def verify(self) -> str:
        hits = self.hits()
        if not hits.failed:
            raise NoEffectError("nothing was written")
        ends = ", ".join(
            f"{node.name} {'runs' if node.process.is_running else 'ended'}" for node in self.struck
        )
        return f"{hits.failed} calls failed; {ends}"


class FullDisk(_OnDisks):
    """The file system has nothing left: writes are refused, deletes pass."""

    name = "full-disk"
    summary = "the file system of a node says that nothing is free"

    def strike(self, node: Any) -> None:
        node.disk.behave(is_full=True)

    async def verify(self) -> str:
        hits = self.hits()
        if not hits.refused:
            return self.nothing("no node has looked at its disk")
        return f"nodes were told {hits.refused} times that nothing is free"


class PowerLoss(_OnDisks):
    """Killed; of what was not synced, any part is gone; another boot."""

    name = "power-loss"
    summary = "kill nodes in the middle of syncs, undo a part of what was unsynced, another boot"
    words = ("one", "leader", "majority", "all")

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._lost: list[tuple[int, int]] = []

    async def start(self) -> list[str]:
        struck = await super().start()
        await asyncio.sleep(self.dice.uniform(*LAST_S))
        await asyncio.gather(*map(self.take_down, self.struck))
        self._lost = [node.disk.lose_power(self.dice) for node in self.struck]
        for node in self.struck:
            node.disk.behave()
        return struck

    def strike(self, node: Any) -> None:
        """In the last moment no sync returns: what is acknowledged now would be lost."""
        node.disk.behave(sync_delay_ms=STUCK_MS)

    async def verify(self) -> str:
        back, known = (sum(each) for each in zip(*self._lost, strict=True))
        alive = [node.name for node in self.struck if node.process.is_running]
        if alive or not known:
            raise NoEffectError(f"{alive} still run, {known} pages were not synced")
        return f"{back} of {known} unsynced pages were put back, with a new boot id"

    async def stop(self) -> None:
        for node in self.struck:
            await self.bring_back(node)


class Corruption(Fault):
    """Bits flip in the files of a minority while it is down; it must stop or heal, never lie."""

    name = "corruption"
    summary = "flip bits in the files of a minority; it is given a new disk when the fault is over"
    needs = frozenset({Ability.PROCESSES, Ability.FILES, Ability.MEMBERS})
    flips: ClassVar[int] = 64

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self.struck: list[Any] = []
        self._flipped = 0

    async def start(self) -> list[str]:
        self.struck = list(await choose("minority", self.cluster, self.dice))
        self._flipped = 0
        for node in self.struck:
            await self.take_down(node)
            files = sorted(node.directory.rglob("data.mdb"))
            for _ in range(self.flips if files else 0):
                self._flipped += _flip(self.dice.choice(files), self.dice)
            await self.bring_back(node)
            node.process.may_end()
        return names(self.struck)

    async def verify(self) -> str:
        if not self._flipped:
            raise NoEffectError("there was nothing to damage")
        did = ", ".join(
            f"{node.name} {'serves' if node.process.is_running else 'refuses to run'}"
            for node in self.struck
        )
        return f"{self._flipped} bits were flipped; {did}"

    async def stop(self) -> None:
        lost = {node.id: await incarnation_of(self.cluster, node) for node in self.struck}
        for node in self.struck:
            await self.take_down(node)
            node.wipe()
            await self.bring_back(node)
        async with asyncio.timeout(BACK_WITHIN_S):
            for node in self.struck:
                while not await has_rejoined(self.cluster, node, lost[node.id]):
                    await asyncio.sleep(POLL_S)
        self.struck = []


def _flip(path: Path, dice: random.Random) -> int:
    """Flip one bit somewhere in a file; 1 if it is different now."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        offset = dice.randrange(size)
        file.seek(offset)
        (old,) = file.read(1)
        new = old ^ (1 << dice.randrange(8))
        file.seek(offset)
        file.write(bytes((new,)))
    return int(new != old)
