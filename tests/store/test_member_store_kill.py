"""A member's whole store after kill -9 at any point, again and again on one directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from coord.raft.types import EntryKind, Index, LogSlice, Term
from coord.store.lmdb_kv import DATA_FILE, structural_problems
from coord.store.memory_kv import MemoryEnvironment
from coord.store.state_machine import StateMachine
from coord.store.write_behind import WriteBehind
from tests.store.log_fixtures import MEMBERS, read_all
from tests.store.store_fixtures import CLUSTER, DirectoryMachine, catch_up, entry

ROOT = Path(__file__).parents[2]


def run_and_kill(directory: Path, lines: int) -> int:
    """Let the member live for so many writes; returns the last index it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.store.member_child", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    said += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    return int([line for line in said if line.endswith("\n")][-1])


def digest_after(last: int) -> int:
    """Digest of a tree that applied the same entries one after the other, in memory."""
    machine = StateMachine(WriteBehind(MemoryEnvironment()))
    machine.adopt_cluster(CLUSTER, 1)
    first = LogSlice(Index(1), Term(1), EntryKind.CONFIG, [MEMBERS.encode()])
    payloads = [entry(index - 2) for index in range(2, last + 1)]
    machine.apply([first, LogSlice(Index(2), Term(1), EntryKind.NORMAL, payloads)])
    return machine.digest


def test_kill_at_any_point_of_a_members_life(tmp_path: Path) -> None:
    """Through writes, applies, snapshots and cuts: nothing acknowledged is lost, the tree is
    trusted and structurally sound, and its digest is the one the log alone gives."""
    directory = tmp_path / "data"
    machine = DirectoryMachine(directory)
    for lines in (1, 4, 11, 23, 40):
        acknowledged = run_and_kill(directory, lines)
        assert structural_problems(directory / "log" / DATA_FILE) == []
        assert structural_problems(directory / "tree-1" / DATA_FILE) == []
        # The child lived under the machine's real boot; so must this look at it.
        store = machine.open_under_real_boot()
        assert store.rebuilt_because == ""
        assert store.log.last_index() >= acknowledged
        kept = [(index, data) for index, _, data in read_all(store.log) if index > 1]
        assert kept == [(index, entry(index - 2)) for index, _ in kept]
        catch_up(store)
        assert store.machine.digest == digest_after(store.log.last_index())
        store.close(clean=False)
    store = machine.open_under_real_boot()
    newest = store.snapshots.newest()
    assert newest is not None
    assert store.log.first_index() > 1
    # And once more as if the power had failed: from the snapshot and the log.
    machine.lose_power(store)
    store = machine.open()
    assert store.rebuilt_because != ""
    assert store.machine.applied_index == newest.index
    catch_up(store)
    assert store.machine.digest == digest_after(store.log.last_index())
    store.close(clean=True)
