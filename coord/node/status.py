"""A picture of one node at one moment: the same value for logs, ``coord status`` and metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from coord.raft.types import NO_NODE, MemberRole

if TYPE_CHECKING:
    from coord.node.leaders import Leadership
    from coord.node.node import Node


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A member as this node sees it. ``lag`` is in entries, known only to the leader."""

    id: int
    role: str
    client: str
    peer: str
    is_leader: bool
    reachable: bool
    lag: int | None


@dataclass(frozen=True, slots=True)
class DiskStatus:
    """In bytes. ``log``: what has been written since the newest snapshot. ``free``: what the file
    system had left when it was last asked."""

    tree: int
    log: int
    free: int


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """A verified snapshot."""

    revision: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DigestStatus:
    """What every member has at the same revision, unless one is wrong."""

    revision: int
    value: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Counts are since start; ``why_no_leader`` is empty while there is one."""

    node: int
    version: str
    cluster: str
    uptime_ms: int
    role: str
    term: int
    leader: int
    why_no_leader: str
    commit: int
    applied: int
    log_first: int
    log_last: int
    feature_level: int
    sessions: int
    connections: int
    watches: int
    writes_in_flight: int
    writes_allowed: bool
    applied_entries: int
    snapshots_taken: int
    last_snapshot_error: str
    stalls: int
    longest_stall_ms: int
    digest_alarm: bool
    is_joint: bool
    members: tuple[MemberStatus, ...]
    disk: DiskStatus
    snapshots: tuple[SnapshotStatus, ...]
    """Newest first."""
    digest: DigestStatus | None
    """The newest sample; None before the first."""
    leaders: tuple[Leadership, ...]
    """Oldest first."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the wire and for JSON."""
        told = asdict(self)
        for name in ("members", "snapshots", "leaders"):
            told[name] = list(told[name])
        return told


def describe(node: Node) -> NodeStatus:
    """Read everything once."""
    raft, machine = node.raft, node.store.machine
    return NodeStatus(
        node=int(node.id),
        version=node.settings.version,
        cluster=machine.cluster_id.hex(),
        uptime_ms=node.clock.monotonic_ms() - node.started_ms,
        role=raft.role.value,
        term=int(raft.term),
        leader=int(raft.leader),
        why_no_leader=_why_no_leader(node),
        commit=int(raft.commit),
        applied=machine.applied_index,
        log_first=int(node.store.log.first_index()),
        log_last=int(raft.last_index),
        feature_level=machine.feature_level,
        sessions=len(machine.sessions),
        connections=len(node.gateway.connections),
        watches=node.registry.counts().watches,
        writes_in_flight=node.gateway.admission.writes_in_flight,
        writes_allowed=node.store.writes_allowed(),
        applied_entries=node.driver.applied_entries,
        snapshots_taken=node.housekeeping.snapshots_taken,
        last_snapshot_error=node.housekeeping.last_error or "",
        stalls=node.ticker.stalls,
        longest_stall_ms=node.ticker.longest_stall_ms,
        digest_alarm=node.digest_alarm,
        is_joint=raft.membership.is_joint,
        members=_members(node),
        disk=DiskStatus(
            tree=node.store.tree.used_bytes(),
            log=node.store.log.log_bytes(),
            free=node.store.space.free_bytes,
        ),
        snapshots=tuple(
            SnapshotStatus(int(meta.index), meta.length) for meta in node.store.snapshots.kept()
        ),
        digest=_digest(node),
        leaders=tuple(node.leaders.kept),
    )


def _digest(node: Node) -> DigestStatus | None:
    samples = node.store.machine.digests
    return DigestStatus(samples[-1][0], f"{samples[-1][1]:016x}") if samples else None


def _members(node: Node) -> tuple[MemberStatus, ...]:
    raft = node.raft
    matches = {follower.id: follower.match for follower in raft.statistics().progress}
    return tuple(
        MemberStatus(
            id=int(member.id),
            role=member.role.name.lower(),
            client=member.client,
            peer=member.peer,
            is_leader=member.id == raft.leader,
            reachable=member.id == node.id or node.is_linked(member.id),
            lag=raft.last_index - matches[member.id] if member.id in matches else None,
        )
        for member in raft.membership.members
    )


def _why_no_leader(node: Node) -> str:
    raft = node.raft
    if raft.leader != NO_NODE:
        return ""
    if not raft.membership.members:
        return "this node belongs to no cluster yet: it waits to be added or replaced"
    voters = [m.id for m in raft.membership.members if m.role is MemberRole.VOTER]
    reached = [voter for voter in voters if voter == node.id or node.is_linked(voter)]
    majority = len(voters) // 2 + 1
    if len(reached) < majority:
        lost = ", ".join(str(voter) for voter in voters if voter not in reached)
        return (
            f"only {len(reached)} of {len(voters)} voters can be reached from here and {majority}"
            f" are needed; start or reconnect node {lost}"
        )
    return f"{len(reached)} of {len(voters)} voters can be reached; an election is under way"
