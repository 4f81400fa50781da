"""What a node needs to know of its configuration, as plain checked values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord.model.limits import (
    ELECTION_TIMEOUT_MS_MAX,
    SESSION_TIMEOUT_MS_MAX,
    SESSION_TIMEOUT_MS_MIN,
)

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

    def clamp_timeout_ms(self, wanted_ms: int) -> int:
        """A session timeout within this cluster's bounds."""
        return max(self.session_timeout_ms_min, min(wanted_ms, self.session_timeout_ms_max))
