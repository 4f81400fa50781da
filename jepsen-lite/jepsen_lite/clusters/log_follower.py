"""Copies the committed log while it grows: nodes cut theirs when they have a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Final

from coord.model.errors import CompactedError, CoordError
from coord_client.values import LogRun as TailRun
from jepsen_lite.clusters.watching import harness
from jepsen_lite.history import LogRun

if TYPE_CHECKING:
    from jepsen_lite.clusters.cluster import Node

POLL_S: Final = 0.25
ANSWER_WITHIN_S: Final = 5.0


class LogFollower:
    """Reads on from any node that answers, so that every entry is copied once at least."""

    def __init__(self, nodes: Callable[[], Sequence[Node]], keep: Callable[[LogRun], None]) -> None:
        """``keep`` takes what was read, in order, without gaps unless ``missed`` says so."""
        self._nodes = nodes
        self._keep = keep
        self._next = 1
        self.missed = 0
        """Entries that every node asked had cut already."""

    async def run(self) -> None:
        """Follow until cancelled."""
        turn = 0
        while True:
            nodes = self._nodes()
            await self.read(nodes[turn % len(nodes)])
            turn += 1
            await asyncio.sleep(POLL_S)

    async def read(self, node: Node) -> None:
        """Copy what this node has and we have not; nothing if it does not answer."""
        try:
            async with harness(node.direct, ANSWER_WITHIN_S) as client:
                try:
                    await self._tail(node, client.admin.log_tail(self._next))
                except CompactedError:
                    status = await client.admin.status()
                    first = int(status["log_first"])
                    self.missed += max(0, first - self._next)
                    self._next = max(self._next, first)
        except (CoordError, OSError):
            return

    async def _tail(self, node: Node, runs: AsyncIterator[TailRun]) -> None:
        async for run in runs:
            self._keep(LogRun(node.name, run.first, run.term, run.kind, list(run.payloads)))
            self._next = run.first + len(run.payloads)


async def whole_log(node: Node) -> list[LogRun]:
    """Everything that a node's log holds. Raises CoordError, OSError."""
    async with harness(node.direct, ANSWER_WITHIN_S) as client:
        first = int((await client.admin.status())["log_first"])
        return [
            LogRun(node.name, run.first, run.term, run.kind, list(run.payloads))
            async for run in client.admin.log_tail(max(1, first))
        ]
