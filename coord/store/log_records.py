"""Records of the log environment as bytes: runs of entries, and the few facts in ``meta``.

A run is one record: key = index of its first entry (u64, big-endian), value =
``crc32 ‖ term ‖ kind ‖ count ‖ msgpack array of payloads``. The CRC covers the key too, so that a
page read from the wrong place is noticed. LMDB has no checksums: every read checks this one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgpack

from coord.model.errors import CorruptionError
from coord.raft.types import (
    EntryKind,
    HardState,
    Incarnation,
    Index,
    LogSlice,
    Membership,
    NodeId,
    SnapshotMeta,
    Term,
)

RUN_BYTES_MAX: Final = 1 << 20
"""Longer runs are split: a truncation or a lookup then rewrites or decodes a bounded piece."""

_KEY: Final = struct.Struct(">Q")
_CRC: Final = struct.Struct(">I")
_HEAD: Final = struct.Struct(">QBI")
_BODY_AT: Final = _CRC.size
_ENTRIES_AT: Final = _CRC.size + _HEAD.size

key_of: Final = _KEY.pack
"""The record key of an index."""

_pack: Final[Callable[[Any], bytes]] = msgpack.packb


def index_of(key: bytes) -> Index:
    """The index a record key stands for."""
    return Index(_KEY.unpack(key)[0])


def encode_run(run: LogSlice) -> tuple[bytes, bytes]:
    """Key and value of a run. Hot path: one packb and one checksum per run."""
    key = key_of(run.first)
    body = _HEAD.pack(run.term, run.kind, len(run.payloads)) + _pack(run.payloads)
    return key, _CRC.pack(crc32(body, crc32(key))) + body


def decode_run(name: str, key: bytes, value: bytes) -> LogSlice:
    """Inverse of ``encode_run``. Raises CorruptionError naming the file, ``name``."""
    _check_run(name, key, value)
    term, kind, count = _HEAD.unpack_from(value, _BODY_AT)
    payloads = msgpack.unpackb(memoryview(value)[_ENTRIES_AT:])
    assert len(payloads) == count, "a run with a valid checksum holds another number of entries"
    return LogSlice(index_of(key), Term(term), EntryKind(kind), payloads)


def run_head(name: str, key: bytes, value: bytes) -> tuple[Index, Index, Term]:
    """First index, last index and term of a run, checked."""
    _check_run(name, key, value)
    term, _, count = _HEAD.unpack_from(value, _BODY_AT)
    first = index_of(key)
    return first, Index(first + count - 1), Term(term)


def _check_run(name: str, key: bytes, value: bytes) -> None:
    if len(key) != _KEY.size:
        raise CorruptionError(f"{name}: table log: key {key.hex()} is no index")
    check_record(name, "log", f"entry {index_of(key)}", key, value)


def split_run(run: LogSlice) -> list[LogSlice]:
    """The run in pieces of about RUN_BYTES_MAX; itself when it is shorter."""
    if sum(map(len, run.payloads)) <= RUN_BYTES_MAX:
        return [run]
    pieces: list[LogSlice] = []
    begin = size = 0
    for at, payload in enumerate(run.payloads):
        if size and size + len(payload) > RUN_BYTES_MAX:
            pieces.append(_piece(run, begin, at))
            begin, size = at, 0
        size += len(payload)
    pieces.append(_piece(run, begin, len(run.payloads)))
    return pieces


def _piece(run: LogSlice, begin: int, end: int) -> LogSlice:
    return LogSlice(Index(run.first + begin), run.term, run.kind, run.payloads[begin:end])


def seal(key: bytes, body: bytes) -> bytes:
    """``body`` with the checksum of key and body in front."""
    return _CRC.pack(crc32(body, crc32(key))) + body


def check_record(name: str, table: str, what: str, key: bytes, value: bytes) -> None:
    """Raise CorruptionError unless the checksum in front of ``value`` is right."""
    if len(value) < _BODY_AT:
        raise CorruptionError(f"{name}: table {table}, {what}: only {len(value)} bytes")
    stored: int = _CRC.unpack_from(value)[0]
    actual = crc32(memoryview(value)[_BODY_AT:], crc32(key))
    if stored != actual:
        raise CorruptionError(
            f"{name}: table {table}, {what}: checksum is {actual:08x}, recorded {stored:08x}"
        )


class Trust(NamedTuple):
    """What the log knows about the tree's file, so that a tree which may be damaged is not
    opened.

    Invariant: ``clean`` is False whenever the file may hold something that was not synced.
    """

    clean: bool = True
    boot_id: str = ""
    """Boot under which the tree was last written; "" if it could not be read."""
    device: int = 0
    inode: int = 0
    """Of the tree's data file; 0 and 0: none has been made for this generation yet."""
    generation: int = 0
    """Number in the name of the tree's directory; 0: there has never been a tree."""


class Identity(NamedTuple):
    """Whose data this is."""

    node_id: NodeId
    incarnation: Incarnation


class MetaRecord:
    """Codec of one record of the table ``meta``."""

    __slots__ = ("_from", "_to", "key")

    def __init__(self, key: bytes, to: Callable[[Any], Any], back: Callable[[Any], Any]) -> None:
        self.key = key
        self._to = to
        self._from = back

    def encode(self, value: Any) -> bytes:
        """The record's bytes, checksum in front."""
        return seal(self.key, _pack(self._to(value)))

    def decode(self, name: str, record: bytes) -> Any:
        """Inverse of ``encode``. Raises CorruptionError."""
        check_record(name, "meta", self.key.decode(), self.key, record)
        return self._from(msgpack.unpackb(memoryview(record)[_BODY_AT:]))


def _plain(value: Any) -> Any:
    return value


def meta_to_list(meta: SnapshotMeta) -> list[Any]:
    """A SnapshotMeta as msgpack can hold it."""
    return [meta.index, meta.term, meta.membership.encode(), meta.checksum, meta.length]


def meta_from_list(parts: list[Any]) -> SnapshotMeta:
    """Inverse of ``meta_to_list``."""
    index, term, membership, checksum, length = parts
    return SnapshotMeta(index, term, Membership.decode(membership), checksum, length)


FORMAT: Final = MetaRecord(b"format", _plain, _plain)
IDENTITY: Final = MetaRecord(b"identity", list, lambda parts: Identity(*parts))
CLUSTER: Final = MetaRecord(b"cluster", _plain, _plain)
HARD_STATE: Final = MetaRecord(
    b"hard_state", lambda state: [state.term, state.vote], lambda parts: HardState(*parts)
)
MEMBERSHIP: Final = MetaRecord(b"membership", Membership.encode, Membership.decode)
MARKER: Final = MetaRecord(b"marker", meta_to_list, meta_from_list)
TRUST: Final = MetaRecord(b"trust", list, lambda parts: Trust(*parts))
