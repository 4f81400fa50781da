"""Writing the journal: one record per 64 aligned entries, whatever the batches were.

Rows are appended to the block's body and to its running checksum; a batch writes each block it
touches once. The partial block at the end stays in memory between batches.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from coord.store.digest import Totals, mix64
from coord.store.journal_rows import CHANGES_INLINE_MAX, block_key, block_of, spill_key
from coord.store.kv import Table, WriteTxn
from coord.store.schema import CRC_BYTES, seal


class JournalTail(NamedTuple):
    """The block that the next entry's row goes to, as it is stored (empty body: it is not)."""

    block: int
    body: bytes
    crc: int

    @classmethod
    def start(cls, block: int, body: bytes = b"") -> JournalTail:
        """A block with its checksum."""
        return cls(block, body, crc32(body, crc32(block_key(block))))


class JournalWriter:
    """The journal inside one write transaction.

    ``rows``: appended and not written yet. ``size``: bytes of all journal records.
    """

    __slots__ = ("_db", "_tail", "_totals", "_txn", "rows", "size")

    def __init__(
        self, txn: WriteTxn, table: Table, totals: Totals, tail: JournalTail, size: int
    ) -> None:
        self._txn = txn
        self._db = table
        self._totals = totals
        self._tail = tail
        self.rows: list[bytes] = []
        self.size = size

    @property
    def tail(self) -> JournalTail:
        """What the next batch goes on with, after ``write``."""
        assert not self.rows, "the rows have been written"
        return self._tail

    def spill(self, index: int, changes: list[bytes]) -> tuple[int, bytes]:
        """(whether they lie apart, what the row holds) of an entry's changes."""
        if len(changes) <= CHANGES_INLINE_MAX:
            return 0, b"".join(changes)
        key = spill_key(index)
        record = seal(key, b"".join(changes))
        self._txn.put(key, record, db=self._db)
        self._account(len(key) + len(record), int.from_bytes(record[:CRC_BYTES], "big"), 1)
        return 1, b""

    def write(self) -> None:
        """Put the appended rows into the transaction."""
        rows = self.rows
        if not rows:
            return
        block, body, crc = self._tail
        key = block_key(block)
        added = b"".join(rows)
        rows.clear()
        if body:
            self._account(len(key) + CRC_BYTES + len(body), crc, -1)
        body += added
        crc = crc32(added, crc)
        self._txn.put(key, crc.to_bytes(CRC_BYTES, "big") + body, db=self._db)
        self._account(len(key) + CRC_BYTES + len(body), crc, 1)
        self._tail = JournalTail(block, body, crc)

    def end_block(self, index: int) -> None:
        """``index`` was the last entry of its block."""
        assert block_of(index) == self._tail.block, "blocks end where they should"
        self.write()
        self._tail = JournalTail.start(self._tail.block + 1)

    def forget(self, key: bytes, record: bytes) -> None:
        """Delete a record of the journal."""
        self._txn.delete(key, db=self._db)
        crc = int.from_bytes(record[:CRC_BYTES], "big")
        self._account(len(key) + len(record), crc, -1)

    def _account(self, size: int, crc: int, sign: int) -> None:
        """A record came (+1) or went (−1)."""
        self._totals.digest += sign * mix64(crc)
        self._totals.size += sign * size
        self.size += sign * size
