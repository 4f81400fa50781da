"""Sets, counters, queues, sequences: many clients that add, read and take."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter as Tally
from functools import partial
from typing import ClassVar

from jepsen_lite.clients.store import ConflictError, NoNodeError, Store
from jepsen_lite.recorder import Answer
from jepsen_lite.workloads.keys import Keys
from jepsen_lite.workloads.workload import ROOT, Worker, Workload

RACES_MAX = 10
"""Attempts of an operation that others get ahead of; each that lost had no effect."""
READS_AT_ONCE = 64


class _Below(Workload):
    """A home for some keys."""

    active: ClassVar[int] = 3
    uses: ClassVar[int] = 300

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self.keys = Keys(self.active, self.uses)
        self.values = itertools.count(1)
        self.home = f"{ROOT}/{self.name}"

    async def prepare(self, store: Store) -> None:
        await store.ensure(ROOT)
        await store.ensure(self.home)

    def path(self, key: int) -> str:
        """The node of a key."""
        return f"{self.home}/{key}"

    async def key_for(self, worker: Worker, data: bytes = b"") -> int:
        """A key whose node is there. Raises StoreError."""
        key = self.keys.choose(worker.dice)
        await self.keys.make(worker.store, key, self.path(key), data)
        return key


class Set(_Below):
    """Elements are children: none may be lost, reads never go back."""

    name = "set"
    model = "set"
    summary = "add children to a node, list them"

    async def step(self, worker: Worker) -> None:
        key, store = await self.key_for(worker), worker.store
        if worker.dice.random() < 0.8:
            value = next(self.values)
            await worker.perform("add", key, value, lambda: self._add(store, key, value))
        else:
            await worker.perform("read", key, None, lambda: self._read(store, key))

    async def finish(self, worker: Worker) -> None:
        for key in self.keys.used:
            await worker.perform("read", key, None, partial(self._read, worker.store, key))

    async def _add(self, store: Store, key: int, value: int) -> Answer:
        made = await store.create(f"{self.path(key)}/{value}")
        return Answer(None, made.revision)

    async def _read(self, store: Store, key: int) -> Answer:
        try:
            names = await store.children(self.path(key))
        except NoNodeError:
            names = []
        return Answer(sorted(map(int, names)))


class Counter(_Below):
    """Increments by version: none lost, none twice."""

    name = "counter"
    model = "counter"
    summary = "add to counters by compare-and-set, read them"

    async def step(self, worker: Worker) -> None:
        key, store, dice = await self.key_for(worker, b"0"), worker.store, worker.dice
        if dice.random() < 0.6:
            delta = dice.randint(1, 5)
            await worker.perform("add", key, delta, lambda: self._add(store, key, delta))
        else:
            await worker.perform("read", key, None, lambda: self._read(store, key))

    async def finish(self, worker: Worker) -> None:
        for key in self.keys.used:
            await self.keys.make(worker.store, key, self.path(key), b"0")
            await worker.perform("read", key, None, partial(self._read, worker.store, key))

    async def _add(self, store: Store, key: int, delta: int) -> Answer:
        for _ in range(RACES_MAX):
            node = await store.get(self.path(key))
            data = str(int(node.data) + delta).encode()
            try:
                written = await store.set(self.path(key), data, node.version)
            except ConflictError:
                continue
            return Answer(None, written.revision)
        raise ConflictError("others were faster every time")

    async def _read(self, store: Store, key: int) -> Answer:
        node = await store.get(self.path(key))
        return Answer(int(node.data), node.revision)


class Queue(_Below):
    """The recipe with sequential nodes: every value comes out once, in order."""

    name = "queue"
    model = "queue"
    clients = ("native", "kazoo")
    summary = "put values into queues of sequential nodes, take them out"
    active = 2

    async def step(self, worker: Worker) -> None:
        key, store = await self.key_for(worker), worker.store
        if worker.dice.random() < 0.55:
            value = next(self.values)
            await worker.perform("enqueue", key, value, lambda: self._put(store, key, value))
        else:
            await worker.perform("dequeue", key, None, lambda: self._take(store, key))

    async def finish(self, worker: Worker) -> None:
        """Empty every queue, so that what was lost shows."""
        for key in self.keys.used:
            await self.keys.make(worker.store, key, self.path(key))
            while True:
                op = await worker.perform(
                    "dequeue", key, None, partial(self._take, worker.store, key)
                )
                if not op.is_ok or op.result is None:
                    break

    async def _put(self, store: Store, key: int, value: int) -> Answer:
        made = await store.create(f"{self.path(key)}/e-", str(value).encode(), sequential=True)
        return Answer(None, made.revision)

    async def _take(self, store: Store, key: int) -> Answer:
        """The first element that nobody else takes. Whoever deletes an element has it."""
        while names := sorted(await store.children(self.path(key))):
            for name in names:
                path = f"{self.path(key)}/{name}"
                try:
                    value = int((await store.get(path)).data)
                    revision = await store.delete(path)
                except NoNodeError:
                    continue
                return Answer(value, revision)
        return Answer(None)


class Sequence(_Below):
    """Numbers that the service gives to sequential nodes: unique, growing, never given again."""

    name = "sequence"
    model = "sequence"
    clients = ("native", "kazoo")
    summary = "create sequential nodes, delete some of them"

    async def step(self, worker: Worker) -> None:
        key, store = await self.key_for(worker), worker.store
        op = await worker.perform("create", key, None, lambda: self._create(store, key))
        if op.is_ok and worker.dice.random() < 0.3:
            await store.delete(f"{self.path(key)}/s-{op.result:010d}")

    async def _create(self, store: Store, key: int) -> Answer:
        made = await store.create(f"{self.path(key)}/s-", sequential=True)
        return Answer(int(made.path[-10:]), made.revision)


class Once(_Below):
    """Creates that are sent again over broken connections: each has one effect."""

    name = "once"
    model = "once"
    clients = ("native",)
    summary = "sequential creates with a name inside: sent again as often as need be, applied once"
    requests_max: ClassVar[int] = 20_000

    async def step(self, worker: Worker) -> None:
        request = next(self.values)
        if request > self.requests_max:
            await asyncio.sleep(0.1)
            return
        key, store = await self.key_for(worker), worker.store
        await worker.perform(
            "submit", None, str(request), lambda: self._submit(store, key, request)
        )

    async def finish(self, worker: Worker) -> None:
        await worker.perform("effects", None, None, lambda: self._effects(worker.store))

    async def _submit(self, store: Store, key: int, request: int) -> Answer:
        path = f"{self.path(key)}/r-"
        made = await store.create(path, str(request).encode(), sequential=True)
        return Answer(made.path, made.revision)

    async def _effects(self, store: Store) -> Answer:
        seen: Tally[str] = Tally()
        for key in self.keys.used:
            names = await self._names(store, key)
            for at in range(0, len(names), READS_AT_ONCE):
                some = names[at : at + READS_AT_ONCE]
                paths = [f"{self.path(key)}/{name}" for name in some]
                nodes = await asyncio.gather(*map(store.get, paths))
                seen.update(node.data.decode() for node in nodes)
        return Answer(dict(seen))

    async def _names(self, store: Store, key: int) -> list[str]:
        try:
            return await store.children(self.path(key))
        except NoNodeError:
            return []
