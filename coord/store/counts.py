"""How much the tree holds, from totals that are kept anyway: nothing is walked."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from coord.model.errors import StorageError
from coord.store.schema import open_tables
from coord.store.write_behind import WriteBehind


class TreeCounts(NamedTuple):
    """A tree in numbers. ``data_bytes``: keys and records, all but those of history."""

    nodes: int
    ephemerals: int
    data_bytes: int


def tree_counts(env: WriteBehind) -> TreeCounts:
    """As of the newest committed state; bytes as of the last fold, if no more can be folded now."""
    tables = open_tables(env)
    with suppress(StorageError):
        env.folded()
    with env.read() as txn:
        state = env.head
        assert state is not None, "the state machine has initialised the tree"
        return TreeCounts(
            txn.count(tables.nodes),
            txn.count(tables.ephemerals),
            state.size - state.journal_size,
        )
