"""``coord repair`` on directories: what it says, what it leaves, how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coord.cli import status
from coord.cli.ask import Answer
from coord.cli.root import root
from coord.store.lmdb_kv import DATA_FILE
from coord.store.lock import DirectoryLock
from coord.store.member_store import LOG
from coord.store.quarantine import Diagnosis, DirectoryDoctor
from tests.store.store_fixtures import CLUSTER, DirectoryMachine, founded, grow

NOBODY = "127.0.0.1:1"
"""Where no node listens."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Sound, and used by nobody."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    grow(store, 30)
    store.close(clean=True)
    return machine.directory


def repair(directory: Path, *flags: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(root, ["repair", "--dir", str(directory), "--hosts", NOBODY, *flags])


def test_a_sound_directory(directory: Path) -> None:
    """Every part is named, and nothing is done."""
    done = repair(directory)
    assert done.exit_code == 0, done.output
    assert "nothing is damaged" in done.output
    assert not (directory / "quarantine").exists()


def test_a_directory_in_use_is_left_alone(directory: Path) -> None:
    """The node must be down."""
    lock = DirectoryLock(directory)
    done = repair(directory)
    lock.release()
    assert done.exit_code == 75
    assert "in use by process" in done.output


def test_a_damaged_log_is_reported_and_kept(directory: Path) -> None:
    """With --check, and while nobody says that the directory is not needed; --force clears it."""
    (directory / LOG / DATA_FILE).write_bytes(b"no pages")
    done = repair(directory, "--check")
    assert done.exit_code == 74
    assert f"{LOG}/{DATA_FILE}" in done.output
    done = repair(directory)
    assert done.exit_code == 69
    assert "Nothing was changed" in done.output
    assert (directory / LOG / DATA_FILE).exists()

    done = repair(directory, "--force", "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert said["quarantine"] == str(directory / "quarantine" / "1")
    assert not (directory / LOG).exists()
    assert (directory / "quarantine" / "1" / LOG / DATA_FILE).read_bytes() == b"no pages"


def test_another_cluster_is_no_peer(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it can commit says nothing about this directory."""
    (directory / "tree-1" / DATA_FILE).unlink()
    lost = Diagnosis((), "its log is damaged", CLUSTER)
    monkeypatch.setattr(DirectoryDoctor, "examine", lambda _: lost)

    async def gather(*_: Any) -> list[Answer]:
        members = [{"id": 1, "role": "voter", "client": "h:1", "peer": "h:2"}]
        return [Answer("h:1", ({"node": 1, "leader": 1, "cluster": "ab", "members": members},))]

    monkeypatch.setattr(status, "gather", gather)
    done = repair(directory)
    assert done.exit_code == 74
    assert "--hosts names cluster ab, the directory is of" in done.output
    assert (directory / LOG / DATA_FILE).exists()


def test_a_damaged_tree_needs_nobody(directory: Path) -> None:
    """It is moved away, and comes back from the log."""
    (directory / "tree-1" / DATA_FILE).write_bytes(b"no pages" * 2_000)
    done = repair(directory)
    assert done.exit_code == 0, done.output
    assert "repaired" in done.output
    assert (directory / "quarantine" / "1" / "tree-1").is_dir()
    assert (directory / LOG / DATA_FILE).exists()


def test_an_empty_directory_holds_no_data(tmp_path: Path) -> None:
    """A wrong path is not taken for a damaged node."""
    done = repair(tmp_path)
    assert done.exit_code == 2
    assert "holds no data of a node" in done.output
    assert list(tmp_path.iterdir()) == []
