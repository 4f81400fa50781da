"""Refuse user writes before the disk is full.

A failed commit of the log ends the process, so space is watched *before* entries are appended. A
reserve is allocated in advance. While less than that again is free, user writes are refused;
session entries and deletes pass. When even that shrinks, the reserve is given up to them. All of it
undoes itself when space returns.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from coord.model.limits import MIB

RESERVE_FILE: Final = "reserve"
_LOOK_EVERY_CALLS: Final = 256
_LOOK_EVERY_BYTES: Final = 4 * MIB


class Reserve(Protocol):
    """Disk space held back."""

    size: int
    held: bool

    def make(self) -> None:
        """Allocate it; without success (``held`` stays False) if the disk has no room."""

    def give_up(self) -> None:
        """Return the space to the file system."""


class ReserveFile:
    """A file that holds disk space to be given up in need."""

    def __init__(self, directory: Path, size: int) -> None:
        self.size = size
        self._path = directory / RESERVE_FILE
        self.held = self._path.exists() and self._path.stat().st_size == size

    def make(self) -> None:
        """Allocate it; without success if the disk has no room."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.posix_fallocate(fd, 0, self.size)
            os.ftruncate(fd, self.size)
            self.held = True
        except OSError:
            self._path.unlink()
        finally:
            os.close(fd)

    def give_up(self) -> None:
        """Return the space to the file system."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self.held = False


class SpaceGuard:
    """Answers ``writes_allowed`` at almost no cost; looks at the disk now and then.

    ``free_bytes``: what the file system has left. ``written_bytes``: what the log has written so
    far, a number that only grows. ``replicated_bytes``: what counts against the quota.
    """

    def __init__(
        self,
        free_bytes: Callable[[], int],
        reserve: Reserve,
        written_bytes: Callable[[], int] = lambda: 0,
        replicated_bytes: Callable[[], int] = lambda: 0,
        quota_bytes: int | None = None,
    ) -> None:
        self._free_bytes = free_bytes
        self._reserve = reserve
        self._written_bytes = written_bytes
        self._replicated_bytes = replicated_bytes
        self._quota_bytes = quota_bytes
        self._calls = 0
        self._seen_bytes = 0
        self.free_bytes = 0
        """What the file system had left at the last look."""
        self.reason = ""
        """Why user writes are refused; "" while they are allowed."""
        self.look()

    def writes_allowed(self) -> bool:
        """User writes may be appended. Looks at the disk every few MiB or few hundred calls, and
        at every call while refusing, so that it resumes by itself."""
        self._calls += 1
        if (
            self.reason
            or self._calls >= _LOOK_EVERY_CALLS
            or self._written_bytes() - self._seen_bytes >= _LOOK_EVERY_BYTES
        ):
            self.look()
        return not self.reason

    def look(self) -> None:
        """Ask the file system now."""
        self._calls = 0
        self._seen_bytes = self._written_bytes()
        reserve = self._reserve
        free = self._free_bytes()
        if reserve.held and free < reserve.size // 2:
            reserve.give_up()
        elif not reserve.held and free >= 2 * reserve.size:
            reserve.make()
            free = self._free_bytes()
        self.free_bytes = free
        used = self._replicated_bytes()
        if not reserve.held or free < reserve.size:
            kept = reserve.size if reserve.held else 0
            self.reason = f"disk: {free + kept} bytes free, {2 * reserve.size} needed"
        elif self._quota_bytes is not None and used >= self._quota_bytes:
            self.reason = f"quota: {used} replicated bytes of {self._quota_bytes}"
        else:
            self.reason = ""


def free_bytes_of(directory: Path) -> Callable[[], int]:
    """Reads what an unprivileged process may still write to a directory's file system."""

    def read() -> int:
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize

    return read
