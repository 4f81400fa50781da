"""Watches: what streams tell, against what writers did."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import Any, Final

from coord.model.events import ChangeKind
from coord_client import WatchBatch, WatchStream
from jepsen_lite.clients.native import NativeStore, ask
from jepsen_lite.clients.store import Store
from jepsen_lite.history import Json, Op, Outcome, to_text
from jepsen_lite.recorder import Answer, now_ns
from jepsen_lite.workloads.workload import ROOT, Worker, Workload

HOME: Final = f"{ROOT}/watch"
NODES: Final = 12
EVENT_WITHIN_S: Final = 0.3
KINDS: Final = {
    ChangeKind.CREATED: "created",
    ChangeKind.DELETED: "deleted",
    ChangeKind.DATA: "data",
}


class Watch(Workload):
    """Every second worker writes, the others listen to all of it and read in between."""

    name = "watch"
    model = "watch"
    clients = ("native",)
    summary = "watch streams against the writes they must tell"

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self._values = itertools.count(1)
        self._ids = itertools.count(1)

    async def prepare(self, store: Store) -> None:
        await store.ensure(ROOT)
        await store.ensure(HOME)

    async def step(self, worker: Worker) -> None:
        if worker.memory.setdefault("number", worker.process) % 2:
            await self._listen(worker)
        else:
            await self._write(worker)

    async def leave(self, worker: Worker) -> None:
        """What is owed comes before the answer of a last read."""
        if worker.memory.get("stream") is not None:
            await self._read(worker)
            worker.memory["stream"].close()

    # --- writers --------------------------------------------------------------------------------

    async def _write(self, worker: Worker) -> None:
        path, store = f"{HOME}/{worker.dice.randrange(NODES)}", worker.store
        value, turn = str(next(self._values)), worker.dice.random()
        if turn < 0.15:
            await worker.perform("delete", path, None, lambda: self._delete(store, path))
        elif turn < 0.4:
            await worker.perform("create", path, value, lambda: self._create(store, path, value))
        else:
            await worker.perform("set", path, value, lambda: self._set(store, path, value))

    @staticmethod
    async def _create(store: Store, path: str, value: str) -> Answer:
        return Answer(None, (await store.create(path, value.encode())).revision)

    @staticmethod
    async def _set(store: Store, path: str, value: str) -> Answer:
        return Answer(None, (await store.set(path, value.encode())).revision)

    @staticmethod
    async def _delete(store: Store, path: str) -> Answer:
        return Answer(None, await store.delete(path))

    # --- listeners ------------------------------------------------------------------------------

    async def _listen(self, worker: Worker) -> None:
        stream: WatchStream | None = worker.memory.get("stream")
        if stream is None:
            await self._open(worker)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVENT_WITHIN_S):
                self._heard(worker, await ask(anext(stream)))
        self._drain(worker, stream)
        if worker.dice.random() < 0.2:
            await self._read(worker)

    async def _open(self, worker: Worker) -> None:
        store: Any = worker.store
        assert isinstance(store, NativeStore)
        begun_ns = now_ns()
        listing, stream = await ask(store.client.list_and_watch(HOME))
        worker.memory["stream"] = stream
        self._note_watch(worker, begun_ns, listing.revision)

    def _note_watch(self, worker: Worker, begun_ns: int, revision: int) -> None:
        """A watch is open and tells what comes after ``revision``."""
        worker.memory["watch"] = watch = next(self._ids)
        value = {"watch": watch, "mode": "recursive"}
        self._note(worker, "watch", HOME, value, begun_ns, revision, revision)

    def _note(
        self,
        worker: Worker,
        f: str,
        key: str | None,
        value: Json,
        begun_ns: int,
        result: Json,
        revision: int,
    ) -> None:
        name = f"listener {worker.memory['number']}"
        done_ns = begun_ns if f == "event" else now_ns()
        op = Op(name, f, key, value, begun_ns, done_ns, Outcome.OK, result)
        op.session, op.revision = worker.store.session_id, revision
        worker.recorder.note(op)

    def _drain(self, worker: Worker, stream: WatchStream) -> None:
        while (batch := stream.next_nowait()) is not None:
            self._heard(worker, batch)

    def _heard(self, worker: Worker, batch: WatchBatch) -> None:
        if batch.listing is not None:  # too much was missed: a new beginning
            self._note_watch(worker, now_ns(), batch.revision)
            return
        changes = [
            [KINDS[each.kind], each.path, None if each.data is None else to_text(each.data)]
            for each in batch.changes
            if each.kind in KINDS
        ]
        if changes:
            result = {"revision": batch.revision, "changes": changes}
            value = {"watch": worker.memory["watch"]}
            self._note(worker, "event", None, value, now_ns(), result, batch.revision)

    async def _read(self, worker: Worker) -> None:
        begun_ns = now_ns()
        node = await worker.store.get(HOME)
        # Events arrive before the answer that reflects them: they are in the buffer by now.
        self._drain(worker, worker.memory["stream"])
        self._note(worker, "get", HOME, None, begun_ns, None, node.revision)
