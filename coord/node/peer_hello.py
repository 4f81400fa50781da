"""How a node introduces itself to another, and what it may conclude from an introduction. Pure.

A hello is the first frame on a link, in both directions, and may be repeated on a live link when
something in it has changed (a node that has just been bootstrapped says so to everybody). On the
wire it is a msgpack map: unknown keys are ignored, so that the next version may add some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from coord.model.errors import ProtocolError
from coord.raft.types import NO_NODE, Incarnation, Membership, NodeId

MAGIC: Final = "coord-peer"
PROTOCOL: Final = 1
"""Version of the peer protocol this code speaks."""
PROTOCOL_MIN: Final = 1
"""Oldest version it still understands (upgrades go one version in either direction)."""
HELLO_BYTES_MAX: Final = 64 * 1024
PROCESS_BYTES: Final = 8

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Hello:
    """Who is speaking, for which cluster, and what it knows about its membership."""

    node_id: NodeId
    incarnation: Incarnation
    process: bytes
    """Random per process start: tells a reconnect from a second process with the same data."""
    to: NodeId = NO_NODE
    """Whom the dialler believes it has reached; 0 in answers."""
    cluster_id: bytes = b""
    """Empty until this node has been bootstrapped or has joined."""
    history_id: int = 0
    """Changes when a cluster is restored from a backup; 0: not known yet."""
    empty: bool = False
    """The data directory has never held anything of a cluster: it may be given a role."""
    index: int = 0
    """Last applied index: of two memberships the one known by the further node is newer."""
    membership: Membership = field(default_factory=Membership)
    """Newest membership this node knows; its founders' as long as nothing was changed."""
    initial: bytes = b""
    """Digest of the configured initial members (``bootstrap.digest_of``)."""
    feature_level: int = 0
    version: str = ""
    peer: str = ""
    client: str = ""
    http: str = ""
    """Advertised addresses, "host:port"."""
    protocol: int = PROTOCOL
    protocol_min: int = PROTOCOL_MIN

    def as_dict(self) -> dict[str, Any]:
        """Plain form, as ``PeerHandler.on_link_up`` gets it (membership stays a value)."""
        return {known.name: getattr(self, known.name) for known in fields(self)}

    def to_wire(self) -> dict[str, Any]:
        """The map that travels."""
        return {**self.as_dict(), "magic": MAGIC, "membership": self.membership.encode()}

    def is_listed_in(self, membership: Membership) -> bool:
        """Whether exactly this data directory is one of the members."""
        return any(
            member.id == self.node_id and member.incarnation == self.incarnation
            for member in (*membership.members, *membership.outgoing)
        )


_FIELDS: Final[tuple[tuple[str, type], ...]] = (
    ("node_id", int),
    ("incarnation", int),
    ("process", bytes),
    ("to", int),
    ("cluster_id", bytes),
    ("history_id", int),
    ("empty", bool),
    ("index", int),
    ("initial", bytes),
    ("feature_level", int),
    ("version", str),
    ("peer", str),
    ("client", str),
    ("http", str),
    ("protocol", int),
    ("protocol_min", int),
)


def from_wire(plain: dict[str, Any]) -> Hello:
    """Inverse of :meth:`Hello.to_wire`. Raises ProtocolError on anything else."""
    if plain.get("magic") != MAGIC:
        raise ProtocolError("the other side is not a coord peer")
    values: dict[str, Any] = {}
    for name, kind in _FIELDS:
        value = plain.get(name)
        if type(value) is not kind:
            raise ProtocolError(f"hello: {name} is {type(value).__name__}, not {kind.__name__}")
        values[name] = value
    values["membership"] = _guarded(Membership.decode, plain.get("membership"))
    if values["node_id"] <= 0 or len(values["process"]) != PROCESS_BYTES:
        raise ProtocolError("hello: node id or process id out of range")
    if not values["cluster_id"] and not values["empty"]:
        raise ProtocolError("hello: a node without a cluster must be empty")
    return Hello(**values)


def _guarded(decode: Callable[[Any], _T], raw: Any) -> _T:
    if type(raw) is not bytes:
        raise ProtocolError("hello: membership is not bytes")
    try:
        return decode(raw)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ProtocolError(f"hello: membership does not decode: {error}") from error
