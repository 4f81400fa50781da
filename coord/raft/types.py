"""Values of the consensus core: identities, entries, durable state, membership, snapshots.

Entries are opaque: a payload is bytes that only the state machine understands.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NewType

NodeId = NewType("NodeId", int)
Term = NewType("Term", int)
Index = NewType("Index", int)
Incarnation = NewType("Incarnation", int)
"""Random identity of one data directory: a wiped disk comes back as somebody else."""

NO_NODE = NodeId(0)


class EntryKind(IntEnum):
    """NORMAL payloads go to the state machine, CONFIG payloads are a packed Membership,
    NOOP is the empty entry a new leader appends (Raft §8)."""

    NORMAL = 0
    NOOP = 1
    CONFIG = 2


@dataclass(slots=True)
class LogSlice:
    """A run of consecutive entries of one term and one kind: how entries travel everywhere
    (proposal, log write, AppendEntries, apply), so that cost is paid per batch.

    Invariant: ``payloads`` is not empty and never mutated once the slice is shared.
    """

    first: Index
    term: Term
    kind: EntryKind
    payloads: list[bytes]

    @property
    def last(self) -> Index:
        """Index of the last entry."""
        return Index(self.first + len(self.payloads) - 1)


@dataclass(frozen=True, slots=True)
class HardState:
    """Durable before any message that depends on it (Raft §5.1, fig. 2)."""

    term: Term = Term(0)
    vote: NodeId = NO_NODE


class MemberRole(IntEnum):
    """Learners receive the log and neither vote nor count. One that is JOINING is promoted by
    whichever node leads once it has caught up: the log remembers the intention."""

    VOTER = 0
    LEARNER = 1
    JOINING = 2


@dataclass(frozen=True, slots=True)
class Member:
    """One member; addresses are "host:port" as the others should dial them."""

    id: NodeId
    incarnation: Incarnation
    role: MemberRole = MemberRole.VOTER
    peer: str = ""
    client: str = ""
    http: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """The configuration. Joint while ``outgoing`` is not empty (Raft §6, joint consensus).

    ``members``: the incoming configuration, sorted by id. ``outgoing``: the voters being left.
    """

    members: tuple[Member, ...] = ()
    outgoing: tuple[Member, ...] = ()

    @property
    def is_joint(self) -> bool:
        """Decisions need a majority of both configurations."""
        return bool(self.outgoing)

    @property
    def voters(self) -> tuple[Member, ...]:
        """Voters of the incoming configuration, sorted by id."""
        return tuple(m for m in self.members if m.role is MemberRole.VOTER)

    @property
    def learners(self) -> tuple[Member, ...]:
        """Learners of the incoming configuration, joining ones too, sorted by id."""
        return tuple(m for m in self.members if m.role is not MemberRole.VOTER)

    def find(self, node: NodeId) -> Member | None:
        """The member with that id, looked up among the incoming first."""
        for member in (*self.members, *self.outgoing):
            if member.id == node:
                return member
        return None

    def encode(self) -> bytes:
        """The payload of a CONFIG entry; ``decode`` reads it back.

        Format byte, number of members, number of outgoing voters, then each of them: id,
        incarnation, role, and the addresses as length and UTF-8. Integers are big-endian.
        """
        parts = [_HEAD.pack(_FORMAT, len(self.members), len(self.outgoing))]
        for member in (*self.members, *self.outgoing):
            parts.append(_MEMBER.pack(member.id, member.incarnation, member.role))
            for address in (member.peer, member.client, member.http):
                text = address.encode()
                parts += (_LENGTH.pack(len(text)), text)
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Membership:
        """Inverse of ``encode``. Raises ValueError on anything it cannot have produced."""
        try:
            form, incoming, outgoing = _HEAD.unpack_from(data, 0)
            if form != _FORMAT:
                raise ValueError(f"membership has unknown format {form}")
            members = []
            offset = _HEAD.size
            for _ in range(incoming + outgoing):
                member, offset = _decode_member(data, offset)
                members.append(member)
        except struct.error as error:
            raise ValueError("membership is cut short") from error
        if offset != len(data):
            raise ValueError("membership has trailing bytes")
        groups = tuple(members[:incoming]), tuple(members[incoming:])
        for group in groups:
            ids = [member.id for member in group]
            if ids != sorted(set(ids)):
                raise ValueError("member ids are not sorted and distinct")
        return cls(*groups)


_FORMAT = 1
_HEAD = struct.Struct(">BHH")
_MEMBER = struct.Struct(">QQB")
_LENGTH = struct.Struct(">H")


def _decode_member(data: bytes, offset: int) -> tuple[Member, int]:
    node, incarnation, role = _MEMBER.unpack_from(data, offset)
    offset += _MEMBER.size
    addresses = []
    for _ in range(3):
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        text = data[offset : offset + length]
        if len(text) != length:
            raise ValueError("membership is cut short")
        addresses.append(text.decode())
        offset += length
    if node < 1:
        raise ValueError("a member id is not positive")
    return Member(NodeId(node), Incarnation(incarnation), MemberRole(role), *addresses), offset


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """What a snapshot stands for: the state after ``index``, and the file that holds it."""

    index: Index
    term: Term
    membership: Membership
    checksum: bytes = b""
    """SHA-256 of the file; identifies it for a resumed transfer."""
    length: int = 0


@dataclass(frozen=True, slots=True)
class ReadState:
    """A linearizable read round: reads registered under ``read_id`` may be served once the
    state machine has applied ``index``."""

    read_id: int
    index: Index


@dataclass(slots=True)
class SoftState:
    """Volatile facts for logs and clients."""

    leader: NodeId = NO_NODE
    role: str = "follower"
    term: Term = Term(0)
    learners_caught_up: tuple[NodeId, ...] = field(default=())
