"""The disk of one node, as ``servers/disk.c`` lets it be: slow, failing, full, forgetful."""

from __future__ import annotations

import mmap
import random
import shutil
import struct
import subprocess
import uuid
from pathlib import Path
from typing import Final, NamedTuple

import jepsen_lite

SOURCE: Final = Path(jepsen_lite.__file__).with_name("servers") / "disk.c"
_CONTROL: Final = struct.Struct("=iiiiQQQ")
_COMMAND: Final = struct.Struct("=iiii")
_OLD: Final = struct.Struct("=QI")


def can_build() -> bool:
    """Whether this machine has what the shim is built with."""
    return shutil.which("gcc") is not None


def build(directory: Path) -> Path:
    """Compile the shim; the library's path. Raises CalledProcessError."""
    library = directory / "disk.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    subprocess.run([str(shutil.which("gcc")), *flags, "-o", str(library), str(SOURCE)], check=True)
    return library


class Counts(NamedTuple):
    """What the shim has done so far."""

    delayed: int
    failed: int
    refused: int


class Disk:
    """The shim around one data directory; ``home`` holds what it needs and survives the data."""

    def __init__(self, library: Path, data: Path, home: Path) -> None:
        self._data = data
        self._undo = home / "undo"
        self._boot_id = home / "boot-id"
        self._undo.mkdir(parents=True)
        self._new_boot()
        control = home / "disk-control"
        control.write_bytes(bytes(_CONTROL.size))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), _CONTROL.size)
        self.environment = {
            "LD_PRELOAD": str(library),
            "JEPSEN_LITE_DISK_ROOT": str(data),
            "JEPSEN_LITE_DISK_CONTROL": str(control),
            "JEPSEN_LITE_DISK_UNDO": str(self._undo),
            "JEPSEN_LITE_BOOT_ID": str(self._boot_id),
        }

    def _new_boot(self) -> None:
        self._boot_id.write_text(f"{uuid.uuid4()}\n", encoding="ascii")

    def behave(
        self,
        *,
        sync_delay_ms: int = 0,
        sync_error: int = 0,
        write_error: int = 0,
        is_full: bool = False,
    ) -> None:
        """From now on the disk is like this; without arguments it is well."""
        self._control[: _COMMAND.size] = _COMMAND.pack(
            sync_delay_ms, sync_error, write_error, is_full
        )

    def counts(self) -> Counts:
        """What has been done to the node."""
        return Counts(*_CONTROL.unpack_from(self._control, 0)[4:])

    def close(self) -> None:
        """Let go of what is shared with the node."""
        self._control.close()

    def lose_power(self, dice: random.Random) -> tuple[int, int]:
        """The process has been killed: put back a random part of what was not synced, page by
        page, and let the machine have started anew. (pages put back, pages that could be)."""
        back = known = 0
        by_inode = {path.stat().st_ino: path for path in self._data.rglob("data.mdb")}
        for kept in sorted(self._undo.iterdir()):
            path = by_inode.get(int(kept.name))
            if path is not None:
                pages = list(_old_pages(kept.read_bytes()))
                known += len(pages)
                chosen = [page for page in pages if dice.random() < 0.5]
                back += len(chosen)
                with path.open("r+b") as file:
                    for offset, data in chosen:
                        file.seek(offset)
                        file.write(data)
            kept.unlink()
        self._new_boot()
        return back, known


def _old_pages(content: bytes) -> list[tuple[int, bytes]]:
    """(offset, what stood there) of an undo file; a page that did not exist was zero. The last
    record may be cut short: then its write had not begun."""
    pages: list[tuple[int, bytes]] = []
    at = 0
    while at + _OLD.size <= len(content):
        offset, size = _OLD.unpack_from(content, at)
        at += _OLD.size
        if at + size > len(content):
            break
        pages.append((offset, content[at : at + size].ljust(4096, b"\0")))
        at += size
    return pages
