"""Transactions over several nodes: read, decide, commit if nothing has changed."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar, Final

from jepsen_lite.clients.store import Check, ConflictError, Part, Put, Store, Value
from jepsen_lite.history import Json
from jepsen_lite.recorder import Answer
from jepsen_lite.workloads.keys import Keys
from jepsen_lite.workloads.workload import ROOT, Worker, Workload

ACCOUNTS: Final = 10
RACES_MAX: Final = 3
OPENING_BALANCE: Final = 100


class _Optimistic(Workload):
    """What was read is still so when the transaction commits: strictly serializable."""

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self.home = f"{ROOT}/{self.name}"

    def path(self, key: int) -> str:
        """The node of a key."""
        return f"{self.home}/{key}"

    async def prepare(self, store: Store) -> None:
        await store.ensure(ROOT)
        await store.ensure(self.home)

    @staticmethod
    async def retried(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """Begin again when others were faster: the attempt had no effect."""
        for _ in range(RACES_MAX - 1):
            try:
                return await attempt()
            except ConflictError:
                continue
        return await attempt()

    async def read_all(self, store: Store, keys: list[int]) -> dict[int, Value]:
        """Each node as it is at some time; the commit finds out whether they fit together."""
        nodes = await asyncio.gather(*(store.get(self.path(key)) for key in keys))
        return dict(zip(keys, nodes, strict=True))


class Append(_Optimistic):
    """Lists that transactions read and append to (Elle's workload)."""

    name = "append"
    model = "append"
    summary = "transactions that read lists and append to them"
    active: ClassVar[int] = 8
    uses: ClassVar[int] = 60

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self._keys = Keys(self.active, self.uses)
        self._values = itertools.count(1)

    async def step(self, worker: Worker) -> None:
        dice, txn = worker.dice, []
        for _ in range(dice.randint(1, 3)):
            key = self._keys.choose(dice)
            await self._keys.make(worker.store, key, self.path(key), b"[]")
            if dice.random() < 0.5:
                txn.append(["r", key, None])
            else:
                txn.append(["append", key, next(self._values)])
        await worker.perform(
            "txn", None, txn, lambda: self.retried(lambda: self._commit(worker.store, txn))
        )

    async def finish(self, worker: Worker) -> None:
        for key in self._keys.used:
            await self._keys.make(worker.store, key, self.path(key), b"[]")
            read: list[Json] = [["r", key, None]]
            await worker.perform("txn", None, read, partial(self._commit, worker.store, read))

    async def _commit(self, store: Store, txn: list[Json]) -> Answer:
        found = await self.read_all(store, sorted({key for _, key, _ in txn}))
        lists: dict[int, list[int]] = {key: json.loads(n.data) for key, n in found.items()}
        done: list[Json] = []
        for f, key, value in txn:
            if f == "append":
                lists[key].append(value)
            done.append([f, key, list(lists[key]) if f == "r" else value])
        written = {key for f, key, _ in txn if f == "append"}
        parts: list[Part] = [
            Put(self.path(key), json.dumps(lists[key]).encode(), node.version)
            if key in written
            else Check(self.path(key), node.version)
            for key, node in found.items()
        ]
        if len(parts) == 1 and not written:
            return Answer(done, next(iter(found.values())).revision)
        return Answer(done, await store.commit(parts))


class Bank(_Optimistic):
    """Money is moved between accounts; no read may see more or less of it."""

    name = "bank"
    model = "bank"
    summary = "transfers between accounts; every read must add up"

    def meta(self) -> dict[str, Json]:
        return {"total": ACCOUNTS * OPENING_BALANCE}

    async def prepare(self, store: Store) -> None:
        await super().prepare(store)
        for account in range(ACCOUNTS):
            await store.ensure(self.path(account), str(OPENING_BALANCE).encode())

    async def step(self, worker: Worker) -> None:
        dice, store = worker.dice, worker.store
        if dice.random() < 0.4:
            await worker.perform(
                "read", None, None, lambda: self.retried(lambda: self._read(store))
            )
        else:
            source, target = dice.sample(range(ACCOUNTS), 2)
            order = {"from": source, "to": target, "amount": dice.randint(1, 5)}
            await worker.perform(
                "transfer", None, order, lambda: self.retried(lambda: self._transfer(store, order))
            )

    async def finish(self, worker: Worker) -> None:
        await worker.perform(
            "read", None, None, lambda: self.retried(lambda: self._read(worker.store))
        )

    async def _read(self, store: Store) -> Answer:
        found = await self.read_all(store, list(range(ACCOUNTS)))
        revision = await store.commit([Check(self.path(k), n.version) for k, n in found.items()])
        return Answer({str(key): int(node.data) for key, node in found.items()}, revision)

    async def _transfer(self, store: Store, order: dict[str, int]) -> Answer:
        found = await self.read_all(store, [order["from"], order["to"]])
        left = int(found[order["from"]].data) - order["amount"]
        if left < 0:
            raise ConflictError("not enough money")
        then = {order["from"]: left, order["to"]: int(found[order["to"]].data) + order["amount"]}
        parts = [Put(self.path(k), str(then[k]).encode(), n.version) for k, n in found.items()]
        return Answer(None, await store.commit(parts))
