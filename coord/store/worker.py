"""Long work beside the loop: one job at a time on a thread, or at once for the simulator.

Jobs make C calls that release the interpreter's lock (copying, hashing, waiting for a child).
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Protocol, TypeVar

from coord.model.errors import CoordError

T = TypeVar("T")
Post = Callable[[Callable[[], None]], object]
"""Runs a call on the loop's thread soon; callable from any thread."""


class Worker(Protocol):
    """Runs jobs off the loop."""

    def run(self, job: Callable[[], T], on_done: Callable[[T | CoordError], None]) -> None:
        """Run ``job``; ``on_done`` gets its result or its error on the loop. Anything else than a
        CoordError is a fault of the program and is raised there."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait for the running job; False if it still runs."""
        ...


def outcome_of(job: Callable[[], T]) -> T | BaseException:
    """What the job returned or raised."""
    try:
        return job()
    except BaseException as error:  # noqa: BLE001 - delivered to the loop, raised there
        return error


def deliver(outcome: T | BaseException, on_done: Callable[[T | CoordError], None]) -> None:
    """Hand over a result or an expected error; raise any other."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, CoordError):
        raise outcome
    on_done(outcome)


class ThreadWorker:
    """A thread per job: jobs are rare and long."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._thread: Thread | None = None

    def run(self, job: Callable[[], T], on_done: Callable[[T | CoordError], None]) -> None:
        """Start the job's thread."""

        def work() -> None:
            outcome = outcome_of(job)
            self._post(lambda: deliver(outcome, on_done))

        # A daemon: a copy of many gigabytes must not hold up the end of the process.
        self._thread = Thread(target=work, name="store-worker", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the newest job."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


class InlineWorker:
    """Runs the job at once; only the answer comes later."""

    def __init__(self, post: Post) -> None:
        self._post = post

    def run(self, job: Callable[[], T], on_done: Callable[[T | CoordError], None]) -> None:
        """Run the job now and post its outcome."""
        outcome = outcome_of(job)
        self._post(lambda: deliver(outcome, on_done))

    def wait(self, timeout_s: float) -> bool:
        """Nothing ever runs between calls."""
        del timeout_s
        return True
