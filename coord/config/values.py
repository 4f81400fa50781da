"""The checked configuration, section by section. Durations in milliseconds, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coord.config.parsers import InitialMember


@dataclass(frozen=True, slots=True)
class NodeSection:
    """Who this node is and where it listens. Advertised addresses are never empty here."""

    id: int
    dir: Path
    client: str
    peer: str
    http: str
    http_names: tuple[str, ...]
    http_trusted: tuple[str, ...]
    advertise_client: str
    advertise_peer: str


@dataclass(frozen=True, slots=True)
class ClusterSection:
    """``initial`` is sorted by id."""

    initial: tuple[InitialMember, ...]


@dataclass(frozen=True, slots=True)
class PeersSection:
    """``dial``: node id → address used instead of the advertised one."""

    dial: Mapping[int, str]
    insecure: bool


@dataclass(frozen=True, slots=True)
class RaftSection:
    """Invariant: 3 × heartbeat ≤ election min < election max ≤ shortest session timeout."""

    heartbeat_ms: int
    election_timeout_ms_min: int
    election_timeout_ms_max: int
    stuck_commit_ms: int


@dataclass(frozen=True, slots=True)
class SessionsSection:
    """Invariant: timeout min ≤ max. ``drift_ppm`` bounds how fast clocks drift apart."""

    timeout_ms_min: int
    timeout_ms_max: int
    drift_ppm: int


@dataclass(frozen=True, slots=True)
class LimitsSection:
    """Invariant: per address ≤ in all."""

    connections_max: int
    connections_per_address_max: int


@dataclass(frozen=True, slots=True)
class ZookeeperSection:
    """What ZooKeeper's clients and operators meet. ``words``: sorted, without repetition.

    At most one of ``super_digest`` and ``super_digest_file`` is given ("": it is not).
    """

    enabled: bool
    words: tuple[str, ...]
    super_digest: str = field(repr=False)
    super_digest_file: str
    reconfig: bool
    read_only: bool
    request_bytes_max: int


@dataclass(frozen=True, slots=True)
class TreeSection:
    """What the tree does by itself."""

    reap_interval_ms: int


@dataclass(frozen=True, slots=True)
class StorageSection:
    """Invariant: quota < map. ``quota_bytes`` counts replicated records."""

    snapshot_log_bytes: int
    log_entries_kept: int
    map_bytes: int
    quota_bytes: int
    reserve_bytes: int
    scrub_interval_ms: int
    allow_any_filesystem: bool


@dataclass(frozen=True, slots=True)
class LogSection:
    """What the process says of itself."""

    format: str
    level: str


@dataclass(frozen=True, slots=True)
class Config:
    """Everything, checked. ``plain`` and ``origins`` are by key, for ``describe``."""

    node: NodeSection
    cluster: ClusterSection
    peers: PeersSection
    raft: RaftSection
    sessions: SessionsSection
    limits: LimitsSection
    zookeeper: ZookeeperSection
    tree: TreeSection
    storage: StorageSection
    log: LogSection
    plain: Mapping[str, Any] = field(repr=False)
    origins: Mapping[str, str] = field(repr=False)


SECTIONS: Mapping[str, type] = {
    "node": NodeSection,
    "cluster": ClusterSection,
    "peers": PeersSection,
    "raft": RaftSection,
    "sessions": SessionsSection,
    "limits": LimitsSection,
    "zookeeper": ZookeeperSection,
    "tree": TreeSection,
    "storage": StorageSection,
    "log": LogSection,
}
