"""Linearizable reads without the log (dissertation §6.4), batched, without leases.

A leader notes its commit index, then opens a round: heartbeats with a fresh number to all voters.
A majority of answers to this round *or a later one* proves that nobody had replaced the leader when
the round began, which was after its reads arrived; so the index noted is current for them. Lost
rounds are retried under a new number by the ordinary heartbeats. A follower sends its batch to the
leader under a context number of its own, also fresh at every retry; contexts start at a random
number so that an answer to a former life of this process is never taken for one to this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from coord.raft.heartbeats import send_heartbeat
from coord.raft.messages import ReadRequest, ReadResponse
from coord.raft.types import NO_NODE, Index, NodeId, ReadState

if TYPE_CHECKING:
    from coord.raft.messages import HeartbeatResponse
    from coord.raft.state import Raft

_CONTEXT_SPACE = 1 << 62


class Round:
    """Reads waiting for a majority to answer heartbeat round ``number``, or a later one."""

    __slots__ = ("index", "local", "number", "remote")

    def __init__(
        self, number: int, index: Index, local: list[int], remote: list[tuple[NodeId, int]]
    ) -> None:
        self.number = number
        self.index = index
        self.local = local
        self.remote = remote


class Forwarded:
    """A follower's batch that the leader has been asked about."""

    __slots__ = ("read_ids", "since")

    def __init__(self, read_ids: list[int], since: int) -> None:
        self.read_ids = read_ids
        self.since = since
        """Tick at which its oldest read was first sent."""


class Reads:
    """Reads on their way. Invariant: every read id given is in exactly one place until it leaves
    through ``states`` or ``dropped``."""

    def __init__(self, jitter: Callable[[int], int]) -> None:
        self.local: list[int] = []
        """Not in a round yet (leader), or not forwarded yet (follower)."""
        self.remote: list[tuple[NodeId, int]] = []
        """Leader: (follower, context) not in a round yet."""
        self.rounds: deque[Round] = deque()
        """Leader: rounds not confirmed, oldest first."""
        self.round = 0
        """Number of the newest round. Never reused while this process lives; answers carry the
        term, and no process leads twice in one term."""
        self.forwarded: dict[int, Forwarded] = {}
        """Follower: batches by context."""
        self.context = jitter(_CONTEXT_SPACE)
        self.states: list[ReadState] = []
        self.dropped: list[int] = []

    def drop_all(self) -> None:
        """The leader changed: nothing asked before can be answered."""
        self.dropped += self.local
        for waiting in self.rounds:
            self.dropped += waiting.local
        for batch in self.forwarded.values():
            self.dropped += batch.read_ids
        self.local = []
        self.remote = []
        self.rounds.clear()
        self.forwarded.clear()

    @property
    def has_waiting(self) -> bool:
        """Something waits for a round."""
        return bool(self.local or self.remote)


def register(raft: Raft, read_id: int) -> bool:
    """A read arrived here. False if no leader is known to ask."""
    if raft.leader == NO_NODE:
        return False
    raft.reads.local.append(read_id)
    return True


def can_progress(raft: Raft) -> bool:
    """The next Ready would start a round or forward a batch."""
    reads = raft.reads
    if not reads.has_waiting:
        return False
    if raft.is_leader:
        return raft.has_committed_in_term
    return bool(reads.local)


def flush(raft: Raft) -> None:
    """Once per Ready: one round, or one request to the leader, for everything that arrived."""
    reads = raft.reads
    if raft.is_leader:
        if reads.has_waiting and raft.has_committed_in_term:
            _open_round(raft)
    elif reads.local:
        _forward(raft, reads.local, raft.now)
        reads.local = []


def _open_round(raft: Raft) -> None:
    reads = raft.reads
    reads.round += 1
    reads.rounds.append(Round(reads.round, raft.log.commit, reads.local, reads.remote))
    reads.local = []
    reads.remote = []
    for node in raft.electorate.voters:
        if node != raft.id:
            send_heartbeat(raft, raft.progress[node], reads.round)
    confirm(raft)


def confirm(raft: Raft) -> None:
    """Release every round that a majority of voters has answered; learners do not count."""
    reads = raft.reads
    if not reads.rounds:
        return
    confirmed = raft.electorate.agreed(lambda node: _answered(raft, node))
    while reads.rounds and reads.rounds[0].number <= confirmed:
        done = reads.rounds.popleft()
        reads.states += [ReadState(read_id, done.index) for read_id in done.local]
        for node, context in done.remote:
            _answer(raft, node, context, done.index, accepted=True)


def _answered(raft: Raft, node: NodeId) -> int:
    return raft.reads.round if node == raft.id else raft.progress[node].read_round


def _answer(raft: Raft, to: NodeId, context: int, index: Index, *, accepted: bool) -> None:
    raft.send(ReadResponse(to, raft.id, raft.incarnation, raft.term, context, index, accepted))


def on_heartbeat_round(raft: Raft, message: HeartbeatResponse) -> None:
    """Leader: a member answered a round."""
    progress = raft.progress[message.frm]
    if message.read_round > progress.read_round:
        progress.read_round = message.read_round
        confirm(raft)


def on_read_request(raft: Raft, message: ReadRequest) -> None:
    """A follower asks. Refused by all but the leader."""
    if raft.is_leader:
        raft.reads.remote.append((message.frm, message.context))
    else:
        _answer(raft, message.frm, message.context, Index(0), accepted=False)


def on_read_response(raft: Raft, message: ReadResponse) -> None:
    """The leader answered one of our batches; an unknown context was retried or given up."""
    batch = raft.reads.forwarded.pop(message.context, None)
    if batch is None:
        return
    if message.accepted:
        raft.reads.states += [ReadState(read_id, message.index) for read_id in batch.read_ids]
    else:
        raft.reads.dropped += batch.read_ids


def _forward(raft: Raft, read_ids: list[int], since: int) -> None:
    reads = raft.reads
    reads.context += 1
    reads.forwarded[reads.context] = Forwarded(read_ids, since)
    raft.send(ReadRequest(raft.leader, raft.id, raft.incarnation, raft.term, reads.context))


def retry_forwarded(raft: Raft) -> None:
    """Follower, every heartbeat interval: ask again under a fresh context, give up in the end."""
    reads = raft.reads
    overdue = [
        (context, batch)
        for context, batch in reads.forwarded.items()
        if raft.now - batch.since >= raft.config.heartbeat_ticks
    ]
    again: list[int] = []
    since = raft.now
    for context, batch in overdue:
        del reads.forwarded[context]
        if raft.now - batch.since >= raft.config.election_ticks_max:
            reads.dropped += batch.read_ids
        else:
            again += batch.read_ids
            since = min(since, batch.since)
    if again:
        _forward(raft, again, since)
