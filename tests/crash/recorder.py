"""Records what a process does to its files, and reads such a trace.

``recorder.c``, preloaded, appends a record per call; processes add marks of their own (what was
acknowledged) to the same file, so that one order holds for both.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

SOURCE: Final = Path(__file__).with_name("recorder.c")
_HEAD: Final = struct.Struct("<IBBHQQI")

CREATED: Final = ord("C")
DIRECTORY_MADE: Final = ord("D")
WRITTEN: Final = ord("W")
TRUNCATED: Final = ord("T")
SYNC_BEGUN: Final = ord("B")
SYNC_ENDED: Final = ord("E")
RENAMED: Final = ord("R")
UNLINKED: Final = ord("U")
DIRECTORY_REMOVED: Final = ord("X")
MAPPED: Final = ord("M")
MARKED: Final = ord("K")


class Record(NamedTuple):
    """One call, or one mark. ``path`` is relative to the root; ``offset`` in bytes."""

    what: int
    is_durable: bool
    """A write that had returned only once it was on the disk."""
    inode: int
    offset: int
    thread: int
    path: str
    data: bytes

    @property
    def mark(self) -> Any:
        """What a MARKED record says."""
        return msgpack.unpackb(self.data, strict_map_key=False)


class Recording:
    """The directories of one recording: ``root`` is watched, ``vault`` keeps every inode alive."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = place / "disk"
        self.vault = place / "vault"
        self.trace = place / "trace"
        self.root.mkdir(parents=True, exist_ok=True)
        self.vault.mkdir(exist_ok=True)

    def environment(self, library: Path) -> dict[str, str]:
        """What a process must be started with to be recorded."""
        return {
            "LD_PRELOAD": str(library),
            "COORD_CRASH_ROOT": str(self.root),
            "COORD_CRASH_TRACE": str(self.trace),
            "COORD_CRASH_VAULT": str(self.vault),
        }

    def records(self) -> Iterator[Record]:
        """The trace, in order."""
        return read_trace(self.trace)


def build(directory: Path) -> Path:
    """Compile the recorder; the library's path. Raises CalledProcessError."""
    library = directory / "recorder.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(SOURCE)], check=True)
    return library


class Marks:
    """Appends marks to a trace; each is in one ``write``, so it lies between two records."""

    def __init__(self, trace: Path) -> None:
        self._fd = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, mark: Any) -> None:
        """Append one."""
        data: bytes = msgpack.packb(mark)
        os.write(self._fd, _HEAD.pack(_HEAD.size + len(data), MARKED, 0, 0, 0, 0, 0) + data)

    def close(self) -> None:
        """Close the trace."""
        os.close(self._fd)


def read_trace(path: Path) -> Iterator[Record]:
    """Records of a trace file."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        size, what, flags, path_bytes, inode, offset, thread = _HEAD.unpack_from(content, at)
        data_at = at + _HEAD.size + path_bytes
        name = content[at + _HEAD.size : data_at].decode()
        data = content[data_at : at + size]
        yield Record(what, bool(flags), inode, offset, thread, name, data)
        at += size
