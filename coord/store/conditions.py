"""What a transaction may ask of the tree: check, compare, guard."""

from __future__ import annotations

from collections.abc import Callable
from operator import eq, gt, lt, ne
from typing import Any, Final

from coord.model.acl import READ
from coord.model.errors import (
    BadArgumentsError,
    BadVersionError,
    CompareError,
    GuardError,
    NoNodeError,
    from_code,
)
from coord.store.tree import Tree
from coord.store.znode_record import Node

_RELATIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    ">": gt,
}
_NUMBERS: Final[dict[str, str]] = {
    "version": "version",
    "mzxid": "mzxid",
    "czxid": "czxid",
    "children": "children",
}


def check(tree: Tree, path: str, version: int) -> tuple[()]:
    """The node exists with this version (−1: any). −101, READ −102, −103."""
    _, record = tree.find(path)
    tree.require(path, record, READ)
    node = Node.of(record)
    if version not in (-1, node.version):
        raise BadVersionError(f"{path} has version {node.version}, not {version}")
    return ()


def compare(
    tree: Tree, path: str, field: str, relation: str, operand: int | bool | bytes
) -> tuple[()]:
    """``field`` of the node stands in ``relation`` to ``operand``.

    A missing node satisfies nothing but ``exists = false`` (or ``exists != true``).
    Raises BadArgumentsError for a field or relation that does not exist or an operand of another
    type, NoAuthError without READ, CompareError.
    """
    holds = _RELATIONS.get(relation)
    wanted = bool if field == "exists" else bytes if field == "value" else int
    if holds is None or (wanted is int and field not in _NUMBERS):
        raise BadArgumentsError(f"there is no comparison {field} {relation}")
    if not isinstance(operand, wanted) or (wanted is int and isinstance(operand, bool)):
        raise BadArgumentsError(f"{field} cannot be compared with {operand!r}")
    try:
        _, record = tree.find(path)
    except NoNodeError:
        if field == "exists" and holds(False, operand):
            return ()
        raise CompareError(f"{path} does not exist") from None
    tree.require(path, record, READ)
    node = Node.of(record)
    if field == "exists":
        actual: object = True
    elif field == "value":
        actual = tree.data_of(record, node)
    else:
        actual = getattr(node, _NUMBERS[field])
    if not holds(actual, operand):
        raise CompareError(f"{path}: {field} {relation} {operand!r} does not hold")
    return ()


def refuse(code: int, reason: str) -> tuple[()]:
    """An operation that was malformed when it came. Raises the error of its code."""
    raise from_code(code, reason)


def guard(tree: Tree, path: str, token: int) -> tuple[()]:
    """The holder record is still the one this token was granted with, and its session is open.

    Raises GuardError. No permission is needed: the token is the proof.
    """
    try:
        _, record = tree.find(path)
    except NoNodeError:
        raise GuardError(f"nobody holds {path}: the hold of token {token} was lost") from None
    node = Node.of(record)
    if node.mzxid != token:
        raise GuardError(f"{path} was granted again as {node.mzxid} after token {token}")
    if not node.owner or tree.sessions.get(node.owner) is None:
        raise GuardError(f"{path} is not held by an open session")
    return ()
