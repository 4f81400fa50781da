"""A thread with an event loop, for callers that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from coord.model.errors import MisuseError
from coord_client.forks import fork_count

T = TypeVar("T")


class Background:
    """Runs coroutines of any thread's callers on one thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="coord-client", daemon=True)
        self._forks = fork_count()
        self._submitting = threading.Lock()
        self._is_stopped = False
        """Invariant: nothing is submitted once it is True, so that nothing is left waiting."""
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
        # Leaving the runner has cancelled what was left: nobody waits for ever.

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``; if the caller is interrupted, ``work`` is cancelled.

        Raises MisuseError after a fork, after :meth:`stop`, and on the thread itself.
        """
        try:
            self._check_caller()
            with self._submitting:
                if self._is_stopped:
                    raise MisuseError("the client is closed")
                future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except MisuseError:
            work.close()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise MisuseError("the client was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    def read(self, function: Callable[[], T]) -> T:
        """What ``function`` returns on the thread."""

        async def call() -> T:
            return function()

        return self.run(call())

    def stop(self) -> None:
        """End the thread; what still runs there is cancelled."""
        with self._submitting:
            self._is_stopped = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _check_caller(self) -> None:
        if self._forks != fork_count():
            raise MisuseError("this client was made before a fork; make one in this process")
        if threading.current_thread() is self._thread:
            raise MisuseError("a callback of the client must not call the blocking client")
