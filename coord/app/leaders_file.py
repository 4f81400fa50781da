"""Who has led, in a file beside the data: a node that is started again still tells who led before.

It is for people. Nothing is decided by it, it is not synced, and one that cannot be read or written
is done without.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coord.model.limits import KIB
from coord.node.leaders import KEPT, LeaderBook, Leadership

if TYPE_CHECKING:
    from coord.node.node import Node

LEADERS_FILE: Final = "leaders.json"
_BYTES_MAX: Final = 64 * KIB

log = logging.getLogger(__name__)


class LeadersFile:
    """A JSON list of leaderships, oldest first."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LEADERS_FILE

    def read(self) -> list[Leadership]:
        """At most ``KEPT``; none from a file that is not as :meth:`write` leaves it."""
        try:
            with self._path.open("rb") as file:
                found = [_leadership(**told) for told in json.loads(file.read(_BYTES_MAX))]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, RecursionError) as error:
            log.warning("%s cannot be read: %s", self._path, error)
            return []
        return found[-KEPT:]

    def write(self, leaders: Iterable[Leadership]) -> None:
        """In place of what was there."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps([asdict(it) for it in leaders]), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)


def _leadership(term: int, leader: int, since_ms: int, reason: str) -> Leadership:
    """Raises TypeError for members of other types."""
    if not all(type(number) is int for number in (term, leader, since_ms)):
        raise TypeError("a number is none")
    return Leadership(term, leader, since_ms, str(reason))


def remember_leaders(node: Node, directory: Path) -> None:
    """Have the node recall what the file holds, and the file follow what the node learns. Before
    the node is started. What lies beyond its term is not its own past: data were put back."""
    file, book = LeadersFile(directory), node.leaders
    book.recall(it for it in file.read() if it.term <= node.raft.term)
    book.on_news = _Writer(file, book).write_soon


class _Writer:
    """Away from the loop, for the disk may be slow; one write at a time."""

    def __init__(self, file: LeadersFile, book: LeaderBook) -> None:
        self._file = file
        self._book = book
        self._writing: asyncio.Task[None] | None = None
        self._is_news = False

    def write_soon(self) -> None:
        self._is_news = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._is_news:
            self._is_news = False
            await asyncio.to_thread(self._file.write, tuple(self._book.kept))
