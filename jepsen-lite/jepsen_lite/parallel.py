"""Several pieces of work at once, each in a process of its own.

A run keeps a core busy by itself: clients, proxies and judges share one loop. Runs side by side
share nothing but the machine. The children are forked: they know what their parent knew.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
Row = dict[str, Any]
Tell = Callable[[str], None]
"""Takes a line that says how far a piece of work is."""
Work = Callable[[T, Tell], Row]

STOP_WITHIN_S: Final = 30.0
"""A child that is told to end ends its servers first."""
_FORK: Final = multiprocessing.get_context("fork")


class _Job(Generic[T]):
    """One item in a child, and the last line it told."""

    def __init__(self, item: T, work: Work[T]) -> None:
        self.item = item
        self.line = ""
        self.connection, theirs = _FORK.Pipe(duplex=False)
        # As a daemon it is ended with its parent, however that is interrupted.
        self._process = _FORK.Process(
            target=_live, args=(work, item, theirs, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()

    def news(self) -> Row | str | None:
        """Its row, or why there is none; None if it has only told a line. Raises what the work
        raised."""
        try:
            said = self.connection.recv()
        except EOFError:
            self._process.join()
            return f"its process ended with {self._process.exitcode}"
        if isinstance(said, Exception):
            raise said
        if isinstance(said, str):
            self.line = said
            return None
        row: Row = said
        return row

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def end(self) -> None:
        """Wait until it has ended."""
        self._process.join(STOP_WITHIN_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


def _live(work: Work[T], item: T, parent: Connection, parent_id: int) -> None:
    """The life of a child."""
    # A terminal sends Ctrl-C to every process: here the parent decides, by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def tell(line: str) -> None:
        if os.getppid() != parent_id:  # It was killed: nobody is left to hear of it.
            signal.raise_signal(signal.SIGTERM)
        else:
            parent.send(line)

    said: Row | Exception
    try:
        said = work(item, tell)
    except CancelledError:
        return
    except Exception as error:  # noqa: BLE001 - raised again by the parent
        said = error
    parent.send(said)


@contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def each(
    items: Iterable[T], work: Work[T], at_once: int, show: Callable[[list[str]], None]
) -> Iterator[tuple[T, Row | str]]:
    """Do ``work(item, tell)`` for every item, ``at_once`` of them at a time.

    Yields (item, its row) as rows come; a text instead of a row says how its process ended without
    one. ``show`` gets the lines of all that are under way whenever one has changed. Raises what the
    work raised. However this is left, every child has ended then. To be used from the main thread.
    """
    jobs: dict[Connection, _Job[T]] = {}
    waiting = iter(items)
    with _ended_like_interrupted():
        try:
            while True:
                for item in itertools.islice(waiting, at_once - len(jobs)):
                    job = _Job(item, work)
                    jobs[job.connection] = job
                if not jobs:
                    return
                yield from _heard(jobs)
                show([job.line for job in jobs.values()])
        finally:
            for job in jobs.values():
                job.terminate()
            for job in jobs.values():
                job.end()


def _heard(jobs: dict[Connection, _Job[T]]) -> Iterator[tuple[T, Row | str]]:
    """Wait until a job says something; those that are over leave ``jobs``."""
    for connection in wait(list(jobs)):
        assert isinstance(connection, Connection)
        job = jobs[connection]
        row = job.news()
        if row is not None:
            job.end()
            del jobs[connection]
            yield job.item, row
