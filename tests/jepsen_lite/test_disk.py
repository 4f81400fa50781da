"""The preloaded disk: what it delays, refuses and forgets."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jepsen_lite.clusters import disk as disks
from jepsen_lite.clusters.disk import Disk

pytestmark = pytest.mark.needs("gcc")

PAGE = 4_096


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, built once."""
    return disks.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def disk(library: Path, tmp_path: Path) -> Iterator[Disk]:
    """A disk under a data directory with one file of four pages."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "data.mdb").write_bytes(b"".join(bytes([65 + n]) * PAGE for n in range(4)))
    made = Disk(library, data, tmp_path / "home")
    yield made
    made.close()


def run(disk: Disk, data: Path, program: str) -> str:
    """Run a program on that disk; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", "import os, sys\n" + program],
        cwd=data,
        env={**os.environ, **disk.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def pages(data: Path) -> str:
    """The first letter of each page of the file."""
    content = (data / "data.mdb").read_bytes()
    return "".join(chr(content[at]) for at in range(0, len(content), PAGE))


WRITE = """
fd = os.open("data.mdb", os.O_WRONLY)
os.pwrite(fd, b"x" * 4096, 4096)
os.pwrite(fd, b"y" * 4096, 4096)
os.pwritev(fd, [b"z" * 4096, b"z" * 4096], 8192)
"""


class All(random.Random):
    """Whatever can be put back is."""

    def random(self) -> float:
        return 0.0


def test_what_was_not_synced_may_be_gone_after_a_power_loss(disk: Disk, tmp_path: Path) -> None:
    """Every page shows what it was at the last sync, or what was written since."""
    data = tmp_path / "data"
    run(disk, data, WRITE)
    assert pages(data) == "Ayzz"
    assert disk.lose_power(All()) == (3, 3)
    assert pages(data) == "ABCD"


def test_a_part_of_it_may_be_gone(disk: Disk, tmp_path: Path) -> None:
    """Any subset, page by page."""
    data = tmp_path / "data"
    seen = set()
    for seed in range(20):
        (data / "data.mdb").write_bytes(b"".join(bytes([65 + n]) * PAGE for n in range(4)))
        run(disk, data, WRITE)
        disk.lose_power(random.Random(seed))
        seen.add(pages(data))
    assert seen <= {"A" + b + c + d for b in "By" for c in "Cz" for d in "Dz"}
    assert len(seen) > 3


def test_what_was_synced_stays(disk: Disk, tmp_path: Path) -> None:
    """A sync of the file, or a descriptor whose writes are syncs themselves."""
    data = tmp_path / "data"
    run(disk, data, WRITE + "os.fdatasync(fd)\nos.pwrite(fd, b'w' * 4096, 0)")
    run(disk, data, "fd = os.open('data.mdb', os.O_WRONLY | os.O_DSYNC)\nos.pwrite(fd, b'd', 8192)")
    assert pages(data) == "wydz"
    assert disk.lose_power(All()) == (1, 1)
    assert pages(data) == "Aydz"


def test_other_files_are_left_alone(disk: Disk, tmp_path: Path) -> None:
    """And what lies elsewhere is not touched at all, not even when everything fails."""
    data = tmp_path / "data"
    disk.behave(write_error=errno.EIO, sync_error=errno.EIO)
    elsewhere = tmp_path / "elsewhere"
    run(disk, data, f"fd = os.open({str(elsewhere)!r}, os.O_CREAT | os.O_WRONLY)\n"
        "os.write(fd, b'fine'); os.fsync(fd)")  # fmt: skip
    assert elsewhere.read_text() == "fine"
    assert disk.counts().failed == 0


TRY = """
fd = os.open("data.mdb", os.O_WRONLY)
for call in (lambda: os.pwrite(fd, b"!", 0), lambda: os.fdatasync(fd), lambda: os.fsync(fd)):
    try:
        call()
        print("ok")
    except OSError as error:
        print(error.errno)
"""


def test_writes_and_syncs_fail_when_told_to(disk: Disk, tmp_path: Path) -> None:
    """With the error that was asked for, counted; and not any more when it is well."""
    data = tmp_path / "data"
    disk.behave(sync_error=errno.EIO)
    assert run(disk, data, TRY).split() == ["ok", str(errno.EIO), str(errno.EIO)]
    disk.behave(write_error=errno.ENOSPC)
    assert run(disk, data, TRY).split() == [str(errno.ENOSPC), "ok", "ok"]
    assert disk.counts().failed == 3
    disk.behave()
    assert run(disk, data, TRY).split() == ["ok"] * 3
    assert disk.counts().failed == 3


def test_syncs_take_longer(disk: Disk, tmp_path: Path) -> None:
    """At least as long as was asked for."""
    timed = "import time; before = time.monotonic()\n" + TRY + "print(time.monotonic() - before)"
    disk.behave(sync_delay_ms=50)
    taken_s = float(run(disk, tmp_path / "data", timed).split()[-1])
    assert taken_s >= 0.1
    assert disk.counts().delayed == 2


def test_nothing_is_free_when_told_so(disk: Disk, tmp_path: Path) -> None:
    """As ``statvfs`` answers it."""
    ask = "print(os.statvfs('.').f_bavail)"
    data = tmp_path / "data"
    assert int(run(disk, data, ask)) > 0
    disk.behave(is_full=True)
    assert int(run(disk, data, ask)) == 0
    assert disk.counts().refused == 1


def test_a_power_loss_is_another_boot(disk: Disk, tmp_path: Path) -> None:
    """The kernel's boot id is another one, for the processes on this disk."""
    ask = "print(open('/proc/sys/kernel/random/boot_id').read())"
    data = tmp_path / "data"
    first = run(disk, data, ask)
    assert run(disk, data, ask) == first
    disk.lose_power(All())
    assert run(disk, data, ask) != first
