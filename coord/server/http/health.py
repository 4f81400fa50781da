"""Is this node alive, and should it be given work?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from coord.raft.types import NO_NODE

if TYPE_CHECKING:
    from coord.node.node import Node

BEHIND_MAX: Final = 10_000
"""Committed entries that a node may still have to apply and count as caught up: some 0.1 s."""


class Check(NamedTuple):
    """One condition of readiness. ``says``: what is so, or what is wrong and what to do."""

    name: str
    is_ok: bool
    says: str


def readiness(node: Node) -> tuple[Check, ...]:
    """Every condition, in the order in which to look at them."""
    return (
        _serving(node),
        _quorum(node),
        _caught_up(node),
        _digest(node),
        _disk(node),
    )


def _serving(node: Node) -> Check:
    if node.gateway.draining:
        return Check("serving", False, "the node is stopping; its clients go elsewhere")
    return Check("serving", True, "clients are served")


def _quorum(node: Node) -> Check:
    leader = node.raft.leader
    if leader == NO_NODE:
        return Check("quorum", False, node.statistics().why_no_leader)
    if node.gateway.is_cut_off:
        return Check(
            "quorum",
            False,
            f"node {leader} led when last heard, and has confirmed no session of this node lately",
        )
    return Check("quorum", True, f"node {leader} leads in term {node.raft.term}")


def _caught_up(node: Node) -> Check:
    machine = node.store.machine
    behind = node.raft.commit - machine.applied_index
    if machine.applied_term != node.raft.term:
        return Check(
            "caught-up", False, f"nothing of term {node.raft.term} has been applied here yet"
        )
    if behind > BEHIND_MAX:
        return Check("caught-up", False, f"{behind} committed entries are to be applied")
    return Check("caught-up", True, f"entry {machine.applied_index} is applied")


def _digest(node: Node) -> Check:
    if node.digest_alarm:
        return Check(
            "digest",
            False,
            "the nodes' states differ and no majority agrees: see docs/operations.md",
        )
    return Check("digest", True, "no other node has contradicted this one's state")


def _disk(node: Node) -> Check:
    if not node.store.writes_allowed():
        return Check(
            "disk", False, "too little disk space or quota is left: delete nodes, or make room"
        )
    return Check("disk", True, "there is space for writes")
