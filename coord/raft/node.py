"""RaftNode: everything a driver may do with the core. The contract is in ``coord.raft``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord.raft import (
    election,
    membership,
    proposals,
    read_index,
    replication,
    snapshots,
    step,
    transfer,
)
from coord.raft.ready import Ready
from coord.raft.state import Outstanding, Raft, Role
from coord.raft.types import (
    NO_NODE,
    EntryKind,
    HardState,
    Index,
    LogSlice,
    Membership,
    NodeId,
    SnapshotMeta,
    Term,
)

if TYPE_CHECKING:
    from coord.raft.config import RaftConfig
    from coord.raft.messages import Message
    from coord.raft.storage import Storage


@dataclass(frozen=True, slots=True)
class ProgressStatistics:
    """One other member, as the leader sees it."""

    id: NodeId
    match: Index
    next: Index
    state: str
    recently_active: bool
    is_learner: bool
    caught_up: bool
    """A learner that may be promoted now."""
    inflight: int
    snapshot_offset: int


@dataclass(frozen=True, slots=True)
class RaftStatistics:
    """Everything about one node at one moment, for logs, metrics and status."""

    id: NodeId
    role: str
    term: Term
    vote: NodeId
    leader: NodeId
    first: Index
    last: Index
    durable: Index
    commit: Index
    applied: Index
    membership: Membership
    membership_index: Index
    transferee: NodeId
    uncommitted_bytes: int
    cached_bytes: int
    reads_waiting: int
    read_round: int
    progress: tuple[ProgressStatistics, ...]


def bootstrap_entries(membership: Membership) -> tuple[HardState, LogSlice]:
    """What the durable log of every initial member starts with: term 1, and the membership as the
    entry (term 1, index 1), the same everywhere and therefore committed."""
    run = LogSlice(Index(1), Term(1), EntryKind.CONFIG, [membership.encode()])
    return HardState(Term(1), NO_NODE), run


class RaftNode:
    """One member of the cluster, sans I/O. Not re-entrant: call it from one thread, and never
    from within a call to it."""

    def __init__(
        self,
        config: RaftConfig,
        storage: Storage,
        jitter: Callable[[int], int],
        applied: Index,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        config.validate()
        self._raft = Raft(config, storage, jitter, applied, trace)
        self._seq = 0

    # Input ---------------------------------------------------------------------------------

    def tick(self) -> None:
        """One tick of the driver's clock (20 ms) passed."""
        step.tick(self._raft)

    def step(self, message: Message) -> None:
        """A message from a peer arrived."""
        assert message.to == self._raft.id, "a message for somebody else"
        assert message.frm != self._raft.id, "a message from ourselves"
        step.step(self._raft, message)

    def propose(self, payloads: list[bytes]) -> Index | None:
        """Leader: append commands as one run and give the index of the first. None if this node
        does not lead, is handing over, or has too much uncommitted. The list is kept as it is."""
        return proposals.propose(self._raft, payloads)

    def propose_membership(self, membership_wanted: Membership) -> Index:
        """Leader: start a change of configuration, joint if voters differ, and give the index of
        its first entry.

        A new voter must be a learner that has caught up; a JOINING learner becomes a voter by
        itself. A wiped member is replaced in one change, its new incarnation taking over the id
        as a JOINING learner. Raises RaftRefusal: not_leader, transferring, term_not_committed,
        change_in_progress, joint_is_automatic, no_voters, duplicate_id, incarnation_leads,
        not_a_learner, learner_behind, too_few_alive.
        """
        return membership.propose(self._raft, membership_wanted)

    def read_index(self, read_id: int) -> bool:
        """Ask for a linearizable read: ``read_id`` comes back in ``Ready.read_states`` or
        ``Ready.reads_dropped``. False, and nothing else happens, if no leader is known."""
        return read_index.register(self._raft, read_id)

    def transfer(self, target: NodeId) -> None:
        """Leader: hand over to a voter. Raises RaftRefusal: not_leader, transferring,
        not_another_voter."""
        transfer.begin(self._raft, target)

    def link_lost(self, peer: NodeId) -> None:
        """The link to a peer ended by EOF or reset: its process probably died."""
        election.link_lost(self._raft, peer)
        replication.unreachable(self._raft, peer)

    def unreachable(self, peer: NodeId) -> None:
        """Messages to a peer were dropped."""
        replication.unreachable(self._raft, peer)

    def woke_after_stall(self) -> None:
        """This process did not run for longer than an election timeout. Call before handing in
        anything that queued up meanwhile: another leader may exist, and nothing that was
        measured in ticks means anything."""
        raft = self._raft
        raft.become_follower(raft.term, NO_NODE)

    # Output --------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        """``ready`` would have something to say."""
        raft = self._raft
        return bool(
            raft.messages
            or raft.messages_after
            or raft.pending_ack
            or raft.must_replicate
            or raft.log.handed < raft.log.last
            or (raft.log.may_hand_out and raft.installing is None)
            or raft.term != raft.handed_state.term
            or raft.vote != raft.handed_state.vote
            or raft.membership_changed
            or raft.reads.states
            or raft.reads.dropped
            or raft.chunk
            or raft.refused_snapshot
            or read_index.can_progress(raft)
        )

    def ready(self) -> Ready:
        """Everything there is to do since the last one, as one batch."""
        raft = self._raft
        log = raft.log
        if raft.is_leader and raft.must_replicate:
            replication.flush(raft)
        read_index.flush(raft)
        chunk = snapshots.take_chunk(raft)
        self._seq += 1
        ready = Ready(self._seq, log.take_unhanded())
        if raft.term != raft.handed_state.term or raft.vote != raft.handed_state.vote:
            ready.hard_state = raft.handed_state = HardState(raft.term, raft.vote)
        if raft.membership_changed:
            ready.appended_membership = raft.electorate.membership
            raft.membership_changed = False
        if raft.pending_ack is not None:
            raft.messages_after.append(raft.pending_ack)
            raft.pending_ack = None
        ready.messages, raft.messages = raft.messages, []
        ready.messages_after, raft.messages_after = raft.messages_after, []
        if log.may_hand_out and raft.installing is None:
            ready.committed = log.take_committed(raft.config.max_apply_bytes)
        reads = raft.reads
        ready.read_states, reads.states = reads.states, []
        ready.reads_dropped, reads.dropped = reads.dropped, []
        ready.snapshot_chunk = chunk
        ready.refused_snapshot, raft.refused_snapshot = raft.refused_snapshot, None
        if ready.must_wait:
            last = ready.entries[-1].last if ready.entries else Index(0)
            raft.outstanding.append(Outstanding(ready.seq, last, ready.hard_state, raft.now))
        return ready

    # Reports -------------------------------------------------------------------------------

    def persisted(self, seq: int) -> None:
        """Ready ``seq`` and every earlier one are durable."""
        raft = self._raft
        waiting = raft.outstanding
        while waiting and waiting[0].seq <= seq:
            record = waiting.popleft()
            if record.last:
                raft.log.stable_to(record.last)
            state = record.hard_state
            if state is not None:
                raft.durable_term = state.term
                election.own_vote_durable(raft, state.term, state.vote)
        if raft.is_leader and raft.log.stable > raft.log.commit:
            replication.advance_commit(raft)

    def applied(self, index: Index) -> None:
        """The state machine has applied everything up to ``index``."""
        self._raft.log.applied_to(index)

    def chunk_stored(self, checksum: bytes, next_offset: int) -> None:
        """This node holds the snapshot file with that checksum up to ``next_offset``."""
        snapshots.chunk_stored(self._raft, checksum, next_offset)

    def chunk_dropped(self, checksum: bytes) -> None:
        """The piece could not be stored just now: the file stays as far as it is there, and the
        leader asks again."""
        snapshots.chunk_dropped(self._raft, checksum)

    def chunk_failed(self, checksum: bytes) -> None:
        """The snapshot could not be stored or did not verify; what there was is dropped."""
        snapshots.chunk_failed(self._raft, checksum)

    def snapshot_installed(self, meta: SnapshotMeta) -> None:
        """The state machine now holds the snapshot, and the durable log starts after it."""
        snapshots.installed(self._raft, meta)

    def snapshot_unavailable(self, to: NodeId) -> None:
        """The data of an InstallSnapshot could not be read."""
        snapshots.unavailable(self._raft, to)

    def snapshot_available(self) -> None:
        """``storage.snapshot()`` has a new answer."""
        snapshots.available(self._raft)

    def compacted(self, first: Index) -> None:
        """The durable log starts at ``first`` from now on: nothing before it is read again."""
        self._raft.log.compact(first)

    # Questions -----------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """Follower, pre-candidate, candidate or leader."""
        return self._raft.role

    @property
    def term(self) -> Term:
        """The current term."""
        return self._raft.term

    @property
    def leader(self) -> NodeId:
        """The leader of this term as far as known, else NO_NODE."""
        return self._raft.leader

    @property
    def commit(self) -> Index:
        """The highest index known to be committed."""
        return self._raft.log.commit

    @property
    def applied_index(self) -> Index:
        """The highest index reported as applied."""
        return self._raft.log.applied

    @property
    def last_index(self) -> Index:
        """The newest entry, durable or not."""
        return self._raft.log.last

    @property
    def durable_index(self) -> Index:
        """The newest entry that a crash of this node cannot lose."""
        return self._raft.log.stable

    @property
    def membership(self) -> Membership:
        """The configuration in force: the newest appended one."""
        return self._raft.electorate.membership

    @property
    def first_term_committed(self) -> bool:
        """This node leads and has committed an entry of its own term."""
        return self._raft.has_committed_in_term

    @property
    def transferee(self) -> NodeId:
        """Whom this leader is handing over to, else NO_NODE."""
        return self._raft.transferee

    @property
    def disk_is_stuck(self) -> bool:
        """A write has been under way for longer than a leader may be stuck."""
        return self._raft.disk_is_stuck

    def statistics(self) -> RaftStatistics:
        """An immutable picture of everything."""
        raft = self._raft
        log, reads = raft.log, raft.reads
        return RaftStatistics(
            id=raft.id,
            role=raft.role.value,
            term=raft.term,
            vote=raft.vote,
            leader=raft.leader,
            first=log.first,
            last=log.last,
            durable=log.stable,
            commit=log.commit,
            applied=log.applied,
            membership=raft.electorate.membership,
            membership_index=raft.electorate.index,
            transferee=raft.transferee,
            uncommitted_bytes=raft.uncommitted_bytes,
            cached_bytes=log.tail.bytes,
            reads_waiting=len(reads.local) + len(reads.rounds) + len(reads.forwarded),
            read_round=reads.round,
            progress=tuple(_progress_statistics(raft)),
        )


def _progress_statistics(raft: Raft) -> list[ProgressStatistics]:
    voters = raft.electorate.voters
    return [
        ProgressStatistics(
            id=node,
            match=progress.match,
            next=progress.next,
            state=progress.state.value,
            recently_active=raft.is_active(node),
            is_learner=node not in voters,
            caught_up=membership.is_caught_up(raft, progress),
            inflight=len(progress.inflight),
            snapshot_offset=progress.snapshot_offset,
        )
        for node, progress in sorted(raft.progress.items())
    ]
