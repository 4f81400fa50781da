"""The model of a disk, on traces written by hand: what a crash may leave, and what it may not."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.disk import PAGE, ZEROS, Disk
from tests.crash.images import Image, choices, image, materialise, pending_of, sampled, steps, whole
from tests.crash.recorder import (
    CREATED,
    DIRECTORY_MADE,
    MAPPED,
    RENAMED,
    SYNC_BEGUN,
    SYNC_ENDED,
    TRUNCATED,
    UNLINKED,
    WRITTEN,
    Marks,
    Record,
    Recording,
    build,
)
from tests.crash.replay import environment

ROOT_INODE = 1
LOG = "log/data.mdb"
DIRECTORY, FILE = 2, 3


def record(what: int, path: str, inode: int = 0, offset: int = 0, data: bytes = b"") -> Record:
    """A call that is not synchronous."""
    return Record(what, False, inode, offset, 7, path, data)


def page(letter: str) -> bytes:
    """A page full of one letter."""
    return letter.encode() * PAGE


def with_log(*records: Record) -> Disk:
    """A disk with an empty log whose name is durable, then these."""
    disk = Disk(ROOT_INODE)
    for one in (
        record(DIRECTORY_MADE, "log", DIRECTORY),
        record(CREATED, LOG, FILE),
        *synced("log", DIRECTORY),
        *synced("", ROOT_INODE),
        *records,
    ):
        disk.feed(one)
    return disk


def written(offset: int, data: bytes) -> Record:
    """A write to the log."""
    return record(WRITTEN, LOG, FILE, offset, data)


def synced(path: str = LOG, inode: int = FILE) -> tuple[Record, Record]:
    """A sync from beginning to end."""
    return record(SYNC_BEGUN, path, inode), record(SYNC_ENDED, path, inode)


def images(disk: Disk) -> list[Image]:
    """Every combination of what matters."""
    pending, rng = pending_of(disk), random.Random(1)
    return [image(disk, pending, one, rng, torn=False) for one in choices(pending, rng)]


def log_of(one: Image) -> bytes | None:
    """What the log holds in an image; None without one."""
    file = one.names.get(LOG)
    if file is None:
        return None
    kept = one.pages.get(file.inode, {})
    count = -(-one.sizes[file.inode] // PAGE)
    parts = []
    for number in range(count):
        durable = file.pages[number][0].content if number in file.pages else ZEROS
        parts.append(kept.get(number, durable))
    return b"".join(parts)[: one.sizes[file.inode]]


def logs(disk: Disk) -> set[bytes]:
    """What the log may hold, zeros at its end left off."""
    found = [log_of(one) for one in images(disk)]
    return {log.rstrip(b"\0") for log in found if log is not None}


def test_pages_that_were_not_synced_are_there_in_any_combination() -> None:
    """Two of them: four images, the second one may be there without the first."""
    disk = with_log(written(0, page("a")), *synced(), written(0, page("b") + page("c")))

    assert logs(disk) == {
        page("a"),
        page("b"),
        page("a") + page("c"),
        page("b") + page("c"),
    }


def test_a_page_may_be_in_any_version_it_has_had_since_the_last_sync() -> None:
    """But not in one that a sync has replaced."""
    disk = with_log(
        written(0, page("a")), written(0, page("b")), *synced(), written(0, page("c")),
        written(0, page("d")),
    )  # fmt: skip

    assert logs(disk) == {page("b"), page("c"), page("d")}


def test_a_sync_covers_what_was_written_before_it_began() -> None:
    """A write between its beginning and its end may still be lost."""
    begun, ended = synced()
    disk = with_log(written(0, page("a")), begun, written(0, page("b")), ended)

    assert logs(disk) == {page("a"), page("b")}


def test_a_sync_that_has_not_ended_covers_nothing() -> None:
    """Its beginning changes nothing."""
    disk = with_log(written(0, page("a")), synced()[0])

    assert logs(disk) == {b"", page("a")}


def test_a_synchronous_write_makes_its_own_pages_durable() -> None:
    """And no others."""
    disk = with_log(written(PAGE, page("b")), written(10, b"meta"))
    disk.settle()

    assert logs(disk) == {bytes(10) + b"meta", bytes(10) + b"meta" + bytes(PAGE - 14) + page("b")}


def test_a_part_of_a_page_is_written_into_what_the_process_sees() -> None:
    """The newest version, not the durable one."""
    disk = with_log(written(0, page("a")), *synced(), written(0, b"b" * 10), written(20, b"c"))

    newest = b"b" * 10 + b"a" * 10 + b"c" + b"a" * (PAGE - 21)
    assert newest in logs(disk)
    assert log_of(whole(disk)) == newest


def test_what_was_cut_off_may_come_back() -> None:
    """Until the file is synced."""
    disk = with_log(written(0, page("a")), *synced(), record(TRUNCATED, LOG, FILE, 100))
    assert logs(disk) == {page("a"), b"a" * 100}
    for one in synced():
        disk.feed(one)
    assert logs(disk) == {b"a" * 100}


def test_names_reach_the_disk_in_order_and_with_a_sync_of_their_directory() -> None:
    """A file that is synced, in a directory that is not, may be lost; a rename shows either
    name."""
    disk = Disk(ROOT_INODE)
    for one in (
        record(DIRECTORY_MADE, "log.new", DIRECTORY),
        record(CREATED, "log.new/data.mdb", FILE),
        record(WRITTEN, "log.new/data.mdb", FILE, 0, page("a")),
        *synced("log.new/data.mdb"),
        record(RENAMED, "log.new", data=b"log"),
    ):
        disk.feed(one)

    names = {frozenset(one.names) for one in images(disk)}
    lost: frozenset[str] = frozenset()
    assert names == {
        lost, frozenset({"log.new"}), frozenset({"log.new", "log.new/data.mdb"}),
        frozenset({"log"}), frozenset({"log", "log/data.mdb"}),
    }  # fmt: skip
    for one in (*synced("log", DIRECTORY), *synced("", ROOT_INODE)):
        disk.feed(one)
    assert {frozenset(one.names) for one in images(disk)} == {frozenset({"log", "log/data.mdb"})}


def test_a_removed_file_may_come_back() -> None:
    """With all that was durable in it."""
    disk = with_log(written(0, page("a")), *synced(), record(UNLINKED, LOG))

    assert {log_of(one) for one in images(disk)} == {None, page("a")}
    assert log_of(whole(disk)) is None


def test_a_page_is_torn_at_sectors() -> None:
    """Each sector is in one version or the other."""
    disk = with_log(written(0, page("a")), *synced(), written(0, page("b")))
    pending = pending_of(disk)

    torn = {
        log_of(image(disk, pending, (1,), random.Random(seed), torn=True)) for seed in range(40)
    }

    assert len(torn) > 20
    for log in torn:
        assert log is not None
        assert {log[at : at + 512] for at in range(0, PAGE, 512)} <= {b"a" * 512, b"b" * 512}


def test_equal_content_has_one_print() -> None:
    """However it came about; other content, and other names, have another."""
    direct = with_log(written(0, page("b")), *synced())
    detour = with_log(written(0, page("a")), *synced(), written(0, page("b")))
    other = with_log(written(0, page("c")), *synced())

    assert whole(direct).print == whole(detour).print
    assert len({whole(direct).print, whole(other).print, whole(with_log()).print}) == 3


def test_a_file_that_is_written_through_a_mapping_is_refused() -> None:
    """The recorder cannot see what is stored there."""
    with pytest.raises(AssertionError, match="through a mapping"):
        with_log(record(MAPPED, LOG, FILE))


PROGRAM = """
import os, mmap, shutil, sys
root = sys.argv[1]
os.mkdir(root + "/log")
fd = os.open(root + "/log/data.mdb", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"a" * 5000, 0)
os.fdatasync(fd)
direct = os.open(root + "/log/data.mdb", os.O_WRONLY | os.O_DSYNC)
os.pwrite(direct, b"meta", 16)
os.writev(fd, [b"1", b"23"])
with open(root + "/floor", "wb") as file:
    file.write(bytes(16))
with open(root + "/floor", "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 16)
mapped[:4] = b"seen"
os.rename(root + "/floor", root + "/flat")
os.mkdir(root + "/gone")
open(root + "/gone/x", "w").close()
shutil.rmtree(root + "/gone")
os.truncate(fd, 100)
"""


@pytest.mark.needs("gcc")
def test_the_recorder_sees_everything_a_process_does(tmp_path: Path) -> None:
    """Writes of all kinds, syncs, names, stores to a small mapping: replayed to the end, the disk
    is what the directory is."""
    recording = Recording(tmp_path / "place")
    extra = recording.environment(build(tmp_path))
    command = [sys.executable, "-c", PROGRAM, str(recording.root)]
    subprocess.run(command, check=True, env=environment(extra))
    marks = Marks(recording.trace)
    marks.add({"what": "done"})
    marks.close()

    disk = Disk(recording.root.stat().st_ino)
    told = [step.marks for step in steps(recording, disk)]
    last = whole(disk)

    assert told[-1] == 1
    assert not any(told[:-1])
    left = {str(path.relative_to(recording.root)) for path in recording.root.rglob("*")}
    assert left == set(last.names) == {"log", "log/data.mdb", "flat"}
    copy = tmp_path / "place" / "copy"
    copy.mkdir()
    materialise(last, copy, recording.vault)
    for name in ("log/data.mdb", "flat"):
        assert (copy / name).read_bytes() == (recording.root / name).read_bytes()
        # Under its own inode, so the copy is the recorded file by now.
        assert (copy / name).stat().st_ino == (recording.root / name).stat().st_ino
    data = next(r for r in recording.records() if r.what == WRITTEN and r.is_durable)
    assert (data.offset, data.data) == (16, b"meta")


@pytest.mark.needs("gcc")
def test_only_what_lies_below_the_root_is_recorded(tmp_path: Path) -> None:
    """Other files of the process pass unseen."""
    recording = Recording(tmp_path / "place")
    extra = recording.environment(build(tmp_path))
    program = "import sys; open(sys.argv[1] + '/other', 'w').write('x')"
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, check=True, env=environment(extra))

    assert list(recording.records()) == []


def test_images_are_a_function_of_the_seed() -> None:
    """The same ones, in the same order, for the same seed; enough of them for any quota."""
    numbers = struct.pack("<64B", *range(64))
    many = [written(at * PAGE, numbers * (PAGE // 64)) for at in range(12)]
    disk = with_log(*many)

    first, again, other = (
        [one.print for one in sampled(disk, 50, random.Random(seed))] for seed in (1, 1, 2)
    )

    assert first == again != other
    assert len(set(first)) > 40
