"""ZooKeeper's multi and multiRead: (MultiHeader, record) … and a header that says done.

What cannot be read, and a read among the writes, spoils the request as a whole (−5); an operation
that is well-formed but refused takes its place among the others as ``Refuse``, since what fails
before it wins. The second value of each function says how the results are written, one byte each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from coord.model import requests as rq
from coord.model.errors import ProtocolError, RequestError, TooLargeError
from coord.model.limits import TXN_OPERATIONS_MAX
from coord.model.znode import CreateMode
from coord.protocol.zookeeper_operations import (
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    GET_CHILDREN,
    CreateRecord,
    check,
    children,
    create_mode,
    delete,
    get,
    require_ttl,
    set_data,
)
from coord.protocol.zookeeper_records import Body

_Result = TypeVar("_Result")
_CREATES: Final = frozenset({rq.CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL})
_OTHERS: Final[dict[int, Callable[[Body], rq.Operation]]] = {
    rq.DELETE: delete,
    rq.SET: set_data,
    rq.CHECK: check,
}


def decode_multi(body: Body) -> tuple[tuple[rq.Operation | rq.Refuse, ...], bytes]:
    """(operations, kind of each result). Raises ProtocolError, TooLargeError."""
    operations, kinds = _decode(body, _operation)
    return tuple(operations), kinds


def decode_multi_read(body: Body) -> tuple[tuple[rq.Get | rq.Children, ...], bytes]:
    """(reads, kind of each result). Raises ProtocolError, TooLargeError."""
    reads, kinds = _decode(body, _read)
    return tuple(reads), kinds


def _decode(
    body: Body, read: Callable[[int, Body], tuple[_Result, int]]
) -> tuple[list[_Result], bytes]:
    found: list[_Result] = []
    kinds = bytearray()
    while True:
        kind, is_done, _ = body.integer(), body.boolean(), body.integer()
        if is_done:
            return found, bytes(kinds)
        if len(found) == TXN_OPERATIONS_MAX:
            raise TooLargeError(f"a multi has at most {TXN_OPERATIONS_MAX} operations")
        request, result_kind = read(kind, body)
        found.append(request)
        kinds.append(result_kind)


def _operation(kind: int, body: Body) -> tuple[rq.Operation | rq.Refuse, int]:
    if kind in _CREATES:
        return _create(kind, body)
    read = _OTHERS.get(kind)
    if read is None:
        raise ProtocolError(f"operation {kind} cannot stand in a multi")
    return _or_refuse(read, body), kind


def _or_refuse(read: Callable[..., rq.Operation], *arguments: Any) -> rq.Operation | rq.Refuse:
    try:
        return read(*arguments)
    except RequestError as error:
        return rq.Refuse(error.code, str(error))


def _create(kind: int, body: Body) -> tuple[rq.Operation | rq.Refuse, int]:
    """Inside a multi the flags decide what is created and how it is answered, whichever of the
    four operations it is; a time to live comes only with its own."""
    record = CreateRecord(body, has_ttl=kind == CREATE_TTL)
    if record.path is None:
        raise ProtocolError("null in place of a path")
    try:
        mode = create_mode(record.flags)
    except RequestError as error:
        return rq.Refuse(error.code, str(error)), rq.CREATE
    if mode.has_ttl and kind != CREATE_TTL:
        raise ProtocolError("a time to live without its operation")
    has_stat = mode.has_ttl or mode is CreateMode.CONTAINER
    return _or_refuse(_judged, record, mode), CREATE2 if has_stat else rq.CREATE


def _judged(record: CreateRecord, mode: CreateMode) -> rq.Create:
    if mode.has_ttl:
        require_ttl(mode, record.ttl_ms)
    return record.request(mode)


def _read(kind: int, body: Body) -> tuple[rq.Get | rq.Children, int]:
    """A multiRead arms no watches, whatever its reads ask for."""
    if kind == rq.GET:
        return get(body)._replace(watch=False), kind
    if kind == GET_CHILDREN:
        return children(body)._replace(watch=False), kind
    raise ProtocolError(f"operation {kind} cannot stand in a multiRead")
