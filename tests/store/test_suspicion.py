"""What is held against a directory, and what the next process makes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coord.model.errors import CorruptionError, StorageError
from coord.store.check_process import check_in_child, judge
from coord.store.lmdb_kv import DATA_FILE
from coord.store.member_store import LOG
from coord.store.suspicion import SUSPECT_FILE, Suspicion
from tests.store.store_fixtures import DirectoryMachine, catch_up, founded, grow

DIES = """
import ctypes, sys
from pathlib import Path
from coord.app.fatal_signals import remembered
with remembered(Path(sys.argv[1])):
    ctypes.string_at(0)
"""


def test_the_first_reason_stays_until_it_is_cleared(tmp_path: Path) -> None:
    """What came after it follows from it."""
    suspicion = Suspicion(tmp_path)
    assert suspicion.reason() == ""
    suspicion.clear()
    suspicion.note("table log, entry 7:\nchecksum")
    suspicion.note("another")
    assert Suspicion(tmp_path).reason() == "table log, entry 7: checksum"
    suspicion.clear()
    assert Suspicion(tmp_path).reason() == ""


def test_a_fatal_signal_leaves_its_name(tmp_path: Path) -> None:
    """The process cannot say anything any more; its handler can."""
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert done.returncode < 0
    said = "the last process was ended by a fatal signal: Segmentation fault"
    assert Suspicion(tmp_path).reason() == said


def test_a_suspect_directory_gets_a_new_tree_once(tmp_path: Path) -> None:
    """The log is examined, the tree built anew, and then nothing is held against it."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    grow(store, 30)
    state = store.machine.digest
    machine.kill(store)
    Suspicion(machine.directory).note("a page was not what it was")
    store = machine.open()
    assert store.rebuilt_because == "a page was not what it was"
    assert (machine.directory / SUSPECT_FILE).read_bytes() == b""
    catch_up(store)
    assert store.machine.digest == state
    machine.kill(store)
    store = machine.open()
    assert store.rebuilt_because == ""
    store.close(clean=True)


def test_a_suspect_log_is_examined_before_it_is_opened(tmp_path: Path) -> None:
    """Damage that only the structure shows: the node does not start, today or tomorrow."""
    machine = DirectoryMachine(tmp_path / "data")
    store = founded(machine)
    grow(store, 30)
    machine.kill(store)
    Suspicion(machine.directory).note("it ended")
    file = machine.directory / LOG / DATA_FILE
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    for _ in range(2):
        with pytest.raises(CorruptionError, match=r"log/data\.mdb"):
            machine.open()
    assert Suspicion(machine.directory).reason() == "it ended"
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("status", "said", "error", "message"),
    [
        (65, "noise\nfile: page 3\n", CorruptionError, "^file: page 3$"),
        (-7, "", CorruptionError, "whoever reads it is ended by SIGBUS"),
        (-11, "x", CorruptionError, "SIGSEGV"),
        (-9, "", StorageError, "cannot be checked: it ended with status -9"),
        (74, "no permission", StorageError, "cannot be checked: no permission"),
        (1, "Traceback\nMemoryError", StorageError, "cannot be checked: MemoryError"),
    ],
)
def test_a_check_that_could_not_be_made_is_no_verdict(
    tmp_path: Path, status: int, said: str, error: type[StorageError], message: str
) -> None:
    """Killed for want of memory, or without permission: that is not damage."""
    with pytest.raises(error, match=message) as caught:
        judge(tmp_path, status, said)
    assert type(caught.value) is error
    judge(tmp_path, 0, said)


def test_a_file_that_is_no_environment_is_damage(tmp_path: Path) -> None:
    """Whatever the child meets comes back as one line that names the file."""
    (tmp_path / DATA_FILE).write_bytes(b"not a page" * 2_000)
    with pytest.raises(CorruptionError, match=r"data\.mdb"):
        check_in_child(tmp_path, "coord.store.verify_files", "log", str(tmp_path))
