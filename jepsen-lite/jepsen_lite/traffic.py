"""The clients of a run: workers that take steps of the workload at the asked rate."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Final

from jepsen_lite.clients.store import StoreError
from jepsen_lite.clusters.cluster import OpenStore
from jepsen_lite.recorder import Recorder
from jepsen_lite.workloads import Worker, Workload

OPEN_WITHIN_S: Final = 20.0
PAUSE_S: Final = 0.1
"""After an error outside an operation."""
FINAL_PROCESS: Final = 1_000_000
"""Number of the client that reads at the end."""
LEAVE_WITHIN_S: Final = 30.0


class Traffic:
    """All workers of a run."""

    def __init__(
        self,
        workload: Workload,
        recorder: Recorder,
        open_store: OpenStore,
        *,
        rate: float,
        seed: int,
    ) -> None:
        self._workload = workload
        self._recorder = recorder
        self._open_store = open_store
        self._interval_s = workload.worker_count / rate
        self._seed = seed
        self._stopping = asyncio.Event()
        self.workers: list[Worker] = []

    async def open(self) -> None:
        """Connect every worker. Raises StoreError."""
        self.workers = [await self._worker(n) for n in range(self._workload.worker_count)]

    async def prepare(self) -> None:
        """Make what the workload needs. Raises StoreError."""
        await self._workload.prepare(self.workers[0].store)

    async def finish(self) -> None:
        """Final reads, with a client that was not there before. Raises StoreError."""
        reader = await self._worker(len(self.workers))
        reader.process = FINAL_PROCESS
        try:
            await self._workload.finish(reader)
        finally:
            await reader.store.close()

    async def _worker(self, number: int) -> Worker:
        return Worker(
            number,
            await self._open_store(number),
            random.Random(f"{self._seed}/worker/{number}"),
            self._recorder,
            self._workload.worker_count,
            lambda: self._open_store(number),
        )

    async def run(self) -> None:
        """Work until :meth:`stop` is called and every worker has finished its step."""
        async with asyncio.TaskGroup() as group:
            for worker in self.workers:
                group.create_task(self._work(worker))

    def stop(self) -> None:
        """Begin no more steps."""
        self._stopping.set()

    async def _work(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + worker.dice.random() * self._interval_s
        while not self._stopping.is_set():
            pause_s = due - loop.time()
            # Behind by more than a second: what was missed is not made up for.
            due = max(due, loop.time() - 1.0) + self._interval_s
            if pause_s > 0 and await self._stopped_within(pause_s):
                return
            try:
                await self._workload.step(worker)
            except StoreError:
                await self._stopped_within(PAUSE_S)

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def leave(self) -> None:
        """Let each worker undo what it holds."""
        for worker in self.workers:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN_S):
                    await self._workload.leave(worker)

    async def close(self) -> None:
        """End every session; never raises."""
        await asyncio.gather(*(worker.store.close() for worker in self.workers))
