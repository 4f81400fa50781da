"""One follower as the leader sees it: how far it matches, and what is in flight to it."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from coord.raft.types import Index

if TYPE_CHECKING:
    from coord.raft.types import Incarnation, NodeId, SnapshotMeta


class ProgressState(Enum):
    """PROBE: position unknown, one message at a time. REPLICATE: pipelined, optimistic.
    SNAPSHOT: a file is on its way and no entries are."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """Invariant: ``match < next``; in REPLICATE everything in between is in flight or lost."""

    __slots__ = (
        "commit_sent",
        "has_answered",
        "id",
        "incarnation",
        "inflight",
        "inflight_bytes",
        "last_heard",
        "match",
        "next",
        "paused",
        "read_round",
        "snapshot",
        "snapshot_offset",
        "snapshot_refused",
        "snapshot_silence",
        "snapshot_whole",
        "state",
    )

    def __init__(self, node: NodeId, incarnation: Incarnation, following: Index, now: int) -> None:
        self.id = node
        self.incarnation = incarnation
        """Answers of any other incarnation of this id are ignored."""
        self.match = Index(0)
        """Known durable there and equal to ours up to here. Never decreases within a term."""
        self.next: Index = following
        """First index of the next AppendEntries."""
        self.state = ProgressState.PROBE
        self.paused = False
        """PROBE only: one message is out, wait for an answer or a heartbeat response."""
        self.inflight: deque[tuple[Index, int]] = deque()
        """REPLICATE only: (last index, bytes) of each AppendEntries not yet acknowledged."""
        self.inflight_bytes = 0
        self.commit_sent = Index(0)
        """Commit index the follower has been told, if nothing was lost."""
        self.last_heard = now
        """Tick at which it last spoke; its creation counts, as a grace."""
        self.has_answered = False
        """It has spoken, to this leader, in this life."""
        self.read_round = 0
        """Newest heartbeat round it has answered in this term."""
        self.snapshot: SnapshotMeta | None = None
        """SNAPSHOT only: the file being sent, ..."""
        self.snapshot_offset = 0
        """... how much of it has arrived, ..."""
        self.snapshot_whole = False
        """... whether the follower was told that there is no more, ..."""
        self.snapshot_refused = False
        """... whether it could not use what it got, ..."""
        self.snapshot_silence = 0
        """... and ticks since it was last heard about."""

    def become_probe(self) -> None:
        """Find the position again, from what is certain."""
        self.state = ProgressState.PROBE
        self.next = Index(self.match + 1)
        self.paused = False
        self._drop_inflight()

    def become_replicate(self) -> None:
        """The position is known: stream."""
        self.state = ProgressState.REPLICATE
        self.next = Index(self.match + 1)
        self.paused = False
        self._drop_inflight()

    def become_snapshot(self, meta: SnapshotMeta) -> None:
        """The entries it needs are gone: send the state instead."""
        self.state = ProgressState.SNAPSHOT
        self.paused = False
        self._drop_inflight()
        self.snapshot = meta
        self.snapshot_offset = 0
        self.snapshot_whole = False
        self.snapshot_refused = False
        self.snapshot_silence = 0

    def _drop_inflight(self) -> None:
        self.inflight.clear()
        self.inflight_bytes = 0
        self.snapshot = None

    def sent(self, last: Index, size: int) -> None:
        """An AppendEntries up to ``last`` has been emitted."""
        if self.state is ProgressState.PROBE:
            self.paused = True
            return
        self.next = Index(last + 1)
        self.inflight.append((last, size))
        self.inflight_bytes += size

    def acknowledged(self, match: Index) -> bool:
        """It reached ``match``: make room in the window; True if that is news."""
        inflight = self.inflight
        while inflight and inflight[0][0] <= match:
            self.inflight_bytes -= inflight.popleft()[1]
        if match <= self.match:
            return False
        self.match = match
        if self.next <= match:
            self.next = Index(match + 1)
        return True

    def has_room(self, max_count: int, max_bytes: int) -> bool:
        """Another AppendEntries may be sent."""
        if self.state is ProgressState.REPLICATE:
            return len(self.inflight) < max_count and self.inflight_bytes < max_bytes
        return self.state is ProgressState.PROBE and not self.paused
