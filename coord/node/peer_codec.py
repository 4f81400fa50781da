"""Frames between nodes: bytes ↔ batches of messages. Pure.

A frame is ``u32 big-endian length ‖ msgpack``. The body is an array of messages, each
``[tag, *fields]`` (tags 1–99 Raft's, 100 and above the node's own), or a map: a control message,
which is a hello, a refusal, a probe or the answer to a probe. One frame holds a whole batch, so
that a flush costs one pack and one socket write per peer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack

from coord.model.errors import ProtocolError
from coord.model.limits import PEER_FRAME_BYTES_MAX
from coord.node import peer_messages
from coord.raft import wire

NODE_TAG_MIN: Final = 100
"""Tags from here on belong to ``peer_messages``, those below to ``coord.raft.wire``."""
HEADER: Final = struct.Struct(">I")

Control = dict[str, Any]
Frame = list[Any] | Control

_NODE_TYPES: Final[frozenset[type]] = frozenset(peer_messages.PEER_TYPES.values())
_pack: Final = msgpack.Packer(autoreset=True).pack

assert all(tag >= NODE_TAG_MIN for tag in peer_messages.PEER_TYPES)


def encode_batch(messages: Sequence[Any]) -> bytes:
    """One frame for the batch, or several where one would exceed PEER_FRAME_BYTES_MAX.

    Raises ValueError if a single message does: its producer broke its own bound.
    """
    body: bytes = _pack([_to_wire(message) for message in messages])
    if len(body) <= PEER_FRAME_BYTES_MAX:
        return HEADER.pack(len(body)) + body
    if len(messages) == 1:
        raise ValueError(f"a peer message of {len(body)} bytes exceeds {PEER_FRAME_BYTES_MAX}")
    half = len(messages) // 2
    return encode_batch(messages[:half]) + encode_batch(messages[half:])


def encode_control(control: Control) -> bytes:
    """A control frame."""
    body: bytes = _pack(control)
    assert len(body) <= PEER_FRAME_BYTES_MAX
    return HEADER.pack(len(body)) + body


def decode_body(body: bytes | memoryview) -> Frame:
    """A frame's body: messages in the order sent, or a control map. Raises ProtocolError."""
    try:
        plain = msgpack.unpackb(body, use_list=True, strict_map_key=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError(f"a peer frame is not msgpack: {error}") from error
    if isinstance(plain, dict):
        return plain
    if not isinstance(plain, list):
        raise ProtocolError(f"a peer frame holds {type(plain).__name__}")
    try:
        return [_from_wire(fields) for fields in plain]
    except ValueError as error:
        raise ProtocolError(f"malformed peer message: {error}") from error


def _to_wire(message: Any) -> tuple[Any, ...]:
    if type(message) in _NODE_TYPES:
        return peer_messages.to_wire(message)
    return wire.to_wire(message)


def _from_wire(fields: Any) -> Any:
    if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
        raise ValueError("a message is not a list that starts with its tag")
    decode: Callable[[list[Any]], Any] = (
        peer_messages.from_wire if fields[0] >= NODE_TAG_MIN else wire.from_wire
    )
    return decode(fields)


class FrameSplitter:
    """Cuts a byte stream into frame bodies; keeps what is incomplete.

    Invariant: fewer than ``bytes_max`` + one read are ever buffered, and a partial frame's bytes
    are joined once, when it is complete (a large frame arrives in hundreds of reads).
    """

    __slots__ = ("_chunks", "_missing", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        """Raised once the peer has introduced itself."""
        self._chunks: list[bytes] = []
        self._missing = 0
        """Bytes that must arrive before the first kept frame, or its header, is whole."""

    def feed(self, data: bytes) -> list[memoryview]:
        """Bodies completed by ``data``. Raises ProtocolError on an oversized frame."""
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._chunks)
            self._chunks = []
        bodies: list[memoryview] = []
        view = memoryview(data)
        at, end = 0, len(data)
        while end - at >= HEADER.size:
            (length,) = HEADER.unpack_from(data, at)
            if length > self.bytes_max:
                raise ProtocolError(f"a peer frame of {length} bytes exceeds {self.bytes_max}")
            stop = at + HEADER.size + length
            if stop > end:
                self._keep(data[at:], stop - end)
                return bodies
            bodies.append(view[at + HEADER.size : stop])
            at = stop
        if at < end:
            self._keep(data[at:], HEADER.size - (end - at))
        return bodies

    def _keep(self, rest: bytes, missing: int) -> None:
        assert missing > 0
        self._chunks = [rest]
        self._missing = missing
