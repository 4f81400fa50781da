"""The space guard: refuse before the disk is full, give up the reserve, resume by itself."""

from __future__ import annotations

import os
from pathlib import Path

from coord.store.space import RESERVE_FILE, ReserveFile, SpaceGuard, free_bytes_of

SIZE = 1 << 20


class Disk:
    """A file system with a settable amount of free space; the reserve takes part of it."""

    def __init__(self, directory: Path, room: int) -> None:
        self.directory = directory
        self.room = room
        self.looks = 0

    def free(self) -> int:
        """What statvfs would say."""
        self.looks += 1
        held = (self.directory / RESERVE_FILE).exists()
        return self.room - SIZE * held


def test_writes_pass_while_there_is_room(tmp_path: Path) -> None:
    """With more than twice the reserve the reserve is allocated and writes pass."""
    disk = Disk(tmp_path, 10 * SIZE)
    guard = SpaceGuard(disk.free, ReserveFile(tmp_path, SIZE))
    assert guard.writes_allowed()
    assert (tmp_path / RESERVE_FILE).stat().st_size == SIZE
    assert (tmp_path / RESERVE_FILE).stat().st_blocks * 512 >= SIZE


def test_refused_below_the_reserve_then_the_reserve_is_given_up_then_all_comes_back(
    tmp_path: Path,
) -> None:
    """Less than a reserve free: refused. Less than half: the file goes. Room again: as before."""
    disk = Disk(tmp_path, 10 * SIZE)
    guard = SpaceGuard(disk.free, ReserveFile(tmp_path, SIZE))
    disk.room = 2 * SIZE - 1
    guard.look()
    assert not guard.writes_allowed()
    assert guard.reason == f"disk: {2 * SIZE - 1} bytes free, {2 * SIZE} needed"
    assert (tmp_path / RESERVE_FILE).exists()
    disk.room = SIZE + SIZE // 2 - 1
    assert not guard.writes_allowed()
    assert not (tmp_path / RESERVE_FILE).exists()
    disk.room = 2 * SIZE - 1
    assert not guard.writes_allowed()
    disk.room = 2 * SIZE
    assert guard.writes_allowed()
    assert (tmp_path / RESERVE_FILE).exists()


def test_looks_are_rare_while_allowed_and_follow_what_is_written(tmp_path: Path) -> None:
    """The disk is asked every 256 calls, or earlier when the log has written 4 MiB."""
    disk, written = Disk(tmp_path, 10 * SIZE), [0]
    guard = SpaceGuard(disk.free, ReserveFile(tmp_path, SIZE), lambda: written[0])
    disk.looks = 0
    for _ in range(255):
        guard.writes_allowed()
    assert disk.looks == 0
    guard.writes_allowed()
    assert disk.looks == 1
    written[0] = 4 << 20
    disk.room = SIZE
    assert not guard.writes_allowed()


def test_quota_on_replicated_bytes(tmp_path: Path) -> None:
    """At the quota user writes are refused, below it they pass again."""
    used = [0]
    guard = SpaceGuard(
        lambda: 1 << 40, ReserveFile(tmp_path, SIZE), lambda: 0, lambda: used[0], 1_000
    )
    used[0] = 1_000
    guard.look()
    assert guard.reason == "quota: 1000 replicated bytes of 1000"
    used[0] = 999
    assert guard.writes_allowed()


def test_a_reserve_that_does_not_fit_is_not_held(tmp_path: Path) -> None:
    """When the file system refuses the allocation, nothing is left behind and writes wait."""
    huge = 1 << 60
    guard = SpaceGuard(lambda: 1 << 62, ReserveFile(tmp_path, huge))
    assert not guard.writes_allowed()
    assert not (tmp_path / RESERVE_FILE).exists()


def test_a_reserve_of_another_size_is_made_anew(tmp_path: Path) -> None:
    """A leftover of another size (a changed setting, a torn allocation) does not count."""
    (tmp_path / RESERVE_FILE).write_bytes(b"short")
    guard = SpaceGuard(lambda: 1 << 40, ReserveFile(tmp_path, SIZE))
    assert guard.writes_allowed()
    assert (tmp_path / RESERVE_FILE).stat().st_size == SIZE


def test_free_bytes_are_those_of_the_file_system(tmp_path: Path) -> None:
    """The default reading agrees with the system's own."""
    found = os.statvfs(tmp_path)
    assert 0 < free_bytes_of(tmp_path)() <= found.f_blocks * found.f_frsize
