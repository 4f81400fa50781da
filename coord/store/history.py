"""Reading the journal back: a path's past, and all changes after a revision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from coord.model.acl import Acl
from coord.model.errors import CompactedError
from coord.model.events import Change, ChangeKind
from coord.store.journal_rows import (
    ChangeRow,
    Row,
    block_key,
    block_of,
    changes_of,
    rows_of,
)
from coord.store.kv import ReadTxn
from coord.store.schema import CRC_BYTES, U64, Tables, missing, unseal, verify
from coord.store.znode_record import BLOB, STAT_AT, STAT_END, Node, acl_of, packed_acl_of


class Touched(NamedTuple):
    """A change, briefly. ``old``: packed Stat before; None: the node did not exist."""

    revision: int
    path: str
    old: bytes | None
    exists: bool


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

    def changes(self, row: Row) -> list[ChangeRow]:
        """The row's changes, wherever they lie."""
        return changes_of(row, self._spilled)

    def data_of(self, record: bytes | None) -> bytes | None:
        """The data of a node as a row holds it, or None."""
        if record is None:
            return None
        node = Node.of(record)
        tail = record[node.data_at :]
        if not node.flags & BLOB:
            return tail
        blob = self._txn.get(tail, None, self._tables.blobs)
        if blob is None:
            raise missing("blobs", tail, "data that history names")
        return unseal("blobs", tail, blob)

    def _spilled(self, key: bytes) -> bytes:
        record = self._txn.get(key, None, self._tables.journal)
        if record is None:
            raise missing("journal", key, "part of a row")
        return unseal("journal", key, record)


def changes_after(journal: JournalReader, revision: int, limit: int) -> Iterator[Change]:
    """Changes of the revisions after ``revision``, in order.

    Stops between two revisions once ``limit`` changes (0: no limit) have been given.
    Raises CompactedError if some of them may have been trimmed.
    """
    _require_kept(journal, revision)
    given = 0
    for row in journal.rows_after(revision):
        if limit and given >= limit:
            return
        for change in journal.changes(row):
            given += 1
            yield Change(
                change.kind,
                change.path,
                row.revision,
                _stat_of(change.new),
                journal.data_of(change.new),
                _stat_of(change.old),
                journal.data_of(change.old),
                packed_acl_of(change.new or change.old or b""),
            )


def _require_kept(journal: JournalReader, revision: int) -> None:
    if revision < journal.floor:
        raise CompactedError(
            f"changes after revision {revision} are no longer kept (those after "
            f"{journal.floor} are): list afresh"
        )


def touched_after(journal: JournalReader, revision: int, limit: int) -> Iterator[Touched]:
    """As ``changes_after``, without the data of nodes."""
    _require_kept(journal, revision)
    given = 0
    for row in journal.rows_after(revision):
        if given >= limit:
            return
        for change in journal.changes(row):
            given += 1
            yield Touched(row.revision, change.path, _stat_of(change.old), change.new is not None)


def node_before(
    journal: JournalReader, path: str, revision: int
) -> tuple[bytes, bytes, tuple[Acl, ...]] | None:
    """(data, packed Stat, ACL) of a node as the entry ``revision``, which changed it, found it;
    None: there was none. Raises CompactedError."""
    row = journal.row_at(revision)
    if row is None:
        raise CompactedError(f"history no longer goes back to revision {revision}")
    old = _changes_of_path(journal, row, path)[0].old
    stat, data = _stat_of(old), journal.data_of(old)
    if old is None or stat is None or data is None:
        return None
    return data, stat, acl_of(old)


def history_of(
    journal: JournalReader, path: str, head: int, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """What happened to a path, newest first, following the links from revision ``head``."""
    found: list[dict[str, Any]] = []
    if before is not None:
        known = journal.row_at(before)
        links = _changes_of_path(journal, known, path) if known else []
        head = links[0].previous if links else head
    while head > journal.floor and len(found) < limit:
        row = journal.row_at(head)
        assert row is not None, f"history of {path} names revision {head}, which has no row"
        changes = _changes_of_path(journal, row, path)
        assert changes, f"revision {head} did not change {path}"
        if before is None or head < before:
            found.extend(_describe(journal, row, change) for change in reversed(changes))
        head = changes[0].previous
    return found[:limit]


def head_of(txn: ReadTxn, tables: Tables, key: bytes, record: bytes | None) -> int:
    """Newest revision in the history of a node (its record, or None if it does not exist)."""
    if record is not None:
        return Node.of(record).changed
    tombstone = txn.get(key, None, tables.gone)
    if tombstone is None:
        return 0
    verify("gone", key, tombstone)
    revision: int = U64.unpack_from(tombstone, CRC_BYTES)[0]
    return revision


def _changes_of_path(journal: JournalReader, row: Row, path: str) -> list[ChangeRow]:
    return [change for change in journal.changes(row) if change.path == path]


def _stat_of(record: bytes | None) -> bytes | None:
    return None if record is None else record[STAT_AT:STAT_END]


def _describe(journal: JournalReader, row: Row, change: ChangeRow) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "kind": ChangeKind(change.kind).name.lower(),
        "path": change.path,
        "wall_ms": row.wall_ms,
        "session": row.session,
        "address": row.address,
        "who": row.who,
        "stat": _stat_of(change.new),
        "data": journal.data_of(change.new),
        "acl": acl_of(change.new or change.old or b""),
    }
