"""The simulated log writer: group commit with a delay, and what a crash leaves of it.

A batch is one transaction: it is on disk as a whole or not at all. While it is being written
nobody can tell; a process that dies then finds either state after its restart. The report of a
finished write takes a moment to reach the loop, and dies with the process too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from coord.model.errors import StorageError
from coord.sim.process import Process
from coord.sim.streams import spread

if TYPE_CHECKING:
    from coord.store.raft_log import LogWrite


OnDone = Callable[[BaseException | None], None]


@dataclass(slots=True)
class DiskConditions:
    """Speed of a disk: how long one transaction takes, and how long its report takes."""

    write_us_min: int = 200
    write_us_max: int = 4_000
    report_us: int = 50


class WritableLog(Protocol):
    """The part of a log store that the writer needs."""

    def write(self, batch: list[LogWrite]) -> None:
        """Make a batch durable in one transaction. Raises StorageError."""
        ...


class SimLogWriter:
    """A node's ``LogWriter``: one life of one process.

    ``stalled_until_us``: the disk answers nothing before that. ``lies``: it reports a transaction
    before it is on disk, as a disk with a volatile cache does.
    """

    def __init__(
        self,
        process: Process,
        log: WritableLog,
        stream: random.Random,
        conditions: DiskConditions | None = None,
    ) -> None:
        self.conditions = conditions or DiskConditions()
        self.points: Callable[[str], None] = lambda _name: None
        """Told "before-durable" and "after-durable" around each transaction: a harness may raise
        Killed there."""
        self.stalled_until_us = 0
        self.lies = False
        self.has_failed = False
        """The node has been told that a transaction failed."""
        self._process = process
        self._log = log
        self._stream = stream
        self._queue: list[tuple[LogWrite, OnDone]] = []
        self._writing: list[tuple[LogWrite, OnDone]] = []

    def submit(self, write: LogWrite, on_done: OnDone) -> None:
        """Queue one write; everything queued while the disk is busy goes in one transaction."""
        self._queue.append((write, on_done))
        if not self._writing:
            self._begin()

    def _begin(self) -> None:
        self._writing, self._queue = self._queue, []
        kernel, weather = self._process.kernel, self.conditions
        took_us = spread(self._stream, weather.write_us_min, weather.write_us_max)
        took_us = max(took_us, self.stalled_until_us - kernel.now_us)
        kernel.schedule(took_us, self._durable, self._process)
        if self.lies:
            self._report(self._writing, None)

    def _durable(self) -> None:
        """The transaction is on disk; the loop does not know yet."""
        self.points("before-durable")
        finished, self._writing = self._writing, []
        error: BaseException | None = None
        try:
            self._log.write([write for write, _ in finished])
        except StorageError as failure:
            error = failure
        self.points("after-durable")

        if not self.lies:
            self._report(finished, error)
        if self._queue:
            self._begin()

    def _report(self, finished: list[tuple[LogWrite, OnDone]], error: BaseException | None) -> None:
        def report() -> None:
            self.has_failed = self.has_failed or error is not None
            for _, on_done in finished:
                on_done(error)

        self._process.kernel.schedule(self.conditions.report_us, report, self._process)

    def close(self) -> None:
        """Nothing to release: what is queued is written, or lost with the process."""

    def process_died(self) -> None:
        """The transaction being written is there or not; what was queued is not."""
        writing, self._writing, self._queue = self._writing, [], []
        if writing and self._stream.randrange(2):
            with suppress(StorageError):
                self._log.write([write for write, _ in writing])
