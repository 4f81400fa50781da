"""Phases that a fault can wait for: the moments at which its like has done most harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from coord.raft import Role

if TYPE_CHECKING:
    from coord.raft import RaftNode
    from tests.sim.cluster import Cluster


def _cores(cluster: Cluster) -> Iterator[RaftNode]:
    for member in cluster.members.values():
        if member.node is not None:
            yield member.node.raft


def _uncommitted(raft: RaftNode) -> bool:
    return raft.role is Role.LEADER and raft.last_index > raft.commit


def _elects(raft: RaftNode) -> bool:
    return raft.role in {Role.CANDIDATE, Role.PRE_CANDIDATE}


def _any_of(holds: Callable[[RaftNode], bool]) -> Callable[[Cluster], bool]:
    return lambda cluster: any(holds(raft) for raft in _cores(cluster))


def _snapshot_arrives(cluster: Cluster) -> bool:
    """A part of one is at a node that has not verified it."""
    return any(member.disk.parts for member in cluster.members.values())


IN_PHASE: Final[dict[str, Callable[[Cluster], bool]]] = {
    "uncommitted": _any_of(_uncommitted),
    "election": _any_of(_elects),
    "snapshot": _snapshot_arrives,
    "joint": _any_of(lambda raft: raft.membership.is_joint),
    "transfer": _any_of(lambda raft: bool(raft.transferee)),
}
