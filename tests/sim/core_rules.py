"""Rules of the Raft core that hold from one call to the next, beside ``coord.raft.invariants``.

They notice a bug where it begins: a vote that is forgotten and not yet given twice, a node that
raises terms and has not yet deposed anybody, a commit that no message vouched for and that happens
to be right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coord.raft.invariants import InvariantViolation, Key, require
from coord.raft.messages import (
    AppendEntries,
    Heartbeat,
    InstallSnapshot,
    PreVoteRequest,
    PreVoteResponse,
    VoteRequest,
    VoteResponse,
)
from coord.raft.quorum import majority
from coord.raft.state import Role
from coord.raft.types import NO_NODE, EntryKind, Index, Membership, NodeId, Term

if TYPE_CHECKING:
    from coord.raft import RaftNode
    from coord.raft.state import Raft
    from coord.raft.types import Member

_SCAN_BYTES: Final = 1 << 20
_FROM_LEADER: Final = (AppendEntries, Heartbeat, InstallSnapshot)
_CAMPAIGNS: Final = (Role.PRE_CANDIDATE, Role.CANDIDATE)


class _Seen:
    """What a running node was when it was last looked at."""

    def __init__(self, raft: Raft) -> None:
        self.grants: set[tuple[Key, Term]] = set()
        """Who would vote for it, and in which term."""
        self.commit_max: Index | None = None
        """As far as the append that is being handled lets it commit."""
        self.heard = (Term(0), 0)
        """A leader's term, and the tick at which it was last heard."""
        self.refuses: tuple[NodeId, int] | None = None
        """A candidate that the request being handled must not help, and the grants to it before."""
        self.note(raft)

    def is_like(self, raft: Raft) -> bool:
        """Nothing that ``note`` keeps is another: most calls are ticks and heartbeats."""
        return (
            raft.term == self.term
            and raft.vote == self.vote
            and raft.role is self.role
            and raft.electorate.membership is self.membership
        )

    def note(self, raft: Raft) -> None:
        self.term = raft.term
        self.vote = raft.vote
        self.role = raft.role
        self.membership = raft.electorate.membership


class CoreRules:
    """Watches every node from start to end. Raises InvariantViolation."""

    def __init__(self) -> None:
        self._seen: dict[Key, _Seen] = {}

    def started(self, key: Key, node: RaftNode) -> None:
        """It starts on what its disk holds: the newest configuration of its log is in force."""
        raft = node._raft
        newest = _newest_configuration(raft)
        require(
            newest in (None, raft.electorate.membership),
            "configuration-survives-restart",
            f"{key} starts with {raft.electorate.membership}, its log ends with {newest}",
        )
        self._seen[key] = _Seen(raft)

    def delivered(self, key: Key, node: RaftNode, message: Any) -> None:
        """A message is about to be handed in."""
        seen, raft = self._seen[key], node._raft
        seen.commit_max = None
        if isinstance(message, _FROM_LEADER):
            if message.term >= raft.term:
                seen.heard = (message.term, raft.now)
            if isinstance(message, AppendEntries):
                run = message.entries
                verified = message.prev_index if run is None else run.last
                seen.commit_max = max(verified, raft.log.commit)
        elif isinstance(message, PreVoteResponse) and message.granted:
            seen.grants.add(((message.frm, message.incarnation), message.term))
        elif isinstance(message, PreVoteRequest | VoteRequest) and _must_refuse(
            raft, seen, message
        ):
            seen.refuses = (message.frm, _grants_to(raft, message.frm))

    def after(self, key: Key, node: RaftNode) -> None:
        """Any call has returned."""
        raft, seen = node._raft, self._seen[key]
        if seen.commit_max is not None:
            commit, verified = raft.log.commit, seen.commit_max
            seen.commit_max = None
            if commit > verified:
                detail = f"{key} commits {commit}, the append vouched for {verified}"
                raise InvariantViolation("commit-within-verified", detail)
        if seen.refuses is not None:
            (candidate, before), seen.refuses = seen.refuses, None
            require(
                _grants_to(raft, candidate) == before,
                "followers-stand-by-their-leader",
                f"{key} hears {raft.leader} and helps {candidate} to replace it",
            )
        if seen.is_like(raft):
            return
        if raft.term == seen.term and seen.vote != raft.vote:
            detail = f"{key} voted for {seen.vote} in term {raft.term}, now for {raft.vote}"
            require(seen.vote == NO_NODE, "vote-kept-within-term", detail)
        if raft.role is not seen.role and raft.role in _CAMPAIGNS:
            self._check_campaign(key, raft, seen)
        if raft.electorate.membership is not seen.membership:
            self._check_newcomers(key, raft, seen)
        seen.note(raft)

    def _check_campaign(self, key: Key, raft: Raft, seen: _Seen) -> None:
        known = [configuration.membership for configuration in raft.configurations]
        require(
            any(key in _keys((*one.voters, *one.outgoing)) for one in known),
            "only-voters-campaign",
            f"{key} campaigns and is no voter of {known}",
        )
        if raft.role is Role.PRE_CANDIDATE or raft.transfer_election or not raft.config.pre_vote:
            return
        granted = {voter for voter, term in seen.grants if term == raft.term} | {key}
        seen.grants.clear()
        membership = raft.electorate.membership
        for group in filter(None, (membership.voters, membership.outgoing)):
            require(
                len(granted & _keys(group)) >= majority(len(group)),
                "term-is-asked-for",
                f"{key} enters term {raft.term} as a candidate; asked before, only"
                f" {sorted(granted)} agreed",
            )

    def _check_newcomers(self, key: Key, raft: Raft, seen: _Seen) -> None:
        if not raft.is_leader or seen.role is not Role.LEADER:
            return  # others may hear of several changes at once
        before = _keys((*seen.membership.members, *seen.membership.outgoing))
        strangers = _keys(raft.electorate.membership.voters) - before
        detail = f"{key} lets {sorted(strangers)} vote, who were no members before"
        require(not strangers, "voters-learn-first", detail)


def _must_refuse(raft: Raft, seen: _Seen, message: PreVoteRequest | VoteRequest) -> bool:
    """It has just heard the leader of its term, which has not asked for this election, and knows
    nothing to the contrary (a link that broke)."""
    if not raft.config.check_quorum or raft.role is not Role.FOLLOWER or raft.leader == NO_NODE:
        return False
    if isinstance(message, VoteRequest) and message.transfer:
        return False
    term, tick = seen.heard
    is_recent = term == raft.term and raft.now - tick < raft.config.election_ticks_min
    return is_recent and not raft.stickiness_void and message.term > raft.term


def _grants_to(raft: Raft, candidate: NodeId) -> int:
    """How many answers on their way help this candidate."""
    return sum(
        message.granted
        for message in (*raft.messages, *raft.messages_after)
        if isinstance(message, PreVoteResponse | VoteResponse) and message.to == candidate
    )


def _keys(members: tuple[Member, ...]) -> set[Key]:
    return {(member.id, member.incarnation) for member in members}


def _newest_configuration(raft: Raft) -> Membership | None:
    """Of the entries on disk; None if none is there."""
    newest, first = None, raft.log.first
    while first <= raft.log.last:
        for run in raft.storage.slices(first, raft.log.last, _SCAN_BYTES):
            if run.kind is EntryKind.CONFIG:
                newest = Membership.decode(run.payloads[-1])
            first = Index(run.last + 1)
    return newest
