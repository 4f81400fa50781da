"""asyncio in virtual time: an event loop whose turns are events of one simulated process.

The client library and its recipes run on it unchanged. Time is the process's clock, so a paused
process is a loop that does not turn, and a dead one never turns again. What asyncio offers for
sockets, threads and signals is not there: nothing in a simulation may reach it.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple

from coord.sim import Process

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LAST_TURNS_MAX: Final = 1_000
"""So many turns may the tasks of a dead process take to notice that they are cancelled."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """One life of one process.

    Invariant: while anything is in ``_ready``, a turn of the loop is an event of the kernel.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._epoch = process.epoch
        self._ready: deque[asyncio.Handle] = deque()
        self._turn_is_due = False
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._is_closed = False
        self.error: BaseException | None = None
        """What a callback raised, or a task that nobody waits for."""

    # --- what asyncio asks of a loop ------------------------------------------------------------

    def time(self) -> float:
        """Seconds of the process's clock."""
        return self._process.clock.monotonic_ms() / 1_000

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run in the next turn."""
        handle = asyncio.Handle(callback, list(args), self, context)
        self._ready.append(handle)
        if not self._turn_is_due and not self._is_closed:
            self._turn_is_due = True
            self._process.call_soon(self._turn)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run in ``delay`` seconds, rounded up to milliseconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run when :meth:`time` says ``when``."""
        handle = asyncio.TimerHandle(when, callback, list(args), self, context)
        if not self._is_closed:
            delay_ms = max(0, -int((self.time() - when) * 1_000 // 1))
            self._process.call_later(delay_ms, lambda: self._run_one(handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """A task of this loop; it is cancelled when the process dies."""
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether a turn is under way."""
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        """Whether the process has died."""
        return self._is_closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A defect of what runs here: the next turn's caller hears of it."""
        self.error = self.error or context.get("exception") or AssertionError(context["message"])

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Part of asyncio's own protocol between handles and loops."""

    # --- turns ----------------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Code that comes from outside (bytes that arrive, say) runs inside, as on a real loop.

        Raises what a callback raised: a defect must not look like an outage.
        """
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(before)
        if self.error is not None and not self._is_closed:
            raise AssertionError(f"{self._process.name}: {self.error!r}") from self.error

    def _turn(self) -> None:
        self._turn_is_due = False
        with self.turn():
            self._run_ready()

    def _run_ready(self) -> None:
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _run_one(self, handle: asyncio.TimerHandle) -> None:
        if not handle.cancelled():
            with self.turn():
                handle._run()

    def close(self) -> None:
        """The process is dead: its tasks end now and reach nothing any more."""
        if self._is_closed:
            return
        self._is_closed = True
        with self.turn():
            for _ in range(LAST_TURNS_MAX):
                for task in tuple(self._tasks):
                    task.cancel()
                self._run_ready()
                if not self._tasks and not self._ready:
                    return
        raise AssertionError(f"{self._process.name}: tasks that cannot be cancelled: {self._tasks}")
