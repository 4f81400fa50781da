"""Raft: the fields of one node with their invariants, and the four role changes.

Handlers live beside it as free functions that take the Raft first; they alone act, this file only
keeps state consistent. Everything durable is (term, vote, log); everything else is lost by a crash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from coord.raft import electorate
from coord.raft.electorate import Electorate
from coord.raft.invariants import require
from coord.raft.log import RaftLog
from coord.raft.read_index import Reads
from coord.raft.types import (
    NO_NODE,
    EntryKind,
    HardState,
    Incarnation,
    Index,
    LogSlice,
    NodeId,
    SnapshotMeta,
    Term,
)

if TYPE_CHECKING:
    from coord.raft.config import RaftConfig
    from coord.raft.messages import AppendAccepted, Message
    from coord.raft.progress import Progress
    from coord.raft.ready import SnapshotChunk
    from coord.raft.storage import Storage


class Role(Enum):
    """Where a node stands in its term."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Outstanding:
    """A Ready handed to the driver and not yet reported durable.

    Invariant: ``last`` is lowered by every later truncation, so that a write that a later one
    will partly undo never counts for more than what remains (the ABA problem of asynchronous
    writers: the same (index, term) may come back, but only with a later write).
    """

    __slots__ = ("hard_state", "last", "seq", "since")

    def __init__(self, seq: int, last: Index, hard_state: HardState | None, since: int) -> None:
        self.seq = seq
        self.last = last
        """Last entry it makes durable; 0 for none."""
        self.hard_state = hard_state
        self.since = since
        """Tick at which it was handed out."""


@dataclass(slots=True)
class Parcel:
    """The entries an AppendEntries carried, kept to be shared by the next follower's."""

    first: Index
    log_last: Index
    """End of the log when it was made up: later there might be more to send."""
    previous_term: Term
    run: LogSlice
    bytes: int


class Raft:
    """State of one node. See the invariants on the fields and in ``invariants.py``."""

    def __init__(
        self,
        config: RaftConfig,
        storage: Storage,
        jitter: Callable[[int], int],
        applied: Index,
        trace: Callable[[str], None] | None,
    ) -> None:
        self.config = config
        self.id: NodeId = config.id
        self.incarnation: Incarnation = config.incarnation
        self.storage = storage
        self.jitter = jitter
        self.trace = trace
        self.log = RaftLog(storage, config, applied)

        hard_state, _, _ = storage.initial_state()
        self.term: Term = hard_state.term
        """Invariant: never decreases."""
        self.vote: NodeId = hard_state.vote
        """Invariant: set at most once per term, cleared only by a higher term."""
        self.durable_term: Term = hard_state.term
        """Messages of a term that is not durable wait (Raft fig. 2: persist before responding)."""
        self.handed_state = hard_state
        """Hard state the driver was last told to write."""
        self.outstanding: deque[Outstanding] = deque()

        self.configurations: list[Electorate] = electorate.recover(self.log, storage)
        """The newest committed configuration, as far as known, and all later ones: those that
        truncation could bring back, oldest first."""
        self.electorate: Electorate = self.configurations[-1]
        """The newest appended one, in force. Invariant: ``configurations[-1]``."""
        self.membership_changed = False

        self.role = Role.FOLLOWER
        self.leader: NodeId = NO_NODE
        """Leader of ``term`` as far as known. Invariant: at most one per term."""
        self.votes: dict[NodeId, bool] = {}
        """Answers to the election under way, by voter. Our own counts once durable."""
        self.transfer_election = False

        self.now = 0
        """Ticks since start."""
        self.election_elapsed = 0
        """Ticks since the leader was heard from; for a leader, since the last quorum check."""
        self.election_timeout = 0
        self.heartbeat_elapsed = 0
        self.stickiness_void = False
        """The link to the leader broke: others may be helped to replace it."""
        self.failover_ticks = 0
        """Campaign when this counts down to 0; not armed at 0."""
        self.failover_used: tuple[NodeId, Term] = (NO_NODE, Term(0))
        """Leader and term whose link loss has been taken into account: once is enough."""

        self._start_office()
        self._start_output()
        self.reads = Reads(jitter)
        self.chunk: SnapshotChunk | None = None
        """A piece of snapshot to hand out. Invariant: None unless following."""
        self.installing: SnapshotMeta | None = None
        """All of it was handed out: the log stands still until the driver reports the end."""
        self.refused_snapshot: SnapshotMeta | None = None
        """A follower could not use it: for the driver to look at."""
        self.reset_timer()

    def _start_office(self) -> None:
        self.progress: dict[NodeId, Progress] = {}
        """Leader only: every other member."""
        self.term_start = Index(0)
        """Leader only: index of the first entry of its term."""
        self.transferee: NodeId = NO_NODE
        """Leader only: whom it is handing over to; proposals are refused meanwhile."""
        self.transfer_elapsed = 0
        self.stuck_elapsed = 0
        self.stuck_mark = Index(0)
        self.uncommitted: deque[tuple[Index, int]] = deque()
        """Leader only: (last index, bytes) of its proposals beyond the commit index."""
        self.uncommitted_bytes = 0
        self.parcel: Parcel | None = None
        """Leader only."""
        self.must_replicate = False
        """Leader only: there may be something to send at the next Ready."""

    def _start_output(self) -> None:
        self.messages: list[Message] = []
        self.messages_after: list[Message] = []
        self.pending_ack: AppendAccepted | None = None
        """Newest acknowledgement to send once durable; it covers all before."""

    # Questions -----------------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        """This node leads its term, as far as it knows."""
        return self.role is Role.LEADER

    @property
    def is_voter(self) -> bool:
        """The configuration lists this very data directory as a voter."""
        return self.electorate.is_voter(self.id, self.incarnation)

    @property
    def is_electable(self) -> bool:
        """A voter, or one until the newest configuration, without it, is known to be committed:
        with that entry in its log it may be the only one that can still win (dissertation §4.2.2).
        """
        return any(known.is_voter(self.id, self.incarnation) for known in self.configurations)

    @property
    def may_vote(self) -> bool:
        """False if the configuration lists another incarnation: a wiped disk must not vote for
        its past. A node that is not listed at all may be a member by entries it lacks yet."""
        listed = self.electorate.members.get(self.id)
        return listed is None or listed == self.incarnation

    @property
    def has_committed_in_term(self) -> bool:
        """Leader: its commit index is up to date, since an entry of its term is below it."""
        return self.is_leader and self.log.commit >= self.term_start

    @property
    def disk_is_stuck(self) -> bool:
        """A write has been under way for longer than a leader may be stuck."""
        waiting = self.outstanding
        return bool(waiting) and self.now - waiting[0].since >= self.config.stuck_commit_ticks

    def is_active(self, node: NodeId) -> bool:
        """Leader: that member was heard from within an election timeout."""
        if node == self.id:
            return True
        return self.now - self.progress[node].last_heard <= self.config.election_ticks_min

    @property
    def is_sticky(self) -> bool:
        """A live leader was heard from recently: help nobody replace it (dissertation §4.2.3)."""
        if not self.config.check_quorum or self.stickiness_void or self.leader == NO_NODE:
            return False
        return self.election_elapsed < self.config.election_ticks_min

    # Output --------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Queue a message; one of a term not durable yet waits until it is."""
        queue = self.messages if message.term <= self.durable_term else self.messages_after
        queue.append(message)

    def note(self, line: str) -> None:
        """Report a turning point to the driver's trace."""
        if self.trace is not None:
            self.trace(f"{self.id} term {self.term} {self.role.value}: {line}")

    # The log -------------------------------------------------------------------------------

    def append(self, run: LogSlice) -> int:
        """Add entries at the end of the log, and give their size in memory; a configuration
        among them takes effect."""
        size = self.log.append(run)
        if run.kind is EntryKind.CONFIG:
            electorate.adopt(self, run)
        return size

    def truncate(self, index: Index) -> None:
        """Follower: drop entries that conflict with the leader's, and what rests on them."""
        require(not self.is_leader, "leader-append-only", f"truncation from {index}")
        self.log.truncate(index)
        for record in self.outstanding:
            record.last = min(record.last, Index(index - 1))
        if self.pending_ack is not None and self.pending_ack.match >= index:
            self.pending_ack = None
        electorate.roll_back(self, index)

    # Role changes: each lists what it changes ----------------------------------------------

    def reset_timer(self) -> None:
        """Draw a new election timeout and start it."""
        spread = self.config.election_ticks_max - self.config.election_ticks_min + 1
        self.election_timeout = self.config.election_ticks_min + self.jitter(spread)
        self.election_elapsed = 0

    def _leave_role(self) -> None:
        self.votes = {}
        self.transfer_election = False
        self.heartbeat_elapsed = 0
        self.failover_ticks = 0
        self.stickiness_void = False
        self.transferee = NO_NODE
        self.must_replicate = False
        self.progress = {}
        self.parcel = None
        self.uncommitted.clear()
        self.uncommitted_bytes = 0
        self.chunk = None
        self.reads.drop_all()
        self.reset_timer()

    def become_follower(self, term: Term, leader: NodeId) -> None:
        """Enter ``term``, or return to following within the current one."""
        require(term >= self.term, "term-monotonic", f"{self.term} → {term}")
        self._leave_role()
        if term > self.term:
            self.term = term
            self.vote = NO_NODE
        self.role = Role.FOLLOWER
        self.leader = leader
        self.note(f"follows {leader}")

    def become_pre_candidate(self) -> None:
        """Ask around without touching term or vote (dissertation §9.6)."""
        assert not self.is_leader
        self._leave_role()
        self.role = Role.PRE_CANDIDATE
        self.leader = NO_NODE
        self.note("pre-votes")

    def become_candidate(self) -> None:
        """Start an election in a new term, voting for ourselves (§5.2)."""
        assert not self.is_leader
        require(self.is_electable, "only-voters-campaign", f"{self.electorate.membership}")
        self._leave_role()
        self.term = Term(self.term + 1)
        self.vote = self.id
        self.role = Role.CANDIDATE
        self.leader = NO_NODE
        self.note("campaigns")

    def become_leader(self) -> None:
        """A majority voted for us. The entry that opens the term is the caller's to append."""
        assert self.role is Role.CANDIDATE
        self._leave_role()
        self.role = Role.LEADER
        self.leader = self.id
        self.term_start = Index(self.log.last + 1)
        self.stuck_elapsed = 0
        self.stuck_mark = Index(0)
        electorate.sync_progress(self, self.term_start)
        self.note("leads")
