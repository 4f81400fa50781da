"""A cluster of bare cores in virtual time, driven by one seed and watched by ClusterChecker.

Time is in microseconds on a heap. Disks complete writes in order and late; a crash keeps any prefix
of the writes under way. The network drops, repeats, delays and so reorders, and cuts links one way.
State machines are a running hash; they fall back to their last save at a crash, never further than
the log reaches. Every client operation, fault and repair is drawn from the seed.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush

from coord.raft import (
    NO_NODE,
    EntryKind,
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
    RaftRefusal,
    Ready,
    Role,
    SnapshotChunk,
    SnapshotMeta,
    Term,
    bootstrap_entries,
    from_wire,
    to_wire,
)
from coord.raft.describe import describe_message
from coord.raft.invariants import ClusterChecker, InvariantViolation, Key
from coord.raft.messages import InstallSnapshot

TICK = 20_000
SECOND = 1_000_000
READIES_MAX = 2_000
"""More than that from one input means that the driver's loop never ends."""
ZERO = Index(0)
ZERO_TERM = Term(0)


@dataclass(slots=True)
class Machine:
    """A replicated state machine: the hash of everything applied, and the configuration."""

    index: Index = ZERO
    term: Term = ZERO_TERM
    digest: int = 0
    membership: Membership = field(default_factory=Membership)

    def apply(self, run: LogSlice) -> None:
        """Apply a run."""
        assert run.first == self.index + 1
        for payload in run.payloads:
            self.digest = zlib.crc32(payload, self.digest)
            if run.kind is EntryKind.CONFIG:
                self.membership = Membership.decode(payload)
        self.index, self.term = run.last, run.term

    def copy(self) -> Machine:
        """An independent copy."""
        return Machine(self.index, self.term, self.digest, self.membership)

    def encode(self) -> bytes:
        """The snapshot file: padded, so that it takes several chunks."""
        body = struct.pack(">QQI", self.index, self.term, self.digest) + self.membership.encode()
        return body + bytes(64)

    @classmethod
    def decode(cls, data: bytes) -> Machine:
        """Inverse of ``encode``."""
        index, term, digest = struct.unpack_from(">QQI", data)
        membership = Membership.decode(data[20:-64])
        return cls(Index(index), Term(term), digest, membership)

    def meta(self) -> SnapshotMeta:
        """Describe the snapshot of this state."""
        data = self.encode()
        return SnapshotMeta(
            self.index, self.term, self.membership, sha256(data).digest(), len(data)
        )


@dataclass(slots=True)
class Directory:
    """What survives a crash."""

    storage: MemoryStorage
    saved: Machine = field(default_factory=Machine)
    files: dict[bytes, bytes] = field(default_factory=dict)
    """Snapshots, complete and partial, by checksum."""


class Process:
    """One running node."""

    def __init__(self, key: Key, node: RaftNode, directory: Directory) -> None:
        self.key = key
        self.node = node
        self.directory = directory
        self.machine = directory.saved.copy()
        self.writes: deque[Ready] = deque()
        self.writing = False
        self.disk_stuck = False
        self.paused = False
        self.inbox: list[Message] = []
        """Messages that arrived while paused."""


@dataclass(slots=True)
class Faults:
    """Rates and delays in force; delays in microseconds."""

    drop: float = 0.0
    repeat: float = 0.0
    delay: tuple[int, int] = (200, 1_000)
    straggle: float = 0.0
    """Chance of a message to be delayed by up to ``straggle_by``."""
    straggle_by: int = 400_000
    disk: tuple[int, int] = (200, 1_500)


class Cluster:
    """Nodes, network, disks and time."""

    def __init__(
        self,
        seed: int,
        size: int = 3,
        *,
        factory: Callable[..., RaftNode] = RaftNode,
        **config: int | bool,
    ) -> None:
        self.rng = random.Random(seed)
        self.factory = factory
        self.config = config
        self.now = 0
        self.faults = Faults()
        self.blocked: set[tuple[int, int]] = set()
        self.directories: dict[Key, Directory] = {}
        self.processes: dict[NodeId, Process] = {}
        self.checker = ClusterChecker(self._durable)
        self.lines: list[str] | None = None
        """Trace, if wanted."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._reads = 0
        self.served = 0
        self.events = 0
        self._incarnations = 100
        founders = tuple(self._new_member(NodeId(i)) for i in range(1, size + 1))
        membership = Membership(founders)
        for member in founders:
            hard_state, run = bootstrap_entries(membership)
            key = (member.id, member.incarnation)
            self.directories[key] = Directory(MemoryStorage(hard_state, [run]))
            self.start(key)

    def _new_member(self, node: NodeId, role: MemberRole = MemberRole.VOTER) -> Member:
        self._incarnations += 1
        return Member(node, Incarnation(self._incarnations), role)

    def _durable(self, key: Key) -> MemoryStorage | None:
        directory = self.directories.get(key)
        return directory.storage if directory else None

    def trace(self, line: str) -> None:
        """Record what happens, if somebody wants to know."""
        if self.lines is not None:
            self.lines.append(f"{self.now / 1000:10.1f} {line}")

    # Time ----------------------------------------------------------------------------------

    def at(self, delay: int, action: Callable[[], None]) -> None:
        """Run ``action`` after ``delay``."""
        self._order += 1
        heappush(self._events, (self.now + delay, self._order, action))

    def run(self, duration: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; stop early, and say so, once ``until`` holds."""
        end = self.now + duration
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heappop(self._events)
            self.events += 1
            action()
            if until is not None and until():
                return True
        self.now = end
        return until is not None and until()

    # Life cycle ----------------------------------------------------------------------------

    def start(self, key: Key) -> None:
        """Start a process on a directory."""
        directory = self.directories[key]
        config = RaftConfig(key[0], key[1], **self.config)  # type: ignore[arg-type]
        chance = random.Random(self.rng.random())
        node = self.factory(
            config, directory.storage, chance.randrange, directory.saved.index, self.trace
        )
        process = Process(key, node, directory)
        self.processes[key[0]] = process
        self.checker.started(key, node)
        self.at(self.rng.randrange(TICK), lambda: self._tick(process))
        self.trace(f"{key[0]} starts")

    def _alive(self, process: Process) -> bool:
        return self.processes.get(process.key[0]) is process

    def crash(self, node: NodeId) -> None:
        """Kill a process: any prefix of the writes under way is durable."""
        process = self.processes.pop(node)
        for ready in list(process.writes)[: self.rng.randint(0, len(process.writes))]:
            process.directory.storage.write(ready)
        self.checker.stopped(process.key)
        self.trace(f"{node} crashes")

    def restart(self, node: NodeId) -> None:
        """Start a crashed node on what it had."""
        self.start(next(key for key in reversed(self.directories) if key[0] == node))

    def wipe(self, node: NodeId) -> None:
        """The disk is lost: a new, empty directory under the same id."""
        old = next(key for key in reversed(self.directories) if key[0] == node)
        del self.directories[old]
        member = self._new_member(node)
        key = (member.id, member.incarnation)
        self.directories[key] = Directory(MemoryStorage())
        self.start(key)

    def add_empty(self, node: NodeId) -> Member:
        """Start a node that belongs to nothing yet."""
        member = self._new_member(node, MemberRole.LEARNER)
        self.directories[(member.id, member.incarnation)] = Directory(MemoryStorage())
        self.start((member.id, member.incarnation))
        return member

    def _tick(self, process: Process) -> None:
        if not self._alive(process):
            return
        self.at(TICK, lambda: self._tick(process))
        if not process.paused:
            process.node.tick()
            self.checker.after(process.key)
            self.checker.ticked(process.key)
            self.drain(process)

    def pause(self, node: NodeId) -> None:
        """Stop a process as SIGSTOP does."""
        self.processes[node].paused = True
        self.trace(f"{node} pauses")

    def resume(self, node: NodeId) -> None:
        """Let it go on: it notices the gap first, then reads what queued up."""
        process = self.processes[node]
        process.paused = False
        self.trace(f"{node} resumes")
        process.node.woke_after_stall()
        if process.node.role is Role.LEADER:
            raise InvariantViolation("stalled-leader-leaves", f"{node} still leads")
        self.checker.after(process.key)
        self.drain(process)
        inbox, process.inbox = process.inbox, []
        for message in inbox:
            self.hand_in(process, message)

    # Driver --------------------------------------------------------------------------------

    def drain(self, process: Process) -> None:
        """The driver's loop of ``coord.raft``: everything a node wants done."""
        node, key = process.node, process.key
        readies = 0
        while node.has_ready():
            readies += 1
            if readies > READIES_MAX:
                raise InvariantViolation("comes-to-rest", f"{key} wants ever more done")
            ready = node.ready()
            self.checker.handed(key, ready)
            for message in ready.messages:
                self._send(process, message)
            if ready.must_wait:
                process.writes.append(ready)
                self._write(process)
            for run in ready.committed:
                process.machine.apply(run)
            if ready.committed:
                node.applied(process.machine.index)
            for state in ready.read_states:
                self.served += 1
                self.checker.read_served(key, state.read_id, state.index)
            for read_id in ready.reads_dropped:
                self.checker.read_dropped(key, read_id)
            if ready.snapshot_chunk is not None:
                self._store(process, ready.snapshot_chunk)
            self.checker.after(key)

    def _write(self, process: Process) -> None:
        if process.writing or process.disk_stuck or not process.writes:
            return
        process.writing = True
        group = self.rng.randint(1, len(process.writes))
        self.at(self.rng.randint(*self.faults.disk), lambda: self._written(process, group))

    def _written(self, process: Process, group: int) -> None:
        if not self._alive(process):
            return
        process.writing = False
        if process.disk_stuck:
            return
        done = [process.writes.popleft() for _ in range(min(group, len(process.writes)))]
        for ready in done:
            process.directory.storage.write(ready)
        if done:
            process.node.persisted(done[-1].seq)
            self.checker.after(process.key)
        for ready in done:
            for message in ready.messages_after:
                self._send(process, message)
        self._write(process)
        if not process.paused:
            self.drain(process)

    def unstick(self, node: NodeId) -> None:
        """The disk works again."""
        process = self.processes[node]
        process.disk_stuck = False
        self._write(process)

    def flush(self, process: Process) -> None:
        """Finish every write under way now."""
        while process.writes:
            ready = process.writes.popleft()
            process.directory.storage.write(ready)
            process.node.persisted(ready.seq)
            self.checker.after(process.key)
            for message in ready.messages_after:
                self._send(process, message)

    # Network -------------------------------------------------------------------------------

    def _send(self, process: Process, message: Message) -> None:
        self.checker.sent(process.key, message)
        if self.lines is not None:
            self.trace(describe_message(message))
        if isinstance(message, InstallSnapshot):
            data = process.directory.files.get(message.meta.checksum)
            if data is None or len(data) != message.meta.length:
                process.node.snapshot_unavailable(message.to)
                return
            message.data = data[message.offset : message.offset + message.size]
        faults, rng = self.faults, self.rng
        if (message.frm, message.to) in self.blocked or rng.random() < faults.drop:
            if rng.random() < 0.3:
                process.node.unreachable(message.to)
            return
        copies = 2 if rng.random() < faults.repeat else 1
        wire = to_wire(message)
        for _ in range(copies):
            delay = rng.randint(*faults.delay)
            if rng.random() < faults.straggle:
                delay += rng.randrange(faults.straggle_by)
            self.at(delay, lambda: self._deliver(from_wire(wire)))

    def _deliver(self, message: Message) -> None:
        process = self.processes.get(message.to)
        if process is None or (message.frm, message.to) in self.blocked:
            return
        if process.paused:
            process.inbox.append(message)
        else:
            self.hand_in(process, message)

    def hand_in(self, process: Process, message: Message) -> None:
        """A message arrives; sometimes more does before the driver looks for output."""
        self.take_in(process, message)
        if self.rng.random() < 0.8:
            self.drain(process)

    def take_in(self, process: Process, message: Message) -> None:
        """A message arrives, and the driver does not look for output yet."""
        self.checker.delivered(process.key, message)
        process.node.step(message)
        self.checker.after(process.key)

    def isolate(self, node: NodeId, *, inbound: bool = True, outbound: bool = True) -> None:
        """Cut the links of one node, one way or both."""
        for other in {key[0] for key in self.directories} - {node}:
            if inbound:
                self.blocked.add((other, node))
            if outbound:
                self.blocked.add((node, other))

    def lose_links(self, node: NodeId) -> None:
        """A process is gone: the others see the end of their connections to it."""
        for process in list(self.processes.values()):
            if process.key[0] != node and not process.paused:
                process.node.link_lost(node)
                self.checker.after(process.key)
                self.drain(process)

    # Snapshots -----------------------------------------------------------------------------

    def snapshot(self, node: NodeId, keep: int) -> None:
        """Take a snapshot and cut the log behind it, keeping up to ``keep`` entries."""
        process = self.processes[node]
        machine, directory = process.machine, process.directory
        storage = directory.storage
        if machine.index < storage.first_index():
            return
        meta = machine.meta()
        directory.files[meta.checksum] = machine.encode()
        directory.saved = machine.copy()
        storage.available = meta
        process.node.snapshot_available()
        marker_index = Index(machine.index - keep)
        if marker_index >= storage.first_index():
            process.node.compacted(Index(marker_index + 1))
            storage.compact(self._marker(storage, marker_index))
        self.checker.after(process.key)
        self.drain(process)

    @staticmethod
    def _marker(storage: MemoryStorage, index: Index) -> SnapshotMeta:
        term = storage.term(index)
        assert term is not None
        membership = storage.marker.membership if storage.marker else Membership()
        for run in storage.slices(storage.first_index(), index, 1 << 30):
            if run.kind is EntryKind.CONFIG:
                membership = Membership.decode(run.payloads[-1])
        return SnapshotMeta(index, term, membership)

    def save(self, node: NodeId) -> None:
        """The state machine reaches the disk."""
        process = self.processes[node]
        process.directory.saved = process.machine.copy()

    def _store(self, process: Process, chunk: SnapshotChunk) -> None:
        files, meta = process.directory.files, chunk.meta
        have = files.setdefault(meta.checksum, b"")
        if len(have) == chunk.offset:
            have = files[meta.checksum] = have + chunk.data
        if self.rng.random() < self.faults.drop / 4:
            files[meta.checksum] = b""
            process.node.chunk_failed(meta.checksum)
            return
        process.node.chunk_stored(meta.checksum, len(have))
        if chunk.done and len(have) == meta.length:
            delay = self.rng.randint(*self.faults.disk) * 4
            self.at(delay, lambda: self._install(process, meta))

    def _install(self, process: Process, meta: SnapshotMeta) -> None:
        if not self._alive(process):
            return
        data = process.directory.files[meta.checksum]
        if sha256(data).digest() != meta.checksum:
            del process.directory.files[meta.checksum]
            process.node.chunk_failed(meta.checksum)
            return
        self.flush(process)
        self.checker.installed(process.key, meta.index)
        process.machine = Machine.decode(data)
        process.directory.saved = process.machine.copy()
        process.directory.storage.install(meta)
        process.node.snapshot_installed(meta)
        self.checker.after(process.key)
        self.trace(f"{process.key[0]} installed {meta.index}")
        self.drain(process)

    # Clients -------------------------------------------------------------------------------

    def leaders(self) -> list[Process]:
        """Everybody who thinks to lead, newest term first."""
        found = [p for p in self.processes.values() if p.node.role is Role.LEADER]
        return sorted(found, key=lambda p: -p.node.term)

    def leader(self) -> Process | None:
        """The leader of the newest term, if any."""
        leaders = self.leaders()
        return leaders[0] if leaders else None

    def propose(self, process: Process, payloads: list[bytes]) -> Index | None:
        """Hand in a batch."""
        index = process.node.propose(payloads)
        self.checker.after(process.key)
        self.drain(process)
        return index

    def read(self, process: Process) -> None:
        """Ask for a linearizable read."""
        self._reads += 1
        if process.node.read_index(self._reads):
            self.checker.read_started(self._reads)
        self.drain(process)

    def change(self, process: Process, membership: Membership) -> bool:
        """Ask for another configuration; False if refused."""
        try:
            process.node.propose_membership(membership)
        except RaftRefusal:
            return False
        self.checker.after(process.key)
        self.drain(process)
        return True

    def transfer(self, process: Process, target: NodeId) -> bool:
        """Ask for a hand-over; False if refused."""
        try:
            process.node.transfer(target)
        except RaftRefusal:
            return False
        self.checker.after(process.key)
        self.drain(process)
        return True

    # Repair --------------------------------------------------------------------------------

    def heal(self) -> None:
        """All links, processes and disks work again."""
        self.faults = Faults()
        self.blocked.clear()
        for key in list(self.directories):
            process = self.processes.get(key[0])
            if process is None:
                self.start(key)
            elif process.paused:
                self.resume(key[0])
            if self.processes[key[0]].disk_stuck:
                self.unstick(key[0])

    def converged(self) -> bool:
        """One leader; every member it lists has applied all of its log."""
        process = self.leader()
        if process is None or not process.node.first_term_committed:
            return False
        membership = process.node.membership
        if membership.is_joint:
            return False
        last = process.node.last_index
        for member in membership.members:
            other = self.processes.get(member.id)
            if other is None or other.key[1] != member.incarnation:
                continue
            if other.node.applied_index != last or other.node.term != process.node.term:
                return False
        return True

    def recover(self, within: int = 8 * SECOND) -> Process:
        """Liveness: after healing, a write commits and reaches everybody, all in one state."""
        self.heal()
        written = False
        deadline = self.now + within
        while self.now < deadline:
            self.run(100_000)
            process = self.leader()
            if process is None:
                continue
            if not written:
                written = self.propose(process, [b"after healing"]) is not None
            elif self.converged():
                return self._same_state(process)
        raise InvariantViolation("recovers-after-healing", self.picture())

    def _same_state(self, leader: Process) -> Process:
        for member in leader.node.membership.members:
            other = self.processes.get(member.id)
            if other and other.key[1] == member.incarnation:
                same = other.machine.digest == leader.machine.digest
                if not same:
                    raise InvariantViolation("replicas-agree", f"{member.id} differs")
        return leader

    def picture(self) -> str:
        """One line per process."""
        return "; ".join(
            f"{p.key[0]} {p.node.role.value} t{p.node.term} leader {p.node.leader or NO_NODE} "
            f"{p.node.applied_index}/{p.node.commit}/{p.node.last_index}"
            for p in self.processes.values()
        )
