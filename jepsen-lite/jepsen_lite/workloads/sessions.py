"""Sessions that come and go, and the ephemeral nodes that must go with them, not before."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Final

from coord_client import ConnectionState
from jepsen_lite.clients.native import NativeStore
from jepsen_lite.clients.store import NoNodeError, Store
from jepsen_lite.history import Json, Op, Outcome
from jepsen_lite.recorder import Answer, now_ns
from jepsen_lite.workloads.workload import ROOT, Worker, Workload

HOME: Final = f"{ROOT}/ephemerals"
LONG_LIVED: Final = 0.3
LONG_LIFE: Final = 3.0
SHORT_LIFE: Final = 0.5
"""Life of a session, at most, in time-outs."""
LOOKS_MAX: Final = 60
LOOK_EVERY_S: Final = 0.2
LATE_MS: Final = 3_500
"""How long after its time-out a session may end: the leader waits two seconds for contacts on their
way and looks ten times a second; the rest is for a slow machine."""


class Sessions(Workload):
    """Each step is the life of one session, watched by another."""

    name = "session"
    model = "session"
    clients = ("native",)
    summary = "sessions that close, vanish or are cut off, and their ephemeral nodes"

    def __init__(self, dice: random.Random, *, nodes: int, workers: int) -> None:
        super().__init__(dice, nodes=nodes, workers=workers)
        self._numbers = itertools.count(1)

    def meta(self) -> dict[str, Json]:
        return {"late_ms": LATE_MS}

    async def prepare(self, store: Store) -> None:
        await store.ensure(ROOT)
        await store.ensure(HOME)

    async def step(self, worker: Worker) -> None:
        begun_ns = now_ns()
        store = await worker.open_store()
        assert isinstance(store, NativeStore)
        session = store.session_id
        opened = {"session": session, "timeout_ms": round(store.session_timeout_s * 1_000)}
        self._note(worker, "open", session, begun_ns, opened)
        told: list[ConnectionState] = []
        store.client.on_state(told.append)
        path = f"{HOME}/{next(self._numbers)}"
        try:
            await self._live(worker, store, path)
            if ConnectionState.EXPIRED in told or store.session_id not in {0, session}:
                self._note(worker, "expired", session, now_ns(), None)
            elif worker.dice.random() < 0.5:
                await worker.perform("close", None, None, lambda: self._close(store), store)
            else:
                self._note(worker, "gone", session, now_ns(), None)
                store.vanish()
            await self._watch_end(worker, path)
        finally:
            store.vanish()
            await store.close()

    async def _live(self, worker: Worker, store: NativeStore, path: str) -> None:
        """Create an ephemeral; be heard of now and then, while somebody else looks."""
        session = store.session_id
        op = await worker.perform("ephemeral", path, None, lambda: self._create(store, path), store)
        if not op.is_ok:
            return
        # Some outlive their time-out, by contact alone.
        timeouts = LONG_LIFE if worker.dice.random() < LONG_LIVED else SHORT_LIFE
        loop = asyncio.get_running_loop()
        until_s = loop.time() + worker.dice.random() * timeouts * store.session_timeout_s
        while loop.time() < until_s and store.session_id == session:
            await worker.perform("contact", None, None, lambda: self._contact(store), store)
            await self._look(worker, path)
            await asyncio.sleep(worker.dice.random() * LOOK_EVERY_S)

    async def _watch_end(self, worker: Worker, path: str) -> None:
        for _ in range(LOOKS_MAX):
            op = await self._look(worker, path)
            if op.is_ok and op.result is None:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self, worker: Worker, path: str) -> Op:
        return await worker.perform("look", path, None, lambda: self._owner(worker.store, path))

    @staticmethod
    async def _owner(store: Store, path: str) -> Answer:
        assert isinstance(store, NativeStore)
        try:
            owner, revision = await store.owner(path)
        except NoNodeError:
            return Answer(None)
        return Answer(owner, revision)

    @staticmethod
    async def _create(store: Store, path: str) -> Answer:
        made = await store.create(path, ephemeral=True)
        return Answer(None, made.revision)

    @staticmethod
    async def _contact(store: Store) -> Answer:
        return Answer(None, (await store.get(HOME)).revision)

    @staticmethod
    async def _close(store: NativeStore) -> Answer:
        await store.end_session()
        return Answer()

    @staticmethod
    def _note(worker: Worker, f: str, session: int, begun_ns: int, result: object) -> None:
        op = Op(worker.process, f, None, None, begun_ns, now_ns(), Outcome.OK, result)
        op.session = session
        worker.recorder.note(op)
