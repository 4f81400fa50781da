"""What a node needs to know of its configuration, as plain checked values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coord.model.limits import (
    ELECTION_TIMEOUT_MS_MAX,
    SESSION_TIMEOUT_MS_MAX,
    SESSION_TIMEOUT_MS_MIN,
    TICK_MS,
)
from coord.session.expiry import GRACE_MS

if TYPE_CHECKING:
    from coord.raft.config import RaftConfig


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Times in milliseconds. ``stall_ms``: a longer gap in the loop means it slept."""

    raft: RaftConfig
    session_timeout_ms_min: int = SESSION_TIMEOUT_MS_MIN
    session_timeout_ms_max: int = SESSION_TIMEOUT_MS_MAX
    stall_ms: int = ELECTION_TIMEOUT_MS_MAX
    reap_interval_ms: int = 1_000
    feature_level: int = 1
    """Newest feature level that this version can follow."""
    drift_ppm: int = 1_000
    """Bound on clock drift between a client and a node: one part in a thousand."""
    version: str = "0"
    """Version and build as ``status`` shows them."""
    super_digest: str = field(default="", repr=False)
    """``user:base64`` digest of the identity that no ACL binds; "" without one."""
    reconfig: bool = False
    """ZooKeeper clients may change the membership."""
    read_only: bool = False
    """Without a leader, sessions that allow it are served reads of the last applied state."""

    @property
    def grace_ms(self) -> int:
        """Between a session's deadline and its proposed end: never less than three election
        timeouts, so that no acknowledgement of a leader about to be deposed is older."""
        return max(GRACE_MS, 3 * self.raft.election_ticks_max * TICK_MS)

    def clamp_timeout_ms(self, wanted_ms: int) -> int:
        """A session timeout within this cluster's bounds."""
        return max(self.session_timeout_ms_min, min(wanted_ms, self.session_timeout_ms_max))
