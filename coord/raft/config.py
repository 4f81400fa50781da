"""Tick counts, limits and switches of one node. One tick is 20 ms unless the driver says else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coord.raft.types import Incarnation, NodeId

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """What does not change while a node runs. ``validate`` checks the relations."""

    id: NodeId
    incarnation: Incarnation

    election_ticks_min: int = 20
    """A follower that has heard its leader within this many ticks helps nobody replace it
    (dissertation §4.2.3), and a leader that has not heard a majority for as long steps down."""
    election_ticks_max: int = 40
    """Election timeouts are drawn uniformly from min..max, both included."""
    heartbeat_ticks: int = 5
    """Also the pace at which lost messages, read rounds and probes are retried."""
    failover_jitter_ticks: int = 1
    """After the leader's link broke, a follower waits rank + [0, this) further ticks. Ticks of
    different nodes are out of phase by up to one tick anyway, so 1 is enough jitter."""
    stuck_commit_ticks: int = 100
    """A leader whose commit or own disk has not moved for as long, with work queued, leaves."""

    max_slice_bytes: int = MIB
    """Entries in one AppendEntries (a single larger entry still travels)."""
    max_inflight: int = 64
    """AppendEntries in flight to one follower, and ..."""
    max_inflight_bytes: int = 8 * MIB
    """... their bytes."""
    max_uncommitted_bytes: int = 32 * MIB
    """Proposals are refused while the leader's uncommitted entries exceed this."""
    max_apply_bytes: int = 4 * MIB
    """Committed entries handed out in one Ready."""
    cache_bytes: int = 8 * MIB
    """Durable and applied entries kept in memory for followers slightly behind."""

    snapshot_chunk_bytes: int = MIB
    snapshot_retry_ticks: int = 25
    """An unanswered chunk is offered again after this."""
    snapshot_pause_ticks: int = 100
    """A follower that could not use a snapshot is sent one again after this."""

    promotion_lag: int = 1000
    """A learner this many entries behind the commit index, or fewer, may be promoted."""

    check_quorum: bool = True
    pre_vote: bool = True

    def validate(self) -> None:
        """Raises ValueError naming the first relation that does not hold."""
        positive = (
            "id",
            "heartbeat_ticks",
            "failover_jitter_ticks",
            "max_slice_bytes",
            "max_inflight",
            "max_inflight_bytes",
            "max_uncommitted_bytes",
            "max_apply_bytes",
            "snapshot_chunk_bytes",
            "snapshot_retry_ticks",
            "snapshot_pause_ticks",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive")
        if self.election_ticks_min <= self.heartbeat_ticks:
            raise ValueError("election_ticks_min must exceed heartbeat_ticks")
        if self.election_ticks_max < self.election_ticks_min:
            raise ValueError("election_ticks_max must not be below election_ticks_min")
        if self.stuck_commit_ticks <= self.election_ticks_min:
            raise ValueError("stuck_commit_ticks must exceed election_ticks_min")
