"""Ports on loopback that nobody uses."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

HOST: Final = "127.0.0.1"
FIRST: Final = 23_000
LAST: Final = 24_999
"""Below the range that the kernel takes for outgoing connections."""


def free_ports(first: int = FIRST) -> Iterator[int]:
    """Ports from ``first`` on that can be bound now. Raises OSError when there are no more."""
    for port in range(first, LAST + 1):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            yield port
    raise OSError(f"no free port on {HOST} from {first} to {LAST}")
