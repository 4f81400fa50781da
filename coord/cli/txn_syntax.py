"""The little language of ``coord txn``: one operation per line, words as a shell splits them.

    check PATH [VERSION]                 compare PATH FIELD RELATION OPERAND
    guard PATH TOKEN                     create [-s] PATH [VALUE]
    set PATH VALUE [VERSION]             delete PATH [VERSION]

FIELD is exists, value, version, mzxid, czxid or children; RELATION is =, !=, < or >.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import Final

from coord.model import paths
from coord.model.acl import OPEN
from coord.model.errors import BadArgumentsError
from coord.model.requests import Check, Compare, Create, Delete, Guard, Operation, Set
from coord.model.znode import CreateMode

RELATIONS: Final = frozenset({"=", "!=", "<", ">"})
NUMBER_FIELDS: Final = frozenset({"version", "mzxid", "czxid", "children"})
_TRUTH: Final = {"true": True, "false": False}


def parse(lines: Iterable[str]) -> list[Operation]:
    """The operations of a transaction. Empty lines and # comments are skipped.

    Raises BadArgumentsError naming the line and what is wrong with it.
    """
    return [
        parse_line(line) for line in lines if line.strip() and not line.lstrip().startswith("#")
    ]


def parse_line(line: str) -> Operation:
    """One operation. Raises BadArgumentsError."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadArgumentsError(f"{line.strip()!r}: {error}") from error
    maker = _MAKERS.get(words[0]) if words else None
    if maker is None:
        known = ", ".join(_MAKERS)
        raise BadArgumentsError(f"{line.strip()!r}: an operation is one of {known}")
    try:
        return maker(words[1:])
    except (BadArgumentsError, ValueError) as error:
        raise BadArgumentsError(f"{line.strip()!r}: {error}") from error


def _split(words: list[str], usage: str, least: int, most: int) -> list[str]:
    """The arguments, their number and the path checked."""
    if not least <= len(words) <= most:
        raise BadArgumentsError(f"write it as {usage}")
    paths.check_path(words[0])
    return words


def _number(text: str, what: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise BadArgumentsError(f"{what} {text!r} is not a number") from None


def _check(words: list[str]) -> Operation:
    path, *version = _split(words, "check PATH [VERSION]", 1, 2)
    return Check(path, _number(version[0], "version") if version else -1)


def _compare(words: list[str]) -> Operation:
    usage = "compare PATH FIELD RELATION OPERAND"
    path, field, relation, operand = _split(words, usage, 4, 4)
    if relation not in RELATIONS:
        raise BadArgumentsError(f"relation {relation!r} is none of = != < >")
    if field == "value":
        return Compare(path, field, relation, operand.encode())
    if field == "exists":
        if operand not in _TRUTH:
            raise BadArgumentsError("exists is compared with true or false")
        return Compare(path, field, relation, _TRUTH[operand])
    if field not in NUMBER_FIELDS:
        known = ", ".join(["exists", "value", *sorted(NUMBER_FIELDS)])
        raise BadArgumentsError(f"field {field!r} is none of {known}")
    return Compare(path, field, relation, _number(operand, field))


def _guard(words: list[str]) -> Operation:
    path, token = _split(words, "guard PATH TOKEN", 2, 2)
    return Guard(path, _number(token, "token"))


def _create(words: list[str]) -> Operation:
    sequential = words[:1] == ["-s"]
    path, *value = _split(words[sequential:], "create [-s] PATH [VALUE]", 1, 2)
    mode = CreateMode.PERSISTENT_SEQUENTIAL if sequential else CreateMode.PERSISTENT
    return Create(path, value[0].encode() if value else b"", OPEN, int(mode), 0)


def _set(words: list[str]) -> Operation:
    path, value, *version = _split(words, "set PATH VALUE [VERSION]", 2, 3)
    return Set(path, value.encode(), _number(version[0], "version") if version else -1)


def _delete(words: list[str]) -> Operation:
    path, *version = _split(words, "delete PATH [VERSION]", 1, 2)
    return Delete(path, _number(version[0], "version") if version else -1)


_MAKERS: Final[dict[str, Callable[[list[str]], Operation]]] = {
    "check": _check,
    "compare": _compare,
    "guard": _guard,
    "create": _create,
    "set": _set,
    "delete": _delete,
}
