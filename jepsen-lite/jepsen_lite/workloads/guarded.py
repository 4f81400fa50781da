"""A resource outside the service, guarded by a lock's tokens: what fencing is for.

A holder reads a number, thinks, and writes it back plus one. Some holders lose their session while
they think and write all the same, as a process does that was frozen. The resource refuses whoever
comes with a smaller token than it has seen; then no increment is lost, if tokens are what they
should be.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

from coord_client import Hold, Lock
from jepsen_lite.clients.native import NativeStore, ask
from jepsen_lite.clients.store import Store
from jepsen_lite.recorder import Answer
from jepsen_lite.workloads.workload import ROOT, Worker, Workload

WAIT_S: Final = 8.0
AWAY_S: Final = 0.1
"""To the resource, at most."""
GONE: Final = 0.15
GONE_TIMEOUTS: Final = (1.0, 2.5)
"""How long such a holder thinks, in session time-outs: another has the lock by then."""


@dataclass(slots=True)
class Resource:
    """A number, and the greatest token seen with a request."""

    number: int = 0
    token: int = 0

    def read(self, token: int) -> int | None:
        """None: refused."""
        if token < self.token:
            return None
        self.token = token
        return self.number

    def write(self, token: int, number: int) -> bool:
        """Whether it was accepted."""
        if token < self.token:
            return False
        self.token, self.number = token, number
        return True


class Guarded(Workload):
    """Increments under a lock; a holder is asked whether it believes to hold, and writes anyway."""

    name = "guarded"
    model = "lock"
    clients = ("native",)
    summary = "increments of a number outside the service, under locks whose holders may be late"
    ok_min = 20
    locks: ClassVar[int] = 8
    workers = 16

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self._home = f"{ROOT}/{self.name}"
        self._resources = [Resource() for _ in range(self.locks)]

    async def prepare(self, store: Store) -> None:
        await store.ensure(ROOT)
        await store.ensure(self._home)

    async def step(self, worker: Worker) -> None:
        lock = worker.dice.randrange(self.locks)
        if worker.dice.random() >= GONE:
            await self._increment(worker, lock, worker.store)
            return
        store: Any = await worker.open_store()
        try:
            await self._increment(worker, lock, store, is_lost=True)
        finally:
            store.vanish()
            await store.close()

    async def _increment(
        self, worker: Worker, lock: int, store: Any, *, is_lost: bool = False
    ) -> None:
        """Acquire, read, think, write, release. ``is_lost``: the session ends meanwhile."""
        assert isinstance(store, NativeStore)
        held: list[Hold] = []
        op = await worker.perform(
            "acquire", lock, None, lambda: self._acquire(store, lock, held), store
        )
        if not held:
            return
        (hold,), dice, resource = held, worker.dice, self._resources[lock]
        await asyncio.sleep(dice.random() * AWAY_S)
        number = resource.read(hold.token)
        if is_lost:
            store.vanish()
            await asyncio.sleep(dice.uniform(*GONE_TIMEOUTS) * store.session_timeout_s)
        await worker.perform("claim", lock, hold.token, lambda: _claim(hold), store)
        if number is not None:
            await worker.perform(
                "write", lock, hold.token, lambda: _write(resource, hold.token, number + 1, dice)
            )
        if not is_lost:
            await worker.perform("release", lock, op.result, lambda: _release(hold))

    async def finish(self, worker: Worker) -> None:
        for lock, resource in enumerate(self._resources):
            await worker.perform("total", lock, None, partial(_total, resource))

    async def _acquire(self, store: NativeStore, lock: int, held: list[Hold]) -> Answer:
        hold = await ask(Lock(store.client, f"{self._home}/{lock}").acquire(WAIT_S))
        held.append(hold)
        return Answer(hold.token, hold.token)


async def _claim(hold: Hold) -> Answer:
    return Answer(hold.is_held)


async def _write(resource: Resource, token: int, number: int, dice: random.Random) -> Answer:
    await asyncio.sleep(dice.random() * AWAY_S)
    return Answer(resource.write(token, number))


async def _release(hold: Hold) -> Answer:
    await ask(hold.release())
    return Answer()


async def _total(resource: Resource) -> Answer:
    return Answer(resource.number)
