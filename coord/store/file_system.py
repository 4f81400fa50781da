"""Which file systems may hold the data: local ones.

LMDB maps its file and locks it; over a network, 9p or FUSE neither is what it seems, and such a
file system may lie about ``fsync``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from coord.model.errors import StorageError

REMOTE: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
"""Names as in the third-last column of mountinfo. All of FUSE counts too."""

MOUNTS: Final = Path("/proc/self/mountinfo")


def require_local(directory: Path, mounts: Path = MOUNTS) -> None:
    """Raise StorageError if ``directory`` lies on a file system that is not local. Where the
    kernel does not tell, it passes."""
    kind = kind_of(directory, mounts)
    if kind is not None and is_remote(kind):
        raise StorageError(
            f"{directory}: lies on {kind}, where fsync and locks cannot be relied on; use a local"
            " disk, or allow it explicitly (allow_remote_file_system)"
        )


def is_remote(kind: str) -> bool:
    """Network, host-shared and FUSE file systems."""
    return kind in REMOTE or kind == "fuse" or kind.startswith(("fuse.", "fuseblk"))


def kind_of(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """Type of the file system that holds ``directory``; None if unknown."""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.realpath(directory)
    best, found = -1, None
    for line in lines:
        fields, _, tail = line.partition(" - ")
        point = _unescape(fields.split(" ")[4])
        holds = place == point or place.startswith(point.rstrip("/") + "/")
        # Of two mounts on one place the later one covers the earlier.
        if holds and len(point) >= best:
            best, found = len(point), tail.split(" ")[0]
    return found


def _unescape(point: str) -> str:
    for code, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, plain)
    return point
