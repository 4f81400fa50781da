"""Whom this node dials and whose messages it takes. Pure.

Membership is what the log says, but a node may lag: one that slept while others were replaced
knows only members that are gone. It therefore also believes, until its own log catches up, the
newer membership that a peer of its own cluster shows in its hello, if that lists them both. And a
node that knows no membership at all (it is to join) believes its configured peers, and the newest
membership that any member shows: the leader, who alone can let it in, may be nobody it was
configured with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from coord.node.peer_hello import Hello
from coord.raft.types import Incarnation, Member, Membership, NodeId


class Standing(Enum):
    """What a peer that has introduced itself may do."""

    MEMBER = "member"
    """Messages flow."""
    CANDIDATE = "candidate"
    """The link stays and its hello is reported, but no message is taken or sent: somebody to
    found the cluster with, to replace an old incarnation, or to add."""
    REFUSED = "refused"


class Verdict(NamedTuple):
    """A standing, and for a refusal the reason as the other side should log it."""

    standing: Standing
    reason: str = ""


_MEMBER = Verdict(Standing.MEMBER)
_CANDIDATE = Verdict(Standing.CANDIDATE)


def _refused(reason: str) -> Verdict:
    return Verdict(Standing.REFUSED, reason)


class Roster:
    """The current view. ``configured`` and ``overrides`` map node id → "host:port"."""

    def __init__(
        self, own: NodeId, configured: Mapping[NodeId, str], overrides: Mapping[NodeId, str]
    ) -> None:
        self._own = own
        self._configured = dict(configured)
        self._overrides = dict(overrides)
        self._vouched: tuple[int, Membership] | None = None
        """(index, membership) a peer has shown. Invariant: index > own index when it was shown."""
        self.membership = Membership()

    def set_members(self, membership: Membership, index: int) -> None:
        """The log (at ``index``) has this membership now."""
        self.membership = membership
        if self._vouched is not None and self._vouched[0] <= index:
            self._vouched = None

    def introduction(self, own: Hello, index: int) -> Hello:
        """``own`` as it is now, with ``index`` applied. A node that has joined is empty until its
        log says who the members are: from then on others may believe what it shows, also in the
        life in which it has joined."""
        known = self.membership
        if not known.members:
            return replace(own, index=index)
        return replace(own, index=index, membership=known, empty=False)

    def targets(self) -> dict[NodeId, str]:
        """Node id → address to dial, for everybody this node should be able to talk to."""
        if not self.membership.members:
            found = dict(self._configured)
        else:
            found = {member.id: member.peer for member in _everybody(self.membership)}
        if self._vouched is not None:
            for member in _everybody(self._vouched[1]):
                found.setdefault(member.id, member.peer)
        found.pop(self._own, None)
        return {peer: self._overrides.get(peer, address) for peer, address in found.items()}

    def vouch(self, own: Hello, hello: Hello) -> bool:
        """Take over the membership of ``hello`` if it is newer; True if the view has changed."""
        if not own.cluster_id or hello.cluster_id != own.cluster_id or hello.empty:
            return False
        if hello.index <= max(own.index, self._vouched[0] if self._vouched else 0):
            return False
        if not hello.is_listed_in(hello.membership):
            return False
        joins = not self.membership.members
        if not (joins or own.is_listed_in(hello.membership)):
            return False
        self._vouched = (hello.index, hello.membership)
        return True

    def judge(self, own: Hello, hello: Hello) -> Verdict:
        """What the peer that sent ``hello`` may do, seen from ``own``."""
        misfit = _misfit(own, hello)
        if misfit:
            return _refused(misfit)
        if not own.cluster_id or not hello.cluster_id:
            return self._judge_unfounded(own, hello)
        if self._lists(hello.node_id, hello.incarnation):
            return _MEMBER
        if hello.empty:
            return _CANDIDATE
        return _refused(self._why_not_member(hello.node_id))

    def _judge_unfounded(self, own: Hello, hello: Hello) -> Verdict:
        """One of the two belongs to no cluster yet."""
        if own.cluster_id or hello.node_id in self._configured or hello.node_id in self.targets():
            return _CANDIDATE
        return _refused(
            f"node {hello.node_id} is not among the initial members that node {own.node_id} "
            "is configured with"
        )

    def _lists(self, peer: NodeId, incarnation: Incarnation) -> bool:
        known = _everybody(self.membership)
        if self._vouched is not None:
            known += _everybody(self._vouched[1])
        if any(member.id == peer and member.incarnation == incarnation for member in known):
            return True
        return not self.membership.members and peer in self._configured

    def _why_not_member(self, peer: NodeId) -> str:
        if any(member.id == peer for member in _everybody(self.membership)):
            return (
                f"node {peer} was replaced: the cluster knows another incarnation of it. "
                "Empty its data directory to let it join again"
            )
        return f"node {peer} is not a member of this cluster"


def _everybody(membership: Membership) -> tuple[Member, ...]:
    """The incoming configuration last: a replaced member's new address is the one that counts."""
    return (*membership.outgoing, *membership.members)


def _misfit(own: Hello, hello: Hello) -> str:
    """Why the two cannot talk whatever the membership is; empty if they can."""
    if hello.protocol < own.protocol_min or own.protocol < hello.protocol_min:
        return (
            f"peer protocol {hello.protocol_min}–{hello.protocol} does not overlap "
            f"{own.protocol_min}–{own.protocol} of node {own.node_id}: "
            "upgrade one version at a time"
        )
    if hello.to and hello.to != own.node_id:
        return f"node {hello.to} was dialled, but this is node {own.node_id}: check the addresses"
    if hello.node_id == own.node_id:
        return f"node id {own.node_id} is taken by the node that answers here"
    if own.cluster_id and hello.cluster_id and own.cluster_id != hello.cluster_id:
        return (
            f"node {hello.node_id} belongs to cluster {hello.cluster_id.hex()}, "
            f"node {own.node_id} to {own.cluster_id.hex()}"
        )
    return ""
