"""Whole stores for tests: on a directory and on a simulated disk, and entries to fill them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from coord.model import commands
from coord.model.acl import OPEN
from coord.model.requests import Create, Set
from coord.raft.types import EntryKind, HardState, Index, LogSlice, NodeId, SnapshotMeta, Term
from coord.store.lmdb_kv import DATA_FILE
from coord.store.log_writer import OnDone
from coord.store.member_store import MemberStore, StoreOptions, open_member_store
from coord.store.memory_store import SimDisk, open_memory_store
from coord.store.raft_log import LogWrite, RaftLog
from coord.store.snapshot_store import SnapshotPolicy
from coord.store.verify_snapshot import verify
from tests.store.log_fixtures import MEMBERS

CLUSTER = b"cluster of tests"
MAP_BYTES = 256 * 1024 * 1024
POLICY = SnapshotPolicy(log_bytes_min=20_000, log_entries_kept=10)
OPTIONS = StoreOptions(
    NodeId(1), bytes, snapshots=POLICY, map_bytes=MAP_BYTES, reserve_bytes=1 << 20
)


class Loop:
    """Stands for the event loop: calls posted to it run when the test says so."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()

    def post(self, call: Callable[[], None]) -> None:
        """Queue a call; from any thread."""
        self.calls.append(call)


class StepWriter:
    """A log writer whose writes become durable, and are reported, one step at a time."""

    def __init__(self, log: RaftLog, loop: Loop) -> None:
        self._log = log
        self._loop = loop

    def submit(self, write: LogWrite, on_done: OnDone) -> None:
        """Durable at the next step, reported at the one after."""

        def commit() -> None:
            self._log.write([write])
            self._loop.post(lambda: on_done(None))

        self._loop.post(commit)

    def close(self) -> None:
        """Nothing runs by itself."""


class Machine(Protocol):
    """A machine with a disk, on which a store is opened, killed and opened again."""

    loop: Loop

    def open(self) -> MemberStore:
        """Start the process."""
        ...

    def kill(self, store: MemberStore) -> None:
        """End the process as kill -9 does."""
        ...

    def lose_power(self, store: MemberStore) -> None:
        """The machine restarts."""
        ...

    def step(self, store: MemberStore) -> bool:
        """Run one posted call; False if nothing is left."""
        ...

    def damage_snapshot(self, meta: SnapshotMeta) -> None:
        """Flip a bit in a kept snapshot."""
        ...


class DirectoryMachine:
    """On a directory. A kill is closing without the clean flag: what the kernel has stays."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.boot = 1
        self.loop = Loop()
        self.checks: list[Path] = []

    def open(self) -> MemberStore:
        """Open the directory under the current boot. Snapshots are checked in this process:
        the child has tests of its own."""
        self.loop = Loop()
        store = open_member_store(
            self.directory,
            OPTIONS,
            free_bytes=lambda: 1 << 40,
            boot_id=f"boot {self.boot}",
            check_snapshot=self._check,
        )
        store.attach(self.loop.post, StepWriter(store.log, self.loop))
        return store

    def open_under_real_boot(self) -> MemberStore:
        """Open what a process with nothing faked about it has left."""
        return open_member_store(self.directory, OPTIONS, check_snapshot=self._check)

    def _check(self, path: Path) -> None:
        self.checks.append(path)
        verify(path).close()

    def kill(self, store: MemberStore) -> None:
        """End without the clean flag."""
        store.close(clean=False)

    def lose_power(self, store: MemberStore) -> None:
        """The tree may be anything now; make it something LMDB would choke on."""
        tree = self.directory / f"tree-{store.log.trust.generation}" / DATA_FILE
        store.close(clean=False)
        self.boot += 1
        if tree.exists():
            with tree.open("r+b") as file:
                file.write(b"\xff" * 65536)

    def step(self, store: MemberStore) -> bool:
        """Run one posted call, after the worker thread is done."""
        assert store.wait_worker(20)
        if not self.loop.calls:
            return False
        self.loop.calls.popleft()()
        return True

    def damage_snapshot(self, meta: SnapshotMeta) -> None:
        """Flip a bit in the middle of the file."""
        path = self.directory / "snapshots" / f"{meta.index:016d}-{meta.term}.snapshot"
        with path.open("r+b") as file:
            file.seek(meta.length // 2)
            byte = file.read(1)
            file.seek(meta.length // 2)
            file.write(bytes([byte[0] ^ 1]))


class SimMachine:
    """On a simulated disk."""

    def __init__(self) -> None:
        self.disk = SimDisk()
        self.loop = Loop()

    def open(self) -> MemberStore:
        """Open the disk."""
        self.loop = Loop()
        store = open_memory_store(self.disk, OPTIONS)
        store.attach(self.loop.post, StepWriter(store.log, self.loop))
        return store

    def kill(self, store: MemberStore) -> None:
        """The process is gone."""
        self.disk.crash()

    def lose_power(self, store: MemberStore) -> None:
        """So is what was not synced."""
        self.disk.crash(power=True)

    def step(self, store: MemberStore) -> bool:
        """Run one posted call."""
        if not self.loop.calls:
            return False
        self.loop.calls.popleft()()
        return True

    def damage_snapshot(self, meta: SnapshotMeta) -> None:
        """Flip a bit in the middle."""
        kept, data = self.disk.kept[meta.checksum]
        middle = len(data) // 2
        flipped = bytes([data[middle] ^ 1])
        self.disk.kept[meta.checksum] = (kept, data[:middle] + flipped + data[middle + 1 :])


def settle(machine: Machine, store: MemberStore) -> None:
    """Run everything that was posted."""
    while machine.step(store):
        pass


def founded(machine: Machine) -> MemberStore:
    """A store that has founded its cluster and applied the first entry."""
    store = machine.open()
    assert store.is_empty()
    store.bootstrap(CLUSTER, MEMBERS)
    catch_up(store)
    return store


def entry(number: int) -> bytes:
    """A command: sixteen nodes are created, then set over and over."""
    stamp = commands.STAMP.pack(1_000 + number, 1_000 + number)
    path, data = f"/n{number % 16}", b"value %d " % number * 20
    request = Create(path, data, OPEN, 0, 0) if number < 16 else Set(path, data, -1)
    return stamp + commands.encode_write(request, 0, 0, 0, 0, None)


def write(store: MemberStore, count: int, term: int = 1) -> None:
    """Append commands to the log, durably, and apply nothing."""
    first = Index(store.log.last_index() + 1)
    payloads = [entry(first + at - 2) for at in range(count)]
    run = LogSlice(first, Term(term), EntryKind.NORMAL, payloads)
    hard_state = HardState(run.term) if term > store.log.initial_state()[0].term else None
    store.log.write([LogWrite([run], hard_state)])


def catch_up(store: MemberStore) -> None:
    """Apply what the log holds beyond the tree."""
    while store.machine.applied_index < store.log.last_index():
        first = Index(store.machine.applied_index + 1)
        store.machine.apply(store.log.slices(first, store.log.last_index(), 10_000))


def grow(store: MemberStore, count: int) -> None:
    """Write and apply."""
    write(store, count)
    catch_up(store)


def take(machine: Machine, store: MemberStore) -> SnapshotMeta:
    """Take a snapshot to the end."""
    taken: list[SnapshotMeta | BaseException] = []
    assert store.snapshots.take(taken.append)
    settle(machine, store)
    (outcome,) = taken
    assert isinstance(outcome, SnapshotMeta), outcome
    return outcome


def state_of(store: MemberStore) -> tuple[int, int]:
    """What two stores with the same log must agree on."""
    return store.machine.applied_index, store.machine.digest
