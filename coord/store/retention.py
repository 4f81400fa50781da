"""What happens at fixed indexes: blocks end, rows are folded, old things go.

All of it depends on the log alone, so that every member trims and folds alike.
"""

from __future__ import annotations

from typing import Final

from coord.model.limits import (
    JOURNAL_BLOCK_ENTRIES,
    SESSION_FOLD_ENTRIES,
)
from coord.store.journal_rows import block_end, block_key, rows_of
from coord.store.run import Run
from coord.store.schema import CRC_BYTES, GRAVE_BLOB, U64, unseal
from coord.store.sessions import session_key

_FOLD_MASK: Final = SESSION_FOLD_ENTRIES - 1


def last_fold(index: int) -> int:
    """Index of the newest fold at or before ``index``."""
    return index & ~_FOLD_MASK


def floor_of(first_block: int) -> int:
    """The history floor: rows of revisions above it are kept."""
    return first_block * JOURNAL_BLOCK_ENTRIES


def end_block(run: Run) -> None:
    """The entry just applied was the last of its journal block."""
    index = run.index
    run.journal.end_block(index)
    if not index & _FOLD_MASK:
        _fold(run)
    if run.oldest_ms is None:
        run.oldest_ms = _oldest_ms(run)
    _trim(run)
    if run.ended_due is not None and run.ended_due <= run.log_ms:
        _forget_ended(run)


def _fold(run: Run) -> None:
    """Write the sessions that changed since the last fold."""
    for row in run.sessions.fold(run.index):
        run.put("sessions", session_key(row.id), row.encode()[CRC_BYTES:])


def _trim(run: Run) -> None:
    """Drop the oldest blocks: by count, then one by one by age and size; never unfolded ones."""
    limits, fold = run.limits, last_fold(run.index)
    before = run.first_block
    by_count = min(fold, run.index - limits.history_entries) // JOURNAL_BLOCK_ENTRIES
    if by_count > before:
        _drop_blocks(run, by_count)
    while block_end(run.first_block) <= fold and (
        run.journal.size > limits.history_bytes
        or (run.oldest_ms is not None and run.oldest_ms < run.log_ms - limits.history_age_ms)
    ):
        _drop_blocks(run, run.first_block + 1)
    if run.first_block != before:
        _empty_graves(run, floor_of(run.first_block))


def _drop_blocks(run: Run, stop: int) -> None:
    """Delete the blocks below ``stop``. Their checksums were verified on becoming the oldest, and
    a wrong one would show in the digest."""
    txn, table = run.txn, run.tables.journal
    for key, record in list(txn.scan(table, block_key(run.first_block), block_key(stop))):
        run.journal.forget(key, record)
    run.first_block = stop
    run.oldest_ms = _oldest_ms(run)


def _oldest_ms(run: Run) -> int | None:
    """log_ms of the first row that is kept."""
    for key, record in run.txn.scan(run.tables.journal, block_key(run.first_block)):
        return next(rows_of(unseal("journal", key, record))).log_ms
    return None


def _empty_graves(run: Run, floor: int) -> None:
    """Delete tombstones and superseded blobs that no kept row can name."""
    tree = run.tree
    for grave, _ in list(run.txn.scan(run.tables.graves, b"", U64.pack(floor + 1))):
        tree.graves.store(grave, None)
        what, key = grave[8:9], grave[9:]
        records = tree.blobs if what == GRAVE_BLOB else tree.gone
        records.store(key, None)


def _forget_ended(run: Run) -> None:
    """Drop the post-mortems whose time is over."""
    table = run.tables.ended_order
    run.ended_due = None
    due: list[bytes] = []
    for key, _ in run.txn.scan(table, b""):
        due_ms = U64.unpack_from(key)[0]
        if due_ms > run.log_ms:
            run.ended_due = due_ms
            break
        due.append(key)
    for key in due:
        run.drop("ended_order", key)
        run.drop("ended", key[8:])
