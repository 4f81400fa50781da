"""Group commit: order, grouping, failure, and what a kill leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from coord.model.errors import StorageError
from coord.raft.types import HardState, Index, Term
from coord.store.lmdb_kv import DATA_FILE, open_environment, structural_problems
from coord.store.log_writer import ThreadLogWriter
from coord.store.raft_log import LogWrite, RaftLog
from tests.store.log_child import payload
from tests.store.log_fixtures import (
    MAP_BYTES,
    lmdb_log_env,
    memory_log_env,
    read_all,
    run,
    snapshot,
)

ROOT = Path(__file__).parents[2]


class Loop:
    """Stands for the event loop: completions run when the test says so."""

    def __init__(self) -> None:
        self.posted: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def run_one(self) -> None:
        """Wait for a posted call and run it."""
        self.posted.get(timeout=20)()


def test_completions_come_in_order_and_after_durability(tmp_path: Path) -> None:
    """Every write is reported once, in the order submitted, when the log already holds it."""
    env = lmdb_log_env(tmp_path / "log", sync=True)
    log, loop = RaftLog(env), Loop()
    writer = ThreadLogWriter(log, loop.posted.put)
    done: list[int] = []

    def reporter(index: int) -> Callable[[BaseException | None], None]:
        def report(error: BaseException | None) -> None:
            assert error is None
            assert log.last_index() >= index
            done.append(index)

        return report

    for index in range(1, 201):
        writer.submit(LogWrite([run(index, [b"x"])]), reporter(index))
    while len(done) < 200:
        loop.run_one()
    assert done == list(range(1, 201))
    assert writer.writes == 200
    writer.close()
    env.close()


def _note(done: list[int], index: int, error: BaseException | None) -> None:
    assert error is None
    done.append(index)


def test_what_gathers_during_a_commit_goes_into_one_transaction() -> None:
    """Writes queued while a transaction is under way share the next one and its completion."""
    log, loop = RaftLog(memory_log_env()), Loop()
    log.write([])
    entered, proceed = Event(), Event()
    write = log.write

    def slow(batch: list[LogWrite]) -> None:
        entered.set()
        assert proceed.wait(20)
        write(batch)

    log.write = slow  # type: ignore[method-assign]
    writer = ThreadLogWriter(log, loop.posted.put)
    done: list[int] = []
    writer.submit(LogWrite([run(1, [b"x"])]), partial(_note, done, 1))
    assert entered.wait(20)
    for index in range(2, 50):
        writer.submit(LogWrite([run(index, [b"x"])]), partial(_note, done, index))
    proceed.set()
    loop.run_one()
    assert done == [1]
    loop.run_one()
    assert done == list(range(1, 50))
    assert (writer.commits, writer.writes) == (2, 49)
    writer.close()


def test_a_failed_commit_fails_its_writes_and_all_later_ones() -> None:
    """Nothing is acknowledged any more once the disk has failed."""
    env = memory_log_env()
    log, loop = RaftLog(env), Loop()
    env.commit_error = OSError(5, "Input/output error")
    writer = ThreadLogWriter(log, loop.posted.put)
    errors: list[BaseException | None] = []
    writer.submit(LogWrite([], HardState(Term(1))), errors.append)
    loop.run_one()
    writer.submit(LogWrite([], HardState(Term(2))), errors.append)
    loop.run_one()
    assert [type(error) for error in errors] == [StorageError, StorageError]
    assert "Input/output error" in str(errors[0])
    assert writer.commits == 0
    writer.close()


def test_a_broken_rule_reaches_the_loop_too() -> None:
    """An assertion in the writer thread is delivered like a failure of the disk."""
    loop = Loop()
    writer = ThreadLogWriter(RaftLog(memory_log_env()), loop.posted.put)
    errors: list[BaseException | None] = []
    writer.submit(LogWrite([run(5, [b"gap"])]), errors.append)
    loop.run_one()
    assert isinstance(errors[0], AssertionError)
    writer.close()


def test_close_drains_the_queue(tmp_path: Path) -> None:
    """What was submitted before the close is durable after it."""
    env = lmdb_log_env(tmp_path / "log", sync=True)
    log, loop = RaftLog(env), Loop()
    writer = ThreadLogWriter(log, loop.posted.put)
    for index in range(1, 101):
        writer.submit(LogWrite([run(index, [b"x"])]), lambda _: None)
    writer.close()
    writer.close()
    assert log.last_index() == 100
    env.close()


def test_an_idle_writer_finishes_a_cut() -> None:
    """Records below the marker are deleted without further writes."""
    env = memory_log_env()
    log, loop = RaftLog(env), Loop()
    log.write([LogWrite([run(i, [b"x"])]) for i in range(1, 2001)])
    log.set_snapshot(snapshot(2000))
    writer = ThreadLogWriter(log, loop.posted.put)
    writer.submit(LogWrite(cut_before=Index(1991)), lambda _: None)
    loop.run_one()
    while log.has_backlog:
        os.sched_yield()
    writer.close()
    with env.read() as txn:
        assert txn.count(env.table("log")) == 10


@pytest.mark.parametrize("lines", [1, 2, 7, 23, 60])
def test_kill_loses_nothing_acknowledged(tmp_path: Path, lines: int) -> None:
    """After kill -9 at any point the log opens, is whole, and holds what was acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.store.log_child", str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    acknowledged += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    last, term, first = map(int, [line for line in acknowledged if line.endswith("\n")][-1].split())
    assert structural_problems(tmp_path / "log" / DATA_FILE) == []
    env = open_environment(tmp_path / "log", sync=True, map_bytes=MAP_BYTES)
    log = RaftLog(env)
    entries = read_all(log)
    # The write under way when the kill hit may be there too: it may have cut or truncated.
    newer = log.initial_state()[0].term > term
    assert log.initial_state()[0].term >= term
    assert log.last_index() >= last or newer
    assert log.first_index() >= first
    assert [index for index, _, _ in entries] == list(
        range(log.first_index(), log.last_index() + 1)
    )
    assert all(data == payload(index, entry_term) for index, entry_term, data in entries)
    env.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from coord.model.errors import StorageError
from coord.store.raft_log import LogWrite, RaftLog
from tests.store.log_fixtures import lmdb_log_env, run
log = RaftLog(lmdb_log_env(Path(sys.argv[1]), sync=True))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
index = 0
try:
    while True:
        log.write([LogWrite([run(index + 1, [bytes(3_000)])])])
        index += 1
except StorageError as error:
    print(index, flush=True)
    print(error, flush=True)
try:
    log.write([LogWrite([run(index + 1, [b"small"])])])
except StorageError as error:
    print(error, flush=True)
"""


def test_a_full_disk_fails_the_commit_and_loses_nothing(tmp_path: Path) -> None:
    """A commit that finds no room raises, so does every later one, and what was acknowledged
    before is whole."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "log")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    acknowledged, first, second = done.stdout.splitlines()
    assert int(acknowledged) > 50
    assert "data.mdb" in first
    assert "an earlier commit failed" in second
    env = open_environment(tmp_path / "log", sync=True, map_bytes=MAP_BYTES)
    log = RaftLog(env)
    assert log.last_index() >= int(acknowledged)
    assert len(read_all(log)) == log.last_index()
    env.close()
