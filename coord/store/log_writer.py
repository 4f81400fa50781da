"""Group commit: one thread per node writes the log; the loop never waits for the disk.

Everything that gathered while a transaction was being synced goes into the next one. Completion is
posted to the loop once per transaction and calls every callback in the order of submission.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter_ns
from typing import Final, Protocol

from coord.model.histogram import Histogram
from coord.store.raft_log import LogWrite, RaftLog

DURATION_BOUNDS_S: Final = (
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0,
)  # fmt: skip

OnDone = Callable[[BaseException | None], None]
Post = Callable[[Callable[[], None]], object]
"""Runs a call on the loop's thread soon; callable from any thread."""


class LogWriter(Protocol):
    """Makes writes durable, in order."""

    def submit(self, write: LogWrite, on_done: OnDone) -> None:
        """Queue a write. ``on_done`` runs on the loop, in submission order, once the write is
        durable (None) or has failed (the error): then nothing may be acknowledged any more."""
        ...

    def close(self) -> None:
        """Write what is queued, then stop. Completions may still be posted."""
        ...


class ThreadLogWriter:
    """The writer thread. ``post`` is the loop's ``call_soon_threadsafe``."""

    def __init__(self, log: RaftLog, post: Post) -> None:
        self._log = log
        self._post = post
        self._queue: SimpleQueue[tuple[LogWrite, OnDone] | None] = SimpleQueue()
        self._closed = False
        self.durations = Histogram(DURATION_BOUNDS_S)
        """Seconds until a transaction was durable."""
        self.commits = 0
        """Transactions made durable so far."""
        self.writes = 0
        """Writes they held; writes / commits is the group size."""
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def submit(self, write: LogWrite, on_done: OnDone) -> None:
        """Queue a write for the next transaction."""
        assert not self._closed, "the log writer is closed"
        self._queue.put((write, on_done))

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            writes, dones, closing = self._gather()
            if writes or self._log.has_backlog:
                error = self._write(writes)
                if dones:
                    self._post(_Completion(dones, error))
                if error is None:
                    self._log.make_room()

    def _gather(self) -> tuple[list[LogWrite], list[OnDone], bool]:
        """Everything queued; waits for something unless the log has deletions to go on with."""
        writes: list[LogWrite] = []
        dones: list[OnDone] = []
        queue = self._queue
        try:
            item = queue.get_nowait() if self._log.has_backlog else queue.get()
            while item is not None:
                writes.append(item[0])
                dones.append(item[1])
                item = queue.get_nowait()
        except Empty:
            return writes, dones, False
        return writes, dones, True

    def _write(self, writes: list[LogWrite]) -> BaseException | None:
        began_ns = perf_counter_ns()
        try:
            self._log.write(writes)
        except BaseException as error:  # noqa: BLE001 - handed to the loop, which ends the node
            return error
        self.durations.observe((perf_counter_ns() - began_ns) / 1e9)
        self.commits += 1
        self.writes += len(writes)
        return None


class _Completion:
    """The callbacks of one transaction."""

    __slots__ = ("_dones", "_error")

    def __init__(self, dones: list[OnDone], error: BaseException | None) -> None:
        self._dones = dones
        self._error = error

    def __call__(self) -> None:
        for done in self._dones:
            done(self._error)
