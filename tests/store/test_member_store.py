"""A whole store: founding, reopening, trust and rebuild, on a directory and on a simulated disk."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from coord.model.errors import (
    CorruptionError,
    DirectoryInUseError,
    ForeignDataError,
    NewerFormatError,
    StorageError,
)
from coord.raft.types import HardState, Index, NodeId, SnapshotMeta, Term
from coord.store.log_records import FORMAT, Trust
from coord.store.member_store import open_member_store
from coord.store.raft_log import LogWrite
from coord.store.store import MemberStore
from tests.store.log_fixtures import MEMBERS, UNLIMITED, snapshot
from tests.store.store_fixtures import (
    CLUSTER,
    OPTIONS,
    DirectoryMachine,
    Machine,
    SimMachine,
    catch_up,
    founded,
    grow,
    settle,
    state_of,
    take,
    write,
)


@pytest.fixture(params=["directory", "simulated"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A machine of either kind, never used."""
    return DirectoryMachine(tmp_path / "data") if request.param == "directory" else SimMachine()


def test_a_new_store_is_empty(machine: Machine) -> None:
    """A new directory has an identity of its own and belongs to nobody."""
    store = machine.open()
    assert store.is_empty()
    assert (store.node_id, store.cluster_id) == (1, None)
    assert store.incarnation > 0
    assert store.snapshots.newest() is None
    assert store.writes_allowed()
    store.close(clean=True)


def test_founding_is_durable(machine: Machine) -> None:
    """Cluster, first term, first membership and identity are there after a power loss."""
    store = founded(machine)
    incarnation = store.incarnation
    machine.lose_power(store)
    store = machine.open()
    assert not store.is_empty()
    assert (store.cluster_id, store.incarnation) == (CLUSTER, incarnation)
    assert store.log.initial_state() == (HardState(Term(1)), MEMBERS, None)
    assert store.machine.cluster_id == CLUSTER
    assert store.machine.history_id == 1
    store.close(clean=True)


def test_joining_is_durable(machine: Machine) -> None:
    """A node that joins remembers its cluster and is not empty any more."""
    store = machine.open()
    store.join(CLUSTER)
    machine.lose_power(store)
    store = machine.open()
    assert not store.is_empty()
    assert store.cluster_id == store.machine.cluster_id == CLUSTER
    store.close(clean=True)


def test_a_kill_keeps_the_tree(machine: Machine) -> None:
    """After kill -9 the tree is trusted and stands where it stood."""
    store = founded(machine)
    grow(store, 50)
    before = state_of(store)
    machine.kill(store)
    store = machine.open()
    assert store.rebuilt_because == ""
    assert state_of(store) == before
    store.close(clean=True)


def test_a_clean_close_survives_a_reboot(machine: Machine) -> None:
    """A synced tree is trusted under the next boot too, and dirty again once it is open."""
    store = founded(machine)
    grow(store, 50)
    before = state_of(store)
    store.close(clean=True)
    if isinstance(machine, DirectoryMachine):
        machine.boot += 1
    else:
        assert isinstance(machine, SimMachine)
        machine.disk.crash(power=True)
    store = machine.open()
    assert store.rebuilt_because == ""
    assert state_of(store) == before
    assert not store.log.trust.clean
    machine.lose_power(store)
    store = machine.open()
    assert "before the machine restarted" in store.rebuilt_because
    store.close(clean=True)


def test_power_loss_rebuilds_from_the_whole_log(machine: Machine) -> None:
    """Without a snapshot the tree is built from nothing and every entry of the log."""
    store = founded(machine)
    grow(store, 50)
    before = state_of(store)
    machine.lose_power(store)
    store = machine.open()
    assert "before the machine restarted" in store.rebuilt_because
    assert store.machine.applied_index == 0
    catch_up(store)
    assert state_of(store) == before
    store.close(clean=True)


def test_power_loss_rebuilds_from_snapshot_and_log(machine: Machine) -> None:
    """With a snapshot the tree starts there and the log brings it up to date."""
    store = founded(machine)
    grow(store, 50)
    take(machine, store)
    grow(store, 30)
    before = state_of(store)
    machine.lose_power(store)
    store = machine.open()
    assert store.machine.applied_index == 51
    catch_up(store)
    assert state_of(store) == before
    store.close(clean=True)


def test_power_loss_twice_and_a_kill_while_rebuilding(machine: Machine) -> None:
    """A rebuilt tree that was never brought up to date is rebuilt again without harm."""
    store = founded(machine)
    grow(store, 50)
    before = state_of(store)
    generations = []
    for _ in range(3):
        machine.lose_power(store)
        store = machine.open()
        generations.append(store.log.trust.generation)
    machine.kill(store)
    store = machine.open()
    assert generations == [2, 3, 4]
    catch_up(store)
    assert state_of(store) == before
    store.close(clean=True)


def cut(store: MemberStore) -> None:
    """Cut the log as far as allowed, and finish deleting."""
    store.log.write([LogWrite(cut_before=store.cut_limit())])
    while store.log.has_backlog:
        store.log.write([])


def two_snapshots(machine: Machine) -> MemberStore:
    """A store whose log was cut behind the older of two snapshots, at 101 and 151."""
    store = founded(machine)
    grow(store, 100)
    take(machine, store)
    grow(store, 50)
    take(machine, store)
    grow(store, 25)
    cut(store)
    assert store.log.first_index() == 102
    return store


def test_a_damaged_snapshot_falls_back_to_the_older_one(machine: Machine) -> None:
    """The log reaches back to the older of the two, so either can rebuild the tree."""
    store = two_snapshots(machine)
    newest = store.snapshots.newest()
    assert newest is not None
    before = state_of(store)
    machine.damage_snapshot(newest)
    machine.lose_power(store)
    store = machine.open()
    assert store.machine.applied_index == 101
    assert "SHA-256 is" in store.rebuilt_because
    assert store.snapshots.read_chunk(newest.checksum, 0, 1) is None
    catch_up(store)
    assert state_of(store) == before
    store.close(clean=True)


def test_no_usable_snapshot_and_a_cut_log_is_said_so(machine: Machine) -> None:
    """When nothing can rebuild the tree the node says what to do, and guesses nothing."""
    store = two_snapshots(machine)
    for meta in kept(machine, store):
        machine.damage_snapshot(meta)
    machine.lose_power(store)
    with pytest.raises(CorruptionError, match=r"no snapshot continues into the log, which starts"):
        machine.open()
    if isinstance(machine, SimMachine):
        machine.disk.crash()
    with pytest.raises(CorruptionError, match="no snapshot continues"):
        machine.open()


def kept(machine: Machine, store: MemberStore) -> list[SnapshotMeta]:
    """All verified snapshots."""
    if isinstance(machine, SimMachine):
        return [meta for meta, _ in machine.disk.kept.values()]
    assert isinstance(machine, DirectoryMachine)
    found = []
    for path in (machine.directory / "snapshots").glob("*.snapshot"):
        index, term = path.stem.split("-")
        size = path.stat().st_size
        found.append(SnapshotMeta(Index(int(index)), Term(int(term)), MEMBERS, b"", size))
    return found


def rewrite_log(store: MemberStore, last: int, term: int) -> None:
    """Make the log end at ``last`` with an entry of ``term``, as no leader could have."""
    run = store.log.slices(Index(last), Index(last), UNLIMITED)[0]
    store.log.write([LogWrite([replace(run, term=Term(term))], HardState(Term(term)))])


def open_after_lost_entries(machine: Machine, proof: str) -> str:
    """Open what must be refused on a directory; the simulator's checkers judge it otherwise.
    Returns why the tree was rebuilt there."""
    if isinstance(machine, DirectoryMachine):
        for _ in range(2):
            with pytest.raises(CorruptionError, match=proof):
                machine.open()
        return ""
    store = machine.open()
    because = store.rebuilt_because
    store.close(clean=True)
    return because


def test_a_tree_ahead_of_its_log_is_not_trusted(machine: Machine) -> None:
    """Applied beyond the end of the log: the log was reverted or replaced. Nothing is applied
    before it is durable, so the node must not take part any more."""
    store = founded(machine)
    grow(store, 50)
    store.machine.fold()
    rewrite_log(store, 40, 2)
    machine.kill(store)
    because = open_after_lost_entries(machine, "51 of term 1 was applied, and the log ends at 40")
    assert because in {"", "it has applied 51, and the log holds 1 to 40"}


def test_a_tree_of_another_term_is_not_trusted(machine: Machine) -> None:
    """The entry that was applied is not the one in the log."""
    store = founded(machine)
    grow(store, 50)
    store.machine.fold()
    rewrite_log(store, 51, 2)
    machine.kill(store)
    because = open_after_lost_entries(machine, "51 of term 1 was applied, and the log .* term 2")
    assert because in {"", "it has applied 51 of term 1, the log has 2"}


def test_a_tree_behind_its_log_is_not_trusted(machine: Machine) -> None:
    """Applied before the first entry of the log: entries would be skipped."""
    store = founded(machine)
    grow(store, 50)
    take(machine, store)
    write(store, 10)
    store.log.set_snapshot(snapshot(58))
    store.log.write([LogWrite(cut_before=Index(55))])
    machine.kill(store)
    with pytest.raises(CorruptionError, match="applied 51, and the log holds 55 to 61"):
        machine.open()


def test_a_distrusted_tree_is_rebuilt_even_after_a_clean_close(machine: Machine) -> None:
    """A tree found to be wrong is not declared clean by closing."""
    store = founded(machine)
    grow(store, 20)
    store.distrust_tree()
    store.close(clean=True)
    store = machine.open()
    assert store.rebuilt_because == "it was never completed"
    store.close(clean=True)


def test_the_record_is_dirty_before_the_tree_is_opened(machine: Machine) -> None:
    """Dirty under this boot is durable before anything could have been written."""
    store = founded(machine)
    store.close(clean=True)
    store = machine.open()
    assert store.log.trust == Trust(
        clean=False,
        boot_id="boot 1",
        device=store.log.trust.device,
        inode=store.log.trust.inode,
        generation=1,
    )
    store.close(clean=True)


def open_directory(directory: Path, **options: object) -> MemberStore:
    """Open without any stand-in."""
    return open_member_store(directory, replace(OPTIONS, **options))  # type: ignore[arg-type]


def test_two_processes_cannot_open_one_directory(tmp_path: Path) -> None:
    """The second open is refused while the first lasts, and leaves it unharmed."""
    store = open_directory(tmp_path / "data")
    with pytest.raises(DirectoryInUseError, match="in use by process"):
        open_directory(tmp_path / "data")
    store.close(clean=True)
    store.close(clean=True)
    open_directory(tmp_path / "data").close(clean=True)


def test_another_nodes_directory_is_refused(tmp_path: Path) -> None:
    """Two nodes' directories swapped are noticed."""
    open_directory(tmp_path / "data").close(clean=True)
    with pytest.raises(ForeignDataError, match="holds the data of node 1, not of 2"):
        open_directory(tmp_path / "data", node_id=NodeId(2))


def test_a_replaced_tree_file_is_noticed(tmp_path: Path) -> None:
    """A tree restored from a copy is another file, whatever it holds."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    grow(store, 20)
    store.close(clean=True)
    tree = tmp_path / "data" / "tree-1" / "data.mdb"
    shutil.copy(tree, tree.with_name("copy"))
    tree.with_name("copy").rename(tree)
    store = machine.open()
    assert store.rebuilt_because == "its file is another one than was written"
    store.close(clean=True)


def test_a_lost_log_is_not_a_new_directory(tmp_path: Path) -> None:
    """Without its log a used directory is refused: its votes and entries are gone."""
    machine = DirectoryMachine(tmp_path / "data")
    founded(machine).close(clean=True)
    shutil.rmtree(tmp_path / "data" / "log")
    with pytest.raises(CorruptionError, match="missing, though the directory was in use"):
        machine.open()


def test_an_empty_log_file_is_not_a_new_log(tmp_path: Path) -> None:
    """An emptied data file is lost data, never silently initialised again."""
    machine = DirectoryMachine(tmp_path / "data")
    founded(machine).close(clean=True)
    (tmp_path / "data" / "log" / "data.mdb").write_bytes(b"")
    with pytest.raises(CorruptionError, match="0 bytes are less than"):
        machine.open()


def test_a_newer_log_format_is_refused_and_the_lock_released(tmp_path: Path) -> None:
    """Data of a newer version is left alone; the failed open holds nothing."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    env = store.log._env
    table = env.table("meta")
    with env.write() as txn:
        txn.put(FORMAT.key, FORMAT.encode(9), db=table)
        txn.commit()
    store.close(clean=True)
    for _ in range(2):
        with pytest.raises(NewerFormatError, match="format 9 was written by a newer version"):
            machine.open()


def test_an_unwritable_place_is_said_so(tmp_path: Path) -> None:
    """A file in the place of the directory is named with the system's reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="File exists"):
        open_directory(tmp_path / "file")


def test_leftovers_of_crashes_are_removed(tmp_path: Path) -> None:
    """Half-built trees, other generations and drafts do not pile up."""
    data = tmp_path / "data"
    machine = DirectoryMachine(data)
    founded(machine).close(clean=True)
    (data / "tree-9.new").mkdir()
    (data / "tree-0").mkdir()
    (data / "snapshots" / "draft").write_bytes(b"half")
    machine.open().close(clean=True)
    assert sorted(path.name for path in data.iterdir()) == [
        "lock",
        "log",
        "reserve",
        "snapshots",
        "tree-1",
    ]
    assert list((data / "snapshots").iterdir()) == []


def test_a_simulated_disk_never_lets_a_lost_tree_be_opened() -> None:
    """The simulator's stand-in for an LMDB that aborts on damage."""
    machine = SimMachine()
    store = founded(machine)
    grow(store, 5)
    trust = store.log.trust
    machine.lose_power(store)
    machine.disk.boot = 1
    with pytest.raises(AssertionError, match="only-trusted-trees-are-opened"):
        machine.open()
    assert trust.generation == 1


def test_a_simulated_disk_may_lose_log_commits_that_were_not_synced() -> None:
    """With unsynced commits a crash keeps exactly the prefix it is told to keep."""
    machine = SimMachine()
    machine.disk = type(machine.disk)(sync_log=False)
    store = founded(machine)
    machine.disk.sync()
    for _ in range(3):
        write(store, 10)
    assert machine.disk.pending_commits == 3
    machine.disk.crash(keep_pending=2)
    store = machine.open()
    assert store.log.last_index() == 21
    settle(machine, store)
    store.close(clean=True)


def test_a_wiped_simulated_disk_comes_back_as_somebody_else() -> None:
    """After a wipe the store is empty again."""
    machine = SimMachine()
    founded(machine).close(clean=True)
    machine.disk.wipe()
    store = machine.open()
    assert store.is_empty()
    store.close(clean=True)
