"""Becoming leader, and ceasing to be: pre-vote, vote, tally, fast failover, transfer.

Votes are counted by voter, never by message: one of another term, of a pre-vote, of a learner or of
another incarnation is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft.invariants import InvariantViolation
from coord.raft.messages import (
    PreVoteRequest,
    PreVoteResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from coord.raft.proposals import append_opening
from coord.raft.quorum import Verdict
from coord.raft.state import Role
from coord.raft.types import NO_NODE, NodeId, Term

if TYPE_CHECKING:
    from coord.raft.messages import Message
    from coord.raft.state import Raft

GRANT_PATIENCE_TICKS = 3
"""Having just granted a pre-vote, a node holds its own fast campaign back for this long."""


def may_campaign(raft: Raft) -> bool:
    """Only a listed voter, whose disk works and whose log is not being replaced."""
    return raft.is_electable and raft.installing is None and not raft.disk_is_stuck


def campaign(raft: Raft) -> None:
    """The election timeout passed."""
    if not may_campaign(raft):
        raft.reset_timer()
    elif raft.config.pre_vote:
        _pre_vote(raft)
    else:
        _run(raft, transfer=False)


def _pre_vote(raft: Raft) -> None:
    raft.become_pre_candidate()
    term = Term(raft.term + 1)
    for node in raft.electorate.voters:
        if node != raft.id:
            # Changes nothing durable anywhere, so it need not wait for anything durable here.
            raft.messages.append(
                PreVoteRequest(
                    node, raft.id, raft.incarnation, term, raft.log.last, raft.log.last_term
                )
            )
    _record(raft, raft.id, granted=True)


def _run(raft: Raft, *, transfer: bool) -> None:
    """Our own vote is counted by ``own_vote_durable``, and the requests leave no earlier."""
    raft.become_candidate()
    raft.transfer_election = transfer
    last, last_term = raft.log.last, raft.log.last_term
    for node in raft.electorate.voters:
        if node != raft.id:
            raft.send(
                VoteRequest(node, raft.id, raft.incarnation, raft.term, last, last_term, transfer)
            )


def own_vote_durable(raft: Raft, term: Term, vote: NodeId) -> None:
    """A hard state became durable: if it is our candidacy, our own vote counts now."""
    if raft.role is Role.CANDIDATE and term == raft.term and vote == raft.id:
        _record(raft, raft.id, granted=True)


def _record(raft: Raft, voter: NodeId, *, granted: bool) -> None:
    # The first answer stands: a duplicate changes nothing.
    raft.votes.setdefault(voter, granted)
    verdict = raft.electorate.verdict(raft.votes)
    if verdict is Verdict.PENDING:
        return
    if verdict is Verdict.LOST:
        raft.become_follower(raft.term, NO_NODE)
    elif raft.role is Role.PRE_CANDIDATE:
        _run(raft, transfer=False)
    else:
        raft.become_leader()
        append_opening(raft)


def on_pre_vote_request(raft: Raft, message: PreVoteRequest) -> None:
    """Grant if we would vote that way; remember nothing."""
    granted = (
        message.term > raft.term
        and raft.may_vote
        and raft.log.is_up_to_date(message.last_index, message.last_term)
    )
    if granted and raft.is_sticky:
        return
    if granted and raft.failover_ticks:
        raft.failover_ticks += GRANT_PATIENCE_TICKS
    term = message.term if granted else raft.term
    raft.messages.append(PreVoteResponse(message.frm, raft.id, raft.incarnation, term, granted))


def on_pre_vote_response(raft: Raft, message: PreVoteResponse) -> None:
    """Count it if it answers the pre-vote under way."""
    if raft.role is not Role.PRE_CANDIDATE or not _counts(raft, message):
        return
    if message.granted and message.term == raft.term + 1:
        _record(raft, message.frm, granted=True)
    elif not message.granted:
        _record(raft, message.frm, granted=False)


def on_vote_request(raft: Raft, message: VoteRequest) -> None:
    """The rule of Raft §5.2 and §5.4.1: one vote per term, to an up-to-date log only."""
    free = raft.vote == message.frm or (raft.vote == NO_NODE and raft.leader == NO_NODE)
    granted = (
        free and raft.may_vote and raft.log.is_up_to_date(message.last_index, message.last_term)
    )
    if granted:
        if raft.role is Role.PRE_CANDIDATE:
            raft.become_follower(raft.term, NO_NODE)
        raft.vote = message.frm
        raft.reset_timer()
    # A refusal that follows from a vote cast is as dependent on it as the vote itself.
    raft.messages_after.append(
        VoteResponse(message.frm, raft.id, raft.incarnation, raft.term, granted)
    )


def on_vote_response(raft: Raft, message: VoteResponse) -> None:
    """Count it if we are still a candidate in that term."""
    if raft.role is Role.CANDIDATE and _counts(raft, message):
        _record(raft, message.frm, granted=message.granted)


def _counts(raft: Raft, message: Message) -> bool:
    return raft.electorate.is_voter(message.frm, message.incarnation)


def ignores_candidate(raft: Raft, message: Message) -> bool:
    """A vote request of a higher term that must not even raise ours: the leader is alive
    (dissertation §4.2.3), unless it asked for the election itself."""
    return isinstance(message, VoteRequest) and not message.transfer and raft.is_sticky


def on_timeout_now(raft: Raft, message: TimeoutNow) -> None:
    """The leader hands over: campaign at once and skip the pre-vote, its followers are sticky."""
    if raft.role is Role.FOLLOWER and message.frm == raft.leader and may_campaign(raft):
        _run(raft, transfer=True)


def link_lost(raft: Raft, peer: NodeId) -> None:
    """EOF or reset on the leader's link: most likely its process died. Once per leader and term.

    Voters campaign in order of rank among the voters left, a tick apart, so as not to collide.
    """
    mark = (peer, raft.term)
    if peer != raft.leader or raft.role is not Role.FOLLOWER or raft.failover_used == mark:
        return
    raft.failover_used = mark
    raft.stickiness_void = True
    if raft.is_voter:
        others = [node for node in raft.electorate.voters if node != peer]
        rank = others.index(raft.id)
        raft.failover_ticks = 1 + rank + raft.jitter(raft.config.failover_jitter_ticks)
    raft.note(f"lost the link to leader {peer}")


def leader_is_alive(raft: Raft, leader: NodeId) -> None:
    """A valid message of the leader of our term arrived: follow it."""
    if raft.leader not in (NO_NODE, leader):
        detail = f"{raft.leader} and {leader} lead term {raft.term}"
        raise InvariantViolation("election-safety", detail)
    if raft.role is not Role.FOLLOWER:
        raft.become_follower(raft.term, leader)
    raft.leader = leader
    raft.election_elapsed = 0
    raft.failover_ticks = 0
    raft.stickiness_void = False


def tick(raft: Raft) -> None:
    """Anybody but the leader: one tick closer to campaigning."""
    raft.election_elapsed += 1
    if raft.failover_ticks:
        raft.failover_ticks -= 1
        if raft.failover_ticks == 0:
            campaign(raft)
            return
    if raft.election_elapsed >= raft.election_timeout:
        campaign(raft)


def step_down(raft: Raft, reason: str) -> None:
    """Leader: give up the office within the term, and name a successor if one is at hand.

    The nudge is only a shortcut: it may be lost, and whoever gets it still needs a majority.
    """
    assert raft.is_leader
    raft.note(f"steps down: {reason}")
    successor = _best_successor(raft)
    term = raft.term
    if successor != NO_NODE:
        raft.send(TimeoutNow(successor, raft.id, raft.incarnation, term))
    raft.become_follower(term, NO_NODE)


def _best_successor(raft: Raft) -> NodeId:
    candidates = [
        (progress.match, -node)
        for node, progress in raft.progress.items()
        if node in raft.electorate.incoming and raft.is_active(node)
    ]
    if not candidates:
        return NO_NODE
    match, negated = max(candidates)
    return NodeId(-negated) if match >= raft.log.commit else NO_NODE
