"""May the tree be opened, may the directory be used: each reason by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coord.model.errors import DirectoryInUseError, StorageError
from coord.store.file_system import is_remote, kind_of, require_local
from coord.store.lock import DirectoryLock
from coord.store.log_records import Trust
from coord.store.trust import FileIdentity, read_boot_id, why_untrusted

ROOT = Path(__file__).parents[2]
FILE = FileIdentity(device=5, inode=17)
DIRTY = Trust(clean=False, boot_id="boot a", device=5, inode=17, generation=3)
CLEAN = DIRTY._replace(clean=True)


@pytest.mark.parametrize(
    ("trust", "file", "boot_id", "reason"),
    [
        (DIRTY, FILE, "boot a", None),
        (CLEAN, FILE, "boot a", None),
        (CLEAN, FILE, "boot b", None),
        (CLEAN, FILE, "", None),
        (DIRTY, FILE, "boot b", "not closed cleanly before the machine restarted"),
        (DIRTY, FILE, "", "the boot id cannot be read"),
        (DIRTY._replace(boot_id=""), FILE, "boot a", "the boot id cannot be read"),
        (DIRTY._replace(boot_id=""), FILE, "", "the boot id cannot be read"),
        (DIRTY, FileIdentity(5, 18), "boot a", "its file is another one"),
        (CLEAN, FileIdentity(5, 18), "boot a", "its file is another one"),
        (DIRTY, FileIdentity(6, 17), "boot a", "another device"),
        (CLEAN, FileIdentity(6, 17), "boot a", "another device"),
        (CLEAN, None, "boot a", "its file is missing"),
        (DIRTY._replace(device=0, inode=0), FILE, "boot a", "never completed"),
    ],
)
def test_each_reason_for_distrust(
    trust: Trust, file: FileIdentity | None, boot_id: str, reason: str | None
) -> None:
    """Boot, device and inode each count by themselves; a clean close makes the boot irrelevant."""
    found = why_untrusted(trust, file, boot_id)
    assert found is None if reason is None else found is not None and reason in found


def test_boot_id_is_read_and_its_absence_is_no_boot(tmp_path: Path) -> None:
    """The boot id comes without its newline; an unreadable one is the empty string."""
    file = tmp_path / "boot_id"
    assert read_boot_id(file) == ""
    file.write_text("some-id\n")
    assert read_boot_id(file) == "some-id"
    file.write_bytes(b"\xff\xfe")
    assert read_boot_id(file) == ""


HOLDER = """
import sys
from pathlib import Path
from coord.store.lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_directory_lock_excludes_other_processes(tmp_path: Path) -> None:
    """While one process holds the directory another is told who does; a kill frees it."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(DirectoryInUseError, match=f"in use by process {child.pid}"):
        DirectoryLock(tmp_path)
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    DirectoryLock(tmp_path).release()


def test_the_directory_lock_excludes_the_same_process(tmp_path: Path) -> None:
    """Two stores of one process on one directory are refused as well, until the first is done."""
    lock = DirectoryLock(tmp_path)
    with pytest.raises(DirectoryInUseError, match=f"in use by process {os.getpid()}"):
        DirectoryLock(tmp_path)
    lock.release()
    DirectoryLock(tmp_path).release()


def test_a_directory_that_cannot_be_locked_says_why(tmp_path: Path) -> None:
    """A missing directory is named with the system's reason."""
    with pytest.raises(StorageError, match="No such file or directory"):
        DirectoryLock(tmp_path / "missing")


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:30 / /mnt/share rw - nfs4 server:/export rw
41 22 0:31 / /mnt/with\\040space rw shared:5 master:2 - 9p host rw
42 22 0:32 / /mnt/share/local rw - xfs /dev/vdb rw
43 22 0:33 / /fuse rw - fuse.sshfs me@host:/ rw
44 22 0:34 / /over rw - ext4 /dev/vdc rw
45 44 0:35 / /over rw - cifs //host/share rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/data", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/down", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/local/x", "xfs"),
        ("/mnt/with space/x", "9p"),
        ("/fuse/x", "fuse.sshfs"),
        ("/over/x", "cifs"),
    ],
)
def test_file_system_of_a_place(tmp_path: Path, place: str, kind: str) -> None:
    """The innermost and newest mount that holds the place decides."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert kind_of(Path(place), mounts) == kind
    if is_remote(kind):
        with pytest.raises(StorageError, match=f"lies on {kind}, where fsync and locks"):
            require_local(Path(place), mounts)
    else:
        require_local(Path(place), mounts)


def test_remote_kinds() -> None:
    """Network, 9p and every kind of FUSE are remote; local and memory file systems are not."""
    remote = ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "fuse", "fuse.x", "fuseblk"]
    local = ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs"]
    assert [is_remote(kind) for kind in remote + local] == [True] * len(remote) + [False] * len(
        local
    )


def test_an_unknown_file_system_passes(tmp_path: Path) -> None:
    """Where the kernel does not list mounts, nothing is refused."""
    require_local(tmp_path, tmp_path / "no such file")
