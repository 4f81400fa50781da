"""Where messages and ticks go: the term gate, then one handler. All branching, no work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coord.raft import (
    election,
    follower,
    heartbeats,
    membership,
    messages,
    read_index,
    replication,
    snapshots,
    transfer,
)
from coord.raft.messages import (
    AppendEntries,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    Message,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotProgress,
    VoteRequest,
)
from coord.raft.types import NO_NODE

if TYPE_CHECKING:
    from coord.raft.state import Raft

_FROM_LEADER = (AppendEntries, Heartbeat, InstallSnapshot)


def step(raft: Raft, message: Message) -> None:
    """Handle one message."""
    if message.term > raft.term:
        if not _raise_term(raft, message):
            return
    elif message.term < raft.term and not isinstance(message, PreVoteRequest):
        _answer_stale(raft, message)
        return
    _HANDLERS[type(message)](raft, message)


def _raise_term(raft: Raft, message: Message) -> bool:
    """A higher term makes us its follower (§5.1); False if the message must be ignored."""
    if isinstance(message, PreVoteRequest):
        return True
    if isinstance(message, PreVoteResponse) and message.granted:
        return True  # the term asked about, which nobody has entered yet
    if election.ignores_candidate(raft, message):
        return False
    leader = message.frm if isinstance(message, _FROM_LEADER) else NO_NODE
    raft.become_follower(message.term, leader)
    return True


def _answer_stale(raft: Raft, message: Message) -> None:
    """A leader or candidate of an older term learns ours, else it might wait for us for ever:
    we are sticky to nobody, yet too far ahead to follow it."""
    if isinstance(message, (*_FROM_LEADER, VoteRequest)):
        raft.send(HeartbeatResponse(message.frm, raft.id, raft.incarnation, raft.term, 0))


def _on_snapshot_progress(raft: Raft, message: SnapshotProgress) -> None:
    progress = replication.progress_of(raft, message)
    if progress is not None:
        snapshots.on_progress(raft, progress, message)


_HANDLERS: dict[type[Message], Callable[[Raft, Any], None]] = {
    messages.PreVoteRequest: election.on_pre_vote_request,
    messages.PreVoteResponse: election.on_pre_vote_response,
    messages.VoteRequest: election.on_vote_request,
    messages.VoteResponse: election.on_vote_response,
    messages.AppendEntries: follower.on_append_entries,
    messages.AppendAccepted: replication.on_append_accepted,
    messages.AppendRejected: replication.on_append_rejected,
    messages.Heartbeat: follower.on_heartbeat,
    messages.HeartbeatResponse: replication.on_heartbeat_response,
    messages.InstallSnapshot: snapshots.on_install_snapshot,
    messages.SnapshotProgress: _on_snapshot_progress,
    messages.TimeoutNow: election.on_timeout_now,
    messages.ReadRequest: read_index.on_read_request,
    messages.ReadResponse: read_index.on_read_response,
}


def tick(raft: Raft) -> None:
    """One tick passed."""
    raft.now += 1
    raft.heartbeat_elapsed += 1
    beat = raft.heartbeat_elapsed >= raft.config.heartbeat_ticks
    if beat:
        raft.heartbeat_elapsed = 0
    if raft.is_leader:
        _tick_leader(raft, beat=beat)
        return
    if beat:
        read_index.retry_forwarded(raft)
    election.tick(raft)


def _tick_leader(raft: Raft, *, beat: bool) -> None:
    if _is_stuck(raft):
        election.step_down(raft, "commits are stuck")
        return
    raft.election_elapsed += 1
    if raft.election_elapsed >= raft.config.election_ticks_min:
        raft.election_elapsed = 0
        if raft.config.check_quorum and not _hears_a_majority(raft):
            election.step_down(raft, "no majority in touch")
            return
    transfer.tick(raft)
    snapshots.tick(raft)
    if beat:
        heartbeats.broadcast_heartbeats(raft)
        membership.promote_joining(raft)


def _hears_a_majority(raft: Raft) -> bool:
    """Voters heard from within an election timeout, ourselves included (check-quorum)."""
    return bool(raft.electorate.agreed(lambda node: int(raft.is_active(node))))


def _is_stuck(raft: Raft) -> bool:
    """Commits, or our own disk, have stood still for long while there is work (a sick leader
    that keeps heartbeating would freeze the cluster)."""
    mark = raft.log.applicable
    if mark >= raft.log.last or mark > raft.stuck_mark:
        raft.stuck_mark = mark
        raft.stuck_elapsed = 0
        return False
    raft.stuck_elapsed += 1
    return raft.stuck_elapsed >= raft.config.stuck_commit_ticks
