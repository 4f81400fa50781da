"""Deleting a whole subtree: in transactions, the deepest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coord.model import requests as rq
from coord.model.errors import LimitError, NoNodeError, NotEmptyError, TransactionError
from coord.model.limits import TXN_BYTES_MAX
from coord.model.types import ReadLevel
from coord.server.http.api.waiting import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord.server.http.api.calls import Call
    from coord.store.reader import TreeReader

DELETED_MAX: Final = 10_000
"""Nodes that one request deletes."""
BATCH: Final = 200
BATCH_BYTES: Final = TXN_BYTES_MAX // 2
LISTED_AT_ONCE: Final = 500
RACES_MAX: Final = 16


async def delete_all(call: Call, path: str, guard: rq.Guard | None) -> tuple[int, int]:
    """(revision, how many) once nothing is left; what others add meanwhile goes too.

    Not atomic: if it fails halfway, what was deleted stays deleted. Raises CoordError.
    """
    async with call.caller() as caller:
        await caller.ask(rq.Exists(path, False, int(ReadLevel.LINEARIZABLE)))
        deleted = 0
        for _ in range(RACES_MAX):
            found = await _below(call, path)
            try:
                revision = 0
                for batch in _batches(found):
                    operations = tuple(rq.Delete(each, -1) for each in batch)
                    write = rq.Multi(operations if guard is None else (guard, *operations))
                    revision = (await caller.write_one(write)).revision
                    deleted += len(batch)
            except TransactionError as error:
                if not _is_race(error):
                    raise
            else:
                return revision, deleted
    raise NotEmptyError(f"others keep adding nodes below {path}; {deleted} are deleted")


def _batches(paths: list[str]) -> Iterator[list[str]]:
    """As many at a time as one transaction takes."""
    batch: list[str] = []
    size = 0
    for path in paths:
        size += len(path.encode())
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], len(path.encode())
        batch.append(path)
    yield batch


def _is_race(error: TransactionError) -> bool:
    return bool({NoNodeError.code, NotEmptyError.code} & set(error.results))


async def _below(call: Call, path: str) -> list[str]:
    """The node and all below it, children before parents. Raises NoNodeError, LimitError."""
    found: list[str] = []
    after, more, pace = "", True, Pace()
    while more:
        reader: TreeReader = call.node.reader
        page, more = reader.look(path, after, LISTED_AT_ONCE)
        found += [below for below, _ in page]
        if not found:
            raise NoNodeError(f"node {path} does not exist")
        if len(found) > DELETED_MAX:
            raise LimitError(f"more than {DELETED_MAX} nodes lie at and below {path}")
        after = found[-1]
        await pace.pause()
    found.reverse()
    return found
