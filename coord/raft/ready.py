"""One output batch of the core. See the driver's contract in ``coord.raft``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coord.raft.messages import Message
    from coord.raft.types import HardState, LogSlice, Membership, ReadState, SnapshotMeta


@dataclass(slots=True)
class Ready:
    """What the driver must do, in this order of rights:

    - send ``messages`` at any time;
    - write ``hard_state``, ``entries`` (first cutting the log from ``entries[0].first`` on) and
      ``appended_membership`` in one durable transaction, then call ``persisted(seq)``;
    - send ``messages_after`` only after this Ready *and every earlier one* are durable (votes,
      acknowledgements), even if this one has nothing to write itself: see ``must_wait``;
    - apply ``committed`` once durable here (applied ≤ durable), then call ``applied(index)``;
    - answer ``read_states`` once applied ≥ their index; fail reads in ``reads_dropped``;
    - ``snapshot_chunk``: store it, then call ``chunk_stored``, or ``chunk_dropped`` or
      ``chunk_failed`` if that is not possible now, or at all;
    - ``refused_snapshot``: a follower could not use this file; see whether it is still sound.

    Several may be outstanding: the driver need not wait for one to be persisted before the next.
    """

    seq: int
    entries: list[LogSlice] = field(default_factory=list)
    hard_state: HardState | None = None
    appended_membership: Membership | None = None
    """Newest appended configuration if it changed (rolled back by truncation)."""
    messages: list[Message] = field(default_factory=list)
    messages_after: list[Message] = field(default_factory=list)
    committed: list[LogSlice] = field(default_factory=list)
    read_states: list[ReadState] = field(default_factory=list)
    reads_dropped: list[int] = field(default_factory=list)
    snapshot_chunk: SnapshotChunk | None = None
    refused_snapshot: SnapshotMeta | None = None

    @property
    def needs_sync(self) -> bool:
        """Something must become durable."""
        return (
            bool(self.entries)
            or self.hard_state is not None
            or self.appended_membership is not None
        )

    @property
    def must_wait(self) -> bool:
        """It takes its turn behind earlier Readys, and ``persisted(seq)`` must follow."""
        return self.needs_sync or bool(self.messages_after)


@dataclass(slots=True)
class SnapshotChunk:
    """A piece of a snapshot that arrived: ``data`` at ``offset`` of the file ``meta`` names."""

    meta: SnapshotMeta
    offset: int
    data: bytes
    done: bool
