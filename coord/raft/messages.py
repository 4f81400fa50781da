"""What nodes say to each other: one class per message.

Every message carries the sender's term and incarnation. Plain slotted dataclasses: they are made
per batch and per follower, and freezing would triple their cost. Treat them as immutable; the one
exception is ``InstallSnapshot.data``, which the driver fills in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coord.raft.types import Incarnation, Index, LogSlice, NodeId, SnapshotMeta, Term


@dataclass(slots=True)
class Message:
    """Header common to all. ``term`` is the sender's, save in the pre-vote pair."""

    to: NodeId
    frm: NodeId
    incarnation: Incarnation
    """Of the sender's data directory."""
    term: Term


@dataclass(slots=True)
class PreVoteRequest(Message):
    """Would you vote for me in ``term`` (the sender's + 1)? Changes nothing at the receiver
    (dissertation §9.6)."""

    last_index: Index
    last_term: Term


@dataclass(slots=True)
class PreVoteResponse(Message):
    """``term`` is the one asked about if granted, the responder's own if not."""

    granted: bool


@dataclass(slots=True)
class VoteRequest(Message):
    """RequestVote (Raft §5.2). ``transfer``: the leader asked for this election itself, so
    stickiness to it does not apply (dissertation §4.2.3)."""

    last_index: Index
    last_term: Term
    transfer: bool


@dataclass(slots=True)
class VoteResponse(Message):
    """Leaves only once term and vote are durable."""

    granted: bool


@dataclass(slots=True)
class AppendEntries(Message):
    """Entries after (``prev_index``, ``prev_term``); None asks whether that position is reached.
    ``commit`` is the leader's commit index: it counts only up to what this message verifies."""

    prev_index: Index
    prev_term: Term
    commit: Index
    entries: LogSlice | None


@dataclass(slots=True)
class AppendAccepted(Message):
    """The sender's log is durable and equal to the leader's up to ``match``."""

    match: Index


@dataclass(slots=True)
class AppendRejected(Message):
    """There is no (``prev_index``, prev term) here. The logs can only agree at or below
    ``hint_index``, whose term here is ``hint_term`` (Raft §5.3, fast back-off)."""

    prev_index: Index
    hint_index: Index
    hint_term: Term


@dataclass(slots=True)
class Heartbeat(Message):
    """I still lead, and (``commit``, ``commit_term``) is committed: of use to whoever holds it.
    ``read_round`` is fresh in every round; 0 wants no answer (a mere commit advance)."""

    commit: Index
    commit_term: Term
    read_round: int


@dataclass(slots=True)
class HeartbeatResponse(Message):
    """You led when round ``read_round`` reached me."""

    read_round: int


@dataclass(slots=True)
class InstallSnapshot(Message):
    """``size`` bytes of the snapshot file from ``offset``. The core leaves ``data`` None and the
    driver fills it in. ``size`` 0 asks how much the receiver already has of this file."""

    meta: SnapshotMeta
    offset: int
    size: int
    data: bytes | None

    @property
    def done(self) -> bool:
        """This piece is the last."""
        return self.offset + self.size == self.meta.length


@dataclass(slots=True)
class SnapshotProgress(Message):
    """The sender holds the file with that checksum up to ``next_offset``; ``failed``: it could
    not be stored or did not verify, start over."""

    checksum: bytes
    next_offset: int
    failed: bool


@dataclass(slots=True)
class TimeoutNow(Message):
    """Campaign at once: leadership transfer (dissertation §3.10)."""


@dataclass(slots=True)
class ReadRequest(Message):
    """A follower asks for a read index on behalf of a batch it calls ``context``."""

    context: int


@dataclass(slots=True)
class ReadResponse(Message):
    """The batch may be served at ``index``; not ``accepted``: ask somebody else."""

    context: int
    index: Index
    accepted: bool


MESSAGE_TYPES: dict[int, type[Message]] = {
    1: PreVoteRequest,
    2: PreVoteResponse,
    3: VoteRequest,
    4: VoteResponse,
    5: AppendEntries,
    6: AppendAccepted,
    7: AppendRejected,
    8: Heartbeat,
    9: HeartbeatResponse,
    10: InstallSnapshot,
    11: SnapshotProgress,
    12: TimeoutNow,
    13: ReadRequest,
    14: ReadResponse,
}
"""Tags on the wire. Never reuse one."""
