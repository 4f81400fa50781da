"""Remembers which commit of an environment was the newest that became durable.

LMDB opens what its two meta pages say. If the newer of them is replaced by what stood there before
(a write that the disk lost, a page that came back), it opens the state of an older commit without
complaint: a vote or acknowledged entries are gone, and every checksum is right. So the number of
each durable commit is left in a file of its own beside the data file, together with the owner's
``witness`` of what the commit held.

The file is mapped and never synced: it costs a commit a store to memory. It survives the process;
after a power loss it may name an older commit, which is no evidence of anything.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

FLOOR_FILE: Final = "commits"
_BODY: Final = Struct(">QI")
_SUM: Final = Struct(">I")
_SIZE: Final = _BODY.size + _SUM.size


class CommitFloor:
    """The file, mapped. Without space or permission for it, it remembers nothing.

    Invariant: ``number`` is at most the number of the newest durable commit.
    """

    def __init__(self, directory: Path) -> None:
        self._map: mmap.mmap | None = None
        self.number = 0
        """Of the newest commit that is known to have been durable; 0: none is."""
        self.witness = 0
        """What its owner said of it."""
        with suppress(OSError, ValueError):
            self._open(directory / FLOOR_FILE)

    def _open(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            found = os.pread(fd, _SIZE, 0)
            if len(found) < _SIZE:
                # Written, not lengthened: storing into a hole of a full disk ends the process.
                os.pwrite(fd, bytes(_SIZE), 0)
            self._map = mmap.mmap(fd, _SIZE)
        finally:
            os.close(fd)
        if len(found) == _SIZE:
            body, stored = found[: _BODY.size], _SUM.unpack_from(found, _BODY.size)[0]
            if crc32(body) == stored:
                self.number, self.witness = _BODY.unpack(body)

    def reached(self, number: int, witness: int) -> None:
        """This commit is durable."""
        self.number, self.witness = number, witness
        if self._map is not None:
            body = _BODY.pack(number, witness)
            self._map[:] = body + _SUM.pack(crc32(body))

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._map is not None:
            self._map.close()
            self._map = None
