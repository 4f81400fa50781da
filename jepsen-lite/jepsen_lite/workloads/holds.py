"""Locks and elections through the client's recipes, with a resource that checks the token."""

from __future__ import annotations

import asyncio
import random
from typing import Any, ClassVar, Final

from coord.model.errors import CoordError, TransactionError
from coord.model.requests import Guard
from coord_client import Hold, LeaderElection, Lock, Stat
from jepsen_lite.clients.native import NativeStore, ask, translated
from jepsen_lite.clients.store import Store
from jepsen_lite.history import Json
from jepsen_lite.recorder import Answer
from jepsen_lite.workloads.workload import ROOT, Worker, Workload

WAIT_S: Final = 3.0
RESOURCES: Final = f"{ROOT}/resources"


class _Holds(Workload):
    """Acquire, write, release; and try to write with tokens of the past."""

    clients = ("native",)
    locks: ClassVar[int] = 3

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self._home = f"{ROOT}/{self.name}"

    def meta(self) -> dict[str, Json]:
        # The resource lives in the service: a guard holds only for the grant of the moment.
        return {"guard": "current"}

    async def prepare(self, store: Store) -> None:
        for path in (ROOT, RESOURCES, self._home):
            await store.ensure(path)
        for lock in range(self.locks):
            await store.ensure(f"{RESOURCES}/{lock}")

    def recipe(self, worker: Worker, path: str) -> Lock:
        """The recipe's object for one acquisition."""
        raise NotImplementedError

    async def step(self, worker: Worker) -> None:
        lock = worker.dice.randrange(self.locks)
        held: list[Hold] = []
        op = await worker.perform("acquire", lock, None, lambda: self._acquire(worker, lock, held))
        if not held:
            return
        (hold,) = held
        old = worker.memory.get(str(lock))
        for _ in range(worker.dice.randint(1, 3)):
            await self._write(worker, lock, hold.guard(), hold.token)
        if old is not None and worker.dice.random() < 0.3:
            await self._write(worker, lock, *old)
        if worker.dice.random() < 0.1:
            await asyncio.sleep(worker.dice.random())
        await worker.perform("release", lock, op.result, lambda: self._release(hold))
        worker.memory[str(lock)] = (hold.guard(), hold.token)

    async def _acquire(self, worker: Worker, lock: int, held: list[Hold]) -> Answer:
        recipe = self.recipe(worker, f"{self._home}/{lock}")
        hold = await ask(recipe.acquire(WAIT_S))
        held.append(hold)
        return Answer(hold.token, hold.token)

    @staticmethod
    async def _release(hold: Hold) -> Answer:
        await ask(hold.release())
        return Answer()

    async def _write(self, worker: Worker, lock: int, guard: Guard, token: int) -> None:
        await worker.perform("write", lock, token, lambda: self._guarded(worker, lock, guard))

    @staticmethod
    async def _guarded(worker: Worker, lock: int, guard: Guard) -> Answer:
        store: Any = worker.store
        assert isinstance(store, NativeStore)
        txn = store.client.transaction().add(guard)
        txn.set(f"{RESOURCES}/{lock}", str(guard.token).encode())
        try:
            _, written = await txn.commit()
        except TransactionError:
            return Answer(False)
        except CoordError as error:
            raise translated(error) from error
        assert isinstance(written, Stat)
        return Answer(True, written.mzxid)


class LockHolds(_Holds):
    """The lock recipe."""

    name = "lock"
    model = "lock"
    summary = "locks with fencing tokens, and a resource that checks them"

    def recipe(self, worker: Worker, path: str) -> Lock:
        store: Any = worker.store
        return Lock(store.client, path)


class Leadership(_Holds):
    """The election recipe."""

    name = "election"
    model = "election"
    summary = "elections; leaders write with their token"

    def recipe(self, worker: Worker, path: str) -> Lock:
        store: Any = worker.store
        return LeaderElection(store.client, path, f"worker-{worker.process}")
