"""One process per data directory.

``flock``, not a file with a process id in it: the kernel drops it with the process, so there is
never a stale lock. The id is written for the message only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from coord.model.errors import DirectoryInUseError, StorageError

LOCK_FILE = "lock"


class DirectoryLock:
    """Held from construction to ``release``."""

    def __init__(self, directory: Path) -> None:
        """Raises DirectoryInUseError if another process holds it, StorageError if the directory
        cannot be written."""
        path = directory / LOCK_FILE
        try:
            # Python opens files so that children do not inherit them: no child keeps the lock.
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            who = f"process {holder}" if holder else "another process"
            raise DirectoryInUseError(f"{directory}: in use by {who}") from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let the next process in."""
        os.close(self._fd)
