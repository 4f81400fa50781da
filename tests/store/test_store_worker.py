"""Long work beside the loop: results and errors come back, faults of the program are raised."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Event, current_thread, main_thread

import pytest

from coord.model.errors import CoordError, StorageError
from coord.store.worker import InlineWorker, ThreadWorker, Worker
from tests.store.store_fixtures import DirectoryMachine, founded, grow, state_of

Call = Callable[[], None]


@pytest.fixture(params=[ThreadWorker, InlineWorker])
def made(request: pytest.FixtureRequest) -> tuple[Worker, SimpleQueue[Call]]:
    """Each kind of worker, and what it posts."""
    posted: SimpleQueue[Call] = SimpleQueue()
    return request.param(posted.put), posted


def test_results_and_expected_errors_come_back(made: tuple[Worker, SimpleQueue[Call]]) -> None:
    """A result or an error of ours is handed over, on the loop and not before."""
    worker, posted = made
    got: list[int | CoordError] = []

    def fail() -> int:
        raise StorageError("full")

    worker.run(lambda: 7, got.append)
    assert worker.wait(20)
    assert got == []
    posted.get(timeout=20)()
    worker.run(fail, got.append)
    posted.get(timeout=20)()
    assert got[0] == 7
    assert str(got[1]) == "full"


def test_a_fault_of_the_program_is_raised_on_the_loop(
    made: tuple[Worker, SimpleQueue[Call]],
) -> None:
    """An assertion that fails in a job is not taken for a failed snapshot."""
    worker, posted = made

    def fail() -> int:
        raise AssertionError("broken rule")

    worker.run(fail, lambda _: pytest.fail("handed over"))
    with pytest.raises(AssertionError, match="broken rule"):
        posted.get(timeout=20)()


def test_jobs_run_beside_the_loop() -> None:
    """A running job is seen by ``wait`` and does not hold up its caller."""
    posted: SimpleQueue[Call] = SimpleQueue()
    worker, proceed = ThreadWorker(posted.put), Event()
    assert worker.wait(0)

    def job() -> bool:
        assert proceed.wait(20)
        return current_thread() is main_thread()

    got: list[bool | CoordError] = []
    worker.run(job, got.append)
    assert not worker.wait(0)
    proceed.set()
    assert worker.wait(20)
    posted.get(timeout=20)()
    assert got == [False]


def test_a_clean_stop_does_not_wait_for_a_long_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tree is synced and declared clean although a snapshot is still being copied from it."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    grow(store, 20)
    before = state_of(store)
    entered, proceed = Event(), Event()
    monkeypatch.setattr("coord.store.store._WORKER_WAIT_S", 0.0)
    check = machine.checks.append

    def slow(path: Path) -> None:
        check(path)
        entered.set()
        assert proceed.wait(20)

    store.snapshots._shelf._check = slow  # type: ignore[attr-defined]
    store.snapshots.take(lambda _: None)
    assert entered.wait(20)
    store.close(clean=True)
    proceed.set()
    assert store.wait_worker(20)
    store.tree.close()
    machine.boot += 1
    store = machine.open()
    assert store.rebuilt_because == ""
    assert state_of(store) == before
    store.close(clean=True)


def test_the_simulated_store_needs_no_lmdb() -> None:
    """The simulator runs where LMDB is not installed."""
    root = Path(__file__).parents[2]
    code = "import sys, coord.store.memory_store; sys.exit('lmdb' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
