"""From what a JSON body says to the requests of the native wire, checked by its own decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from coord.model import requests as rq
from coord.model.errors import (
    BY_CODE,
    BadArgumentsError,
    CoordError,
    NoAuthError,
    SequenceGapError,
    TransactionError,
    from_code,
)
from coord.model.znode import CreateMode
from coord.protocol.native_client import Reply
from coord.protocol.native_requests import decode_request
from coord.server.http.api.asked import Parameters, member, sequence_of
from coord.server.http.api.calls import Call
from coord.server.http.api.forms import acl_of, mode_of, stat_fields, value_of

ANY: Final = -1
EPHEMERAL: Final = frozenset(int(mode) for mode in CreateMode if mode.is_ephemeral)
_FIELDS: Final = {
    "exists": "exists",
    "value": "value",
    "version": "version",
    "children": "children",
    "modified_revision": "mzxid",
    "created_revision": "czxid",
}
_Fields = Mapping[str, Any]


def checked(op: int, *arguments: Any) -> Any:
    """A write as the native wire's decoder makes it. Raises RequestError."""
    return decode_request([1, op, 1, 0, *arguments])[0]


def create_arguments(body: _Fields, path: str) -> tuple[Any, ...]:
    """What follows the operation's number on the wire."""
    mode = mode_of(body)
    acl = acl_of(member(body, "acl", list, None))
    return path, value_of(body), acl, int(mode), member(body, "ttl_ms", int, 0)


def _create(body: _Fields, path: str) -> list[Any]:
    return [rq.CREATE, *create_arguments(body, path)]


def _set(body: _Fields, path: str) -> list[Any]:
    return [rq.SET, path, value_of(body), member(body, "version", int, ANY)]


def _delete(body: _Fields, path: str) -> list[Any]:
    return [rq.DELETE, path, member(body, "version", int, ANY)]


def _check(body: _Fields, path: str) -> list[Any]:
    return [rq.CHECK, path, member(body, "version", int, ANY)]


def _set_acl(body: _Fields, path: str) -> list[Any]:
    acl = acl_of(member(body, "acl", list))
    return [rq.SET_ACL, path, acl, member(body, "version", int, ANY)]


def _guard(body: _Fields, path: str) -> list[Any]:
    return [rq.GUARD, path, member(body, "token", int)]


def _compare(body: _Fields, path: str) -> list[Any]:
    field = member(body, "field", str)
    if field not in _FIELDS:
        raise BadArgumentsError(f"field is one of {', '.join(_FIELDS)}")
    operand = value_of(body, "operand") if field == "value" else body.get("operand")
    return [rq.COMPARE, path, _FIELDS[field], member(body, "relation", str, "="), operand]


_OPERATIONS: Final[dict[str, Callable[[_Fields, str], list[Any]]]] = {
    "create": _create,
    "set": _set,
    "delete": _delete,
    "set-acl": _set_acl,
    "check": _check,
    "compare": _compare,
    "guard": _guard,
}
OPERATIONS: Final = tuple(_OPERATIONS)
FIELDS: Final = tuple(_FIELDS)


def transaction_of(entries: list[Any]) -> rq.Multi:
    """All operations or none. Raises RequestError."""
    made = [_operation(entry) for entry in entries]
    multi: rq.Multi = checked(rq.MULTI, made)
    return multi


def _operation(entry: Any) -> list[Any]:
    if not isinstance(entry, dict):
        raise BadArgumentsError("an operation is an object")
    make = _OPERATIONS.get(member(entry, "op", str))
    if make is None:
        raise BadArgumentsError(f"op is one of {', '.join(_OPERATIONS)}")
    return make(entry, member(entry, "path", str))


def result_fields(operation: rq.Operation | rq.Refuse, body: tuple[Any, ...]) -> dict[str, Any]:
    """What a write's own part of a reply says: ``body`` as it would be alone."""
    if isinstance(operation, rq.Create):
        return {"path": body[0], "stat": stat_fields(body[1])}
    if isinstance(operation, rq.Set | rq.SetAcl):
        return {"path": operation.path, "stat": stat_fields(body[0])}
    return {"path": getattr(operation, "path", "")}


def guard_of(query: Parameters) -> rq.Guard | None:
    """The hold under which a write is to be done, if it names one. Raises BadArgumentsError."""
    path, token = query.text("guard"), query.number("token", 0)
    if not path and not token:
        return None
    guard: rq.Guard = checked(rq.MULTI, [[rq.GUARD, path, token]]).operations[0]
    return guard


async def perform(call: Call, write: Any, guard: rq.Guard | None = None) -> tuple[Reply, Any]:
    """(the reply, the body that ``write`` alone would have got). Raises CoordError."""
    is_ephemeral = isinstance(write, rq.Create) and write.mode in EPHEMERAL
    if is_ephemeral and call.asked.session is None:
        raise NoAuthError("an ephemeral node belongs to a session: open one (POST /v1/sessions)")
    seq = sequence_of(call.request)
    if guard is None:
        reply = await _write(call, write, seq)
        return reply, reply.body
    try:
        reply = await _write(call, rq.Multi((guard, write)), seq)
    except TransactionError as error:
        raise _own_error(error) from error
    return reply, reply.body[1][1:]


async def _write(call: Call, write: rq.Write, seq: int | None) -> Reply:
    """A gap may be what a node believes that has not heard yet that the session went on elsewhere:
    attaching it again tells how far it is."""
    async with call.caller() as caller:
        try:
            return await caller.write_one(write, seq)
        except SequenceGapError:
            caller.hang_up()
    async with call.caller() as caller:
        return await caller.write_one(write, seq)


def _own_error(error: TransactionError) -> CoordError:
    """What the guard or the write itself was refused with."""
    failed = [code for code in error.results if code in BY_CODE]
    return from_code(failed[0], str(error)) if failed else error
