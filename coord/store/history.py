"""Reading the journal back: a path's past, and all changes after a revision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from coord.model.errors import CompactedError
from coord.model.events import Change, ChangeKind
from coord.store.journal_rows import Row, block_key, block_of, changes_of, rows_of
from coord.store.kv import ReadTxn
from coord.store.schema import CRC_BYTES, U64, Tables, blob_key, unseal, verify
from coord.store.znode_record import FLAGS_AT, unpack_acl

_PATH: Final = 1
_PREVIOUS: Final = 6


class JournalReader:
    """The journal as one read transaction sees it. ``floor``: rows above this are kept."""

    __slots__ = ("_tables", "_txn", "floor")

    def __init__(self, txn: ReadTxn, tables: Tables, floor: int) -> None:
        self._txn = txn
        self._tables = tables
        self.floor = floor

    def row_at(self, index: int) -> Row | None:
        """The row of an entry; None if it was trimmed or never had one."""
        key = block_key(block_of(index))
        record = self._txn.get(key, None, self._tables.journal)
        if index <= self.floor or record is None:
            return None
        for row in rows_of(unseal("journal", key, record)):
            if row.revision == index:
                return row
        return None

    def rows_after(self, index: int) -> Iterator[Row]:
        """Rows of the entries after ``index``, ascending."""
        first = block_key(block_of(index + 1))
        for key, record in self._txn.scan(self._tables.journal, first):
            if len(key) != U64.size:
                continue
            for row in rows_of(unseal("journal", key, record)):
                if row.revision > index:
                    yield row

    def changes(self, row: Row) -> tuple[Any, ...]:
        """The row's changes, wherever they lie."""
        return changes_of(row, self._spilled)

    def data(self, kept: Any) -> bytes | None:
        """Node data from the form a row holds it in."""
        if not isinstance(kept, tuple):
            data: bytes | None = kept
            return data
        key = blob_key(*kept)
        record = self._txn.get(key, None, self._tables.blobs)
        assert record is not None, f"history names blob {key.hex()}, which does not exist"
        return unseal("blobs", key, record)

    def _spilled(self, key: bytes) -> bytes:
        record = self._txn.get(key, None, self._tables.journal)
        assert record is not None, f"journal record {key.hex()} is missing"
        return unseal("journal", key, record)


def changes_after(journal: JournalReader, revision: int, limit: int) -> Iterator[Change]:
    """Changes of the revisions after ``revision``, in order.

    Stops between two revisions once ``limit`` changes (0: no limit) have been given.
    Raises CompactedError if some of them may have been trimmed.
    """
    if revision < journal.floor:
        raise CompactedError(
            f"changes after revision {revision} are no longer kept (from {journal.floor} on they "
            "are): list afresh"
        )
    given = 0
    for row in journal.rows_after(revision):
        if limit and given >= limit:
            return
        for kind, path, stat, data, old_stat, old, *_ in journal.changes(row):
            given += 1
            yield Change(
                kind, path, row.revision, stat, journal.data(data), old_stat, journal.data(old)
            )


def history_of(
    journal: JournalReader, path: str, head: int, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """What happened to a path, newest first, following the links from revision ``head``."""
    found: list[dict[str, Any]] = []
    if before is not None:
        known = journal.row_at(before)
        links = _changes_of_path(journal, known, path) if known else []
        head = links[0][_PREVIOUS] if links else head
    while head > journal.floor and len(found) < limit:
        row = journal.row_at(head)
        assert row is not None, f"history of {path} names revision {head}, which has no row"
        changes = _changes_of_path(journal, row, path)
        assert changes, f"revision {head} did not change {path}"
        if before is None or head < before:
            found.extend(_describe(journal, row, change) for change in reversed(changes))
        head = changes[0][_PREVIOUS]
    return found[:limit]


def head_of(txn: ReadTxn, tables: Tables, key: bytes, record: bytes | None) -> int:
    """Newest revision in the history of a node (its record, or None if it does not exist)."""
    if record is not None:
        return int.from_bytes(record[FLAGS_AT - U64.size : FLAGS_AT], "big")
    tombstone = txn.get(key, None, tables.gone)
    if tombstone is None:
        return 0
    verify("gone", key, tombstone)
    revision: int = U64.unpack_from(tombstone, CRC_BYTES)[0]
    return revision


def _changes_of_path(journal: JournalReader, row: Row, path: str) -> list[Any]:
    return [change for change in journal.changes(row) if change[_PATH] == path]


def _describe(journal: JournalReader, row: Row, change: Any) -> dict[str, Any]:
    kind, path, stat, data, _, _, _, acl = change
    return {
        "revision": row.revision,
        "kind": ChangeKind(kind).name.lower(),
        "path": path,
        "wall_ms": row.wall_ms,
        "session": row.session,
        "address": row.address,
        "who": row.who,
        "stat": stat,
        "data": journal.data(data),
        "acl": unpack_acl(acl or b""),
    }
