"""What is the same for every cluster of coord's nodes, wherever they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from coord.model.errors import CoordError
from jepsen_lite.clusters import watching
from jepsen_lite.clusters.cluster import Cluster, ClusterError, Node
from jepsen_lite.clusters.log_follower import whole_log
from jepsen_lite.history import LogRun

POLL_S: Final = 0.05
LAG_MAX: Final = 500
"""Entries that a healthy node may be behind, under load."""


class DivergedError(ClusterError):
    """Nodes that have applied the same entries hold different data."""


class CoordCluster(Cluster):
    """Nodes with the ids 1, 2, …, in this order."""

    clients = ("native", "kazoo")
    is_starting = False
    """A node that ends now will not come back by itself."""

    async def status(self) -> list[dict[str, Any] | None]:
        """What each node says of itself."""
        return await watching.all_status(node.direct for node in self.nodes)

    async def leader(self) -> Node | None:
        number = watching.agreed_leader(await self.status(), self.majority)
        return self.nodes[number - 1] if number else None

    async def wait_healthy(self, within_s: float) -> None:
        missing = "nobody has been asked"
        try:
            async with asyncio.timeout(within_s):
                while missing:
                    missing = self._missing(await self.status())
                    if self.is_starting and any(n.process.died_by_itself for n in self.nodes):
                        raise ClusterError(missing)
                    if missing:
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise ClusterError(f"not healthy within {within_s:g} s: {missing}") from None

    def _missing(self, said: list[dict[str, Any] | None]) -> str:
        """What keeps the cluster from being healthy; empty if nothing does."""
        for node, status in zip(self.nodes, said, strict=True):
            if status is None:
                code = node.process.exit_code
                how = f"it ended with {code}" if code is not None else "it does not answer"
                return f"{node.name}: {how} (see {node.process.log_file})"
            if not status["leader"]:
                return f"{node.name} knows no leader: {status['why_no_leader']}"
        answers = [status for status in said if status is not None]
        if len({(status["term"], status["leader"]) for status in answers}) > 1:
            return "the nodes name different leaders"
        applied = [int(status["applied"]) for status in answers]
        if max(applied) - min(applied) > LAG_MAX:
            return f"a node is {max(applied) - min(applied)} entries behind"
        return ""

    async def wait_converged(self, within_s: float) -> str:
        await self.wait_healthy(within_s)
        seen: list[tuple[int, str] | None] = []
        try:
            async with asyncio.timeout(within_s):
                while None in seen or len({each[0] for each in seen if each}) != 1:
                    await asyncio.sleep(POLL_S)
                    asked = (watching.digest_of(node.direct) for node in self.nodes)
                    seen = list(await asyncio.gather(*asked))
        except TimeoutError:
            raise ClusterError(f"the nodes do not reach the same index: {seen}") from None
        index, digest = next(each for each in seen if each)
        if len({each[1] for each in seen if each}) != 1:
            raise DivergedError(f"at index {index} the nodes hold different data: {seen}")
        return f"all nodes have digest {digest} at index {index}"

    async def log(self) -> AsyncIterator[LogRun]:
        for node in self.nodes:
            try:
                runs = await whole_log(node)
            except (CoordError, OSError) as error:
                raise ClusterError(f"{node.name} does not tell its log: {error}") from error
            for run in runs:
                yield run
