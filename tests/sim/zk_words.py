"""Intents of programs in ZooKeeper's words, and its answers in the history's."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from tests.sim.codes import CHECK, CREATE, DELETE, SET, TRANSACTION

if TYPE_CHECKING:
    from tests.differential.jute import Stat
    from tests.sim.programs import Intent

Args = dict[str, Any]
READS: Final = {"get": "getData", "exists": "exists", "children": "getChildren2"}
QUESTIONS: Final = {
    "ephemerals": "getEphemerals",
    "descendants": "getAllChildrenNumber",
    "get_acl": "getACL",
}
_STAT: Final = struct.Struct(">qqqqiiiqiiq")
CONTAINER: Final = 4
_ERROR_PART: Final = -1
_GET: Final = 4


def request_of(intent: Intent) -> tuple[str, Args]:
    """(operation, arguments) as ``tests.differential.operations`` encodes them."""
    kind, args = intent.kind, intent.args
    if kind in READS:
        return READS[kind], {"path": args[0], "watch": False}
    if kind in QUESTIONS:
        return QUESTIONS[kind], {"path": args[0], "prefix": args[0]}
    if kind == "multi_read":
        names = {"get": "getData", "children": "getChildren"}
        return "multiRead", {"operations": [(names[of], {"path": path}) for of, path in args[0]]}
    if kind == "multi":
        return "multi", {"operations": [_part(part) for part in multi_args(intent)[0]]}
    if kind == "sync":
        return "sync", {"path": args[0]}
    if kind == "close":
        return "close", {}
    return _write({"create": CREATE, "delete": DELETE, "set": SET}[kind], *args)


def _write(number: int, *args: Any) -> tuple[str, Args]:
    if number == CREATE:
        path, data, acl, mode, ttl_ms = args
        if ttl_ms:
            named = {"path": path, "data": _text(data), "acl": acl, "flags": mode, "ttl": ttl_ms}
            return "createTTL", named
        if mode == CONTAINER:
            named = {"path": path, "data": _text(data), "acl": acl, "flags": mode}
            return "createContainer", named
        return "create2", {"path": path, "data": _text(data), "acl": acl, "flags": mode}
    if number == SET:
        path, data, version = args
        return "setData", {"path": path, "data": _text(data), "version": version}
    path, version = args
    return "delete" if number == DELETE else "check", {"path": path, "version": version}


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def multi_args(intent: Intent) -> tuple[Any, ...]:
    """The operations of a transaction that ZooKeeper knows; others are left out."""
    return (tuple(part for part in intent.args[0] if part[0] in (CREATE, DELETE, SET, CHECK)),)


def _part(part: tuple[Any, ...]) -> tuple[str, Args]:
    return _write(part[0], *part[1:])


def body_of(kind: str, body: Any) -> tuple[Any, ...]:
    """What the history holds of a success."""
    if kind in ("set", "exists"):
        return (_packed(body),)
    if kind in ("create", "get", "children"):
        return body[0], _packed(body[1])
    if kind in ("sync", "descendants"):
        return (body,)
    if kind == "ephemerals":
        return (sorted(body),)
    if kind == "get_acl":
        return body[0], _packed(body[1])
    if kind == "multi_read":
        return tuple(_read_body(*result) for result in body)
    if kind == "multi" and not multi_code(body):
        return tuple(_part_body(*result) for result in body)  # a create's without its Stat
    return ()


def multi_code(results: list[Any]) -> int:
    """0 if a transaction happened."""
    return TRANSACTION if any(kind == _ERROR_PART for kind, _, _ in results) else 0


def _part_body(_kind: int, err: int, result: Any) -> tuple[Any, ...]:
    if result is None:
        return (err,)
    if isinstance(result, list):
        return err, result[0], _packed(result[1])
    if isinstance(result, str):
        return err, result
    return err, _packed(result)


def _read_body(kind: int, err: int, result: Any) -> tuple[Any, ...]:
    """One of several reads: an error alone, data with a Stat, or names without."""
    if kind == _ERROR_PART:
        return (result,)
    if kind == _GET:
        return err, result[0], _packed(result[1])
    return err, result


def _packed(stat: Stat) -> bytes:
    return _STAT.pack(*stat)
