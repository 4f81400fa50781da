"""Messages as flat tuples of ints, bytes, bools and lists, for any codec to pack.

``to_wire`` gives (tag, to, from, incarnation, term, fields…); ``from_wire`` validates what arrives
and raises ValueError on anything else: peers are authenticated, not trusted to be bug-free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from coord.raft.messages import (
    MESSAGE_TYPES,
    AppendEntries,
    InstallSnapshot,
    Message,
)
from coord.raft.types import EntryKind, Index, LogSlice, Membership, SnapshotMeta, Term

_TAGS = {cls: tag for tag, cls in MESSAGE_TYPES.items()}
_GETTERS: dict[type[Message], Callable[[Message], tuple[Any, ...]]] = {
    cls: attrgetter(*(f.name for f in fields(cls))) for cls in MESSAGE_TYPES.values()
}
_BYTES_MAX = 2**31
_INT_MAX = 2**64


def to_wire(message: Message) -> tuple[Any, ...]:
    """The message as a tuple that msgpack (or anything similar) can pack."""
    cls = type(message)
    values = _GETTERS[cls](message)
    if cls is AppendEntries:
        values = (*values[:-1], _slice_to_wire(values[-1]))
    elif cls is InstallSnapshot:
        head, (meta, *rest) = values[:4], values[4:]
        values = (*head, _meta_to_wire(meta), *rest)
    return (_TAGS[cls], *values)


def from_wire(values: Any) -> Message:
    """Inverse of ``to_wire``; lists and tuples are both accepted. Raises ValueError."""
    if not isinstance(values, list | tuple) or not values:
        raise ValueError("a message is not a list")
    cls = MESSAGE_TYPES.get(values[0]) if type(values[0]) is int else None
    if cls is None:
        raise ValueError(f"unknown message tag {values[0]!r}")
    readers = _READERS[cls]
    if len(values) != len(readers) + 1:
        raise ValueError(f"{cls.__name__} has {len(values) - 1} fields, not {len(readers)}")
    message = cls(*[reader(value) for reader, value in zip(readers, values[1:], strict=True)])
    if isinstance(message, AppendEntries) and message.entries is not None:
        _check_position(message, message.entries)
    return message


def _check_position(message: AppendEntries, run: LogSlice) -> None:
    if run.first != message.prev_index + 1:
        raise ValueError("entries do not follow their predecessor")
    if not message.prev_term <= run.term <= message.term:
        raise ValueError("terms of entries go backwards")


def _slice_to_wire(run: LogSlice | None) -> tuple[Any, ...] | None:
    return None if run is None else (run.first, run.term, int(run.kind), run.payloads)


def _meta_to_wire(meta: SnapshotMeta) -> tuple[Any, ...]:
    return (meta.index, meta.term, meta.membership.encode(), meta.checksum, meta.length)


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _INT_MAX:
        raise ValueError(f"not an unsigned 64-bit integer: {value!r}")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"not a flag: {value!r}")
    return value


def _octets(value: Any) -> bytes:
    if type(value) is not bytes or len(value) > _BYTES_MAX:
        raise ValueError("not bytes")
    return value


def _data(value: Any) -> bytes | None:
    return None if value is None else _octets(value)


def _parts(value: Any, count: int) -> Any:
    if not isinstance(value, list | tuple) or len(value) != count:
        raise ValueError(f"not a list of {count}")
    return value


def _slice(value: Any) -> LogSlice | None:
    if value is None:
        return None
    first, term, kind, payloads = _parts(value, 4)
    if not isinstance(payloads, list | tuple) or not payloads:
        raise ValueError("a run of entries is empty")
    if set(map(type, payloads)) != {bytes}:
        raise ValueError("a run of entries holds something else than bytes")
    if _natural(first) < 1:
        raise ValueError("a run of entries starts below 1")
    return LogSlice(Index(first), Term(_natural(term)), EntryKind(_natural(kind)), list(payloads))


def _meta(value: Any) -> SnapshotMeta:
    index, term, membership, checksum, length = _parts(value, 5)
    return SnapshotMeta(
        Index(_natural(index)),
        Term(_natural(term)),
        Membership.decode(_octets(membership)),
        _octets(checksum),
        _natural(length),
    )


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "entries": _slice,
    "meta": _meta,
    "data": _data,
    "checksum": _octets,
}


def _reader(name: str, annotation: Any) -> Callable[[Any], Any]:
    if name in _SPECIAL:
        return _SPECIAL[name]
    return _flag if annotation == "bool" else _natural


_READERS: dict[type[Message], list[Callable[[Any], Any]]] = {
    cls: [_reader(f.name, f.type) for f in fields(cls)] for cls in MESSAGE_TYPES.values()
}
