"""Listening sockets, bound before anything else is done, and who holds a port that is taken."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Final

from coord.app.failures import PortTakenError
from coord.model.errors import ConfigError
from coord.node.transport import split_address

_LISTEN: Final = "0A"
"""State of a listening socket in /proc/net/tcp."""
_COMMAND_CHARS_MAX: Final = 120


def bind(address: str, purpose: str) -> socket.socket:
    """A bound socket that does not listen yet: a client that comes early is refused, not ignored.

    Raises PortTakenError, or ConfigError if the address is not this machine's.
    """
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        reason = error.strerror or error
        raise ConfigError(f"{purpose} address {address}: {host!r}: {reason}") from error
    family, kind, protocol, _, place = min(found, key=lambda each: each[0] != socket.AF_INET)
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
    except OSError as error:
        made.close()
        raise explained(error, address, purpose) from error
    return made


def explained(error: OSError, address: str, purpose: str) -> ConfigError:
    """What a failure to bind or to listen means, and what to do."""
    port = split_address(address)[1]
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port) or "another process"
        return PortTakenError(
            f"port {port} ({purpose} address {address}) is taken by {holder}: stop it, or choose "
            "another address"
        )
    if error.errno == errno.EACCES:
        return ConfigError(
            f"{purpose} address {address}: no permission: ports below 1024 are for root"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f"{purpose} address {address} is not this machine's: listen on one of its own, and "
            "advertise the other"
        )
    return ConfigError(f"{purpose} address {address}: {error.strerror or error}")


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """Who listens on ``port``: "process 123 (its command line)"; empty if that cannot be known
    (another user's process, or no /proc)."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        if _holds(process / "fd", wanted):
            return f"process {process.name} ({_command_of(process)})"
    return ""


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _holds(directory: Path, wanted: set[str]) -> bool:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - the links need no Path objects
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"{directory}/{name}") in wanted:  # noqa: PTH115 - as above
                return True
        except OSError:
            continue
    return False


def _command_of(process: Path) -> str:
    try:
        raw = (process / "cmdline").read_bytes()
    except OSError:
        return "unknown"
    command = raw.replace(b"\0", b" ").decode(errors="replace").strip()
    return command[:_COMMAND_CHARS_MAX] or "unknown"
