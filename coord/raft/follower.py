"""Follower: accept entries and heartbeats from the leader of the term (Raft §5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft.election import leader_is_alive
from coord.raft.electorate import settle
from coord.raft.messages import AppendAccepted, AppendRejected, HeartbeatResponse
from coord.raft.types import Index, Term
from coord.raft.unstable import sub_run

if TYPE_CHECKING:
    from coord.raft.messages import AppendEntries, Heartbeat
    from coord.raft.state import Raft
    from coord.raft.types import LogSlice, NodeId


def on_append_entries(raft: Raft, message: AppendEntries) -> None:
    """Check the position, drop what conflicts, append what is new, acknowledge once durable."""
    leader_is_alive(raft, message.frm)
    if raft.installing is not None:
        return  # the log is being replaced; the leader will try again
    log = raft.log
    previous = message.prev_index
    if previous < log.commit:
        # Committed entries equal the leader's; they may even be compacted away here.
        acknowledge(raft, message.frm, log.commit)
        return
    if not log.matches(previous, message.prev_term):
        _reject(raft, message)
        return
    verified = previous
    if message.entries is not None:
        assert message.entries.first == previous + 1, "entries do not follow their predecessor"
        _append(raft, message.entries)
        verified = message.entries.last
    # Beyond what this message verified our log may still differ from the leader's.
    if log.commit_to(min(message.commit, verified)):
        settle(raft)
    acknowledge(raft, message.frm, verified)


def _append(raft: Raft, run: LogSlice) -> None:
    log = raft.log
    if run.first == log.last + 1:
        raft.append(run)
        return
    conflict = log.first_conflict(run)
    if conflict is None:
        return  # all here already: a delayed message must not truncate what followed it
    if conflict <= log.last:
        raft.truncate(conflict)
    raft.append(sub_run(run, conflict, run.last))


def _reject(raft: Raft, message: AppendEntries) -> None:
    log = raft.log
    hint = log.find_at_most(Index(min(message.prev_index, log.last)), message.prev_term)
    raft.send(
        AppendRejected(
            message.frm,
            raft.id,
            raft.incarnation,
            raft.term,
            message.prev_index,
            hint,
            log.term(hint) or Term(0),
        )
    )


def acknowledge(raft: Raft, leader: NodeId, match: Index) -> None:
    """Queue an acknowledgement that leaves once everything up to now is durable.

    Acknowledgements are cumulative, so one per Ready is enough.
    """
    pending = raft.pending_ack
    if pending is not None and pending.term == raft.term and pending.match >= match:
        return
    raft.pending_ack = AppendAccepted(leader, raft.id, raft.incarnation, raft.term, match)


def on_heartbeat(raft: Raft, message: Heartbeat) -> None:
    """The leader lives. If we hold what it says is committed, so is all of ours up to there."""
    leader_is_alive(raft, message.frm)
    log = raft.log
    if (
        message.commit > log.commit
        and raft.installing is None
        and log.matches(message.commit, message.commit_term)
    ):
        log.commit_to(message.commit)
        settle(raft)
    if message.read_round:
        raft.send(
            HeartbeatResponse(message.frm, raft.id, raft.incarnation, raft.term, message.read_round)
        )
