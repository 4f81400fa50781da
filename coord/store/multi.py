"""Transactions: all operations or none, one revision, later ones see earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

from coord.model import requests
from coord.model.errors import (
    OK,
    BadArgumentsError,
    RequestError,
    TooLargeError,
    TransactionError,
)
from coord.model.limits import TXN_BYTES_MAX, TXN_OPERATIONS_MAX
from coord.store.conditions import check, compare, guard, refuse
from coord.store.records import Undo, roll_back
from coord.store.run import STEP_OPERATIONS, Outcome, Run
from coord.store.tree import Tree

NOT_TRIED: Final = -2
"""ZooKeeper's RuntimeInconsistency: the result of operations behind the one that failed."""


def apply_multi(run: Run, operations: list[list[Any]]) -> Generator[None, None, Outcome]:
    """Run a transaction against the tree of ``run``; on failure the tree is as it was.

    The outcome of a failure is TransactionError's code with (message, one code per operation): 0
    before the one that failed, its own, −2 behind it.
    """
    too_large = _excess(operations)
    if too_large is not None:
        return TooLargeError.code, too_large, (too_large,)
    tree = run.tree
    functions = _functions(tree)
    undo: Undo = []
    changes, limited = len(tree.changes), tree.limited
    tree.counted = []
    _watch(tree, undo)
    results: list[tuple[Any, ...]] = []
    failure: RequestError | None = None
    for operation in operations:
        try:
            function = functions.get(operation[0]) or _unknown
            results.append((OK, *function(*operation[1:])))
        except RequestError as error:
            failure = error
            break
        if not len(results) % STEP_OPERATIONS:
            yield
    _watch(tree, None)
    counted, tree.counted = tree.counted, None
    if failure is None:
        return OK, bytes(operation[0] for operation in operations), tuple(results)
    roll_back(undo)
    for session, change in counted:
        run.sessions.count_ephemerals(session, -change)
    del tree.changes[changes:]
    tree.limited = limited
    tree.row = []
    done = len(results)
    codes = (*([OK] * done), failure.code, *([NOT_TRIED] * (len(operations) - done - 1)))
    message = f"operation {done + 1} of {len(operations)} failed: {failure}"
    return TransactionError.code, [message, codes], (message, codes)


def _functions(tree: Tree) -> dict[int, Callable[..., tuple[Any, ...]]]:
    return {
        requests.CREATE: tree.create,
        requests.DELETE: tree.delete,
        requests.SET: tree.set,
        requests.SET_ACL: tree.set_acl,
        requests.CHECK: partial(check, tree),
        requests.COMPARE: partial(compare, tree),
        requests.GUARD: partial(guard, tree),
        requests.REFUSE: refuse,
    }


def _unknown(*_arguments: object) -> tuple[Any, ...]:
    raise BadArgumentsError("a transaction cannot hold an operation of this kind")


def _excess(operations: list[list[Any]]) -> str | None:
    if len(operations) > TXN_OPERATIONS_MAX:
        return f"{len(operations)} operations; at most {TXN_OPERATIONS_MAX} are allowed"
    size = sum(len(part) for one in operations for part in one if isinstance(part, bytes | str))
    if size > TXN_BYTES_MAX:
        return f"{size} bytes of paths and data; at most {TXN_BYTES_MAX} are allowed"
    return None


def _watch(tree: Tree, undo: Undo | None) -> None:
    """Have every table of the tree record what it changes (None: stop)."""
    for records in (tree.nodes, tree.blobs, tree.ephemerals, tree.reap, tree.gone, tree.graves):
        records.undo = undo
