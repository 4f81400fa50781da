"""A cluster moved by hand: nothing happens unless the test says so.

Messages wait in ``Lab.network`` until delivered or dropped, writes wait until persisted if the test
holds them, and nobody ticks by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from coord.raft import (
    EntryKind,
    HardState,
    Incarnation,
    Index,
    LogSlice,
    Member,
    MemberRole,
    Membership,
    MemoryStorage,
    Message,
    NodeId,
    RaftConfig,
    RaftNode,
    Ready,
    Role,
    SnapshotMeta,
    Term,
    bootstrap_entries,
)

M = TypeVar("M", bound=Message)
Filter = Callable[[Message], bool]


def incarnation(node: int) -> Incarnation:
    """First incarnation of a node."""
    return Incarnation(100 + node)


def member(node: int, role: MemberRole = MemberRole.VOTER, life: int = 0) -> Member:
    """A member; ``life`` counts how often its disk was wiped."""
    return Member(NodeId(node), Incarnation(incarnation(node) + 100 * life), role)


def voters(*nodes: int, learners: tuple[int, ...] = ()) -> Membership:
    """A configuration."""
    members = [member(n) for n in nodes] + [member(n, MemberRole.LEARNER) for n in learners]
    return Membership(tuple(sorted(members, key=lambda m: m.id)))


def run(first: int, term: int, *payloads: bytes) -> LogSlice:
    """A run of commands."""
    return LogSlice(Index(first), Term(term), EntryKind.NORMAL, list(payloads))


def log_of(*terms: int) -> list[LogSlice]:
    """A log given as the terms of entries 2, 3, …; entry 1 is the configuration."""
    return [run(at, term, b"%d@%d" % (at, term)) for at, term in enumerate(terms, start=2)]


def say(cls: type[M], frm: int, to: int, term: int, *fields: Any) -> M:
    """A message as node ``frm`` would send it."""
    return cls(NodeId(to), NodeId(frm), incarnation(frm), Term(term), *fields)


@dataclass(slots=True)
class Peer:
    """One node of the lab."""

    node: RaftNode
    storage: MemoryStorage
    config: RaftConfig
    applied: list[bytes] = field(default_factory=list)
    held: list[Ready] = field(default_factory=list)
    """Writes under way, while ``holds``."""
    holds: bool = False
    reads: dict[int, int] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    chunks: list[Any] = field(default_factory=list)
    refused: list[SnapshotMeta] = field(default_factory=list)
    readies: list[Ready] = field(default_factory=list)

    @property
    def terms(self) -> list[int]:
        """Terms of all entries in the durable log."""
        first, last = self.storage.first_index(), self.storage.last_index()
        return [self.storage.term(Index(i)) or 0 for i in range(first, last + 1)]


class Lab:
    """Nodes 1..size, all voters of the bootstrapped configuration unless told otherwise."""

    def __init__(
        self,
        size: int = 3,
        *,
        membership: Membership | None = None,
        jitter: Callable[[int, int], int] = lambda _node, _bound: 0,
        **config: Any,
    ) -> None:
        self.membership = membership or voters(*range(1, size + 1))
        self.jitter = jitter
        self.settings = config
        self.network: list[Message] = []
        self.dropped: list[Message] = []
        self.peers: dict[int, Peer] = {}
        for each in self.membership.members:
            self.start(each.id)

    def __getitem__(self, node: int) -> RaftNode:
        return self.peers[node].node

    # Life cycle ----------------------------------------------------------------------------

    def start(
        self,
        node: int,
        *,
        term: int = 1,
        vote: int = 0,
        log: list[LogSlice] | None = None,
        empty: bool = False,
        life: int = 0,
    ) -> RaftNode:
        """Start a node on a fresh directory: bootstrapped plus ``log``, or empty."""
        hard_state, first = bootstrap_entries(self.membership)
        if empty:
            storage = MemoryStorage()
        else:
            hard_state = HardState(Term(max(term, hard_state.term)), NodeId(vote))
            storage = MemoryStorage(hard_state, [first, *(log or [])])
        return self.start_on(node, storage, life=life)

    def start_on(self, node: int, storage: MemoryStorage, *, life: int = 0) -> RaftNode:
        """Start a node on a directory."""
        identity = Incarnation(incarnation(node) + 100 * life)
        config = RaftConfig(NodeId(node), identity, **self.settings)
        core = RaftNode(config, storage, lambda bound: self.jitter(node, bound), Index(0))
        self.peers[node] = Peer(core, storage, config)
        return core

    def restart(self, node: int) -> RaftNode:
        """Kill a node and start it on what was durable."""
        peer = self.peers[node]
        life = (peer.config.incarnation - incarnation(node)) // 100
        return self.start_on(node, peer.storage, life=life)

    # Time and output -----------------------------------------------------------------------

    def tick(self, *nodes: int, count: int = 1) -> None:
        """Ticks for some nodes, or for all."""
        for _ in range(count):
            for node in nodes or tuple(self.peers):
                self[node].tick()
                self.collect(node)

    def hold(self, node: int) -> None:
        """From now on the node's writes take until ``persist``."""
        self.peers[node].holds = True

    def release(self, node: int) -> None:
        """Finish all writes and hold no more."""
        self.peers[node].holds = False
        self.persist(node)

    def persist(self, node: int, count: int | None = None) -> None:
        """Finish the oldest writes under way."""
        peer = self.peers[node]
        done, peer.held = peer.held[:count], peer.held[len(peer.held[:count]) :]
        for ready in done:
            self._written(peer, ready)
        self.collect(node)

    def _written(self, peer: Peer, ready: Ready) -> None:
        peer.storage.write(ready)
        peer.node.persisted(ready.seq)
        self.network += ready.messages_after

    def collect(self, node: int) -> None:
        """Do what the node wants done; its messages join the network."""
        peer = self.peers[node]
        while peer.node.has_ready():
            ready = peer.node.ready()
            peer.readies.append(ready)
            self.network += ready.messages
            if ready.must_wait:
                peer.held.append(ready)
                if not peer.holds:
                    peer.held.pop()
                    self._written(peer, ready)
            for each in ready.committed:
                peer.applied += each.payloads if each.kind is EntryKind.NORMAL else []
                peer.node.applied(each.last)
            peer.reads.update({state.read_id: state.index for state in ready.read_states})
            peer.dropped += ready.reads_dropped
            if ready.snapshot_chunk is not None:
                peer.chunks.append(ready.snapshot_chunk)
            if ready.refused_snapshot is not None:
                peer.refused.append(ready.refused_snapshot)

    # Network -------------------------------------------------------------------------------

    def sent(self, cls: type[M], *, frm: int | None = None, to: int | None = None) -> list[M]:
        """Messages of a kind under way."""
        return [
            message
            for message in self.network
            if isinstance(message, cls) and frm in (None, message.frm) and to in (None, message.to)
        ]

    def feed(self, message: Message) -> None:
        """Hand a message in, and do what follows from it."""
        self[message.to].step(message)
        self.collect(message.to)

    def deliver(self, where: Filter = lambda _message: True) -> int:
        """Deliver what is under way now and matches; how many."""
        batch = [m for m in self.network if where(m)]
        self.network = [m for m in self.network if not where(m)]
        for message in batch:
            if message.to in self.peers:
                self.feed(message)
        return len(batch)

    def drop(self, where: Filter = lambda _message: True) -> None:
        """Lose what is under way and matches."""
        self.dropped += [m for m in self.network if where(m)]
        self.network = [m for m in self.network if not where(m)]

    def settle(self, *without: int) -> None:
        """Deliver until nothing moves; nodes ``without`` neither hear nor speak."""
        for node in self.peers:
            self.collect(node)
        for _ in range(1_000):
            self.drop(lambda m: m.to in without or m.frm in without)
            if not self.deliver():
                return
        raise AssertionError("the cluster never settles")

    # Shortcuts -----------------------------------------------------------------------------

    def elect(self, node: int, *without: int) -> RaftNode:
        """Let a node become leader: it alone notices a long silence."""
        for other, peer in self.peers.items():
            if other != node and other not in without:
                peer.node.woke_after_stall()
        core = self[node]
        for _ in range(self.peers[node].config.election_ticks_max):
            if core.role is not Role.FOLLOWER:
                break
            self.tick(node)
        self.settle(*without)
        assert core.role is Role.LEADER, f"{node} is {core.role}"
        return core

    def propose(self, node: int, *payloads: bytes) -> Index:
        """Propose and do what follows at once; deliver nothing."""
        index = self[node].propose(list(payloads))
        assert index is not None
        self.collect(node)
        return index

    def change(self, node: int, membership: Membership) -> Index:
        """Propose another configuration; deliver nothing."""
        index = self[node].propose_membership(membership)
        self.collect(node)
        return index

    def read(self, node: int, read_id: int) -> bool:
        """Ask for a read; deliver nothing."""
        asked = self[node].read_index(read_id)
        self.collect(node)
        return asked

    def compact(self, node: int, index: int, *, length: int = 10) -> SnapshotMeta:
        """Take a snapshot at ``index`` and cut the log behind it."""
        peer = self.peers[node]
        term = peer.storage.term(Index(index))
        assert term is not None
        checksum = b"snapshot %d" % index
        meta = SnapshotMeta(Index(index), term, peer.node.membership, checksum, length)
        peer.storage.available = meta
        peer.node.snapshot_available()
        peer.node.compacted(Index(index + 1))
        peer.storage.compact(meta)
        return meta
