"""Changing the configuration by joint consensus (Raft §6).

One change at a time, only after an entry of the current term has committed (else two leaders could
each act on a configuration the other never saw), and the way back out of a joint configuration is
automatic.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from coord.raft import election
from coord.raft.heartbeats import announce_commit
from coord.raft.proposals import append_configuration
from coord.raft.quorum import majority
from coord.raft.types import Incarnation, Index, MemberRole, Membership, NodeId

if TYPE_CHECKING:
    from coord.raft.progress import Progress
    from coord.raft.state import Raft
    from coord.raft.types import Member


class RaftRefusal(Exception):  # noqa: N818 (a refusal is an answer, not an error)
    """The request cannot be taken up now; ``reason`` is a stable word. Nothing happened."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def propose(raft: Raft, membership: Membership) -> Index:
    """Leader: start a change. Raises RaftRefusal. Returns the index of the CONFIG entry."""
    if not raft.is_leader:
        raise RaftRefusal("not_leader")
    if raft.transferee:
        raise RaftRefusal("transferring")
    if not raft.has_committed_in_term:
        raise RaftRefusal("term_not_committed")
    current = raft.electorate
    if current.index > raft.log.commit or current.membership.is_joint:
        raise RaftRefusal("change_in_progress")
    _check(raft, membership)
    if _identities(membership.voters) == _identities(current.membership.voters):
        return append_configuration(raft, Membership(_sorted(membership.members)))
    joint = Membership(_sorted(membership.members), current.membership.voters)
    return append_configuration(raft, joint)


def promote_joining(raft: Raft) -> None:
    """Leader, now and then: a joining learner that has caught up becomes a voter."""
    if all(m.role is not MemberRole.JOINING for m in raft.electorate.membership.members):
        return
    ready = {node for node, progress in raft.progress.items() if is_caught_up(raft, progress)}
    members = tuple(
        replace(m, role=MemberRole.VOTER) if m.role is MemberRole.JOINING and m.id in ready else m
        for m in raft.electorate.membership.members
    )
    if members != raft.electorate.membership.members:
        with suppress(RaftRefusal):  # the next time will do
            propose(raft, Membership(members))


def _sorted(members: tuple[Member, ...]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda m: m.id))


def _identities(members: tuple[Member, ...]) -> set[tuple[NodeId, Incarnation]]:
    return {(m.id, m.incarnation) for m in members}


def _check(raft: Raft, wanted: Membership) -> None:
    if wanted.outgoing:
        raise RaftRefusal("joint_is_automatic")
    if not wanted.voters:
        raise RaftRefusal("no_voters")
    if len({m.id for m in wanted.members}) != len(wanted.members):
        raise RaftRefusal("duplicate_id")
    current = raft.electorate
    was_voter = set(current.incoming)
    for member in wanted.members:
        if member.id == raft.id and member.incarnation != raft.incarnation:
            raise RaftRefusal("incarnation_leads")
        same = current.members.get(member.id) == member.incarnation
        if member not in wanted.voters or (same and member.id in was_voter):
            continue
        if not same:
            raise RaftRefusal("not_a_learner")
        if not is_caught_up(raft, raft.progress[member.id]):
            raise RaftRefusal("learner_behind")
    alive = [m for m in wanted.voters if _is_alive(raft, m.id)]
    if len(alive) < majority(len(wanted.voters)):
        raise RaftRefusal("too_few_alive")  # it could never commit another entry


def _is_alive(raft: Raft, node: NodeId) -> bool:
    """A voter that was wiped never answers, and a new leader's grace must not speak for it."""
    return raft.is_active(node) and (node == raft.id or raft.progress[node].has_answered)


def is_caught_up(raft: Raft, progress: Progress) -> bool:
    """Leader: making this learner a voter would not hold up commits for long. It holds the entry
    that lists it: before, it would take itself for stranger to its id, and vote for nobody."""
    lag = raft.log.commit - progress.match
    knows_itself = progress.match >= raft.electorate.index
    return raft.is_active(progress.id) and knows_itself and lag <= raft.config.promotion_lag


def after_commit(raft: Raft) -> None:
    """Leader: the newest configuration is committed. Leave it if it is joint; leave office if it
    does not list us as a voter."""
    membership = raft.electorate.membership
    if membership.is_joint:
        append_configuration(raft, Membership(membership.members))
    elif not raft.is_voter:
        for progress in raft.progress.values():
            announce_commit(raft, progress)
        election.step_down(raft, "removed")
