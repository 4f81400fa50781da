"""Values of the consensus core: identities, entries, durable state, membership, snapshots.

Entries are opaque: a payload is bytes that only the state machine understands.
"""

from __future__ import annotations

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
    """Learners receive the log and neither vote nor count."""

    VOTER = 0
    LEARNER = 1


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
