"""The stored form of a node, laid out so that a reply is cut out of it.

offset  bytes
0       4      CRC-32 of key ‖ everything behind it
4       68     Stat, as every reply carries it
72      8      revision of the last change that history recorded (data or ACL)
80      1      flags: BLOB, TTL, CONTAINER
81      2      length of the ACL
83      2      length of the path
85             path, ACL (msgpack; empty: world:anyone may do everything),
with TTL: ttl_ms u64, log_ms of the last write u64,
data, or with BLOB the 10-byte key of the data in table ``blobs``
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import msgpack

from coord.model import acl as acls
from coord.model.acl import Acl
from coord.model.errors import InvalidAclError
from coord.model.limits import ACL_ENTRIES_MAX

BLOB: Final = 1
TTL: Final = 2
CONTAINER: Final = 4

NODE: Final = struct.Struct(">IqqqqiiiqiiqQBHH")
"""crc, the eleven fields of Stat, changed, flags, ACL length, path length."""
STAMPED: Final = struct.Struct(">IqqqqiiiqiiqQ")
"""crc, Stat and changed: what a new node begins with."""
WRITTEN: Final = struct.Struct(">4x8s8x8s8xi16s4x12s8sBHH")
"""What a write reads of the old record: czxid, ctime, version, (cversion, aversion, owner),
(child count, pzxid), changed, flags, ACL length, path length."""
REWRITTEN: Final = struct.Struct(">4x8s8s8s8si16si12s8s")
"""What it makes: czxid, mzxid, ctime, mtime, version, (…), data length, (…), changed. Numbers that
are only passed on stay bytes."""
CHILDREN: Final = struct.Struct(">iiqiiq")
"""cversion, aversion, ephemeral owner, data length, child count, pzxid: at CHILDREN_AT."""
TTL_FIELDS: Final = struct.Struct(">QQ")

STAT_AT: Final = 4
STAT_END: Final = 72
FLAGS_AT: Final = 80
PATH_AT: Final = 85
CHILDREN_AT: Final = 40
assert NODE.size == WRITTEN.size == PATH_AT
assert STAMPED.size == REWRITTEN.size == FLAGS_AT
assert CHILDREN_AT + CHILDREN.size == STAT_END

INT32_MAX: Final = 2**31 - 1
_U16_MAX: Final = 2**16 - 1
_OPEN_WIRE: Final = [[31, "world", "anyone"]]


class Node(NamedTuple):
    """A stored node, taken apart. Field order is that of ``NODE``."""

    crc: int
    czxid: int
    mzxid: int
    ctime_ms: int
    mtime_ms: int
    version: int
    cversion: int
    aversion: int
    owner: int
    data_length: int
    children: int
    pzxid: int
    changed: int
    flags: int
    acl_length: int
    path_length: int

    @classmethod
    def of(cls, record: bytes) -> Node:
        """Take a record apart."""
        return cls._make(NODE.unpack_from(record))

    @property
    def acl_at(self) -> int:
        """Offset of the ACL."""
        return PATH_AT + self.path_length

    @property
    def ttl_at(self) -> int:
        """Offset of the time to live, if it has one."""
        return PATH_AT + self.path_length + self.acl_length

    @property
    def data_at(self) -> int:
        """Offset of the data, or of the key of the data that lies apart."""
        return self.ttl_at + (TTL_FIELDS.size if self.flags & TTL else 0)


def is_at(record: bytes, path: bytes) -> bool:
    """Whether a record is that of the node at ``path`` and not of one whose key collides."""
    length = int.from_bytes(record[PATH_AT - 2 : PATH_AT], "big")
    return length == len(path) and record.startswith(path, PATH_AT)


def path_of(record: bytes) -> str:
    """The node's path."""
    node = Node.of(record)
    return record[PATH_AT : node.acl_at].decode()


def acl_of(record: bytes) -> tuple[Acl, ...]:
    """The node's ACL."""
    return acls.unpack(packed_acl_of(record))


def packed_acl_of(record: bytes) -> bytes:
    """The node's ACL as it is stored."""
    node = Node.of(record)
    return record[node.acl_at : node.ttl_at]


def pack_acl(entries: Any) -> bytes:
    """The stored form of an ACL as it came in a command: duplicates removed, open ones empty.
    ``acl.unpack`` is the inverse.

    Raises InvalidAclError if it is empty, too long, has an entry that is none, or is a text: the
    gateway's reason why the caller's ACL does not stand for one (it could not refuse it at once,
    because other errors come first).
    """
    if entries == _OPEN_WIRE:
        return b""
    if isinstance(entries, str):
        raise InvalidAclError(entries)
    if not isinstance(entries, list | tuple) or not 0 < len(entries) <= ACL_ENTRIES_MAX:
        raise InvalidAclError(f"an ACL has 1 to {ACL_ENTRIES_MAX} entries")
    kept: dict[tuple[int, str, str], None] = {}
    for entry in entries:
        if not _is_entry(entry):
            raise InvalidAclError(f"not an ACL entry (permissions, scheme, id): {entry!r}")
        kept[entry[0], entry[1], entry[2]] = None
    packed: bytes = msgpack.packb(list(kept))
    if len(packed) > _U16_MAX:
        raise InvalidAclError(f"the ACL is longer than {_U16_MAX} bytes")
    return b"" if list(kept) == [tuple(_OPEN_WIRE[0])] else packed


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 3
        and isinstance(entry[0], int)
        and 0 <= entry[0] <= acls.ALL
        and isinstance(entry[1], str)
        and isinstance(entry[2], str)
        and bool(entry[1])
    )


def wrap32(value: int) -> int:
    """A counter of the Stat after it grew by one: 32 bits, signed, as ZooKeeper's overflow."""
    return value - 2**32 if value > INT32_MAX else value


def children_created(cversion: int, children: int) -> int:
    """How many children a node ever had: numbers its sequential children.

    ``cversion`` is the client's form, 2 × created − children (``model.znode.Stat``). Counts 2³¹
    children and starts again at 0.
    """
    return (cversion + children & 0xFFFF_FFFF) >> 1
