"""Which of our processes a loopback connection comes from (Linux, no privileges needed)."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_LOCAL, _INODE = 1, 9
_ESTABLISHED_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")


def _hex(address: tuple[str, int]) -> str:
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


def inode_of(address: tuple[str, int]) -> str | None:
    """The inode of the socket that is bound to this local IPv4 address."""
    wanted = _hex(address)
    for table in _ESTABLISHED_TABLES:
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[_LOCAL].endswith(wanted) and fields[_INODE] != "0":
                return fields[_INODE]
    return None


def owner_of(address: tuple[str, int], candidates: Iterable[tuple[str, int]]) -> str | None:
    """Whose the connection from this address is. ``candidates``: (name, process id)."""
    inode = inode_of(address)
    if inode is None:
        return None
    wanted = f"socket:[{inode}]"
    for name, pid in candidates:
        if pid and wanted in _open_files(pid):
            return name
    return None


def _open_files(pid: int) -> set[str]:
    """What the descriptors of a process point to; those that are closed meanwhile are left out."""
    found: set[str] = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(entry.readlink()))
    return found
