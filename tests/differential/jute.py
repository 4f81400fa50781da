"""ZooKeeper's record encoding, written from its description and not from ``coord.protocol``.

Big-endian integers; strings, buffers and vectors carry their length as an int, −1 for null.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Stat(NamedTuple):
    """A node's stat in the order of the wire."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    owner: int
    data_length: int
    children: int
    pzxid: int


class AclEntry(NamedTuple):
    """One entry of an access control list."""

    perms: int
    scheme: str | None
    id: str | None


def integer(value: int) -> bytes:
    """An int of 32 bits."""
    return struct.pack(">i", value)


def long(value: int) -> bytes:
    """An int of 64 bits."""
    return struct.pack(">q", value)


def boolean(value: object) -> bytes:
    """One byte."""
    return b"\1" if value else b"\0"


def buffer(value: bytes | None) -> bytes:
    """Bytes behind their length; None is null."""
    return integer(-1) if value is None else integer(len(value)) + value


def string(value: str | None) -> bytes:
    """UTF-8 behind its length; None is null."""
    return buffer(None if value is None else value.encode())


def vector(items: Iterable[bytes] | None) -> bytes:
    """Encoded items behind their number; None is null."""
    if items is None:
        return integer(-1)
    encoded = list(items)
    return integer(len(encoded)) + b"".join(encoded)


def acl(entries: Iterable[Iterable[object]] | None) -> bytes:
    """A vector of (perms, scheme, id)."""
    if entries is None:
        return integer(-1)
    return vector(_acl_entry(*entry) for entry in entries)


def _acl_entry(perms: object, scheme: object, id_: object) -> bytes:
    assert isinstance(perms, int)
    return integer(perms) + _text(scheme) + _text(id_)


def _text(value: object) -> bytes:
    assert value is None or isinstance(value, str)
    return string(value)


class Reader:
    """Takes values off the front of one frame; IndexError if it is too short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def integer(self) -> int:
        """An int of 32 bits."""
        return self._unpack(">i")

    def long(self) -> int:
        """An int of 64 bits."""
        return self._unpack(">q")

    def boolean(self) -> bool:
        """One byte."""
        return self._take(1) != b"\0"

    def buffer(self) -> bytes | None:
        """Bytes, or None for null."""
        length = self.integer()
        return None if length < 0 else self._take(length)

    def string(self) -> str | None:
        """Text, or None for null."""
        data = self.buffer()
        return None if data is None else data.decode()

    def vector(self, item: Callable[[], T]) -> list[T] | None:
        """A list of what ``item`` takes, or None for null."""
        count = self.integer()
        return None if count < 0 else [item() for _ in range(count)]

    def stat(self) -> Stat:
        """A Stat."""
        return Stat(*struct.unpack(">qqqqiiiqiiq", self._take(68)))

    def acl(self) -> list[AclEntry] | None:
        """A vector of access control entries."""
        return self.vector(lambda: AclEntry(self.integer(), self.string(), self.string()))

    def rest(self) -> bytes:
        """Everything that is left."""
        return self._take(len(self._data) - self._at)

    def _unpack(self, layout: str) -> int:
        size = struct.calcsize(layout)
        value: int = struct.unpack(layout, self._take(size))[0]
        return value

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise IndexError(f"{size} bytes wanted, {len(piece)} left")
        self._at += size
        return piece
