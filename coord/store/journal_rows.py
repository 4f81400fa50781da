"""Rows of the journal: what each entry did, enough for history, watch resume and results.

A block is the msgpack rows of the entries 64·b + 1 … 64·b + 64 one behind the other; entries that
are no commands and commands without effect have none. The fields of a row are those of ``Row``.
A change is (kind, path, stat, data, previous stat, previous data, previous revision of the path in
history or 0, ACL or None for an open one); data above 1 KiB is named, not held: (revision, ordinal)
in table ``blobs``. A row of more than 8 changes holds their number instead; they lie in a record of
their own under block ‖ index, so that a lone write does not rewrite a thousand changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgpack

from coord.model import requests
from coord.model.errors import CorruptionError
from coord.model.limits import JOURNAL_BLOCK_ENTRIES
from coord.store.schema import U64

CHANGES_INLINE_MAX: Final = 8

_SHIFT: Final = JOURNAL_BLOCK_ENTRIES.bit_length() - 1
assert 1 << _SHIFT == JOURNAL_BLOCK_ENTRIES


class Row(NamedTuple):
    """What one entry did.

    ``detail``: error message; of a failed transaction [message, codes]; of a transaction the
    operation numbers as bytes; of a session's end its reason.
    """

    revision: int
    wall_ms: int
    log_ms: int
    kind: int
    session: int
    seq: int
    acked: int
    code: int
    detail: Any
    address: str
    who: Any
    changes: Any


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


def rows_of(body: bytes) -> Iterator[Row]:
    """The rows of a block's body. Raises CorruptionError."""
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=0)
    unpacker.feed(body)
    try:
        for fields in unpacker:
            yield Row(*fields)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptionError(f"a journal block does not decode: {error}") from error


def changes_of(row: Row, spilled: Callable[[bytes], bytes]) -> tuple[Any, ...]:
    """The row's changes; ``spilled`` reads a record of the journal that must be there."""
    if not isinstance(row.changes, int):
        return tuple(row.changes)
    return tuple(msgpack.unpackb(spilled(spill_key(row.revision)), use_list=False))


def body_of(row: Row, changes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The reply that the entry's command got, put together from its row."""
    if row.code:
        if isinstance(row.detail, tuple):
            return (row.detail[0], tuple(row.detail[1]))
        return (row.detail,)
    if row.kind != requests.MULTI:
        return _operation_body(row.kind, iter(changes))
    following = iter(changes)
    return tuple((0, *_operation_body(kind, following)) for kind in row.detail)


def _operation_body(kind: int, changes: Iterator[Any]) -> tuple[Any, ...]:
    if kind == requests.CREATE:
        change = next(changes)
        return (change[1], change[2])
    if kind in (requests.SET, requests.SET_ACL):
        return (next(changes)[2],)
    if kind == requests.DELETE:
        next(changes)
    return ()
