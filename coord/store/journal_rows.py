"""Rows of the journal: what each entry did, enough for history, watch resume and results.

A block holds the rows of the entries 64·b + 1 … 64·b + 64 one behind the other; entries that are
no commands and commands without effect have none. A row:

    offset  bytes
    0       4     length of the row
    4       8     index of the entry = revision
    12      16    wall_ms, log_ms
    28      2     kind: operation number
    30      4     code of the outcome
    34      24    session, seq, acked
    58      1     1: the changes lie in a record of their own, under block ‖ index
    59      1     length of the address
    60      4     length of the extra part
    64            address of the session's client; extra: nothing, or msgpack [who, detail]; changes

``detail``: error message; of a failed transaction [message, codes]; of a transaction the operation
numbers as bytes; of a session's end its reason. Rows of more than 8 changes have them apart, so
that a lone write does not rewrite a thousand changes. A change is the node before and after:

    0       1     kind (``ChangeKind``)
    1       8     previous revision in the history of the path, 0: none
    9       8     length of the old and of the new record, 0: the node did not or does not exist
    17            the two node records, without their checksums
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgpack

from coord.model import requests
from coord.model.commands import STAMP
from coord.model.errors import CorruptionError
from coord.model.limits import JOURNAL_BLOCK_ENTRIES
from coord.store.schema import CRC_BYTES, NO_CRC, U64
from coord.store.znode_record import STAT_AT, STAT_END, path_of

ROW: Final = struct.Struct(">IQ16sHiQQQBBI")
ROW_HEAD: Final = struct.Struct(">I8s16sHiQQQBBI")
"""``ROW`` for whoever has the index packed."""
CHANGE: Final = struct.Struct(">BQII")
CHANGE_HEAD: Final = struct.Struct(">B8sII")
"""``CHANGE`` with the previous revision as it was read."""
CHANGES_INLINE_MAX: Final = 8
ADDRESS_CHARS_MAX: Final = 63
"""Its UTF-8 form fits the byte that holds the length."""

_SHIFT: Final = JOURNAL_BLOCK_ENTRIES.bit_length() - 1
assert 1 << _SHIFT == JOURNAL_BLOCK_ENTRIES


class ChangeRow(NamedTuple):
    """One node changed by one entry: its record before and after, with room for a checksum."""

    kind: int
    previous: int
    old: bytes | None
    new: bytes | None

    @property
    def path(self) -> str:
        """The node's path."""
        return path_of(self.new or self.old or b"")


class Row(NamedTuple):
    """What one entry did."""

    revision: int
    wall_ms: int
    log_ms: int
    kind: int
    code: int
    session: int
    seq: int
    acked: int
    spilled: int
    address: str
    extra: bytes
    tail: bytes

    @property
    def who(self) -> Any:
        """Identities of the caller, None: world:anyone alone."""
        return msgpack.unpackb(self.extra, use_list=False)[0] if self.extra else None

    @property
    def detail(self) -> Any:
        """See the module."""
        return msgpack.unpackb(self.extra, use_list=False)[1] if self.extra else None


def block_of(index: int) -> int:
    """Number of the block that holds an entry's row."""
    return (index - 1) >> _SHIFT


def block_end(block: int) -> int:
    """Index of the last entry of a block."""
    return (block + 1) << _SHIFT


def block_key(block: int) -> bytes:
    """Key of a block."""
    return U64.pack(block)


def spill_key(index: int) -> bytes:
    """Key of the changes of an entry that has many."""
    return U64.pack(block_of(index)) + U64.pack(index)


def pack_extra(who: Any, detail: Any) -> bytes:
    """The extra part of a row."""
    if who is None and detail is None:
        return b""
    packed: bytes = msgpack.packb((who, detail))
    return packed


def pack_change(kind: int, previous: int, old: bytes, new: bytes) -> bytes:
    """A change; ``old`` and ``new`` are records with their checksum's room, or empty."""
    before, after = old[CRC_BYTES:], new[CRC_BYTES:]
    return CHANGE.pack(kind, previous, len(before), len(after)) + before + after


def rows_of(body: bytes) -> Iterator[Row]:
    """The rows of a block's body. Raises CorruptionError."""
    at, end = 0, len(body)
    while at < end:
        try:
            row, at = _row(body, at)
        except (struct.error, UnicodeDecodeError) as error:
            raise CorruptionError(f"a journal row does not decode: {error}") from error
        yield row


def _row(body: bytes, start: int) -> tuple[Row, int]:
    length, revision, stamp, kind, code, session, seq, acked, spilled, address_length, extra = (
        ROW.unpack_from(body, start)
    )
    wall_ms, log_ms = STAMP.unpack(stamp)
    address_at = start + ROW.size
    extra_at = address_at + address_length
    end = start + length
    row = Row(
        revision,
        wall_ms,
        log_ms,
        kind,
        code,
        session,
        seq,
        acked,
        spilled,
        body[address_at:extra_at].decode(),
        body[extra_at : extra_at + extra],
        body[extra_at + extra : end],
    )
    return row, end


def changes_of(row: Row, read: Callable[[bytes], bytes]) -> list[ChangeRow]:
    """The row's changes; ``read`` gets the body of a journal record that must be there."""
    packed = read(spill_key(row.revision)) if row.spilled else row.tail
    found: list[ChangeRow] = []
    at = 0
    while at < len(packed):
        kind, previous, before, after = CHANGE.unpack_from(packed, at)
        old_at = at + CHANGE.size
        new_at = old_at + before
        at = new_at + after
        old = NO_CRC + packed[old_at:new_at] if before else None
        new = NO_CRC + packed[new_at:at] if after else None
        found.append(ChangeRow(kind, previous, old, new))
    return found


def body_of(row: Row, changes: list[ChangeRow]) -> tuple[Any, ...]:
    """The reply that the entry's command got, put together from its row."""
    detail = row.detail
    if row.code:
        return detail if isinstance(detail, tuple) else (detail,)
    following = iter(changes)
    if row.kind != requests.MULTI:
        return _operation_body(row.kind, following)
    return tuple((0, *_operation_body(kind, following)) for kind in detail)


def _operation_body(kind: int, changes: Iterator[ChangeRow]) -> tuple[Any, ...]:
    if kind == requests.CREATE:
        created = next(changes)
        assert created.new is not None, "a created node has a record"
        return (created.path, created.new[STAT_AT:STAT_END])
    if kind in (requests.SET, requests.SET_ACL):
        written = next(changes)
        assert written.new is not None, "a written node has a record"
        return (written.new[STAT_AT:STAT_END],)
    if kind == requests.DELETE:
        next(changes)
    return ()
