"""Messages between nodes that are not Raft's: forwarded writes, heartbeats, admin calls.

On the wire each is ``[tag, *fields]``, like Raft's own (``coord.raft.wire``); tags start at 100.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Forward(NamedTuple):
    """Commands taken by the sender's gateway, for the leader to propose in this order."""

    commands: list[bytes]


class ForwardRefused(NamedTuple):
    """The receiver is not a leader that takes proposals now; ``term`` dates the refusal."""

    term: int


class Touches(NamedTuple):
    """Sessions heard from: ``pairs`` holds (session, milliseconds ago)."""

    batch: int
    pairs: list[list[int]]


class TouchesConfirmed(NamedTuple):
    """The leader has extended the deadlines of that batch, but for ``refused`` sessions."""

    batch: int
    refused: list[int]


class AdminCall(NamedTuple):
    """An admin request passed on to the leader."""

    call: int
    op: int
    arguments: dict[str, Any]


class AdminAnswer(NamedTuple):
    """Its answer: code 0 and a body, or an error code and a message."""

    call: int
    code: int
    message: str
    body: list[Any]


class DigestSample(NamedTuple):
    """A node's state digest after applying the entry at ``revision``."""

    revision: int
    digest: int


PeerMessage = (
    Forward | ForwardRefused | Touches | TouchesConfirmed | AdminCall | AdminAnswer | DigestSample
)

PEER_TYPES: Final[dict[int, type[PeerMessage]]] = {
    100: Forward,
    101: ForwardRefused,
    102: Touches,
    103: TouchesConfirmed,
    104: AdminCall,
    105: AdminAnswer,
    106: DigestSample,
}
_TAGS: Final = {cls: tag for tag, cls in PEER_TYPES.items()}

_SHAPES: Final[dict[int, tuple[type, ...]]] = {
    100: (list,),
    101: (int,),
    102: (int, list),
    103: (int, list),
    104: (int, int, dict),
    105: (int, int, str, list),
    106: (int, int),
}
assert _SHAPES.keys() == PEER_TYPES.keys()


def to_wire(message: PeerMessage) -> tuple[Any, ...]:
    """(tag, *fields)."""
    return (_TAGS[type(message)], *message)


def from_wire(fields: list[Any]) -> PeerMessage:
    """Inverse of :func:`to_wire`. Raises ValueError on anything malformed."""
    tag = fields[0] if fields else None
    shape = _SHAPES.get(tag) if isinstance(tag, int) else None
    if not isinstance(tag, int) or shape is None or len(fields) != len(shape) + 1:
        raise ValueError(f"peer message with unknown tag or shape: {tag!r}")
    for value, wanted in zip(fields[1:], shape, strict=True):
        if type(value) is not wanted:
            raise ValueError(f"peer message {tag}: {type(value).__name__} for {wanted.__name__}")
    if tag == 100 and not all(type(command) is bytes for command in fields[1]):
        raise ValueError("forwarded commands must be bytes")
    if tag == 102 and not all(_is_int_pair(pair) for pair in fields[2]):
        raise ValueError("touches must be pairs of integers")
    return PEER_TYPES[tag]._make(fields[1:])


def _is_int_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(x) is int for x in value)
