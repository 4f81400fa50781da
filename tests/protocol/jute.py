"""Jute and ZooKeeper's records once more, written for the tests alone: what a client sends is built
here field by field, what it receives is taken apart again. Imports nothing of ``coord``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

STAT: Final = struct.Struct(">4q3iqiiq")
STAT_FIELDS: Final = (
    "czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeral_owner",
    "data_length", "num_children", "pzxid",
)  # fmt: skip
OPEN: Final = ((31, "world", "anyone"),)


# --- what a client writes -------------------------------------------------------------------------


def i32(value: int) -> bytes:
    """An int."""
    return value.to_bytes(4, "big", signed=True)


def i64(value: int) -> bytes:
    """A long."""
    return value.to_bytes(8, "big", signed=True)


def flag(value: object) -> bytes:
    """A boolean."""
    return b"\x01" if value else b"\x00"


def buffer(value: bytes | None) -> bytes:
    """A buffer; None is null."""
    return i32(-1) if value is None else i32(len(value)) + value


def text(value: str | None) -> bytes:
    """A ustring; None is null."""
    return buffer(None if value is None else value.encode())


def vector(items: Iterable[bytes] | None) -> bytes:
    """A vector of encoded items; None is null."""
    if items is None:
        return i32(-1)
    chosen = list(items)
    return i32(len(chosen)) + b"".join(chosen)


def texts(values: Iterable[str] | None) -> bytes:
    """A vector of ustrings."""
    return vector(None if values is None else map(text, values))


def acl(entries: Iterable[tuple[int, str | None, str | None]] | None) -> bytes:
    """A vector of ACLs."""
    if entries is None:
        return i32(-1)
    return vector(i32(perms) + text(scheme) + text(who) for perms, scheme, who in entries)


def frame(payload: bytes) -> bytes:
    """One frame."""
    return i32(len(payload)) + payload


def handshake(
    session: int = 0,
    password: bytes | None = bytes(16),
    timeout_ms: int = 10_000,
    last_zxid: int = 0,
    read_only: bool | None = False,
) -> bytes:
    """ConnectRequest, framed; ``read_only`` None: a client that knows no such flag."""
    record = i32(0) + i64(last_zxid) + i32(timeout_ms) + i64(session) + buffer(password)
    return frame(record if read_only is None else record + flag(read_only))


def request(xid: int, operation: int, *fields: bytes) -> bytes:
    """A request, framed."""
    return frame(i32(xid) + i32(operation) + b"".join(fields))


def create_record(
    path: str | None,
    data: bytes | None = b"",
    flags: int = 0,
    entries: Iterable[tuple[int, str | None, str | None]] | None = OPEN,
    ttl_ms: int | None = None,
) -> bytes:
    """CreateRequest, or CreateTTLRequest with a ``ttl_ms``."""
    record = text(path) + buffer(data) + acl(entries) + i32(flags)
    return record if ttl_ms is None else record + i64(ttl_ms)


def multi_record(*operations: tuple[int, bytes]) -> bytes:
    """(MultiHeader, record) …, done."""
    parts = [i32(kind) + flag(False) + i32(-1) + record for kind, record in operations]
    return b"".join(parts) + i32(-1) + flag(True) + i32(-1)


# --- what a client reads --------------------------------------------------------------------------


class Reader:
    """One payload, read front to back; a test ends with :meth:`end`."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def rest(self) -> bytes:
        """What has not been read."""
        return self._payload[self._at :]

    def take(self, size: int) -> bytes:
        """The next bytes."""
        start, self._at = self._at, self._at + size
        assert start <= self._at <= len(self._payload), f"{size} bytes of {self._payload!r:.200}"
        return self._payload[start : self._at]

    def i32(self) -> int:
        """An int."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def i64(self) -> int:
        """A long."""
        return int.from_bytes(self.take(8), "big", signed=True)

    def flag(self) -> bool:
        """A boolean, of which only 0 and 1 are written."""
        return {0: False, 1: True}[self.take(1)[0]]

    def buffer(self) -> bytes:
        """A buffer that is not null."""
        return self.take(self.i32())

    def text(self) -> str:
        """A ustring that is not null."""
        return self.buffer().decode()

    def vector(self, read: Callable[[], Any]) -> list[Any]:
        """A vector."""
        return [read() for _ in range(self.i32())]

    def stat(self) -> dict[str, int]:
        """A Stat by field."""
        return dict(zip(STAT_FIELDS, STAT.unpack(self.take(STAT.size)), strict=True))

    def acl(self) -> list[tuple[int, str, str]]:
        """A vector of ACLs."""
        return self.vector(lambda: (self.i32(), self.text(), self.text()))

    def end(self) -> None:
        """Nothing may be left."""
        assert self._at == len(self._payload), f"{len(self.rest)} bytes too many"
