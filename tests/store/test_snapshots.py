"""Snapshots: taking, verifying, keeping, sending, cutting the log behind them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from coord.model.errors import CorruptionError, NewerFormatError, StorageError
from coord.raft.types import Index, Membership, SnapshotMeta, Term
from coord.store import snapshot_file
from coord.store.check_process import check_in_child
from coord.store.lmdb_kv import open_image
from coord.store.raft_log import LogWrite
from coord.store.schema import seal
from coord.store.snapshot_file import SnapshotFile, open_sealed, seal_snapshot
from coord.store.store import MemberStore
from coord.store.tree_facts import TreeFacts
from coord.store.verify_snapshot import verify, verify_in_child
from tests.store.log_fixtures import MEMBERS
from tests.store.store_fixtures import (
    CLUSTER,
    POLICY,
    DirectoryMachine,
    Machine,
    SimMachine,
    founded,
    grow,
    settle,
    state_of,
    take,
)

FACTS = TreeFacts(1, b"cluster", 1, Index(7), Term(2), MEMBERS, 0xABCDEF)


@pytest.fixture(params=["directory", "simulated"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A machine of either kind, never used."""
    return DirectoryMachine(tmp_path / "data") if request.param == "directory" else SimMachine()


def test_a_snapshot_says_what_it_is(machine: Machine) -> None:
    """Index, term, membership, length and checksum describe the state and the file."""
    store = founded(machine)
    grow(store, 50)
    meta = take(machine, store)
    assert (meta.index, meta.term, meta.membership) == (51, 1, MEMBERS)
    assert store.snapshots.newest() == store.log.snapshot() == meta
    data = store.snapshots.read_chunk(meta.checksum, 0, meta.length + 1)
    assert data is not None
    assert len(data) == meta.length
    assert hashlib.sha256(data[:-32]).digest() == data[-32:] == meta.checksum
    store.close(clean=True)


def test_a_snapshot_holds_the_state_it_was_begun_with(machine: Machine) -> None:
    """What is applied while the copy runs is not in it."""
    store = founded(machine)
    grow(store, 20)
    taken: list[SnapshotMeta | BaseException] = []
    assert store.snapshots.take(taken.append)
    grow(store, 20)
    assert not store.snapshots.take(taken.append)
    settle(machine, store)
    assert isinstance(taken[0], SnapshotMeta)
    assert (len(taken), taken[0].index) == (1, 21)
    store.close(clean=True)


def test_nothing_new_is_no_new_snapshot(machine: Machine) -> None:
    """Asked again without a change, the answer is the snapshot there is."""
    store = founded(machine)
    grow(store, 20)
    first = take(machine, store)
    assert take(machine, store) == first
    store.close(clean=True)


def test_snapshots_survive_reopening_and_the_last_two_are_kept(machine: Machine) -> None:
    """Older ones go when a newer one is verified."""
    store = founded(machine)
    metas = []
    for _ in range(4):
        grow(store, 10)
        metas.append(take(machine, store))
    machine.kill(store)
    store = machine.open()
    assert store.snapshots.newest() == metas[3]
    found = [store.snapshots.read_chunk(meta.checksum, 0, 1) is not None for meta in metas]
    assert found == [False, False, True, True]
    store.close(clean=True)


def test_a_snapshot_being_sent_is_kept_with_the_log_behind_it(machine: Machine) -> None:
    """A transfer in progress outlives newer snapshots, and so does the log that follows it."""
    store = founded(machine)
    grow(store, 50)
    sent = take(machine, store)
    for _ in range(4):
        assert store.snapshots.read_chunk(sent.checksum, 0, 10) is not None
        grow(store, 50)
        take(machine, store)
        assert store.cut_limit() == sent.index + 1
    grow(store, 50)
    newer = take(machine, store)
    assert store.snapshots.read_chunk(sent.checksum, 0, 10) is None
    assert store.cut_limit() == newer.index - 50 + 1
    store.close(clean=True)


def test_a_transfer_with_too_much_log_behind_it_is_not_waited_for(machine: Machine) -> None:
    """Beyond the bound the log is cut although a transfer goes on."""
    store = founded(machine)
    store.snapshots._policy = replace(POLICY, log_behind_transfer_bytes_max=1_000)
    grow(store, 50)
    sent = take(machine, store)
    grow(store, 50)
    take(machine, store)
    store.snapshots.read_chunk(sent.checksum, 0, 10)
    grow(store, 50)
    take(machine, store)
    assert store.cut_limit() == 102
    store.close(clean=True)


def test_the_log_is_cut_only_behind_a_verified_snapshot(machine: Machine) -> None:
    """Without a snapshot nothing is cut; a copy that is not verified yet does not count."""
    store = founded(machine)
    grow(store, 100)
    assert store.cut_limit() == 1
    assert store.snapshots.take(lambda _: None)
    assert store.cut_limit() == 1
    settle(machine, store)
    assert store.cut_limit() == 92
    store.close(clean=True)


def test_the_last_entries_always_stay(machine: Machine) -> None:
    """A follower that is a little behind still finds its entries in the log."""
    store = founded(machine)
    store.snapshots._policy = replace(POLICY, log_entries_kept=70)
    grow(store, 50)
    take(machine, store)
    assert store.cut_limit() == 1
    grow(store, 50)
    take(machine, store)
    assert store.cut_limit() == 101 - 70 + 1
    store.log.write([LogWrite(cut_before=store.cut_limit())])
    assert store.log.first_index() == 32
    store.close(clean=True)


def pretend_tree_of(store: MemberStore, size: int) -> list[int]:
    """Let the tree say it has this size; returns where to change it."""
    sizes = [size]
    store.tree.used_bytes = lambda: sizes[0]  # type: ignore[method-assign]
    return sizes


def test_a_snapshot_is_due_when_the_log_has_outgrown_it(machine: Machine) -> None:
    """Log bytes since the last one must exceed both the minimum and the size of the tree."""
    store = founded(machine)
    tree_bytes = pretend_tree_of(store, 1)
    assert not store.snapshots.should_take()
    while not store.snapshots.should_take():
        grow(store, 20)
    assert POLICY.log_bytes_min < store.log.log_bytes() < 2 * POLICY.log_bytes_min
    tree_bytes[0] = store.log.log_bytes() + 1_000
    assert not store.snapshots.should_take()
    grow(store, 20)
    assert store.snapshots.should_take()
    take(machine, store)
    assert store.log.log_bytes() < POLICY.log_bytes_min
    assert not store.snapshots.should_take()
    store.close(clean=True)


def test_a_snapshot_that_fails_its_check_does_not_count(tmp_path: Path) -> None:
    """It is dropped, the reason is reported, and the next try waits for more log."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    pretend_tree_of(store, 1)
    while not store.snapshots.should_take():
        grow(store, 20)

    def refuse(path: Path) -> None:
        raise CorruptionError(f"{path.suffix}: bad")

    store.snapshots._shelf._check = refuse  # type: ignore[attr-defined]
    taken: list[SnapshotMeta | BaseException] = []
    store.snapshots.take(taken.append)
    settle(machine, store)
    assert str(taken[0]) == ".part: bad"
    assert store.snapshots.newest() is None
    assert store.cut_limit() == 1
    assert list((tmp_path / "data" / "snapshots").iterdir()) == []
    assert not store.snapshots.should_take()
    before = store.log.log_bytes()
    while not store.snapshots.should_take():
        grow(store, 20)
    assert store.log.log_bytes() - before >= POLICY.log_bytes_min
    store.close(clean=True)


def test_a_tree_that_differs_from_its_digest_is_not_snapshotted(machine: Machine) -> None:
    """A record that apply did not write is found, although its own checksum is right."""
    store = founded(machine)
    grow(store, 30)
    engine = store.tree.folded()
    nodes, key = engine.table("nodes"), bytes(16) + b"stray"
    with engine.write() as txn:
        txn.put(key, seal(key, b"body"), db=nodes)
        txn.commit()
    taken: list[SnapshotMeta | BaseException] = []
    store.snapshots.take(taken.append)
    settle(machine, store)
    assert "the records have digest" in str(taken[0])
    assert store.snapshots.newest() is None
    machine.kill(store)


def test_an_unreadable_kept_snapshot_does_not_stop_the_start(tmp_path: Path) -> None:
    """A file cut short is left lying and not used."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    grow(store, 20)
    meta = take(machine, store)
    store.close(clean=True)
    path = tmp_path / "data" / "snapshots" / f"{meta.index:016d}-1.snapshot"
    path.write_bytes(path.read_bytes()[:-100])
    store = machine.open()
    assert store.snapshots.newest() is None
    assert path.exists()
    store.close(clean=True)


# --- the file and its check -----------------------------------------------------------------------


def snapshot_of(tmp_path: Path, entries: int = 60) -> tuple[Path, SnapshotMeta]:
    """A good snapshot file."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    grow(store, entries)
    meta = take(machine, store)
    store.close(clean=True)
    return tmp_path / "data" / "snapshots" / f"{meta.index:016d}-1.snapshot", meta


def test_the_file_describes_itself(tmp_path: Path) -> None:
    """Everything needed to use the file is in the file."""
    path, meta = snapshot_of(tmp_path)
    file = SnapshotFile(path)
    assert file.meta == meta
    assert file.facts.cluster_id == CLUSTER
    assert (file.facts.layout, file.facts.history_id) == (1, 1)
    assert path.stat().st_size == file.image_bytes + 4096
    assert verify(path).facts == file.facts
    file.close()


def test_the_child_accepts_a_good_file_and_reports_it(tmp_path: Path) -> None:
    """The check runs as a program of its own and prints what it found as JSON."""
    path, meta = snapshot_of(tmp_path)
    verify_in_child(path)
    done = subprocess.run(
        [sys.executable, "-m", "coord.store.verify_snapshot", str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert f'"checksum": "{meta.checksum.hex()}"' in done.stdout
    assert '"index": 61' in done.stdout


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.99])
def test_the_child_refuses_a_flipped_bit_anywhere(tmp_path: Path, share: float) -> None:
    """One wrong bit in the image, the description or the checksum is found and reported."""
    path, _ = snapshot_of(tmp_path)
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptionError, match=r"SHA-256 is|does not decode|does not fit"):
        verify_in_child(path)


def reseal(path: Path, data: bytes) -> None:
    """Give damaged content a right SHA-256, as a broken writer would."""
    body = data[:-32]
    path.write_bytes(body + hashlib.sha256(body).digest())


def test_the_structure_is_checked_before_lmdb_sees_the_file(tmp_path: Path) -> None:
    """A page that is not what the tree of pages says is found without opening the file."""
    path, _ = snapshot_of(tmp_path, 600)
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 3 * 4096 + 16] = bytes(16)
    reseal(path, bytes(data))
    with pytest.raises(CorruptionError, match=r"page 3.*problems\)"):
        verify_in_child(path)


def test_a_record_that_differs_from_its_checksum_is_found(tmp_path: Path) -> None:
    """The digest is recomputed from every record, each checked on the way."""
    path, _ = snapshot_of(tmp_path)
    data = path.read_bytes()
    at = data.index(b"value 5")
    reseal(path, data[:at] + b"VALUE" + data[at + 5 :])
    with pytest.raises(CorruptionError, match="checksum is"):
        verify_in_child(path)


def test_a_description_of_another_state_is_found(tmp_path: Path) -> None:
    """A sound image under a wrong description does not pass."""
    path, _ = snapshot_of(tmp_path)
    file = SnapshotFile(path)
    image = file.read(0, file.image_bytes)
    for change, message in (
        ({"index": Index(60)}, "index is 61, described as 60"),
        ({"digest": 1}, "digest is"),
        ({"cluster_id": b"x"}, "cluster_id is"),
        ({"membership": Membership()}, "membership is"),
    ):
        facts = replace(file.facts, **change)
        path.write_bytes(seal_snapshot(image, facts))
        with pytest.raises(CorruptionError, match=message):
            verify(path)
    file.close()


def test_a_child_that_dies_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LMDB aborts the process, it is the child that dies."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -ABRT $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(CorruptionError, match="whoever reads it is ended by SIGABRT"):
        verify_in_child(tmp_path / "whatever")
    script.write_text("#!/bin/sh\nkill -KILL $$\n")
    with pytest.raises(StorageError, match="cannot be checked: it ended with status -9"):
        verify_in_child(tmp_path / "whatever")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(StorageError, match="cannot run the check"):
        verify_in_child(tmp_path / "whatever")


def test_the_program_explains_its_usage(tmp_path: Path) -> None:
    """Called wrongly it says how to call it; that is no verdict on any file."""
    with pytest.raises(StorageError, match=r"usage: python -m coord\.store\.verify_snapshot FILE"):
        check_in_child(tmp_path, "coord.store.verify_snapshot")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short for a snapshot"),
        (bytes(20_000), "not a snapshot of coord, or cut short"),
    ],
)
def test_something_else_is_not_a_snapshot(tmp_path: Path, content: bytes, message: str) -> None:
    """Empty and foreign files are named as what they are not."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match=message):
        SnapshotFile(path)
    with pytest.raises(StorageError, match="No such file"):
        SnapshotFile(tmp_path / "missing")


def test_a_newer_snapshot_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of a later version says so."""
    monkeypatch.setattr(snapshot_file, "SNAPSHOT_FORMAT", 2)
    data = seal_snapshot(b"image" * 1000, FACTS)
    monkeypatch.undo()
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(NewerFormatError, match="format 2 was written by a newer version"):
        SnapshotFile(path)
    with pytest.raises(NewerFormatError):
        open_sealed("snapshot", data)


@pytest.mark.parametrize("size", [0, 1, 4096, 8191, 100_000])
def test_sealing_keeps_image_and_facts(size: int) -> None:
    """What is sealed is what is opened; the whole is a number of pages, but for a ragged image."""
    image = bytes(range(256)) * (size // 256 + 1)
    data = seal_snapshot(image[:size], FACTS)
    assert open_sealed("snapshot", data) == (image[:size], FACTS, data[-32:])
    assert len(data) % 4096 == 0


def test_the_image_opens_in_place(tmp_path: Path) -> None:
    """The file is an LMDB file: the description behind it does not disturb the engine."""
    path, _ = snapshot_of(tmp_path)
    env = open_image(path)
    assert env.used_bytes() == 0
    table = env.table("nodes")
    with env.read() as txn:
        assert txn.count(table) > 16
    env.close()
    assert not path.with_name(path.name + "-lock").exists()


def test_both_homes_hold_the_same_state(tmp_path: Path) -> None:
    """Both kinds of machine reach the same digest from the same entries."""
    directory, simulated = DirectoryMachine(tmp_path / "data"), SimMachine()
    stores = [founded(directory), founded(simulated)]
    for store in stores:
        grow(store, 40)
    assert state_of(stores[0]) == state_of(stores[1])
    for store in stores:
        store.close(clean=True)
