"""What the words tell of the process and its machine. None of it can fail: who asks how a node
does must not end it."""

from __future__ import annotations

import os
import platform
import pwd
import resource
import socket
import sys
from pathlib import Path
from typing import Final

from coord.server.words.facts import DirectoryFacts

LOG_DIRECTORY: Final = "log"
_OPEN_DESCRIPTORS: Final = Path("/proc/self/fd")


def environment(version: str) -> tuple[tuple[str, str], ...]:
    """The rows of ``envi``; the keys that ZooKeeper has too bear its names."""
    machine = platform.uname()
    return (
        ("zookeeper.version", version),
        ("host.name", socket.gethostname()),
        ("python.version", platform.python_version()),
        ("python.implementation", platform.python_implementation()),
        ("python.home", sys.prefix),
        ("os.name", machine.system),
        ("os.arch", machine.machine),
        ("os.version", machine.release),
        ("user.name", _user_name()),
        ("user.home", os.environ.get("HOME", "")),
        ("user.dir", _working_directory()),
    )


def _user_name() -> str:
    """Containers run under ids that nobody has named."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _working_directory() -> str:
    """Somebody may have removed it."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def open_descriptors() -> int | None:
    """Descriptors open now; None where there is no /proc, or none is left to look there."""
    try:
        return sum(1 for _ in _OPEN_DESCRIPTORS.iterdir())
    except OSError:
        return None


def descriptors_max() -> int | None:
    """Descriptors that may be open; None: as many as the system has."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def directory_sizes(directory: Path) -> DirectoryFacts:
    """Lengths of a data directory's files. One that goes meanwhile is not counted."""
    sizes = {True: 0, False: 0}
    for place, _, names in os.walk(directory):
        is_log = Path(place).name == LOG_DIRECTORY
        for name in names:
            try:
                sizes[is_log] += Path(place, name).lstat().st_size
            except OSError:
                continue
    return DirectoryFacts(sizes[False], sizes[True])
