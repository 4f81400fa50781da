"""Receiving and installing a snapshot: resume, refusal, and a crash between any two steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coord.model.errors import CorruptionError, ForeignDataError, StorageError
from coord.raft.types import Index, SnapshotMeta, Term
from coord.store.log_records import Trust
from coord.store.store import MemberStore
from coord.store.worker import deliver, outcome_of
from tests.store.log_fixtures import MEMBERS, MORE_MEMBERS, read_all, snapshot
from tests.store.store_fixtures import (
    CLUSTER,
    DirectoryMachine,
    Machine,
    SimMachine,
    StepWriter,
    catch_up,
    founded,
    grow,
    settle,
    state_of,
    take,
    write,
)

CHUNK = 10_000


class Kind:
    """Makes machines of one kind."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._directory = directory
        self._count = 0

    def machine(self) -> Machine:
        """A new one."""
        self._count += 1
        if self._name == "simulated":
            return SimMachine()
        return DirectoryMachine(self._directory / f"machine-{self._count}")


@pytest.fixture(params=["directory", "simulated"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """Machines on directories or on simulated disks."""
    return Kind(request.param, tmp_path)


class Leader:
    """Has a snapshot at entry 151, term 2, and sends it."""

    def __init__(self, kind: Kind, cluster: bytes = CLUSTER) -> None:
        machine = kind.machine()
        store = machine.open()
        store.bootstrap(cluster, MEMBERS)
        catch_up(store)
        grow(store, 50)
        write(store, 100, term=2)
        catch_up(store)
        self.meta = take(machine, store)
        self.state = state_of(store)
        data = store.snapshots.read_chunk(self.meta.checksum, 0, self.meta.length)
        assert data is not None
        self.data = data
        store.close(clean=True)

    def send(self, store: MemberStore, offset: int = 0, until: int | None = None) -> int:
        """Send chunks from where the receiver wants them; returns what it wants next."""
        while offset < (self.meta.length if until is None else until):
            piece = self.data[offset : offset + CHUNK]
            offset = store.snapshots.receive_chunk(self.meta, offset, piece)
        return offset


def follower(kind: Kind) -> tuple[Machine, MemberStore]:
    """Has applied 31 entries of term 1, and holds ten more that will have to go."""
    machine = kind.machine()
    store = founded(machine)
    grow(store, 30)
    write(store, 10)
    return machine, store


def install(machine: Machine, store: MemberStore, meta: SnapshotMeta) -> BaseException | None:
    """Install to the end; returns what was reported."""
    reported: list[BaseException | None] = []
    store.snapshots.install(meta, reported.append)
    settle(machine, store)
    (outcome,) = reported
    return outcome


def assert_installed(store: MemberStore, leader: Leader) -> None:
    """Log and tree are the snapshot's."""
    meta = leader.meta
    assert state_of(store) == leader.state
    assert (store.log.first_index(), store.log.last_index()) == (meta.index + 1, meta.index)
    assert store.log.term(meta.index) == meta.term
    assert store.log.initial_state()[1] == meta.membership
    assert store.snapshots.newest() == store.log.snapshot() == meta
    assert store.machine.cluster_id == CLUSTER


def assert_untouched(store: MemberStore) -> None:
    """Log and tree are as they were before."""
    assert (store.log.first_index(), store.log.last_index()) == (1, 41)
    assert store.machine.applied_index == 31
    assert store.snapshots.newest() is None


def test_install_replaces_log_and_tree(kind: Kind) -> None:
    """Afterwards the node stands where the snapshot does, and goes on from there."""
    leader, (machine, store) = Leader(kind), follower(kind)
    old, reader = store.machine, store.reader()
    leader.send(store)
    assert install(machine, store, leader.meta) is None
    del reader
    assert store.machine is not old
    assert_installed(store, leader)
    assert store.log.trust.generation == 2
    write(store, 5, term=2)
    catch_up(store)
    before = state_of(store)
    machine.kill(store)
    store = machine.open()
    assert store.rebuilt_because == ""
    assert state_of(store) == before
    assert read_all(store.log)[0][:2] == (152, 2)
    store.close(clean=True)


def test_the_old_tree_is_open_until_told_and_gone_afterwards(tmp_path: Path) -> None:
    """Readers of the old tree work until the node has been told; then its files go."""
    kind = Kind("directory", tmp_path)
    leader, (machine, store) = Leader(kind), follower(kind)
    assert isinstance(machine, DirectoryMachine)
    reader, old = store.reader().pin(), store.tree
    seen: list[int] = []
    leader.send(store)
    store.snapshots.install(leader.meta, lambda _: seen.append(reader.revision))
    settle(machine, store)
    assert seen == [31]
    with pytest.raises(StorageError, match="cannot read"):
        old.folded().read()
    assert [path.name for path in machine.directory.glob("tree-*")] == ["tree-2"]
    store.close(clean=True)


def test_transfer_resumes_where_it_stopped_across_a_restart(kind: Kind) -> None:
    """The wanted offset is what has arrived; pieces that do not continue it are ignored."""
    leader, (machine, store) = Leader(kind), follower(kind)
    assert store.snapshots.receive_chunk(leader.meta, 0, b"") == 0
    assert leader.send(store, until=2 * CHUNK) == 2 * CHUNK
    ask = store.snapshots.receive_chunk
    assert ask(leader.meta, 0, leader.data[:CHUNK]) == 2 * CHUNK
    assert ask(leader.meta, 2 * CHUNK + 1, b"x") == 2 * CHUNK
    assert ask(leader.meta, 2 * CHUNK, leader.data[2 * CHUNK :] + b"x") == 2 * CHUNK
    machine.kill(store)
    store = machine.open()
    assert store.snapshots.receive_chunk(leader.meta, 0, b"") == 2 * CHUNK
    assert leader.send(store, 2 * CHUNK) == leader.meta.length
    assert install(machine, store, leader.meta) is None
    assert_installed(store, leader)
    assert store.snapshots.receive_chunk(leader.meta, 0, b"") == leader.meta.length
    store.close(clean=True)


def test_another_transfer_replaces_an_unfinished_one(kind: Kind) -> None:
    """What a deposed leader began to send does not pile up."""
    leader, (machine, store) = Leader(kind), follower(kind)
    other = SnapshotMeta(Index(99), Term(1), MEMBERS, bytes(32), 50_000)
    assert store.snapshots.receive_chunk(other, 0, bytes(CHUNK)) == CHUNK
    leader.send(store)
    assert store.snapshots.receive_chunk(other, CHUNK, bytes(CHUNK)) == 0
    assert install(machine, store, leader.meta) is None
    store.close(clean=True)


def test_impossible_facts_are_refused(kind: Kind) -> None:
    """A peer's mistake is an error of that transfer only."""
    machine, store = follower(kind)
    receive = store.snapshots.receive_chunk
    with pytest.raises(CorruptionError, match="impossible facts"):
        receive(snapshot(99), 0, b"x")
    with pytest.raises(CorruptionError, match="impossible facts"):
        receive(SnapshotMeta(Index(99), Term(1), MEMBERS, bytes(32), 10), 11, b"x")
    machine.kill(store)


def test_a_damaged_file_is_refused_and_can_be_sent_again(kind: Kind) -> None:
    """A flipped bit changes nothing here; the file is dropped and the transfer starts over."""
    leader, (machine, store) = Leader(kind), follower(kind)
    good, middle = leader.data, leader.meta.length // 2
    leader.data = good[:middle] + bytes([good[middle] ^ 4]) + good[middle + 1 :]
    leader.send(store)
    error = install(machine, store, leader.meta)
    assert isinstance(error, CorruptionError)
    assert "SHA-256 is" in str(error)
    assert_untouched(store)
    assert store.snapshots.receive_chunk(leader.meta, 0, b"") == 0
    leader.data = good
    leader.send(store)
    assert install(machine, store, leader.meta) is None
    assert_installed(store, leader)
    store.close(clean=True)


def test_a_file_that_is_not_the_announced_one_is_refused(kind: Kind) -> None:
    """Index, term and membership that were promised must be the file's own."""
    leader, (machine, store) = Leader(kind), follower(kind)
    leader.send(store)
    meta = leader.meta
    lie = SnapshotMeta(Index(meta.index + 1), meta.term, MORE_MEMBERS, meta.checksum, meta.length)
    error = install(machine, store, lie)
    assert isinstance(error, CorruptionError)
    assert "announced" in str(error)
    assert_untouched(store)
    store.close(clean=True)


def test_a_snapshot_of_another_cluster_is_refused(kind: Kind) -> None:
    """However sound it is, another cluster's state never replaces ours."""
    leader, (machine, store) = Leader(kind, b"another cluster!"), follower(kind)
    leader.send(store)
    assert isinstance(install(machine, store, leader.meta), ForeignDataError)
    assert_untouched(store)
    store.close(clean=True)


def test_an_empty_node_joins_by_a_snapshot(kind: Kind) -> None:
    """A wiped or new node starts from nothing but the cluster's id."""
    leader, machine = Leader(kind), kind.machine()
    store = machine.open()
    store.join(CLUSTER)
    leader.send(store)
    assert install(machine, store, leader.meta) is None
    assert_installed(store, leader)
    machine.lose_power(store)
    store = machine.open()
    assert_installed(store, leader)
    store.close(clean=True)


class ManualWorker:
    """Runs jobs when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def run(self, job: Callable[[], Any], on_done: Callable[[Any], None]) -> None:
        """Remember the job."""
        self.jobs.append(lambda: deliver(outcome_of(job), on_done))

    def wait(self, timeout_s: float) -> bool:
        """Whether nothing waits."""
        return not self.jobs


def test_install_waits_for_a_snapshot_that_is_being_taken(kind: Kind) -> None:
    """The tree that is being copied is not replaced under the copy."""
    leader, (machine, store) = Leader(kind), follower(kind)
    worker = ManualWorker()
    store.snapshots.attach(worker, StepWriter(store.log, machine.loop))
    leader.send(store)
    order: list[str] = []
    assert store.snapshots.take(lambda _: order.append("taken"))
    store.snapshots.install(leader.meta, lambda _: order.append("installed"))
    assert len(worker.jobs) == 1
    assert not store.snapshots.take(lambda _: order.append("never"))
    while worker.jobs or machine.loop.calls:
        settle(machine, store)
        for job in [worker.jobs.pop() for _ in worker.jobs]:
            job()
    assert order == ["taken", "installed"]
    assert_installed(store, leader)
    store.close(clean=True)


def steps_of_an_installation(kind: Kind, leader: Leader) -> int:
    """How many steps it takes from start to end."""
    machine, store = follower(kind)
    leader.send(store)
    reported: list[BaseException | None] = []
    store.snapshots.install(leader.meta, reported.append)
    steps = 0
    while machine.step(store):
        steps += 1
    assert reported == [None]
    machine.kill(store)
    return steps


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power"])
def test_a_crash_between_any_two_steps_is_survived(kind: Kind, power: bool) -> None:
    """Whatever step the crash follows, the node starts either as it was or with the snapshot
    installed, never in between; what was not installed is installed at the next attempt."""
    leader = Leader(kind)
    steps = steps_of_an_installation(kind, leader)
    assert steps >= 5
    outcomes = []
    for crash_after in range(steps + 1):
        machine, store = follower(kind)
        leader.send(store)
        store.snapshots.install(leader.meta, lambda _: None)
        for _ in range(crash_after):
            assert machine.step(store)
        (machine.lose_power if power else machine.kill)(store)
        store = machine.open()
        if store.log.first_index() == 1:
            outcomes.append("before")
            catch_up(store)
            assert store.log.last_index() == store.machine.applied_index == 41
            assert store.snapshots.newest() is None
            assert store.cut_limit() == 1
            if store.snapshots.receive_chunk(leader.meta, 0, b"") < leader.meta.length:
                leader.send(store, store.snapshots.receive_chunk(leader.meta, 0, b""))
            assert install(machine, store, leader.meta) is None
        else:
            outcomes.append("after")
        assert_installed(store, leader)
        store.close(clean=True)
    assert outcomes == sorted(outcomes, reverse=True)
    assert {"before", "after"} == set(outcomes)


def test_after_the_log_was_replaced_a_failure_is_fatal(kind: Kind) -> None:
    """Once step 2 is durable there is no way back, so the error is not one of the file."""
    leader, (machine, store) = Leader(kind), follower(kind)
    leader.send(store)
    reported: list[BaseException | None] = []
    store.snapshots.install(leader.meta, reported.append)
    while store.log.trust.generation == 1:
        assert machine.step(store)
    machine.damage_snapshot(leader.meta)
    settle(machine, store)
    (error,) = reported
    assert isinstance(error, StorageError)
    assert not isinstance(error, CorruptionError)
    assert "cannot be installed" in str(error)
    machine.kill(store)


def test_the_marker_comes_with_the_generation(kind: Kind) -> None:
    """Step 2 is one transaction: no crash can leave a new log beside an old trusted tree."""
    leader, (machine, store) = Leader(kind), follower(kind)
    leader.send(store)
    store.snapshots.install(leader.meta, lambda _: None)
    while store.log.first_index() == 1:
        assert store.log.trust.generation == 1
        assert machine.step(store)
    assert store.log.trust == Trust(False, "boot 1", 0, 0, 2)
    settle(machine, store)
    store.close(clean=True)
