"""The leader's upkeep of the membership: a wiped member is replaced, a learner promoted.

A node that comes back with another incarnation has lost its disk: it may have voted and
acknowledged entries that it no longer knows. It is therefore somebody else. One committed change
gives its id to the new incarnation, as a joining learner; the Raft core makes that a voter by
another once it has caught up (docs/raft.md, *identity*).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coord.model.errors import BadArgumentsError, MembershipError
from coord.raft import RaftRefusal
from coord.raft.types import Incarnation, Member, MemberRole, Membership, NodeId

if TYPE_CHECKING:
    from coord.node.driver import Driver


class MembershipKeeper:
    """Decides the next membership change; the Raft core decides whether it may happen now."""

    def __init__(self, driver: Driver, own_id: NodeId) -> None:
        self._driver = driver
        self._own_id = own_id
        self._candidates: dict[NodeId, Member] = {}
        """Nodes that introduced themselves with an incarnation that is not a member."""

    def introduced(self, peer: NodeId, hello: dict[str, Any]) -> None:
        """A peer's hello; remembers it if it is not the member it was."""
        member = Member(
            peer,
            Incarnation(hello["incarnation"]),
            MemberRole.LEARNER,
            peer=hello.get("peer", ""),
            client=hello.get("client", ""),
            http=hello.get("http", ""),
        )
        known = self._find(peer)
        if known is not None and known.incarnation == member.incarnation:
            self._candidates.pop(peer, None)
        else:
            self._candidates[peer] = member

    @property
    def candidates(self) -> list[Member]:
        """Nodes that could be added."""
        return [self._candidates[peer] for peer in sorted(self._candidates)]

    def _find(self, peer: NodeId) -> Member | None:
        members = self._driver.raft.membership.members
        return next((member for member in members if member.id == peer), None)

    def upkeep(self) -> None:
        """One step, if one is due; called periodically on the leader."""
        if not self._driver.accepts_proposals or self._driver.raft.membership.is_joint:
            return
        change = self._next_change()
        if change is not None:
            try:
                self._driver.raft.propose_membership(change)
            except RaftRefusal:
                return  # Another change is under way; the next upkeep looks again.
            self._driver.wake()

    def _next_change(self) -> Membership | None:
        """A wiped member's new incarnation takes over its id in one change; the role JOINING is
        durable in it, so that any later leader promotes it when it has caught up."""
        for peer, candidate in sorted(self._candidates.items()):
            known = self._find(peer)
            if known is not None and known.incarnation != candidate.incarnation:
                learns = known.role is MemberRole.LEARNER
                role = MemberRole.LEARNER if learns else MemberRole.JOINING
                return _with(self._driver.raft.membership, replace(candidate, role=role))
        return None

    # --- what an operator asks for --------------------------------------------------------------

    def change(self, action: str, node: int) -> Membership:
        """The membership after ``action`` (add, promote, remove) of ``node``.

        Raises MembershipError with the reason why it is not possible.
        """
        membership = self._driver.raft.membership
        peer = NodeId(node)
        known = self._find(peer)
        if action == "add":
            if known is not None:
                raise MembershipError(f"node {node} is a member already")
            candidate = self._candidates.get(peer)
            if candidate is None:
                raise MembershipError(
                    f"node {node} has not introduced itself; start it with an empty directory and"
                    " this cluster's peer addresses, then add it"
                )
            return _with(membership, candidate)
        if known is None:
            raise MembershipError(f"node {node} is not a member")
        if action == "promote":
            if known.role is MemberRole.VOTER:
                raise MembershipError(f"node {node} votes already")
            return _with(membership, replace(known, role=MemberRole.VOTER))
        if action == "remove":
            after = _without(membership, peer)
            if not any(member.role is MemberRole.VOTER for member in after.members):
                raise MembershipError(f"node {node} is the last voter")
            return after
        raise MembershipError(f"unknown action {action!r}: add, promote or remove")

    def reconfigure(self, joining: dict[int, bool], leaving: list[int], keep: bool) -> list[int]:
        """Propose, as one change, that some leave and that others join as voters (True) or
        learners; members not named stay if ``keep`` says so. Returns the ids of all members then.

        Raises BadArgumentsError, or MembershipError if it is not possible now.
        """
        before = self._driver.raft.membership
        known = {int(member.id): member for member in before.members}
        after = {node: it for node, it in known.items() if keep and node not in leaving}
        for node, votes in joining.items():
            after[node] = self._joined(node, known.get(node), votes=votes)
        if not any(member.role is MemberRole.VOTER for member in after.values()):
            raise BadArgumentsError("nobody who votes now would stay")
        ids = sorted(after)
        change = Membership(tuple(after[node] for node in ids))
        if change.members != before.members:
            self._propose(change)
        return ids

    def _joined(self, node: int, known: Member | None, *, votes: bool) -> Member:
        """The member as it then is; one that is to vote does so once it has caught up."""
        if known is None:
            candidate = self._candidates.get(NodeId(node))
            if candidate is None:
                raise BadArgumentsError(f"node {node} has not introduced itself; start it first")
            return replace(candidate, role=MemberRole.JOINING) if votes else candidate
        if votes and known.role is MemberRole.LEARNER:
            return replace(known, role=MemberRole.JOINING)
        if not votes and known.role is not MemberRole.LEARNER:
            raise BadArgumentsError(f"node {node} votes: remove it, then add it as an observer")
        return known

    def apply_change(self, action: str, node: int) -> None:
        """Propose it. Raises MembershipError."""
        self._propose(self.change(action, node))

    def _propose(self, change: Membership) -> None:
        try:
            self._driver.raft.propose_membership(change)
        except RaftRefusal as refusal:
            raise MembershipError(str(refusal)) from refusal
        self._driver.wake()
        for member in change.members:
            candidate = self._candidates.get(member.id)
            if candidate is not None and candidate.incarnation == member.incarnation:
                del self._candidates[member.id]  # others with a member's id replace it later


def tolerance(membership: Membership) -> tuple[int, int, int]:
    """(voters, majority, how many may fail)."""
    voters = sum(member.role is MemberRole.VOTER for member in membership.members)
    majority = voters // 2 + 1
    return voters, majority, voters - majority


def _with(membership: Membership, member: Member) -> Membership:
    others = [other for other in membership.members if other.id != member.id]
    return Membership(tuple(sorted([*others, member], key=lambda other: other.id)))


def _without(membership: Membership, peer: NodeId) -> Membership:
    return Membership(tuple(other for other in membership.members if other.id != peer))
