"""What ``coord repair`` finds in a directory, and what it moves away."""

from __future__ import annotations

from pathlib import Path

import pytest

from coord.model.errors import CorruptionError
from coord.raft.types import Index
from coord.store.lmdb_kv import DATA_FILE
from coord.store.member_store import LOG
from coord.store.quarantine import QUARANTINE, DirectoryDoctor
from coord.store.raft_log import LogWrite
from coord.store.suspicion import Suspicion
from tests.store.store_fixtures import CLUSTER, DirectoryMachine, founded, grow, take


@pytest.fixture
def machine(tmp_path: Path) -> DirectoryMachine:
    """A directory with two snapshots and a log that begins between them; nobody uses it."""
    made = DirectoryMachine(tmp_path / "data")
    store = founded(made)
    for _ in range(2):
        grow(store, 50)
        take(made, store)
    store.log.write([LogWrite(cut_before=Index(60))])
    grow(store, 10)
    store.close(clean=True)
    return made


def spoil(path: Path, at: float = 0.5) -> None:
    """Overwrite some of a file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(size * at) // 4096 * 4096)
        file.write(b"\xa5" * 4096)


def snapshots(machine: DirectoryMachine) -> list[Path]:
    """Oldest first."""
    return sorted((machine.directory / "snapshots").glob("*.snapshot"))


def test_a_sound_directory_is_left_alone(machine: DirectoryMachine) -> None:
    """Every part is read and named; nothing is moved."""
    seen: list[Path] = []
    found = DirectoryDoctor(machine.directory, seen.append).examine()
    assert found.lost_because == ""
    assert found.damaged == ()
    assert [finding.problem for finding in found.findings] == [""] * 4
    assert {path.name for path in seen} == {LOG, "tree-1", *(p.name for p in snapshots(machine))}


def test_a_damaged_log_loses_the_directory(machine: DirectoryMachine) -> None:
    """All of it goes away, nothing is deleted, and the node starts as a new one."""
    (machine.directory / LOG / DATA_FILE).write_bytes(b"no pages")
    doctor = DirectoryDoctor(machine.directory)
    found = doctor.examine()
    assert f"{LOG}/{DATA_FILE}" in found.lost_because
    assert found.cluster_id == CLUSTER, "a sound snapshot knows it still"
    moved = doctor.clear(found)
    assert moved == machine.directory / QUARANTINE / "1"
    assert {"log", "tree-1", "snapshots"} <= {path.name for path in moved.iterdir()}
    store = machine.open()
    assert store.is_empty()
    store.close(clean=True)


def test_a_damaged_tree_is_moved_and_rebuilt(machine: DirectoryMachine) -> None:
    """The log and a snapshot bring it back."""
    spoil(machine.directory / "tree-1" / DATA_FILE)
    doctor = DirectoryDoctor(machine.directory)
    found = doctor.examine()
    assert found.lost_because == ""
    assert [finding.path.name for finding in found.damaged] == ["tree-1"]
    doctor.clear(found)
    store = machine.open()
    assert store.rebuilt_because == "its file is missing"
    store.close(clean=True)
    assert DirectoryDoctor(machine.directory).examine().damaged == ()


def test_a_damaged_snapshot_is_moved(machine: DirectoryMachine) -> None:
    """The other one is enough."""
    spoil(snapshots(machine)[0])
    doctor = DirectoryDoctor(machine.directory)
    found = doctor.examine()
    assert found.lost_because == ""
    assert [finding.path for finding in found.damaged] == [snapshots(machine)[0]]
    doctor.clear(found)
    assert len(snapshots(machine)) == 1


def test_nothing_to_rebuild_from_loses_the_directory(machine: DirectoryMachine) -> None:
    """A damaged tree, and no snapshot that continues into the log."""
    spoil(machine.directory / "tree-1" / DATA_FILE)
    for path in snapshots(machine):
        spoil(path)
    found = DirectoryDoctor(machine.directory).examine()
    assert "no snapshot continues into the log, which starts at 60" in found.lost_because


def test_a_suspect_tree_is_not_damage(machine: DirectoryMachine) -> None:
    """The next start builds it anew by itself."""
    Suspicion(machine.directory).note("it was ended")
    found = DirectoryDoctor(machine.directory).examine()
    assert found.damaged == ()
    tree = next(finding for finding in found.findings if finding.path.name == "tree-1")
    assert tree.will_rebuild
    assert "it was ended" in tree.problem


def test_a_tree_that_knows_more_than_its_log_loses_the_directory(
    machine: DirectoryMachine,
) -> None:
    """Each is sound by itself; together they prove that durable entries are gone."""
    store = machine.open()
    grow(store, 20)
    store.machine.fold()
    entries = store.log.slices(Index(115), Index(115), 1 << 20)
    store.log.write([LogWrite(entries)])
    store.close(clean=True)
    found = DirectoryDoctor(machine.directory).examine()
    assert "entries that were durable are gone" in found.lost_because
    with pytest.raises(CorruptionError, match="entries that were durable are gone"):
        machine.open()


def test_a_lost_directory_loses_its_log_first(
    machine: DirectoryMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever interrupts the clearing, no log is left without the tree that tells against it."""
    (machine.directory / LOG / DATA_FILE).write_bytes(b"no pages")
    doctor = DirectoryDoctor(machine.directory)
    found = doctor.examine()
    moved: list[str] = []
    rename = Path.rename

    def note(path: Path, target: Path) -> Path:
        moved.append(path.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", note)
    monkeypatch.setattr(
        Path, "iterdir", lambda path: iter(sorted(path.glob("*"), key=lambda p: p.name != "tree-1"))
    )

    doctor.clear(found)

    assert moved[0] == LOG
    assert {"tree-1", "snapshots"} <= set(moved)
