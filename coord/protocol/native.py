"""The native wire, server side: bytes → requests, replies and events → bytes. No I/O.

``docs/protocol.md`` is the specification. This file is the hot path of the gateway: one pass over
each socket read, one C call to unpack a frame, one to pack a reply; Get and Set are decoded in
place, everything else through the tables of ``native_requests``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

import msgpack

from coord.model.errors import CoordError, ProtocolError, RequestError, TransactionError
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.limits import DATA_BYTES_MAX, FRAME_BYTES_MAX, KIB
from coord.model.paths import check_path
from coord.model.requests import GET, SET, Get, Request, Set
from coord.protocol.framing import LENGTH, LENGTH_BYTES
from coord.protocol.native_requests import ANY_VERSION, INT32_MAX, XID_MAX, decode_request
from coord.protocol.sniff import HELLO, HELLO_BYTES, VERSION

# Negative xids are the server's own messages.
EVENTS: Final = -1
ONE_SHOT: Final = -2
NOTICE: Final = -3
CANCELLED: Final = -4

FRAME_BYTES_MIN: Final = 3
"""A fixarray head, an xid and an op."""
_SMALL_FRAME_BYTES: Final = 4 * KIB
_ARRAY_ITEMS_MAX: Final = 16_384
_MAP_ITEMS_MAX: Final = 1_024
_DEPTH_FAULTS: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""All that msgpack raises for bytes that are not msgpack (its own errors are ValueErrors)."""

Decoded = tuple[int, Request | CoordError, int, int]
"""(xid, request or the error to answer with, seq, acked); seq is 0 for all but writes."""

_unpack: Final = msgpack.unpackb
_pack: Final = msgpack.Packer(autoreset=True).pack
_length_at: Final = LENGTH.unpack_from
_new: Final = tuple.__new__
_LENGTHS: Final = tuple(struct.pack(">I", length) for length in range(1_024))


def _framed(payload: bytes) -> bytes:
    size = len(payload)
    return (_LENGTHS[size] if size < 1_024 else LENGTH.pack(size)) + payload


def _unpack_fields(payload: bytes) -> list[Any]:
    """The array a frame holds. Raises ProtocolError: what follows cannot be trusted either."""
    try:
        if len(payload) <= _SMALL_FRAME_BYTES:
            fields = _unpack(payload)
        else:  # a few bytes may claim a huge array, which is allocated before it is filled
            fields = _unpack(payload, max_array_len=_ARRAY_ITEMS_MAX, max_map_len=_MAP_ITEMS_MAX)
    except _DEPTH_FAULTS as error:
        raise ProtocolError(f"a frame is not msgpack: {error}") from error
    if type(fields) is not list or len(fields) < 2 or type(fields[1]) is not int:
        raise ProtocolError("a frame is not an array [xid, op, …]")
    return fields


class NativeCodec:
    """One connection's codec. Not shared; holds only bytes that are not yet a frame.

    Invariants:
      * ``len(_rest) < _needed`` between calls: bytes trickling in are copied once per frame.
      * ``_last_xid`` is the greatest xid seen; xids only grow, so a reply names one request.
    """

    __slots__ = ("_last_xid", "_needed", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = HELLO_BYTES
        self._last_xid = -1
        """−1 until the hello has been read."""

    def feed(self, data: bytes) -> list[Decoded]:
        """Requests completed by ``data``, in order; a malformed one is the error to answer.

        Raises ProtocolError when the stream itself is broken (bad hello, oversized length, not an
        array, xid not growing): close the connection. Requests of the same read go with it,
        unanswered as the whole connection is.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        start = 0
        if self._last_xid < 0:
            if len(data) < HELLO_BYTES:
                self._check_hello(data)
                self._rest += data
                return []
            self._check_hello(data)
            self._last_xid = 0
            start = HELLO_BYTES
        return self._frames(data, start)

    def _check_hello(self, head: bytes) -> None:
        if head[: len(HELLO)] != HELLO[: len(head)]:
            raise ProtocolError("the connection does not open with the native hello")
        if len(head) >= HELLO_BYTES and head[len(HELLO)] != VERSION:
            raise ProtocolError(
                f"protocol version {head[len(HELLO)]} is not spoken here, only {VERSION}"
            )

    def _frames(self, data: bytes, at: int) -> list[Decoded]:
        """Decode every whole frame from ``at``; keep the rest."""
        decoded: list[Decoded] = []
        append, last_xid, end = decoded.append, self._last_xid, len(data)
        needed = LENGTH_BYTES
        while at + LENGTH_BYTES <= end:
            length: int = _length_at(data, at)[0]
            if not FRAME_BYTES_MIN <= length <= FRAME_BYTES_MAX:
                raise ProtocolError(f"a frame of {length} bytes is not within the limits")
            at += LENGTH_BYTES
            if at + length > end:
                at -= LENGTH_BYTES
                needed = LENGTH_BYTES + length
                break
            fields = _unpack_fields(data[at : at + length])
            at += length
            xid = fields[0]
            if type(xid) is not int or not last_xid < xid <= XID_MAX:
                raise ProtocolError("an xid is not an integer above the one before")
            last_xid = xid
            append(_decode(xid, fields))
        self._last_xid = last_xid
        self._needed = needed
        if at < end:
            self._rest += data[at:] if at else data
        assert len(self._rest) < needed
        return decoded

    # --- what the server sends -------------------------------------------------------------------

    @staticmethod
    def reply(xid: int, revision: int, body: tuple[Any, ...]) -> bytes:
        """Frame of a success: [xid, 0, revision, *body]."""
        payload: bytes = _pack((xid, 0, revision, *body))
        size = len(payload)
        return (_LENGTHS[size] if size < 1_024 else LENGTH.pack(size)) + payload

    @staticmethod
    def error(
        xid: int,
        revision: int,
        error: CoordError | int,
        message: str = "",
        detail: object = None,
    ) -> bytes:
        """Frame of a refusal: [xid, code, revision, message, detail].

        A TransactionError's detail is the list of its operations' codes.
        """
        if isinstance(error, CoordError):
            message = message or str(error)
            if detail is None and isinstance(error, TransactionError):
                detail = error.results
            error = error.code
        assert error != 0, "0 is success"
        return _framed(_pack((xid, error, revision, message, detail)))

    @staticmethod
    def events(
        watch_id: int,
        revision: int,
        part: int,
        complete: bool,
        changes: Iterable[list[Any] | tuple[Any, ...]],
    ) -> bytes:
        """Frame of a stream: [−1, watch_id, revision, part, complete, changes].

        ``changes`` as :func:`wire_change` makes them; none and complete is a bookmark.
        """
        return _framed(_pack((EVENTS, watch_id, revision, part, complete, list(changes))))

    @staticmethod
    def one_shot(event: WatchEvent) -> bytes:
        """Frame of a one-shot watch that fired: [−2, 0, revision, kind, path]."""
        return _framed(_pack((ONE_SHOT, 0, event.revision, int(event.kind), event.path)))

    @staticmethod
    def notice(revision: int, reason: str, message: str) -> bytes:
        """Frame of a notice, after which the connection is closed."""
        return _framed(_pack((NOTICE, 0, revision, reason, message)))

    @staticmethod
    def cancelled(watch_id: int, revision: int, error: CoordError) -> bytes:
        """Frame of a stream ended by the server: [−4, watch_id, revision, code, message]."""
        return _framed(_pack((CANCELLED, watch_id, revision, error.code, str(error))))


def _decode(xid: int, fields: list[Any]) -> Decoded:
    """Get and Set in place, since they are most of all traffic; the rest through the tables."""
    op = fields[1]
    try:
        if op == SET and len(fields) == 7:
            _, _, seq, acked, path, data, version = fields
            if (
                type(path) is str
                and type(data) is bytes
                and type(version) is int
                and type(seq) is int
                and type(acked) is int
                and ANY_VERSION <= version <= INT32_MAX
                and 0 <= acked < seq <= XID_MAX
                and len(data) <= DATA_BYTES_MAX
            ):
                check_path(path)
                return xid, _new(Set, (path, data, version)), seq, acked
        elif op == GET and len(fields) == 5:
            _, _, path, watch, level = fields
            if type(path) is str and type(watch) is bool and type(level) is int and 0 <= level <= 2:
                check_path(path)
                return xid, _new(Get, (path, watch, level)), 0, 0
        request, seq, acked = decode_request(fields)
    except RequestError as error:
        return xid, error, 0, 0
    return xid, request, seq, acked


def wire_change(event: WatchEvent, *, with_values: bool) -> tuple[Any, ...]:
    """[kind, path, stat, data, prev_stat, prev_data] of an event; data only ``with_values``.

    A CHILDREN event names the parent only: its cause is another node's change.
    """
    if event.kind == ChangeKind.CHILDREN:
        return (int(event.kind), event.path, None, None, None, None)
    change: Change = event.change
    if with_values:
        return (int(event.kind), event.path, *change[3:])
    return (int(event.kind), event.path, change.stat, None, change.prev_stat, None)


__all__ = ["CANCELLED", "EVENTS", "NOTICE", "ONE_SHOT", "Decoded", "NativeCodec", "wire_change"]
