"""One table as the open write transaction sees and changes it.

What a batch changes lies in ``fresh`` of its table (``write_behind``) until the batch is committed;
what earlier batches changed lies in ``dirty`` until it is folded. Both hold records whose checksum
is not computed yet (``schema.NO_CRC`` stands there), so that offsets into them are those of the
stored form and a record that changes often is sealed once.
"""

from __future__ import annotations

from typing import cast

from coord.store.kv import Table
from coord.store.schema import verify
from coord.store.write_behind import BehindTable, BehindWriter

Undo = list[tuple["Records", bytes, "bytes | None"]]


class Records:
    """Reads and writes of one table inside one write transaction.

    ``undo``: where to note what each store replaced, for a transaction that may fail.
    """

    __slots__ = ("_base", "_clean", "_dirty", "_env", "_fresh", "_name", "undo")

    def __init__(self, txn: BehindWriter, handle: Table) -> None:
        table = cast("BehindTable", handle)
        self._name = table.name
        self._fresh, self._dirty, self._clean = table.fresh, table.dirty, table.clean
        self._base = table.base
        self._env = txn.env
        self.undo: Undo | None = None

    def load(self, key: bytes) -> bytes | None:
        """The record as this transaction sees it. Raises CorruptionError."""
        record = self._fresh.get(key)
        if record is not None:
            return record
        if key not in self._fresh:
            record = self._dirty.get(key)
            if record is None and key not in self._dirty:
                return self._clean.get(key) or self._folded(key)
        return record

    def _folded(self, key: bytes) -> bytes | None:
        record: bytes | None = self._env.engine_get(key, None, self._base)
        if record is not None:
            verify(self._name, key, record)
        return record

    def store(self, key: bytes, record: bytes | None) -> None:
        """Replace (None: delete) a record."""
        if self.undo is not None:
            self.undo.append((self, key, self.load(key)))
        self._fresh[key] = record


def roll_back(undo: Undo) -> None:
    """Give every record named in ``undo`` the value it had, newest first."""
    for records, key, record in reversed(undo):
        records.store(key, record)
