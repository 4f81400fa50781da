"""Every table of the tree environment: keys, records, what the digest covers.

    table         key                               record (after its CRC-32)
    nodes         hash(parent path) ‖ name          see ``znode_record``
    blobs         revision u64 ‖ ordinal u16        node data above 1 KiB
    ephemerals    session u64 ‖ node key            path
    reap          due log_ms u64 ‖ node key         path of a childless TTL or container node
    gone          node key                          revision u64 of the deletion: head of history
    graves        revision u64 ‖ what ‖ key         empty: deleted when history passes revision
    sessions      session u64                       see ``sessions``
    ended         session u64                       post-mortem and results, see ``session_ends``
    ended_order   due log_ms u64 ‖ session u64      empty
    journal       block u64 [‖ index u64]           see ``journal_rows``
    facts         name                              cluster, history, feature level, membership
    meta          name                              applied state and digest samples

Every record starts with the CRC-32 of key ‖ rest and is checked whenever it is read. All tables
but ``meta`` are covered by the digest; ``meta`` holds the digest itself. Every record is a function
of the log alone: two members that applied the same index hold the same bytes.

Integers in keys are big-endian, so that the order of keys is the order of numbers.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Final, NamedTuple
from zlib import crc32

from coord.model.errors import CorruptionError
from coord.store.kv import Environment, Table

FORMAT_VERSION: Final = 1
"""Layout of the tree environment; a newer one is refused."""

CRC_BYTES: Final = 4
NO_CRC: Final = bytes(CRC_BYTES)
"""Stands in front of a record that has been changed and not been written yet."""

U64: Final = struct.Struct(">Q")
_CRC: Final = struct.Struct(">I")
_BLOB: Final = struct.Struct(">QH")

HASH_BYTES: Final = 16
GRAVE_NODE: Final = b"n"
GRAVE_BLOB: Final = b"b"

MEMBERSHIP: Final = b"membership"
CLUSTER: Final = b"cluster"
FEATURE_LEVEL: Final = b"feature_level"
STATE: Final = b"state"
SAMPLES: Final = b"samples"

_PARENTS_CACHED_MAX: Final = 65_536
_FIRST_NAME: Final = b"\x01"


class Tables(NamedTuple):
    """Handles of all tables, in one environment. Field names are table names."""

    nodes: Table
    blobs: Table
    ephemerals: Table
    reap: Table
    gone: Table
    graves: Table
    sessions: Table
    ended: Table
    ended_order: Table
    journal: Table
    facts: Table
    meta: Table


SEALED_BY_WRITER: Final = frozenset(("journal", "meta"))
"""Tables whose records get their checksum from whoever puts them, not from the fold."""
REMEMBERED: Final = frozenset(("nodes", "blobs", "gone"))
"""Tables whose records are looked up when a node changes; sessions and history have their own
memory, or need none."""
DIGESTED: Final = tuple(name for name in Tables._fields if name != "meta")


def open_tables(env: Environment) -> Tables:
    """Open every table, making the missing ones."""
    return Tables(*(env.table(name) for name in Tables._fields))


def seal(key: bytes, body: bytes) -> bytes:
    """The record of ``body`` under ``key``: its CRC and itself."""
    return _CRC.pack(crc32(body, crc32(key))) + body


def unseal(table: str, key: bytes, record: bytes) -> bytes:
    """The body of a record. Raises CorruptionError if the checksum does not match."""
    verify(table, key, record)
    return record[CRC_BYTES:]


def verify(table: str, key: bytes, record: bytes) -> int:
    """The record's checksum. Raises CorruptionError, naming table and key, if it is wrong."""
    computed = crc32(record[CRC_BYTES:], crc32(key))
    stored = int.from_bytes(record[:CRC_BYTES], "big")
    if stored != computed or len(record) < CRC_BYTES:
        raise CorruptionError(
            f"tree environment, table {table!r}, key {key.hex()}: checksum is {computed:08x}, "
            f"the record says {stored:08x}"
        )
    return computed


def missing(table: str, key: bytes, what: str) -> CorruptionError:
    """The error of a record that another one names, and that is not there."""
    return CorruptionError(
        f"tree environment, table {table!r}, key {key.hex()}: missing, though it is {what}"
    )


class PathKeys:
    """Keys of nodes. Remembers the hashes of parents: most requests share few of them.

    Invariant: the cache never holds more than 65,536 parents; it is emptied when full.
    """

    __slots__ = ("cache",)

    def __init__(self) -> None:
        self.cache: dict[bytes, bytes] = {}

    def prefix(self, parent: bytes) -> bytes:
        """What the keys of all children of ``parent`` (no trailing slash) start with."""
        found = self.cache.get(parent)
        if found is None:
            if len(self.cache) >= _PARENTS_CACHED_MAX:
                self.cache.clear()
            found = self.cache[parent] = parent_hash(parent)
        return found

    def key(self, path: bytes) -> bytes:
        """Key of the node at an absolute path."""
        cut = path.rfind(b"/")
        return self.prefix(path[:cut]) + path[cut + 1 :]


def parent_hash(parent: bytes) -> bytes:
    """128 bits of a parent's path; a record holds its whole path and is compared with it."""
    return blake2b(parent, digest_size=HASH_BYTES).digest()


def children_range(prefix: bytes, after: bytes = b"") -> tuple[bytes, bytes | None]:
    """Half-open range of the keys of the children sorted behind ``after``."""
    start = prefix + after + b"\x00" if after else prefix + _FIRST_NAME
    return start, successor(prefix)


def successor(prefix: bytes) -> bytes | None:
    """The first key behind all keys that start with ``prefix``; None: there is none."""
    number = int.from_bytes(prefix, "big") + 1
    if number >> (8 * len(prefix)):
        return None
    return number.to_bytes(len(prefix), "big")


def blob_key(revision: int, ordinal: int) -> bytes:
    """Key of node data that lies apart: who wrote it, and the how-manyth of that entry."""
    return _BLOB.pack(revision, ordinal)


def blob_id(key: bytes) -> tuple[int, int]:
    """Inverse of :func:`blob_key`, as journal rows name a blob."""
    revision, ordinal = _BLOB.unpack(key)
    return revision, ordinal
