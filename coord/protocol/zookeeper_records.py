"""Jute, ZooKeeper's serialisation: big-endian integers, strings, buffers and vectors with an int32
length in front, −1 for null. Reading is bounds-checked, writing trusts the server's own values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from coord.model.acl import ALL, OPEN, Acl
from coord.model.errors import ProtocolError

NULL: Final = -1
"""Length of a null string, buffer or vector."""
HEADER_BYTES: Final = 8
"""RequestHeader: xid and type."""

INT: Final = struct.Struct(">i")
_LONG: Final = struct.Struct(">q")
_int_at: Final = INT.unpack_from
_long_at: Final = _LONG.unpack_from
_LENGTHS: Final = tuple(INT.pack(length) for length in range(1_024))

_Item = TypeVar("_Item")


class Body:
    """A request's record, read front to back. What lies behind the last field is ignored.

    Every read raises ProtocolError when the frame ends first.
    """

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._at = at
        self._end = end

    @property
    def is_exhausted(self) -> bool:
        """Nothing is left."""
        return self._at >= self._end

    def _take(self, size: int) -> int:
        """Move past the next ``size`` bytes; returns where they start."""
        at = self._at
        if size > self._end - at:
            raise ProtocolError("the record is cut short")
        self._at = at + size
        return at

    def integer(self) -> int:
        """An int: 32 bits."""
        value: int = _int_at(self._data, self._take(4))[0]
        return value

    def long(self) -> int:
        """A long: 64 bits."""
        value: int = _long_at(self._data, self._take(8))[0]
        return value

    def boolean(self) -> bool:
        """A boolean: one byte, anything but 0 is true."""
        return self._data[self._take(1)] != 0

    def buffer(self) -> bytes | None:
        """A buffer, or None for null."""
        size = self.integer()
        if size == NULL:
            return None
        if size < 0:
            raise ProtocolError(f"a length of {size} bytes")
        at = self._take(size)
        return self._data[at : at + size]

    def string_or_none(self) -> str | None:
        """A ustring, or None for null. What is not UTF-8 becomes U+FFFD, as in Java."""
        raw = self.buffer()
        return None if raw is None else raw.decode("utf-8", "replace")

    def string(self) -> str:
        """A ustring; null is refused."""
        value = self.string_or_none()
        if value is None:
            raise ProtocolError("null in place of a string")
        return value

    def vector(self, read: Callable[[], _Item]) -> list[_Item] | None:
        """A vector of what ``read`` reads, or None for null. A negative count is an empty one."""
        count = self.integer()
        # Items take at least a byte each: a count beyond the frame ends in ``_take``.
        return None if count == NULL else [read() for _ in range(count)]

    def strings(self) -> tuple[str, ...]:
        """A vector of ustrings; null is refused, as vector and as item."""
        found = self.vector(self.string)
        if found is None:
            raise ProtocolError("null in place of a vector")
        return tuple(found)

    def acl(self) -> tuple[Acl, ...]:
        """A vector of ACLs; null is as good as empty: neither makes a valid ACL."""
        found = tuple(self.vector(self._acl_entry) or ())
        return OPEN if found == OPEN else found

    def _acl_entry(self) -> Acl:
        return Acl(self.integer(), self.string_or_none() or "", self.string_or_none() or "")


# --- writing --------------------------------------------------------------------------------------


def packed_buffer(raw: bytes) -> bytes:
    """A buffer, and a ustring of encoded text."""
    size = len(raw)
    return (_LENGTHS[size] if size < len(_LENGTHS) else INT.pack(size)) + raw


def packed_string(text: str) -> bytes:
    """A ustring."""
    return packed_buffer(text.encode())


def packed_strings(texts: Iterable[str]) -> bytes:
    """A vector of ustrings."""
    items = [packed_buffer(text.encode()) for text in texts]
    return INT.pack(len(items)) + b"".join(items)


def packed_pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    """A vector of records of two ustrings (ClientInfo: scheme and user)."""
    items = [packed_string(first) + packed_string(second) for first, second in pairs]
    return INT.pack(len(items)) + b"".join(items)


def packed_acl(acl: Iterable[Acl]) -> bytes:
    """A vector of ACLs."""
    items = [
        INT.pack(perms) + packed_string(scheme) + packed_string(who) for perms, scheme, who in acl
    ]
    return INT.pack(len(items)) + b"".join(items)


OPEN_ON_WIRE: Final = packed_acl((Acl(ALL, "world", "anyone"),))
"""What nearly every create carries."""
