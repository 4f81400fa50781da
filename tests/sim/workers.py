"""Many runs on all cores. Order of results: as they end.

A worker is a fresh interpreter, so that one hash seed can be pinned for all of them, and is told to
end a run that goes round in circles: a healthy one takes a second.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from types import FrameType
from typing import Final, TypeVar

from tests.sim.plan import Plan
from tests.sim.run import Result, run_plan, run_seed

CPU_S_MAX: Final = 300
"""A run that takes longer has failed."""
BATCH: Final = 4
"""Runs that a worker gets at once."""
BATCHES_AHEAD: Final = 3
"""Batches per worker that are handed out: what waits is bounded."""

Job = int | Plan
"""A seed, or a whole plan."""
T = TypeVar("T")
Runs = Generator[Result, None, None]


class Endless(Exception):  # noqa: N818 (names the finding)
    """The run did not end."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raises Endless in the body after so many seconds of CPU: a run waits for nothing, and a busy
    machine is no fault of its. Main thread only."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Endless(f"no end after {seconds} s of CPU")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run_job(job: Job) -> Result:
    """One run, in this process, ended if it does not end."""
    with limited(CPU_S_MAX):
        return run_plan(job) if isinstance(job, Plan) else run_seed(job)


def run_all(jobs: Iterable[Job], workers: int = 0, hash_seed: str = "") -> Runs:
    """Run every job; ``workers``: 0 for one per core. ``hash_seed`` is PYTHONHASHSEED of all
    workers. Closing the iterator ends the rest."""
    return spread(_run_batch, _batches(jobs), workers, hash_seed)


def spread(
    work: Callable[[tuple[Job, ...]], list[T]],
    batches: Iterator[tuple[Job, ...]],
    workers: int = 0,
    hash_seed: str = "",
) -> Generator[T, None, None]:
    """What ``work`` makes of every batch, in worker processes."""
    workers = workers or os.cpu_count() or 1
    with _pinned(hash_seed), ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        under_way: set[Future[list[T]]] = set()
        try:
            for batch in batches:
                under_way.add(pool.submit(work, batch))
                if len(under_way) >= workers * BATCHES_AHEAD:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from future.result()
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _run_batch(jobs: tuple[Job, ...]) -> list[Result]:
    return [run_job(job) for job in jobs]


def _batches(jobs: Iterable[Job]) -> Iterator[tuple[Job, ...]]:
    source = iter(jobs)
    while batch := tuple(islice(source, BATCH)):
        yield batch


@contextmanager
def _pinned(hash_seed: str) -> Iterator[None]:
    """Interpreters started in the body have this hash seed."""
    before = os.environ.get("PYTHONHASHSEED")
    if hash_seed:
        os.environ["PYTHONHASHSEED"] = hash_seed
    try:
        yield
    finally:
        if hash_seed and before is None:
            del os.environ["PYTHONHASHSEED"]
        elif hash_seed:
            os.environ["PYTHONHASHSEED"] = str(before)
