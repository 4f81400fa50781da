"""Registers: single nodes that are read, written and compared-and-set."""

from __future__ import annotations

import itertools
import random
from typing import ClassVar, Final

from jepsen_lite.clients.store import ConflictError, ExistsError, NoNodeError, Store
from jepsen_lite.history import Json
from jepsen_lite.recorder import Answer
from jepsen_lite.workloads.keys import Keys
from jepsen_lite.workloads.workload import ROOT, Worker, Workload

HOME: Final = f"{ROOT}/registers"
OPERATIONS_PER_KEY: Final = 200
"""A search over one key's history stays cheap; then the next key takes its place."""
SMALL_VALUES: Final = 5
READERS: Final = 3
"""Every worker of so many only reads."""


class _Keys(Workload):
    """Some registers at a time, each retired after OPERATIONS_PER_KEY operations."""

    active: ClassVar[int] = 5

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self.keys = Keys(self.active, OPERATIONS_PER_KEY)
        self._values = itertools.count(1)

    async def prepare(self, store: Store) -> None:
        await store.ensure(ROOT)
        await store.ensure(HOME)


def _path(key: int) -> str:
    return f"{HOME}/{key}"


async def _put(store: Store, key: int, data: bytes) -> Answer:
    """Write whatever is there; the first write of a key creates it."""
    try:
        written = await store.set(_path(key), data)
    except NoNodeError:
        try:
            written = await store.create(_path(key), data)
        except ExistsError:
            written = await store.set(_path(key), data)
    return Answer(None, written.revision)


async def _read(store: Store, key: int) -> Answer:
    try:
        node = await store.get(_path(key))
    except NoNodeError:
        return Answer(None)
    return Answer(int(node.data), node.revision)


class Register(_Keys):
    """Reads and writes of unique values. Some workers only read: at a node that is cut off a write
    waits, and whoever waits sees nothing that is stale."""

    name = "register"
    model = "register"
    summary = "reads and writes of unique values in single nodes"

    async def step(self, worker: Worker) -> None:
        key, store = self.keys.choose(worker.dice), worker.store
        is_reader = worker.process % worker.workers % READERS == 0
        if is_reader or worker.dice.random() < 0.3:
            await worker.perform("read", key, None, lambda: _read(store, key))
        else:
            value = next(self._values)
            await worker.perform("write", key, value, lambda: _put(store, key, str(value).encode()))


class CasRegister(_Keys):
    """Reads, writes and compare-and-set of few values: any order must be searched for."""

    name = "cas-register"
    model = "cas-register"
    summary = "reads, writes and compare-and-set of five values"

    async def step(self, worker: Worker) -> None:
        key, store, dice = self.keys.choose(worker.dice), worker.store, worker.dice
        new = dice.randrange(SMALL_VALUES)
        turn = dice.random()
        if turn < 0.4:
            await worker.perform("read", key, None, lambda: _read(store, key))
        elif turn < 0.6:
            await worker.perform("write", key, new, lambda: _put(store, key, str(new).encode()))
        else:
            old = dice.randrange(SMALL_VALUES)
            await worker.perform("cas", key, [old, new], lambda: self._cas(store, key, old, new))

    @staticmethod
    async def _cas(store: Store, key: int, old: int, new: int) -> Answer:
        """Compare in a read, set by the version that was read: atomic, because a version names
        one state of the node. Only if that version is gone nothing has been learnt."""
        try:
            node = await store.get(_path(key))
        except NoNodeError:
            return Answer(False)
        if int(node.data) != old:
            return Answer(False, node.revision)
        written = await store.set(_path(key), str(new).encode(), node.version)
        return Answer(True, written.revision)


class VersionedRegister(_Keys):
    """Sets by version, creates and deletes: the service's own versions name the order."""

    name = "versions"
    model = "versions"
    summary = "set, set by version, create and delete, judged by the versions the service gave"

    async def step(self, worker: Worker) -> None:
        key, store, dice = self.keys.choose(worker.dice), worker.store, worker.dice
        seen: dict[int, int] = worker.memory.setdefault("versions", {})
        value, turn = next(self._values), dice.random()
        if turn < 0.4:
            op = await worker.perform("read", key, None, lambda: self._look(store, key))
            if op.is_ok and op.result:
                seen[key] = op.result["version"]
        elif turn < 0.55:
            await worker.perform("write", key, value, lambda: self._write(store, key, value))
        elif turn < 0.8:
            version = seen.get(key, 0)
            argument = {"value": value, "version": version}
            await worker.perform("cas", key, argument, lambda: self._cas(store, key, argument))
        elif turn < 0.95:
            await worker.perform("create", key, value, lambda: self._create(store, key, value))
        else:
            await worker.perform("delete", key, None, lambda: self._delete(store, key))

    @staticmethod
    async def _look(store: Store, key: int) -> Answer:
        try:
            node = await store.get(_path(key))
        except NoNodeError:
            return Answer(None)
        shown = {"value": int(node.data), "version": node.version, "born": node.created}
        return Answer(shown, node.revision)

    @staticmethod
    async def _write(store: Store, key: int, value: int) -> Answer:
        written = await store.set(_path(key), str(value).encode())
        return Answer({"version": written.version, "born": written.created}, written.revision)

    @staticmethod
    async def _cas(store: Store, key: int, argument: dict[str, Json]) -> Answer:
        data = str(argument["value"]).encode()
        try:
            written = await store.set(_path(key), data, argument["version"])
        except ConflictError:
            return Answer(None)
        return Answer({"version": written.version, "born": written.created}, written.revision)

    @staticmethod
    async def _create(store: Store, key: int, value: int) -> Answer:
        try:
            made = await store.create(_path(key), str(value).encode())
        except ExistsError:
            return Answer(None)
        return Answer({"version": made.version, "born": made.created}, made.revision)

    @staticmethod
    async def _delete(store: Store, key: int) -> Answer:
        try:
            revision = await store.delete(_path(key))
        except NoNodeError:
            return Answer(False)
        return Answer(True, revision)
