"""A node's metadata. The packed form is ZooKeeper's ``Stat``: 68 bytes, big-endian, as every
reply carries it, on both wires and on disk.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

_STAT: Final = struct.Struct(">qqqqiiiqiiq")
STAT_BYTES: Final = _STAT.size
assert STAT_BYTES == 68


class CreateMode(IntEnum):
    """Kinds of node; the values are ZooKeeper's create flags."""

    PERSISTENT = 0
    EPHEMERAL = 1
    PERSISTENT_SEQUENTIAL = 2
    EPHEMERAL_SEQUENTIAL = 3
    CONTAINER = 4
    PERSISTENT_TTL = 5
    PERSISTENT_SEQUENTIAL_TTL = 6

    @property
    def is_ephemeral(self) -> bool:
        """Dies with its session."""
        return self in (CreateMode.EPHEMERAL, CreateMode.EPHEMERAL_SEQUENTIAL)

    @property
    def is_sequential(self) -> bool:
        """The tree appends a growing ten-digit suffix."""
        return self in (
            CreateMode.PERSISTENT_SEQUENTIAL,
            CreateMode.EPHEMERAL_SEQUENTIAL,
            CreateMode.PERSISTENT_SEQUENTIAL_TTL,
        )

    @property
    def has_ttl(self) -> bool:
        """Reaped when childless and unmodified for its time to live."""
        return self in (CreateMode.PERSISTENT_TTL, CreateMode.PERSISTENT_SEQUENTIAL_TTL)


class Stat(NamedTuple):
    """Metadata as a client sees it.

    ``cversion`` is the client's form, 2 × creations − ``num_children``; the number of children
    ever created is therefore ``(cversion + num_children) // 2`` and needs no field of its own.
    Times are wall-clock milliseconds, for display only.
    """

    czxid: int
    mzxid: int
    ctime_ms: int
    mtime_ms: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int

    def pack(self) -> bytes:
        """The 68-byte wire and disk form."""
        return _STAT.pack(*self)

    @classmethod
    def unpack(cls, raw: bytes | memoryview, offset: int = 0) -> Stat:
        """Inverse of :meth:`pack`."""
        return cls._make(_STAT.unpack_from(raw, offset))

    @property
    def children_created(self) -> int:
        """Counter that numbers sequential children."""
        return (self.cversion + self.num_children) // 2
