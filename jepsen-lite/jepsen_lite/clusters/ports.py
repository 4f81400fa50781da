"""Ports on loopback that nobody uses, and that no other run of ours is about to use."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
FIRST: Final = 23_000
"""This and the COUNT from here lie below the range that the kernel takes for outgoing
connections."""
COUNT: Final = 2_000
BLOCK: Final = 200
"""Ports that one run keeps to itself, by a lock on a file: it binds them later."""


def free_ports(first: int = FIRST) -> Generator[int, None, None]:
    """Ports from ``first`` on that can be bound now; theirs alone who asked, for as long as they
    keep the iterator. Raises OSError when there are no more."""
    for base in range(first, first + COUNT, BLOCK):
        path = Path(tempfile.gettempdir()) / f"jepsen-lite-ports-{base // BLOCK}"
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield from filter(_is_free, range(base, base + BLOCK))
    raise OSError(f"no free port on {HOST} from {first} to {first + COUNT - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False
