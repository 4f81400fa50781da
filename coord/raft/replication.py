"""Leader: send entries, digest answers, advance the commit index (Raft §5.3, §5.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft import membership, snapshots, transfer
from coord.raft.electorate import settle
from coord.raft.heartbeats import announce_commit
from coord.raft.invariants import InvariantViolation
from coord.raft.messages import AppendEntries
from coord.raft.progress import Progress, ProgressState
from coord.raft.proposals import release
from coord.raft.read_index import on_heartbeat_round
from coord.raft.state import Parcel
from coord.raft.types import Index

if TYPE_CHECKING:
    from coord.raft.messages import AppendAccepted, AppendRejected, HeartbeatResponse, Message
    from coord.raft.state import Raft
    from coord.raft.types import NodeId

_DURABLE_READS_MAX = 2
"""Runs read back from storage for one follower at a time: the loop must not stall on them."""


def progress_of(raft: Raft, message: Message) -> Progress | None:
    """The sender's progress, if we lead and it is the listed incarnation; it is alive then."""
    progress = raft.progress.get(message.frm)
    if progress is None or progress.incarnation != message.incarnation:
        return None
    progress.last_heard = raft.now
    progress.has_answered = True
    return progress


def flush(raft: Raft) -> None:
    """Once per Ready: to every follower what its window allows, or news of the commit index."""
    raft.must_replicate = False
    for progress in raft.progress.values():
        replicate(raft, progress)
        announce_commit(raft, progress)


def replicate(raft: Raft, progress: Progress) -> None:
    """Send what one follower lacks, as far as its window reaches."""
    log = raft.log
    durable_reads = 0
    while _can_send(raft, progress):
        if progress.next < log.first:
            snapshots.begin(raft, progress)
            return
        if not log.is_cached(progress.next):
            durable_reads += 1
            if durable_reads > _DURABLE_READS_MAX:
                return
        _send_append(raft, progress, _parcel(raft, progress.next))


def _can_send(raft: Raft, progress: Progress) -> bool:
    config = raft.config
    return progress.next <= raft.log.last and progress.has_room(
        config.max_inflight, config.max_inflight_bytes
    )


def _parcel(raft: Raft, first: Index) -> Parcel:
    """Entries from ``first``; followers abreast of each other share them."""
    log, parcel = raft.log, raft.parcel
    if parcel is not None and parcel.first == first and parcel.log_last == log.last:
        return parcel
    previous = Index(first - 1)
    term = log.term(previous)
    assert term is not None, "the entry before one in the log has no term"
    run, size = log.entries(first, raft.config.max_slice_bytes)
    raft.parcel = parcel = Parcel(first, log.last, term, run, size)
    return parcel


def _send_append(raft: Raft, progress: Progress, parcel: Parcel) -> None:
    commit = raft.log.commit
    raft.send(
        AppendEntries(
            progress.id,
            raft.id,
            raft.incarnation,
            raft.term,
            Index(parcel.first - 1),
            parcel.previous_term,
            commit,
            parcel.run,
        )
    )
    last = parcel.run.last
    progress.sent(last, parcel.bytes)
    progress.commit_sent = max(progress.commit_sent, min(commit, last))


def _ask_position(raft: Raft, progress: Progress) -> None:
    """An AppendEntries without entries: rejected if what was sent before it got lost."""
    previous = Index(progress.next - 1)
    term = raft.log.term(previous)
    if term is not None:
        head = (progress.id, raft.id, raft.incarnation, raft.term)
        raft.send(AppendEntries(*head, previous, term, raft.log.commit, None))


def on_append_accepted(raft: Raft, message: AppendAccepted) -> None:
    """The follower is durable up to ``match``."""
    progress = progress_of(raft, message)
    if progress is None:
        return
    if message.match > raft.log.last:
        detail = f"{message.frm} acknowledges {message.match}, the log ends at {raft.log.last}"
        raise InvariantViolation("acknowledged-was-sent", detail)
    raft.must_replicate = True
    news = progress.acknowledged(message.match)
    if progress.state is ProgressState.PROBE:
        progress.become_replicate()
    elif progress.state is ProgressState.SNAPSHOT and snapshots.has_arrived(raft, progress):
        progress.become_probe()  # it may need another one, if the log was cut meanwhile
    if news:
        if message.match > raft.log.commit:
            advance_commit(raft)
        if raft.is_leader and raft.transferee == progress.id:
            transfer.continue_to(raft, progress)


def on_append_rejected(raft: Raft, message: AppendRejected) -> None:
    """The follower lacks the entry before: go back to where the logs can agree (§5.3).

    The follower named the last index it holds whose term is not above the one asked for; skipping
    back in our log past terms above *its* term finds the meeting point in few rounds.
    """
    progress = progress_of(raft, message)
    if progress is None or progress.state is ProgressState.SNAPSHOT:
        return
    if message.prev_index <= progress.match:
        return  # delayed: it has acknowledged more since
    if progress.state is ProgressState.REPLICATE:
        progress.become_probe()
    elif message.prev_index != progress.next - 1:
        return  # answers an earlier probe
    at = raft.log.find_at_most(message.hint_index, message.hint_term)
    progress.next = Index(max(min(message.prev_index, at + 1), progress.match + 1))
    progress.paused = False
    raft.must_replicate = True


def on_heartbeat_response(raft: Raft, message: HeartbeatResponse) -> None:
    """A sign of life, an answer to a read round, and the moment to notice lost messages."""
    progress = progress_of(raft, message)
    if progress is None:
        return
    on_heartbeat_round(raft, message)
    progress.paused = False
    if progress.match < raft.log.last:
        raft.must_replicate = True
        sending_file = progress.state is ProgressState.SNAPSHOT
        if not sending_file and not _can_send(raft, progress):
            _ask_position(raft, progress)


def advance_commit(raft: Raft) -> None:
    """Commit what a majority holds durably, ourselves counted once our own disk has it.

    Only entries of the current term are committed by counting; earlier ones follow (§5.4.2).
    """
    log = raft.log
    index = Index(raft.electorate.agreed(lambda node: _durable(raft, node)))
    if index < raft.term_start or not log.commit_to(index):
        return
    release(raft)
    settle(raft)
    raft.must_replicate = True
    if index >= raft.electorate.index:
        membership.after_commit(raft)


def _durable(raft: Raft, node: NodeId) -> int:
    return raft.log.stable if node == raft.id else raft.progress[node].match


def unreachable(raft: Raft, peer: NodeId) -> None:
    """Messages to ``peer`` were dropped: its window is void."""
    progress = raft.progress.get(peer)
    if progress is not None and progress.state is ProgressState.REPLICATE:
        progress.become_probe()
        progress.paused = True  # until a heartbeat comes back
