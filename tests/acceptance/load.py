"""Steady writers that remember what was acknowledged, and when."""

from __future__ import annotations

import asyncio
import itertools
import time

from coord_client import connect


class Writer:
    """Creates one numbered node after the other under its own directory.

    Invariant: ``acked`` holds exactly the numbers whose create was acknowledged.
    """

    def __init__(self, hosts: str, name: str) -> None:
        self.name = name
        self.root = f"/drill/{name}"
        self.acked: list[int] = []
        self.times: list[float] = []
        self._client = connect(hosts, client_name=name)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Connect and begin."""
        await self._client.start()
        await self._client.create(self.root, b"", make_parents=True)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        number = 0
        while not self._stopping:
            await self._client.create(f"{self.root}/{number:09d}", b"x" * 100, timeout_s=60)
            self.acked.append(number)
            self.times.append(time.monotonic())
            number += 1

    async def stop(self) -> None:
        """Finish the write under way."""
        self._stopping = True
        if self._task is not None:
            await self._task
        await self._client.close()

    async def abandon(self) -> None:
        """Give up, whatever is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._client.close()

    def gap_ms(self, since: float, until: float) -> float:
        """Longest time without an acknowledgement between two moments."""
        return longest_gap_ms(self.times, since, until)

    async def missing(self, hosts: str) -> list[int]:
        """Acknowledged numbers that are not there."""
        async with connect(hosts, client_name="auditor") as client:
            there = {int(name) for name in await client.children(self.root)}
        return [number for number in self.acked if number not in there]


def longest_gap_ms(times: list[float], since: float, until: float) -> float:
    """Longest pause in ``times`` within a window, its edges included."""
    inside = [since, *(moment for moment in sorted(times) if since <= moment <= until), until]
    return max(1_000 * (b - a) for a, b in itertools.pairwise(inside))
