"""The native wire, server side: bytes → requests, replies and events → bytes. No I/O.

``docs/protocol.md`` is the specification. This file is the hot path of the gateway: one pass over
each socket read, one C call to unpack a frame, one to pack a reply; Get and Set are decoded in
place, everything else through the tables of ``native_requests``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgpack

from coord.model.errors import (
    CoordError,
    ProtocolError,
    RequestError,
    TooLargeError,
    TransactionError,
)
from coord.model.events import ChangeKind, WatchEvent
from coord.model.limits import DATA_BYTES_MAX, FRAME_BYTES_MAX, KIB
from coord.model.requests import GET, SET, Get, Request, Set
from coord.protocol.framing import LENGTH, LENGTH_BYTES, REPLY_FRAME_BYTES_MAX
from coord.protocol.native_requests import (
    ANY_VERSION,
    INT32_MAX,
    LEVEL_MAX,
    SEQ_MAX,
    XID_MAX,
    decode_request,
)
from coord.protocol.sniff import HELLO, HELLO_BYTES, VERSION

# Negative xids are the server's own messages.
EVENTS: Final = -1
ONE_SHOT: Final = -2
NOTICE: Final = -3
CANCELLED: Final = -4

NO_CHANGES: Final = b"\x90"
"""An empty array, packed."""
_SIX: Final = b"\x96"
"""Head of an array of six, packed."""

_SMALL_FRAME_BYTES: Final = 4 * KIB
assert _SMALL_FRAME_BYTES <= DATA_BYTES_MAX
_ARRAY_ITEMS_MAX: Final = 16_384
_MAP_ITEMS_MAX: Final = 1_024
_NOT_MSGPACK: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""All that msgpack raises for bytes that are not msgpack (its own errors are ValueErrors)."""

Decoded = tuple[int, Request | CoordError, int, int]
"""(xid, request or the error to answer with, seq, acked); seq is 0 for all but writes."""

_unpack: Final = msgpack.unpackb
_pack: Final = msgpack.Packer(autoreset=True).pack
_length_at: Final = LENGTH.unpack_from
_new: Final = tuple.__new__
_KNOWN_PATHS_MAX: Final = 65_536
_KNOWN_PATH_LENGTH_MAX: Final = 256
_known_paths: Final[set[str]] = set()
"""Paths that have passed check_path, process-wide and bounded: a cache of a pure function."""
_SHORT_WAY: Final = (Get, Set)
_LENGTHS: Final = tuple(struct.pack(">I", length) for length in range(1_024))


def _framed(payload: bytes) -> bytes:
    size = len(payload)
    return (_LENGTHS[size] if size < len(_LENGTHS) else LENGTH.pack(size)) + payload


class NativeCodec:
    """One connection's codec. Not shared; holds only bytes that are not yet a frame.

    Invariants:
      * ``len(_rest) < _needed`` between calls, once the hello is read: bytes trickling in are
        copied once per frame.
      * ``_last_xid`` is the greatest xid seen; xids only grow, so a reply names one request.
    """

    __slots__ = ("_last_xid", "_needed", "_rest")
    is_zookeeper: ClassVar[bool] = False

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = LENGTH_BYTES
        self._last_xid = -1
        """−1 until the hello has been read."""

    def feed(self, data: bytes) -> list[Decoded]:
        """Requests completed by ``data``, in order; a malformed one is the error to answer.

        Raises ProtocolError when the stream itself is broken (bad hello, oversized length, not an
        array, xid not growing): close the connection. Requests of the same read go with it,
        unanswered as the whole connection is.
        """
        if self._last_xid < 0:
            return self._hello(data)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        return self._frames(data, 0)

    def _hello(self, data: bytes) -> list[Decoded]:
        """The connection's first bytes, judged as early as they can be."""
        self._rest += data
        head = bytes(self._rest)
        if head[: len(HELLO)] != HELLO[: len(head)]:
            raise ProtocolError("the connection does not open with the native hello")
        if len(head) < HELLO_BYTES:
            return []
        if head[len(HELLO)] != VERSION:
            raise ProtocolError(
                f"protocol version {head[len(HELLO)]} is not spoken here, only {VERSION}"
            )
        self._rest.clear()
        self._last_xid = 0
        return self._frames(head, HELLO_BYTES)

    def _frames(self, data: bytes, at: int) -> list[Decoded]:
        """Decode every whole frame from ``at``; keep the rest.

        Most of all traffic is Get and Set: in a small frame whose path was seen before, they are
        decoded right here. Whatever is unusual about one falls through to the tables.
        """
        decoded: list[Decoded] = []
        append, known, last_xid, end = decoded.append, _known_paths, self._last_xid, len(data)
        needed = LENGTH_BYTES
        while at + LENGTH_BYTES <= end:
            length: int = _length_at(data, at)[0]
            stop = at + LENGTH_BYTES + length
            if stop > end and length <= FRAME_BYTES_MAX:
                needed = stop - at
                break
            if length <= _SMALL_FRAME_BYTES:
                try:
                    fields = _unpack(data[at + LENGTH_BYTES : stop])
                except _NOT_MSGPACK as error:
                    raise ProtocolError(f"a frame is not msgpack: {error}") from error
            else:
                fields = _unpack_large(data, at + LENGTH_BYTES, length)
            at = stop
            if type(fields) is not list or len(fields) < 2:
                raise ProtocolError("a frame is not an array [xid, op, …]")
            xid, op = fields[0], fields[1]
            if type(xid) is not int or not last_xid < xid <= XID_MAX:
                raise ProtocolError("an xid is not an integer above the one before")
            last_xid = xid
            if op == SET and len(fields) == 7 and length <= _SMALL_FRAME_BYTES:
                _, _, seq, acked, path, value, version = fields
                if (
                    type(path) is str
                    and path in known
                    and type(value) is bytes
                    and type(op) is type(version) is type(seq) is type(acked) is int
                    and ANY_VERSION <= version <= INT32_MAX
                    and 0 <= acked < seq <= SEQ_MAX
                ):
                    append((xid, _new(Set, (path, value, version)), seq, acked))
                    continue
            elif op == GET and len(fields) == 5:
                _, _, path, watch, level = fields
                if (
                    type(path) is str
                    and path in known
                    and type(watch) is bool
                    and type(op) is type(level) is int
                    and 0 <= level <= LEVEL_MAX
                ):
                    append((xid, _new(Get, (path, watch, level)), 0, 0))
                    continue
            append(_decode(xid, op, fields))
        self._last_xid = last_xid
        self._needed = needed
        if at < end:
            self._rest += data[at:] if at else data
        assert len(self._rest) < needed
        return decoded

    # --- what the server sends -------------------------------------------------------------------

    @staticmethod
    def closes_on(error: CoordError | int) -> bool:
        """Every error has a frame on this wire."""
        del error
        return False

    @staticmethod
    def reply(xid: int, revision: int, body: tuple[Any, ...]) -> bytes:
        """Frame of a success: [xid, 0, revision, *body].

        A reply that no client would accept for its length becomes the refusal TooLarge.
        """
        payload: bytes = _pack((xid, 0, revision, *body))
        size = len(payload)
        if size < len(_LENGTHS):
            return _LENGTHS[size] + payload
        if size > REPLY_FRAME_BYTES_MAX:
            message = f"the answer would take {size} bytes; ask for it in pages"
            return NativeCodec.error(xid, revision, TooLargeError(message))
        return LENGTH.pack(size) + payload

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
    def changes(events: Sequence[WatchEvent], *, with_values: bool) -> bytes:
        """The changes of a push, packed; the same for every stream that hears ``events``."""
        packed: bytes = _pack([_change(event, with_values) for event in events])
        return packed

    @staticmethod
    def events(
        watch_id: int,
        revision: int,
        part: int,
        complete: bool,
        changes: bytes | tuple[()] = NO_CHANGES,
    ) -> bytes:
        """Frame of a stream: [−1, watch_id, revision, part, complete, changes].

        ``changes`` as :meth:`changes` packs them; none and complete is a bookmark.
        """
        head: bytes = _pack((EVENTS, watch_id, revision, part, complete))
        return _framed(_SIX + head[1:] + (changes or NO_CHANGES))

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


def _unpack_large(data: bytes, at: int, length: int) -> Any:
    """A frame above the usual size. A few bytes may claim a huge array, which msgpack allocates
    before it fills it: hence the bounds."""
    if length > FRAME_BYTES_MAX:
        raise ProtocolError(f"a frame of {length} bytes is above the {FRAME_BYTES_MAX} allowed")
    try:
        return _unpack(
            data[at : at + length], max_array_len=_ARRAY_ITEMS_MAX, max_map_len=_MAP_ITEMS_MAX
        )
    except _NOT_MSGPACK as error:
        raise ProtocolError(f"a frame is not msgpack: {error}") from error


def _decode(xid: int, op: Any, fields: list[Any]) -> Decoded:
    """Any request, through the tables; a path that proves valid takes the short way next time."""
    if type(op) is not int:
        raise ProtocolError("a frame is not an array [xid, op, …] of integers")
    try:
        request, seq, acked = decode_request(fields)
    except RequestError as error:
        return xid, error, 0, 0
    if isinstance(request, _SHORT_WAY) and len(request.path) <= _KNOWN_PATH_LENGTH_MAX:
        if len(_known_paths) >= _KNOWN_PATHS_MAX:
            _known_paths.clear()
        _known_paths.add(request.path)
    return xid, request, seq, acked


def _change(event: WatchEvent, with_values: bool) -> tuple[Any, ...]:
    """[kind, path, stat, data, prev_stat, prev_data] of an event; data only ``with_values``.

    A CHILDREN event names the parent only: its cause is another node's change.
    """
    kind, path, _, change = event
    if kind == ChangeKind.CHILDREN:
        return (int(kind), path, None, None, None, None)
    if with_values:
        return (int(kind), path, *change[3:7])
    return (int(kind), path, change.stat, None, change.prev_stat, None)
