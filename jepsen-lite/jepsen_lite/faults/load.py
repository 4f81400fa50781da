"""Too much: floods of writes, crowds of clients that come back at one moment."""

from __future__ import annotations

import asyncio
import random
from typing import ClassVar

from jepsen_lite.clients.store import RefusedError, Store, StoreError
from jepsen_lite.clusters.cluster import Ability, Cluster
from jepsen_lite.clusters.weather import CLIENTS
from jepsen_lite.faults.fault import Fault, NoEffectError, names

FIRST_WORKER = 10_000
"""Numbers of clients that belong to faults start here."""


class _Crowd(Fault):
    """Clients of its own, whose requests are recorded like all others."""

    needs = frozenset({Ability.PATHS})
    size: ClassVar[int]

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self.stores: list[Store] = []
        self.done = 0
        self._work: list[asyncio.Task[None]] = []

    async def start(self) -> list[str]:
        self.done = 0
        self._work = [asyncio.create_task(self._come(n)) for n in range(self.size)]
        return names(list(self.cluster.nodes))

    async def _come(self, number: int) -> None:
        assert self.cluster.open_store is not None
        try:
            store = await self.cluster.open_store(FIRST_WORKER + number)
        except StoreError:
            return
        self.stores.append(store)
        await self.act(store, number)

    async def act(self, store: Store, number: int) -> None:
        """What each of the crowd does, until cancelled."""

    async def stop(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        stores, self._work, self.stores = self.stores, [], []
        await asyncio.gather(*(store.close() for store in stores))


class Overload(_Crowd):
    """Far more writes than the cluster can do."""

    name = "overload"
    summary = "16 clients write as fast as they can, 64 requests in flight each"
    size = 16
    in_flight: ClassVar[int] = 64

    async def act(self, store: Store, number: int) -> None:
        path = f"/jepsen-load-{number}"
        try:
            await store.ensure(path)
        except StoreError:
            return
        await asyncio.gather(*(self._flood(store, path) for _ in range(self.in_flight)))

    async def _flood(self, store: Store, path: str) -> None:
        while True:
            try:
                await store.set(path, b"x" * 100)
                self.done += 1
            except RefusedError:
                await asyncio.sleep(0.05)
            except StoreError:
                await asyncio.sleep(0.5)

    async def verify(self) -> str:
        if not self.done:
            raise NoEffectError("nobody could write")
        return f"{self.done} writes beside the workload's"


class Stampede(_Crowd):
    """Hundreds of sessions lose their connections at one moment and come back at once."""

    name = "stampede"
    summary = "200 more sessions; all connections of clients break at one moment, every second"
    size = 200

    def __init__(self, cluster: Cluster, dice: random.Random, word: str | None = None) -> None:
        super().__init__(cluster, dice, word)
        self._breaking: asyncio.Task[None] | None = None

    async def start(self) -> list[str]:
        struck = await super().start()
        self._breaking = asyncio.create_task(self._break())
        return struck

    async def _break(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.done += self.cluster.weather.reset(lambda ends: ends[0] == CLIENTS)

    async def verify(self) -> str:
        if not self.done:
            raise NoEffectError("no connection was broken")
        return f"{self.done} connections of clients were broken"

    async def stop(self) -> None:
        if self._breaking is not None:
            self._breaking.cancel()
            await asyncio.gather(self._breaking, return_exceptions=True)
            self._breaking = None
        await super().stop()
