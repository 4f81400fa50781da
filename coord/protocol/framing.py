"""Length-prefixed frames: u32 big-endian length, then that many bytes. Same in both directions.

The server's codec reads frames in its own loop (``native.NativeCodec.feed``); this splitter is the
client's, and the reference the tests compare that loop with.
"""

from __future__ import annotations

import struct
from typing import Final

from coord.model.errors import ProtocolError
from coord.model.limits import DATA_BYTES_MAX, FRAME_BYTES_MAX, KIB, MIB

LENGTH: Final = struct.Struct(">I")
LENGTH_BYTES: Final = LENGTH.size

REPLY_FRAME_BYTES_MAX: Final = 8 * MIB
"""Largest frame a server sends: one change with two values, or a full page of children."""

assert 2 * DATA_BYTES_MAX + 256 * KIB <= REPLY_FRAME_BYTES_MAX
assert FRAME_BYTES_MAX <= REPLY_FRAME_BYTES_MAX


def frame(payload: bytes) -> bytes:
    """One frame around ``payload``."""
    return LENGTH.pack(len(payload)) + payload


class FrameSplitter:
    """Bytes in, whole payloads out; what is left waits for more bytes.

    Invariant: ``len(_rest) < _needed`` between calls, so that a frame arriving byte by byte is
    copied once, not once per byte.
    """

    def __init__(self, frame_bytes_max: int = REPLY_FRAME_BYTES_MAX) -> None:
        self._max = frame_bytes_max
        self._rest = bytearray()
        self._needed = LENGTH_BYTES

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads completed by ``data``. Raises ProtocolError for a length above the maximum."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        payloads: list[bytes] = []
        at, end = 0, len(data)
        self._needed = LENGTH_BYTES
        while end - at >= LENGTH_BYTES:
            length: int = LENGTH.unpack_from(data, at)[0]
            if length > self._max:
                raise ProtocolError(f"a frame of {length} bytes is above the {self._max} allowed")
            stop = at + LENGTH_BYTES + length
            if stop > end:
                self._needed = stop - at
                break
            payloads.append(data[at + LENGTH_BYTES : stop])
            at = stop
        if at < end:
            self._rest += data[at:] if at else data
        assert len(self._rest) < self._needed
        return payloads
