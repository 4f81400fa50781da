"""What programs on the client library do: follow changes, hold locks, lead.

Each turn of an app ends in bounded time on a healthy cluster and asks for something at least once,
so that a client without progress is a finding.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from typing import Final

from coord.model.errors import (
    CoordError,
    NoNodeError,
    NoSpaceError,
    OperationTimeoutError,
    SessionExpiredError,
)
from coord.model.znode import Stat
from coord_client.client import Client
from coord_client.recipes import Hold, LeaderElection, Lock
from coord_client.values import ListedNode, WatchBatch
from coord_client.watches import PERSISTENT, RECURSIVE, WatchStream
from tests.sim import programs
from tests.sim.app_client import AppClient, MakeApp
from tests.sim.history import Holding, Sighting, Subscription

LOCKS: Final = "/locks"
ELECTION: Final = "/election"
PATIENCE_S: Final = 1.5
"""How long a contender stands in line before it does something else."""


class Watcher:
    """Opens a stream, keeps up with it, compares it with what reads show, closes it."""

    def __init__(self, owner: AppClient, stream: random.Random, keys: int) -> None:
        self._owner = owner
        self._stream = stream
        self._paths = [
            programs.TREE,
            f"{programs.TREE}/{stream.randrange(3)}",
            programs.EPHEMERALS,
            programs.SEQUENCE,
            programs.register(stream.randrange(keys)),
            LOCKS,
            "/",
            programs.GUARDED,
        ]
        self._written = 0

    async def turn(self, client: Client) -> None:
        """One stream from beginning to end."""
        draw = self._stream
        path, recursive = draw.choice(self._paths), draw.random() < 0.5
        values, listing = draw.random() < 0.5, draw.random() < 0.3
        mode = RECURSIVE if recursive else PERSISTENT
        told = Subscription(self._owner.process.name, path, mode, values)
        try:
            stream = await self._open(client, told, recursive, listing)
        except NoNodeError:
            await client.sync("/", timeout_s=math.inf)
            return
        with contextlib.closing(stream):
            for _ in range(draw.randrange(1, 12)):
                await self._owner.think()
                revision = await self._busy(client)
                while (batch := stream.next_nowait()) is not None:
                    _hear(told, batch)
                told.seen.append((len(told.heard), revision))

    async def _busy(self, client: Client) -> int:
        """Ask for several things at once, so that events come among their answers; the revision
        of the last."""
        if self._stream.random() < 0.5:
            return await client.sync("/", timeout_s=math.inf)
        self._written += 1
        *_, revision = await asyncio.gather(
            self._write(client),
            client.exists(programs.GUARDED, timeout_s=math.inf),
            client.sync("/", timeout_s=math.inf),
        )
        return int(revision)

    async def _write(self, client: Client) -> None:
        value = f"{self._owner.process.name}/{self._written}".encode()
        with contextlib.suppress(SessionExpiredError, NoSpaceError):
            await client.set(programs.GUARDED, value, timeout_s=math.inf)

    async def _open(
        self, client: Client, told: Subscription, recursive: bool, listing: bool
    ) -> WatchStream:
        path, values, history = told.path, told.values, self._owner.history
        if listing:
            found, stream = await client.list_and_watch(
                path, recursive=recursive, values=values, timeout_s=math.inf
            )
            _hear(told, WatchBatch(found.revision, (), found.nodes))
        else:
            stream = client.watch(path, recursive=recursive, values=values)
            await stream.wait_established()
            told.established_us = self._owner.process.kernel.now_us
        history.subscriptions.append(told)
        return stream


def _hear(told: Subscription, batch: WatchBatch) -> None:
    if batch.listing is not None:
        told.heard.append((batch.revision, None))
        told.listings[batch.revision] = {n.path: _listed(n) for n in batch.listing}
        return
    changes = tuple(
        (int(c.kind), c.path, _packed(c.stat), c.data, _packed(c.prev_stat), c.prev_data)
        for c in batch.changes
    )
    told.heard.append((batch.revision, changes))


def _listed(node: ListedNode) -> tuple[bytes | None, bytes]:
    return node.data, node.stat.pack()


def _packed(stat: Stat | None) -> bytes | None:
    return None if stat is None else stat.pack()


class Holder:
    """Contends for a lock or a leadership and acts while it holds it, fenced and unfenced."""

    def __init__(self, owner: AppClient, stream: random.Random) -> None:
        self._owner = owner
        self._stream = stream
        self._acted = 0

    def _now_us(self) -> int:
        return self._owner.process.kernel.now_us

    def _recipe(self, client: Client) -> Lock:
        if self._stream.random() < 0.4:
            return LeaderElection(client, ELECTION, self._owner.process.name)
        return Lock(client, f"{LOCKS}/{self._stream.randrange(2)}", b"held")

    async def turn(self, client: Client) -> None:
        """One attempt, and what it grants."""
        await self._owner.think()
        recipe, asked_us = self._recipe(client), self._now_us()
        with contextlib.suppress(CoordError):
            if self._stream.random() < 0.2:
                await self._look(recipe)
        try:
            if self._stream.random() < 0.2:
                hold = await recipe.acquire_nowait()
            else:
                hold = await recipe.acquire(PATIENCE_S)
        except (OperationTimeoutError, NoSpaceError):
            hold = None
        if hold is None:
            await client.sync("/", timeout_s=math.inf)
            return
        name = self._owner.process.name
        holding = Holding(name, hold.path, hold.token, asked_us, self._now_us())
        self._owner.history.holdings.append(holding)
        try:
            await self._work(client, hold, holding)
        finally:
            holding.over_us = self._now_us()
            with contextlib.suppress(CoordError):
                await hold.release(PATIENCE_S)
        if self._stream.random() < 0.2:
            with contextlib.suppress(CoordError):
                await self._guarded(client, hold, holding)  # as one that was paused meanwhile

    async def _work(self, client: Client, hold: Hold, holding: Holding) -> None:
        for _ in range(self._stream.randrange(1, 8)):
            await self._owner.think()
            if not hold.is_held:
                holding.was_lost = True
                return
            holding.acted_us.append(self._now_us())
            if self._stream.random() < 0.5:
                with contextlib.suppress(CoordError):
                    await self._guarded(client, hold, holding)

    async def _guarded(self, client: Client, hold: Hold, holding: Holding) -> None:
        self._acted += 1
        value = f"{holding.client}/{self._acted}".encode()
        txn = client.transaction().add(hold.guard()).set(programs.GUARDED, value)
        await txn.commit(math.inf)

    async def _look(self, recipe: Lock) -> None:
        seen = await recipe.holder()
        if seen is not None:
            path = f"{recipe._path}/holder"
            sighting = Sighting(self._owner.process.name, path, *seen)
            self._owner.history.sightings.append(sighting)


def make(kind: str, stream: random.Random, keys: int) -> MakeApp:
    """The maker of an app of this kind."""
    makers: dict[str, MakeApp] = {
        "watcher": lambda owner: Watcher(owner, stream, keys),
        "holder": lambda owner: Holder(owner, stream),
    }
    return makers[kind]


APPS: Final = ("watcher", "holder")
