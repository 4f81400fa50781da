"""ZooKeeper's wire, server side: bytes → requests, replies and events → bytes. No I/O.

This file is the hot path: one pass over each socket read, one C call for a frame's head, one for a
reply's. The plain forms of get, set, exists and create are decoded in place, everything else
through the tables of ``zookeeper_requests``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from coord.model.acl import OPEN
from coord.model.errors import (
    BY_CODE,
    AuthFailedError,
    ConnectionLostError,
    CoordError,
    ProtocolError,
    SessionExpiredError,
    SessionMovedError,
    TransactionError,
)
from coord.model.events import WatchEvent
from coord.model.limits import DATA_BYTES_MAX, KIB, NAME_BYTES_MAX
from coord.model.requests import (
    CREATE,
    EXISTS,
    GET,
    SET,
    Connect,
    Create,
    Exists,
    Get,
    Request,
    Set,
)
from coord.model.types import ReadLevel
from coord.protocol.zookeeper_operations import CREATE2
from coord.protocol.zookeeper_records import HEADER_BYTES as REQUEST_HEADER_BYTES
from coord.protocol.zookeeper_records import INT, OPEN_ON_WIRE, Body, packed_string
from coord.protocol.zookeeper_replies import (
    DATA_TOKENS_END,
    HANDSHAKE,
    HEADER,
    HEADER_BYTES,
    STAT_TOKENS_END,
    XID_MASK,
    Shape,
    failed_multi,
    failure,
    handshake,
    invalid_session,
    shape_of,
    success,
    token_of,
)
from coord.protocol.zookeeper_requests import decode

Decoded = tuple[int, Request | CoordError, int, int]
"""(token, request or the error to answer with, 0, 0): this wire has no seq and no acked."""

_HANDSHAKE_BYTES_MAX: Final = 1 * KIB
_TIMEOUT_MS_MAX: Final = 2**31 - 1
_CLIENT: Final = "zookeeper"

_HEAD: Final = struct.Struct(">IIiI")
"""Frame length, xid, operation, and the length of the string that most records begin with."""
_HEAD_BYTES: Final = _HEAD.size
_LENGTH_BYTES: Final = 4
_INT_BYTES: Final = 4
_head_at: Final = _HEAD.unpack_from
_length_at: Final = struct.Struct(">I").unpack_from
_int_at: Final = INT.unpack_from

_DATA_HEAD: Final = struct.Struct(">IIqiI")
"""A reply's header and the length of its data."""
_STAT_BYTES: Final = 68
_DATA_BODY_BYTES: Final = HEADER_BYTES + 4 + _STAT_BYTES
_STAT_BODY_BYTES: Final = HEADER_BYTES + _STAT_BYTES
_pack_data_head: Final = _DATA_HEAD.pack
_pack_head: Final = HEADER.pack

_EVENT: Final = struct.Struct(">IIqiii")
"""Frame length, header (xid −1), and the event's kind and state."""
_EVENT_XID: Final = XID_MASK
_SYNC_CONNECTED: Final = 3

_SESSION: Final = int(ReadLevel.SESSION)
_plain_path: Final = re.compile(r"(?:/(?!\.)[ -.0-~]+)+").fullmatch
"""No empty segment, none that begins with a dot, nothing but printable ASCII."""
_KNOWN_PATHS_MAX: Final = 65_536
_known_paths: Final[set[str]] = set()
"""Paths of sets that are plain, process-wide and bounded: a cache of a pure function."""
_PLAIN_READ_BYTES_MAX: Final = NAME_BYTES_MAX // 3
"""A path of these many bytes has no name too long to look up, even if each becomes U+FFFD."""
_PLAIN_MODES: Final = 4
"""Persistent or ephemeral, sequential or not: flags 0 to 3."""
_SEQUENTIAL: Final = 2
_PLAIN_PATH_LENGTH_MAX: Final = NAME_BYTES_MAX - 11
"""No name in a path of at most this length is too long, not even with a number behind it."""
_OPEN_ACL_BYTES: Final = len(OPEN_ON_WIRE)
_CLOSING: Final = frozenset({ConnectionLostError.zookeeper_code, SessionMovedError.zookeeper_code})
_NO_SESSION: Final = frozenset({
    SessionExpiredError.zookeeper_code, AuthFailedError.zookeeper_code,
})  # fmt: skip
_new: Final = tuple.__new__


class ZooKeeperCodec:
    """One connection's codec. Not shared; holds only bytes that are not yet a frame.

    ``request_bytes_max`` bounds a request's frame, as ``jute.maxbuffer`` does.
    ``read_only_allowed``: the client would take a server without quorum; None until the handshake
    and for clients that know nothing of it. ``is_read_only``: set by the node before it answers
    the handshake.

    Invariant: ``len(_rest) < _needed`` between calls: bytes trickling in are copied once a frame.
    """

    __slots__ = ("_is_greeted", "_max", "_needed", "_rest", "is_read_only", "read_only_allowed")
    is_zookeeper: ClassVar[bool] = True

    def __init__(self, request_bytes_max: int = DATA_BYTES_MAX) -> None:
        self.read_only_allowed: bool | None = None
        self.is_read_only = False
        self._max = request_bytes_max
        self._rest = bytearray()
        self._needed = _LENGTH_BYTES
        self._is_greeted = False

    def feed(self, data: bytes) -> list[Decoded]:
        """Requests completed by ``data``, in order; a malformed one is the error to answer.

        The first item is (HANDSHAKE, Connect). Raises ProtocolError when the stream itself is
        broken (a length out of bounds, no room for a header, a bad handshake): close the
        connection. Requests of the same read go with it, unanswered as the whole connection is.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        decoded: list[Decoded] = []
        at = 0
        if not self._is_greeted:
            at = self._greet(data, decoded)
            if not self._is_greeted:
                return []
        self._frames(data, at, decoded)
        return decoded

    def _greet(self, data: bytes, decoded: list[Decoded]) -> int:
        """Read the handshake as soon as it is there; returns where it ends."""
        if len(data) >= _LENGTH_BYTES:
            length: int = _length_at(data)[0]
            if length > _HANDSHAKE_BYTES_MAX:
                raise ProtocolError(f"a handshake of {length} bytes")
            stop = _LENGTH_BYTES + length
            if stop <= len(data):
                decoded.append((HANDSHAKE, self._connect(Body(data, _LENGTH_BYTES, stop)), 0, 0))
                self._is_greeted = True
                return stop
            self._needed = stop
        self._rest += data
        return 0

    def _connect(self, body: Body) -> Connect:
        body.integer()  # the protocol's version: there has been one
        last_revision, timeout_ms, session = body.long(), body.integer(), body.long()
        secret = body.buffer() or b""
        if not body.is_exhausted:
            self.read_only_allowed = body.boolean()
        timeout_ms = min(max(timeout_ms, 1), _TIMEOUT_MS_MAX)
        # Some clients send a password of any length when they have none yet.
        secret = secret if session else b""
        return Connect(session, secret, timeout_ms, max(last_revision, 0), _CLIENT)

    def _frames(self, data: bytes, at: int, decoded: list[Decoded]) -> None:
        """Decode every whole frame from ``at``; keep the rest.

        Most of all traffic is get, set, exists and create: where such a frame is nothing but its
        fields, it is decoded right here. Whatever is unusual about one falls through to ``decode``.
        """
        append, end, most = decoded.append, len(data), self._max
        while end - at >= _HEAD_BYTES:
            length, xid, operation, size = _head_at(data, at)
            stop = at + _LENGTH_BYTES + length
            if stop > end or length > most:
                break
            start = at + _HEAD_BYTES
            behind = start + size
            at = stop
            if operation == GET and behind + 1 == stop and 0 < size <= _PLAIN_READ_BYTES_MAX:
                path = str(data[start:behind], "utf-8", "replace")
                append((xid, _new(Get, (path, data[behind] != 0, _SESSION)), 0, 0))
                continue
            plain = _PLAIN.get(operation)
            if plain is not None:
                token, read = plain
                request = read(data, start, behind, stop)
                if request is not None:
                    append((token | xid, request, 0, 0))
                    continue
            if length < REQUEST_HEADER_BYTES:
                raise ProtocolError(f"a request of {length} bytes has no header")
            append((*decode(xid, operation, data, start - _INT_BYTES, stop), 0, 0))
        self._keep(data, at, decoded)

    def _keep(self, data: bytes, at: int, decoded: list[Decoded]) -> None:
        """The end of a read: a short frame, and the beginning of the next one."""
        rest = len(data) - at
        self._needed = _LENGTH_BYTES
        if rest >= _LENGTH_BYTES:
            length: int = _length_at(data, at)[0]
            if not REQUEST_HEADER_BYTES <= length <= self._max:
                raise ProtocolError(f"a request of {length} bytes; {self._max} are allowed")
            stop = at + _LENGTH_BYTES + length
            if stop <= len(data):
                xid, operation = struct.unpack_from(">Ii", data, at + _LENGTH_BYTES)
                record = at + _LENGTH_BYTES + REQUEST_HEADER_BYTES
                decoded.append((*decode(xid, operation, data, record, stop), 0, 0))
                self._keep(data, stop, decoded)
                return
            self._needed = _LENGTH_BYTES + length
        if rest:
            self._rest += data[at:] if at else data
        assert len(self._rest) < self._needed

    # --- what the server sends -------------------------------------------------------------------

    def reply(self, token: int, revision: int, body: tuple[Any, ...]) -> bytes:
        """Frame of a success."""
        if token < DATA_TOKENS_END:
            data: bytes = body[0]
            stat: bytes = body[1]
            size = len(data)
            head = _pack_data_head(_DATA_BODY_BYTES + size, token, revision, 0, size)
            return head + data + stat
        if token < STAT_TOKENS_END:
            stat = body[0]
            return _pack_head(_STAT_BODY_BYTES, token & XID_MASK, revision, 0) + stat
        if token == HANDSHAKE:
            session, secret, _, timeout_ms = body[:4]
            return handshake(
                session,
                secret,
                timeout_ms,
                with_flag=self.read_only_allowed is not None,
                read_only=self.is_read_only,
            )
        return success(token, revision, body)

    def error(
        self,
        token: int,
        revision: int,
        error: CoordError | int,
        message: str = "",
        detail: object = None,
    ) -> bytes:
        """Frame of a refusal; b"" where ZooKeeper ends the connection instead of answering.

        A TransactionError's detail is the list of its operations' codes.
        """
        del message
        kind = _kind_of(error)
        code = kind.zookeeper_code
        if token == HANDSHAKE:
            if code in _NO_SESSION:
                return invalid_session(with_flag=self.read_only_allowed is not None)
            return b""
        if code in _CLOSING:
            return b""
        if isinstance(error, TransactionError) and detail is None:
            detail = error.results
        is_multi = kind is TransactionError and shape_of(token) == Shape.MULTI
        if is_multi and isinstance(detail, Sequence):
            return failed_multi(token, revision, detail)
        return failure(token, revision, code)

    @staticmethod
    def closes_on(error: CoordError | int) -> bool:
        """Whether ZooKeeper has no answer for ``error`` but the end of the connection."""
        return _kind_of(error).zookeeper_code in _CLOSING

    @staticmethod
    def one_shot(event: WatchEvent) -> bytes:
        """Frame of an event, of whichever kind of watch."""
        path = packed_string(event.path)
        size = _EVENT.size - _LENGTH_BYTES + len(path)
        zxid, kind = event.revision, int(event.kind)
        return _EVENT.pack(size, _EVENT_XID, zxid, 0, kind, _SYNC_CONNECTED) + path

    @staticmethod
    def changes(events: Sequence[WatchEvent], *, with_values: bool) -> bytes:
        """Nothing: this wire has no streams."""
        del events, with_values
        return b""

    @staticmethod
    def events(watch_id: int, revision: int, part: int, complete: bool, changes: bytes) -> bytes:
        """Nothing: this wire has no streams."""
        del watch_id, revision, part, complete, changes
        return b""

    @staticmethod
    def cancelled(watch_id: int, revision: int, error: CoordError) -> bytes:
        """Nothing: this wire has no streams."""
        del watch_id, revision, error
        return b""

    @staticmethod
    def notice(revision: int, reason: str, message: str) -> bytes:
        """Nothing: this wire closes without a word."""
        del revision, reason, message
        return b""


def _kind_of(error: CoordError | int) -> type[CoordError]:
    return BY_CODE.get(error, CoordError) if isinstance(error, int) else type(error)


def _is_plain(path: str) -> bool:
    """Valid at a glance. Says False of some valid paths, of which ``check_path`` decides."""
    return _plain_path(path) is not None and len(path) <= _PLAIN_PATH_LENGTH_MAX


def _plain_exists(data: bytes, start: int, behind: int, stop: int) -> Exists | None:
    if behind + 1 != stop or not 0 < behind - start <= _PLAIN_READ_BYTES_MAX:
        return None
    path = str(data[start:behind], "utf-8", "replace")
    return None if "\0" in path else _new(Exists, (path, data[behind] != 0, _SESSION))


def _plain_set(data: bytes, start: int, behind: int, stop: int) -> Set | None:
    """A set of a path that is plainly valid."""
    value_at = behind + _INT_BYTES
    version_at = stop - _INT_BYTES
    if value_at > version_at or value_at + _int_at(data, behind)[0] != version_at:
        return None
    path = str(data[start:behind], "utf-8", "replace")
    if path not in _known_paths:
        if not _is_plain(path):
            return None
        if len(_known_paths) >= _KNOWN_PATHS_MAX:
            _known_paths.clear()
        _known_paths.add(path)
    return _new(Set, (path, data[value_at:version_at], _int_at(data, version_at)[0]))


def _plain_create(data: bytes, start: int, behind: int, stop: int) -> Create | None:
    """A create with the open ACL, flags 0 to 3 and a path that is plainly valid."""
    value_at = behind + _INT_BYTES
    if value_at > stop:
        return None
    acl_at = value_at + _int_at(data, behind)[0]
    flags_at = stop - _INT_BYTES
    if (
        acl_at < value_at
        or acl_at + _OPEN_ACL_BYTES != flags_at
        or not data.startswith(OPEN_ON_WIRE, acl_at)
    ):
        return None
    flags = _int_at(data, flags_at)[0]
    path = str(data[start:behind], "utf-8", "replace")
    if not 0 <= flags < _PLAIN_MODES or not _is_plain(path + "0" if flags & _SEQUENTIAL else path):
        return None
    return _new(Create, (path, data[value_at:acl_at], OPEN, flags, 0))


_PLAIN: Final[dict[int, tuple[int, Callable[[bytes, int, int, int], Request | None]]]] = {
    SET: (token_of(Shape.STAT), _plain_set),
    EXISTS: (token_of(Shape.STAT), _plain_exists),
    CREATE: (token_of(Shape.PATH), _plain_create),
    CREATE2: (token_of(Shape.PATH_STAT), _plain_create),
}
"""By operation: the token without its xid, and what reads the plain form, None for any other."""
