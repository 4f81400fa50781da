"""Write-back cache of one table inside one write transaction.

A batch of commands often changes one record many times (the parent of a thousand new children):
checksum, digest and the write itself are paid once per record and batch, not once per command.

Cached records keep the room for their checksum in front (``schema.NO_CRC`` once changed), so that
offsets into them are those of the stored form.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

from coord.store.digest import FACTOR, Totals
from coord.store.kv import Table, WriteTxn
from coord.store.schema import CRC_BYTES, verify

_CRC: Final = struct.Struct(">I")
_crc_of: Final = _CRC.unpack_from
_pack_crc: Final = _CRC.pack

Undo = list[tuple["Records", bytes, "bytes | None"]]


class Records:
    """One table as this transaction sees it.

    Invariant: ``before`` holds, for each key changed since the last flush, what the table has.
    Invariant: every key of ``before`` is in ``now``.
    """

    __slots__ = ("_db", "_delete", "_get", "_put", "_totals", "before", "name", "now", "undo")

    def __init__(self, txn: WriteTxn, name: str, table: Table, totals: Totals) -> None:
        self.name = name
        self._db: Any = table
        self._get = txn.get
        self._put: Callable[..., object] = txn.put
        self._delete: Callable[..., bool] = txn.delete
        self._totals = totals
        self.now: dict[bytes, bytes | None] = {}
        self.before: dict[bytes, bytes | None] = {}
        self.undo: Undo | None = None

    def load(self, key: bytes) -> bytes | None:
        """The record as this transaction sees it. Raises CorruptionError."""
        now = self.now
        if key in now:
            return now[key]
        record = self._get(key, None, self._db)
        if record is not None and crc32(record[CRC_BYTES:], crc32(key)) != _crc_of(record)[0]:
            verify(self.name, key, record)
        now[key] = record
        return record

    def store(self, key: bytes, record: bytes | None) -> None:
        """Replace (None: delete) a record that was loaded before."""
        now = self.now
        if key not in self.before:
            self.before[key] = now[key]
        if self.undo is not None:
            self.undo.append((self, key, now[key]))
        now[key] = record

    def flush(self, limit: int = -1) -> None:
        """Write ``limit`` changed records (−1: all) to the transaction."""
        before, now, put, db = self.before, self.now, self._put, self._db
        changed = list(before.items())
        if 0 <= limit < len(changed):
            changed = changed[:limit]
        digest = size = 0
        for key, old in changed:
            record = now[key]
            if record is old:
                continue
            if old is not None:
                crc = _crc_of(old)[0]
                digest -= (crc + FACTOR) * crc
                size -= len(old) + len(key)
            if record is None:
                self._delete(key, db=db)
                continue
            body = record[CRC_BYTES:]
            crc = crc32(body, crc32(key))
            now[key] = record = _pack_crc(crc) + body
            put(key, record, db=db)
            digest += (crc + FACTOR) * crc
            size += len(record) + len(key)
        if len(changed) == len(before):
            before.clear()
        else:
            for key, _ in changed:
                del before[key]
        self._totals.digest += digest
        self._totals.size += size


def roll_back(undo: Undo) -> None:
    """Give every record named in ``undo`` the value it had, newest first."""
    for records, key, record in reversed(undo):
        records.now[key] = record
