"""How ZooKeeper's replies are written. A token names a request and carries the form of its reply:
bits 0–31 the client's xid, 32–39 the shape, above them one byte for each result of a multi.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final

from coord.model import requests as rq
from coord.model.errors import BY_CODE, OK, CoordError
from coord.model.limits import SECRET_BYTES
from coord.protocol.zookeeper_operations import CREATE2, GET_CHILDREN
from coord.protocol.zookeeper_records import (
    INT,
    packed_acl,
    packed_buffer,
    packed_pairs,
    packed_string,
    packed_strings,
)

Body = tuple[Any, ...]
"""What ``coord.model.requests`` says the request replies."""


class Shape(IntEnum):
    """What follows the header of a success. DATA is 0, so that such a token is the xid itself."""

    DATA = 0
    STAT = 1
    NOTHING = 2
    PATH = 3
    PATH_STAT = 4
    NAMES = 5
    NAMES_STAT = 6
    ACL = 7
    COUNT = 8
    IDENTITIES = 9
    ZERO = 10
    MULTI = 11
    PING = 12
    AUTH = 13
    HANDSHAKE = 14
    """No header at all."""


XID_MASK: Final = 0xFFFF_FFFF
_SHAPE_SHIFT: Final = 32
_KINDS_SHIFT: Final = 40
DATA_TOKENS_END: Final = 1 << _SHAPE_SHIFT
STAT_TOKENS_END: Final = (Shape.STAT + 1) << _SHAPE_SHIFT
HANDSHAKE: Final = Shape.HANDSHAKE << _SHAPE_SHIFT
"""Token of a connection's first item."""

HEADER: Final = struct.Struct(">IIqi")
"""Frame length, and the reply header: xid, zxid, error."""
HEADER_BYTES: Final = 16
PING_XID: Final = 0xFFFF_FFFE
_NO_ZXID: Final = 0
_MULTI: Final = int(Shape.MULTI)
_PING: Final = int(Shape.PING)
_AUTH: Final = int(Shape.AUTH)

_NEGOTIATED: Final = struct.Struct(">iiq")
_INVALID_SESSION: Final = _NEGOTIATED.pack(0, 0, 0) + packed_buffer(bytes(SECRET_BYTES))

_RESULT: Final = struct.Struct(">i?i")
"""MultiHeader: kind, done, error."""
_ERROR_KIND: Final = -1
_END_OF_RESULTS: Final = _RESULT.pack(-1, True, -1)
_FAILED: Final = struct.Struct(">i?ii")
"""MultiHeader and the error again."""
_PLAIN_HEADS: Final = {kind: _RESULT.pack(kind, False, 0) for kind in (1, 2, 4, 5, 8, 13, 15)}


def token_of(shape: Shape, kinds: bytes = b"") -> int:
    """A token without its xid. ``kinds``: of a multi's results, none of them 0."""
    return int.from_bytes(kinds, "little") << _KINDS_SHIFT | shape << _SHAPE_SHIFT


def shape_of(token: int) -> int:
    """The Shape in a token."""
    return token >> _SHAPE_SHIFT & 0xFF


def _kinds_of(token: int) -> bytes:
    kinds = token >> _KINDS_SHIFT
    return kinds.to_bytes((kinds.bit_length() + 7) // 8, "little")


# --- successes ------------------------------------------------------------------------------------


def _names_stat(body: Body) -> bytes:
    stat: bytes = body[1]
    return packed_strings(body[0]) + stat


def _path_stat(body: Body) -> bytes:
    stat: bytes = body[1]
    return packed_string(body[0]) + stat


def _acl_stat(body: Body) -> bytes:
    stat: bytes = body[1]
    return packed_acl(body[0]) + stat


def _data_stat(body: Body) -> bytes:
    stat: bytes = body[1]
    return packed_buffer(body[0]) + stat


_RECORDS: Final[dict[int, Callable[[Body], bytes]]] = {
    Shape.NOTHING: lambda _body: b"",
    Shape.PATH: lambda body: packed_string(body[0]),
    Shape.PATH_STAT: _path_stat,
    Shape.NAMES: lambda body: packed_strings(body[0]),
    Shape.NAMES_STAT: _names_stat,
    Shape.ACL: _acl_stat,
    Shape.COUNT: lambda body: INT.pack(body[0]),
    Shape.IDENTITIES: lambda body: packed_pairs(body[0]),
    Shape.ZERO: lambda _body: INT.pack(0),
    Shape.PING: lambda _body: b"",
    Shape.AUTH: lambda _body: b"",
}


def success(token: int, revision: int, body: Body) -> bytes:
    """Frame of a success of any shape but DATA, STAT and HANDSHAKE."""
    shape, xid = shape_of(token), token & XID_MASK
    record = _results(_kinds_of(token), body) if shape == _MULTI else _RECORDS[shape](body)
    if shape == _PING:
        xid = PING_XID
    elif shape == _AUTH:
        revision = _NO_ZXID
    return HEADER.pack(HEADER_BYTES + len(record), xid, revision, OK) + record


def handshake(
    session: int, secret: bytes, timeout_ms: int, *, with_flag: bool, read_only: bool
) -> bytes:
    """ConnectResponse; the flag goes only to clients that sent one."""
    record = _NEGOTIATED.pack(0, timeout_ms, session) + packed_buffer(secret)
    return packed_buffer(record + bytes([read_only]) if with_flag else record)


# --- refusals -------------------------------------------------------------------------------------


def invalid_session(*, with_flag: bool) -> bytes:
    """ConnectResponse that says: this session does not exist, or not for you."""
    return packed_buffer(_INVALID_SESSION + b"\0" if with_flag else _INVALID_SESSION)


def zookeeper_code(code: int) -> int:
    """ZooKeeper's number for a code of the native wire. NOT_TRIED (−2) of a transaction stays."""
    if code in (OK, -2):
        return code
    return BY_CODE.get(code, CoordError).zookeeper_code


def failure(token: int, revision: int, code: int) -> bytes:
    """Frame of an error: a bare header."""
    zxid = _NO_ZXID if shape_of(token) == _AUTH else revision
    return HEADER.pack(HEADER_BYTES, token & XID_MASK, zxid, code)


def failed_multi(token: int, revision: int, codes: Sequence[int]) -> bytes:
    """Frame of a multi that failed: no error outside, one error record for each operation."""
    found = [zookeeper_code(code) for code in codes]
    results = [_FAILED.pack(_ERROR_KIND, False, code, code) for code in found]
    record = b"".join(results) + _END_OF_RESULTS
    return HEADER.pack(HEADER_BYTES + len(record), token & XID_MASK, revision, OK) + record


# --- results of a multi ---------------------------------------------------------------------------


_RESULTS: Final[dict[int, Callable[[Body], bytes]]] = {
    rq.CREATE: lambda body: packed_string(body[0]),
    rq.DELETE: lambda _body: b"",
    rq.GET: _data_stat,
    rq.SET: lambda body: bytes(body[0]),
    GET_CHILDREN: lambda body: packed_strings(body[0]),
    rq.CHECK: lambda _body: b"",
    CREATE2: _path_stat,
}
assert _RESULTS.keys() == _PLAIN_HEADS.keys()


def _results(kinds: bytes, body: Body) -> bytes:
    parts: list[bytes] = []
    for kind, (code, *result) in zip(kinds, body, strict=True):
        if code == OK:
            parts += (_PLAIN_HEADS[kind], _RESULTS[kind](tuple(result)))
        else:
            refused = zookeeper_code(code)
            parts.append(_FAILED.pack(_ERROR_KIND, False, refused, refused))
    return b"".join((*parts, _END_OF_RESULTS))
