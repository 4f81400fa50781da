"""What an operator does, done under load: leadership moved, snapshots taken, members changed."""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from typing import Any, ClassVar, Final

from coord.model.errors import CoordError
from jepsen_lite.clusters.cluster import Ability, Cluster
from jepsen_lite.clusters.watching import harness, status_of
from jepsen_lite.faults.fault import Fault, NoEffectError, names
from jepsen_lite.faults.targets import choose

ANSWER_WITHIN_S: Final = 5.0
BACK_WITHIN_S: Final = 45.0


class _Again(Fault):
    """Does one thing again and again while it lasts."""

    needs = frozenset({Ability.ADMIN})
    pause_s: ClassVar[float] = 0.5

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self.done = 0
        self._last_error = "never tried"
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> list[str]:
        self.done = 0
        self._work = asyncio.create_task(self._repeat())
        return names(list(self.cluster.nodes))

    async def _repeat(self) -> None:
        while True:
            try:
                await self.once()
                self.done += 1
            except (CoordError, OSError) as error:
                self._last_error = str(error)
            await asyncio.sleep(self.pause_s)

    @abstractmethod
    async def once(self) -> None:
        """Do it. Raises CoordError if that is not possible now."""

    async def verify(self) -> str:
        if not self.done:
            raise NoEffectError(self._last_error)
        return f"done {self.done} times"

    async def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None


class Transfer(_Again):
    """Leadership moves."""

    name = "transfer"
    summary = "move the leadership to another node every half second"

    async def once(self) -> None:
        asked = self.dice.choice(self.cluster.nodes)
        async with harness(asked.direct, ANSWER_WITHIN_S) as client:
            before = (await client.admin.status())["leader"]
            others = [n for n in range(1, len(self.cluster.nodes) + 1) if n != before]
            target = await client.admin.transfer(self.dice.choice(others))
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while (await client.admin.status())["leader"] != target:
                    await asyncio.sleep(0.02)

    async def _repeat(self) -> None:
        while True:
            try:
                await super()._repeat()
            except TimeoutError:
                self._last_error = "the leadership did not arrive"


class Snapshot(_Again):
    """Snapshots are taken, and the log is cut."""

    name = "snapshot"
    summary = "take snapshots on all nodes, one after another, twice a second"

    async def once(self) -> None:
        node = self.cluster.nodes[self.done % len(self.cluster.nodes)]
        async with harness(node.direct, ANSWER_WITHIN_S) as client:
            await client.admin.snapshot()


class Wipe(Fault):
    """A node loses its disk and joins again as a new incarnation."""

    name = "wipe"
    summary = "kill a node and delete its data; it must come back as a new member"
    needs = frozenset({Ability.PROCESSES, Ability.MEMBERS})
    words: ClassVar[tuple[str, ...]] = ("one", "leader")

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self.struck: list[Any] = []
        self.lost: dict[int, str] = {}
        """Node → the incarnation that went with its disk; empty if nobody could be asked."""

    async def start(self) -> list[str]:
        await self.aim()
        for node in self.struck:
            await self.take_down(node)
            node.wipe()
        return names(self.struck)

    async def aim(self) -> None:
        """Choose whom to strike, and note who they are now."""
        self.struck = list(await choose(self.word(), self.cluster, self.dice))
        for node in self.struck:
            self.lost[node.id] = await incarnation_of(self.cluster, node)

    async def verify(self) -> str:
        left = [node.name for node in self.struck if node.directory.exists()]
        if left:
            raise NoEffectError(f"{', '.join(left)} still have data")
        return f"the data of {', '.join(names(self.struck))} is gone"

    async def stop(self) -> None:
        for node in self.struck:
            await self.bring_back(node)
        async with asyncio.timeout(BACK_WITHIN_S):
            for node in self.struck:
                while not await has_rejoined(self.cluster, node, self.lost[node.id]):
                    await asyncio.sleep(0.1)
        self.struck = []


async def incarnation_of(cluster: Cluster, node: Any) -> str:
    """Who this node is now, as another lists it; empty if nobody says."""
    listed = await _entry_of(cluster, node)
    return listed["incarnation"] if listed else ""


async def has_rejoined(cluster: Cluster, node: Any, lost: str) -> bool:
    """Whether another node counts this one among the voters, as somebody else than ``lost``, and it
    follows a leader. Until then its vote is missing: one more loss might be one too many."""
    listed = await _entry_of(cluster, node)
    if listed is None or listed["role"] != "voter" or listed["incarnation"] == lost:
        return False
    status = await status_of(node.direct)
    return status is not None and bool(status["leader"])


async def _entry_of(cluster: Cluster, node: Any) -> dict[str, Any] | None:
    """What some other node lists of this one; None if it lists nothing, is in the middle of a
    change, or nobody answers."""
    for other in cluster.nodes:
        if other is node:
            continue
        try:
            async with harness(other.direct) as client:
                members = await client.admin.members()
        except (CoordError, OSError):
            continue
        listed = (member for member in members.members if member["id"] == node.id)
        return None if members.is_joint else next(listed, None)
    return None


class Membership(Wipe):
    """A member is removed by the operator, later wiped and added again."""

    name = "membership"
    summary = "remove a member; later wipe it, add and promote it"

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._removed = False

    async def start(self) -> list[str]:
        self._removed = False
        await self.aim()
        (node,) = self.struck
        await self._change("remove", node)
        self._removed = True
        await self.take_down(node)
        node.wipe()
        return names(self.struck)

    async def verify(self) -> str:
        (node,) = self.struck
        if not self._removed:
            raise NoEffectError(f"{node.name} could not be removed")
        return f"{node.name} was removed by a committed change"

    async def _change(self, action: str, node: Any) -> None:
        """Until it has happened. Raises NoEffectError."""
        last = "nobody answered"
        for _ in range(40):
            asked = self.dice.choice([n for n in self.cluster.nodes if n is not node])
            try:
                async with harness(asked.direct, ANSWER_WITHIN_S) as client:
                    if await self._is_done(client, action, node.id):
                        return
                    await client.admin.change_member(action, node.id)
            except (CoordError, OSError) as error:
                last = str(error)
            await asyncio.sleep(0.1)
        raise NoEffectError(f"{action} {node.name}: {last}")

    @staticmethod
    async def _is_done(client: Any, action: str, number: int) -> bool:
        members = await client.admin.members()
        roles = {member["id"]: member["role"] for member in members.members}
        if members.is_joint:
            return False
        return {
            "remove": number not in roles,
            "add": number in roles,
            "promote": roles.get(number) == "voter",
        }[action]

    async def stop(self) -> None:
        for node in self.struck:
            await self.bring_back(node)
            for action in ("add", "promote"):
                await self._change(action, node)
        await super().stop()
