"""One member of a simulated cluster: a real Node, store and founding on a simulated machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

from coord.model.errors import CorruptionError, NewerFormatError, ProtocolError
from coord.node.bootstrap import Bootstrapper, Found, Join, Wait, digest_of, hello_after
from coord.node.node import Node
from coord.node.peer_hello import PROCESS_BYTES, Hello
from coord.node.peer_messages import PEER_TYPES
from coord.node.roster import Roster
from coord.node.settings import NodeSettings
from coord.protocol.native import NativeCodec
from coord.protocol.sniff import Front, sniff
from coord.protocol.zookeeper import ZooKeeperCodec
from coord.raft import RaftConfig
from coord.raft.invariants import InvariantViolation, Key
from coord.raft.types import HardState, Incarnation, NodeId
from coord.sim import End, Killed, Process, ProcessClock, SimLogWriter, SimTransport, host_name
from coord.store.applied import ApplyLimits
from coord.store.memory_kv import MemoryEnvironment
from coord.store.memory_store import SimDisk, open_memory_store
from coord.store.raft_log import RaftLog
from coord.store.snapshot_store import SnapshotPolicy
from coord.store.store import MemberStore, StoreOptions
from tests.sim import upgrade
from tests.sim.clients import PORT
from tests.sim.invariants import DurableView
from tests.sim.live_digest import LiveDigest

if TYPE_CHECKING:
    from coord.node.connection import Connection
    from coord.raft import LogSlice
    from coord.store.applied import AppliedBatch
    from coord.store.state_machine import StateMachine
    from tests.sim.cluster import Cluster

logging.getLogger("coord.node").addHandler(logging.NullHandler())
"""What nodes tell their operators of quotas is nobody's to read here."""

OWN_MESSAGES: Final = frozenset(PEER_TYPES.values())
_NAMES: Final[dict[type, str]] = {NewerFormatError: "entries-are-known-to-every-member"}
"""What it says of the cluster that a node whose disk is well gives up with such an error."""
POST_MS_MAX: Final = 20
"""Answers of long work (snapshots) come after a while."""

FREE_BYTES: Final = 1 << 40

Points = Callable[[str], None]
"""Called with the name of a point in a node's work; may raise Killed."""


class Member:
    """A machine with a disk, on which a node runs, dies and starts again.

    ``points`` is told of each named point that the node's work reaches (``kills.POINTS``).
    """

    def __init__(self, cluster: Cluster, node_id: int, drift_ppm: int) -> None:
        kernel = cluster.kernel
        self.id: int = node_id
        clock = ProcessClock(kernel, rate_ppm=drift_ppm, boot_ms=1_000_000 * node_id)
        self.process = Process(kernel, host_name(node_id), clock)
        self.disk = SimDisk()
        self.disk.tells_boots = cluster.plan.boot_ids
        self.store: MemberStore | None = None
        self.node: Node | None = None
        self.writer: SimLogWriter | None = None
        self.points: Points = lambda _name: None
        self.given: Callable[[list[LogSlice]], list[LogSlice]] = lambda slices: slices
        """What the state machine gets of what is committed; a control may falsify it."""
        self.lives = 0
        self.version = upgrade.LEVEL
        """Feature level of the version installed on the machine."""
        self.digest: LiveDigest
        """Of the state machine that ``watch_machine`` has seen last."""
        self.may_give_up = False
        """Its disk has been made to fail in this life: it may end itself."""
        self.gave_up: Callable[[], None] = lambda: None
        """Told when it has: somebody should start it again."""
        self.checked_index = -1
        """Applied index at which the invariants last looked."""
        self._cluster = cluster
        self._random = kernel.streams.get(f"node/{node_id}")
        self._transport: SimTransport | None = None
        self._machine: StateMachine | None = None
        self._key = (NodeId(node_id), Incarnation(0))
        self._view: DurableView | None = None
        """What the disk holds, through the running store or, while nothing runs, by itself."""
        self._lost: dict[Key, DurableView] = {}
        """What directories held when they were wiped: what they had acknowledged may count."""
        self.process.on_death.append(self._died)

    @property
    def key(self) -> Key:
        """How the Raft checker names this data directory."""
        return self._key

    @property
    def leads(self) -> bool:
        """This node believes to lead."""
        return self.node is not None and self.node.driver.is_leader

    def holds_everything(self, last: int) -> bool:
        """Every entry that was applied anywhere is durable here."""
        return self.store is not None and self.store.log.last_index() >= last

    def voters(self) -> frozenset[Key]:
        """Who votes, as far as this node knows; nobody while that is changing."""
        if self.node is None or self.node.raft.membership.is_joint:
            return frozenset()
        return frozenset((m.id, m.incarnation) for m in self.node.raft.membership.voters)

    def durable(self, key: Key) -> DurableView | None:
        """What this disk holds, or held when it was wiped, of the data directory ``key``."""
        if key != self._key:
            return self._lost.get(key)
        if self._view is None:
            image = self.disk.log_image
            if image is None:
                return None
            self._view = DurableView(RaftLog(MemoryEnvironment.from_image(image)))
        return self._view

    def tree(self) -> dict[str, tuple[bytes, bytes]]:
        """Path → (data, stat) of every node of the state machine."""
        assert self.node is not None
        entries, _ = self.node.reader.subtree("/")
        return {path: (bytes(data), bytes(stat)) for path, data, stat in entries}

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process unless it runs."""
        if not self.process.alive:
            self.process.start()
            self.process.call_soon(self._boot)

    def mend_disk(self) -> None:
        """It answers, takes everything and has room."""
        self.disk.free_bytes = FREE_BYTES
        self.disk.shelf_error = None
        self.disk.fail_tree(None)
        self.disk.fail_log(None)
        if self.writer is not None:
            self.writer.stalled_until_us = 0

    def wipe(self) -> None:
        """Kill the process and lose its data directory."""
        self.process.crash()
        held = self.durable(self._key)
        if held is not None:
            self._lost[self._key] = held
        self.disk.wipe()
        self._key, self._view = (NodeId(self.id), Incarnation(0)), None
        self._cluster.kernel.emit(self.process.name, "wipe")

    def _boot(self) -> None:
        self.points("start")
        self.lives += 1
        self.may_give_up = False
        cluster = self._cluster
        knobs = cluster.plan.knobs
        options = StoreOptions(
            NodeId(self.id),
            self._random.randbytes,
            limits=self._limits()(
                history_entries=knobs.history_entries,
                results_after_end_ms=knobs.results_after_end_ms,
            ),
            snapshots=SnapshotPolicy(knobs.log_bytes_min, knobs.log_entries_kept),
        )
        try:
            store = self.store = open_memory_store(self.disk, options)
        except (CorruptionError, NewerFormatError) as error:  # nobody has damaged what it wrote
            name = _NAMES.get(type(error), "healthy-nodes-start")
            raise InvariantViolation(name, f"node {self.id}: {error}") from error
        self._key, self._view = (store.node_id, store.incarnation), DurableView(store.log)
        self.watch_machine()
        hard_state, membership, _ = store.log.initial_state()
        peer, client = cluster.addresses(self.id)
        own = Hello(
            store.node_id,
            store.incarnation,
            self._random.randbytes(PROCESS_BYTES),
            cluster_id=store.cluster_id or b"",
            empty=hard_state == HardState() and not store.log.last_index(),
            membership=membership,
            initial=digest_of(cluster.initial),
            feature_level=self.version,
            peer=peer,
            client=client,
        )
        roster = Roster(own.node_id, {m.id: m.peer for m in cluster.initial}, {})
        roster.set_members(membership, 0)
        transport = self._transport = SimTransport(cluster.network, self.process, own, roster)
        if store.is_empty():
            self._found_or_join(transport, store)
        else:
            self._run(transport, store)

    def _found_or_join(self, transport: SimTransport, store: MemberStore) -> None:
        """As coord.app does it."""

        def on_decided(decision: Found | Join) -> None:
            if isinstance(decision, Found):
                store.bootstrap(decision.cluster_id, decision.membership)
            else:
                store.join(decision.cluster_id)
            self._cluster.kernel.emit(self.process.name, type(decision).__name__.lower())
            transport.introduce(hello_after(transport.own, decision))
            self.process.call_soon(lambda: self._run(transport, store))

        def on_waiting(wait: Wait) -> None:
            assert not wait.alarm, wait.reason

        bootstrapper = Bootstrapper(transport.own, self._cluster.initial, on_decided, on_waiting)
        transport.start(bootstrapper)
        bootstrapper.start()

    def _run(self, transport: SimTransport, store: MemberStore) -> None:
        cluster = self._cluster
        stream = cluster.kernel.streams.get(f"disk/{self.id}")
        writer = SimLogWriter(self.process, store.log, stream, cluster.disk)
        writer.points = self._point
        writer.lies = cluster.disks_lie
        self.writer = writer
        store.attach(self._post, writer)
        raft = RaftConfig(store.node_id, store.incarnation, **cluster.plan.knobs.of_raft())
        node = self.node = Node(
            NodeSettings(raft, feature_level=self.version, read_only=cluster.plan.read_only),
            store,
            self.process.clock,
            self.process,
            _CheckedTransport(self, transport),
            writer,
            self._random.randbytes,
            self._random.randrange,
            self._fatal,
        )
        transport.position = lambda: store.machine.applied_index
        transport.before_input = node.ticker.check
        cluster.invariants.started(self, node.raft)
        cluster.sabotage(self)
        node.start()
        cluster.network.listen(self.process, PORT, self._accept)
        if self.version >= upgrade.NEXT_LEVEL:
            upgrade.Marker(self, node)

    def _limits(self) -> type[ApplyLimits]:
        return ApplyLimits if self.version < upgrade.NEXT_LEVEL else upgrade.NextLimits

    def reached(self, situation: str) -> None:
        """Something worth having been in."""
        self._cluster.invariants.reached[situation] += 1

    def _post(self, call: Callable[[], None]) -> None:
        def answer() -> None:
            self.points("before-answer")
            call()
            self.points("after-answer")

        self.process.call_later(self._random.randrange(POST_MS_MAX), answer)

    def _fatal(self, error: BaseException) -> None:
        if not self.may_give_up:
            raise InvariantViolation(_NAMES.get(type(error), "healthy-nodes-stay"), str(error))
        self.reached("disk error ended a node")
        self.gave_up()
        raise Killed("gave-up")

    def _died(self, power: bool) -> None:
        if self.writer is not None:
            self.writer.process_died()
        self.disk.crash(power=power)
        self._cluster.network.process_died(self.process, power=power)
        if self.node is not None:
            self._cluster.invariants.reached["apply stalled"] += self.node.apply_stalls
            self._cluster.invariants.stopped(self)
        self.node = self.store = self.writer = self._transport = self._machine = None
        self._view = None

    # --- what the harness watches ---------------------------------------------------------------

    def has_moved(self) -> bool:
        """There is something to check: a state machine that is new or at another index than
        ``check`` saw. Asked after every event."""
        store = self.store
        if store is None:
            return False
        machine = store.machine
        return machine is not self._machine or machine.applied_index != self.checked_index

    def watch_machine(self) -> None:
        """Stand between the driver and a state machine that was just opened or installed."""
        assert self.store is not None
        machine = self.store.machine
        if machine is self._machine:
            return
        self._machine = machine
        self.digest = LiveDigest(machine)
        apply_steps = machine.apply_steps

        def watched(slices: list[LogSlice]) -> Generator[None, None, AppliedBatch]:
            self._point("before-apply")
            self._cluster.invariants.applying(self, slices, self._cluster.kernel.now_us)
            batch = yield from apply_steps(self.given(slices))
            self._point("after-apply")
            return batch

        # On this one object: the class stays as the product has it.
        machine.apply_steps = watched  # type: ignore[method-assign]

    def _point(self, name: str) -> None:
        self.points(name)

    def sent(self, messages: Sequence[Any]) -> None:
        """Messages are about to leave."""
        if self.writer is not None and self.writer.has_failed:
            detail = f"node {self.id} knows that its log may not hold what it says"
            raise InvariantViolation("silent-after-failed-sync", detail)
        for message in messages:
            if type(message) not in OWN_MESSAGES:
                self._cluster.invariants.sent(self, message)

    # --- clients --------------------------------------------------------------------------------

    def _accept(self, end: End, greeting: str) -> str | None:
        if self.node is None:
            return None
        end.handler = _Front(self, self.node, end, greeting)
        return "welcome"


class _CheckedTransport:
    """A transport that shows every message to the invariants first."""

    def __init__(self, member: Member, inner: SimTransport) -> None:
        self._member = member
        self._inner = inner
        self.start = inner.start
        self.set_members = inner.set_members
        self.close = inner.close

    def send(self, to: NodeId, messages: Sequence[Any]) -> bool:
        self._member.sent(messages)
        return self._inner.send(to, messages)


class _Front:
    """A client's connection at the node: what coord.server.connection is to a socket."""

    def __init__(self, member: Member, node: Node, end: End, address: str) -> None:
        self._member = member
        self._node = node
        self._end = end
        self._address = address
        self._codec: NativeCodec | ZooKeeperCodec | None = None
        self._conn: Connection | None = None

    def on_item(self, item: bytes) -> None:
        self._node.ticker.check()
        if self._codec is None or self._conn is None:
            self._codec = ZooKeeperCodec() if sniff(item) is Front.ZOOKEEPER else NativeCodec()
            self._conn = self._node.gateway.open(self, self._codec, self._address)
        try:
            items = self._codec.feed(item)
        except ProtocolError as error:
            raise AssertionError(f"a simulated client broke the protocol: {error}") from error
        if items:
            self._node.gateway.receive(self._conn, items)

    def on_end(self) -> None:
        if self._conn is not None:
            self._node.gateway.lost(self._conn)

    def write(self, data: bytes) -> None:
        self._member.points("before-reply")
        self._end.write(data)

    def close(self) -> None:
        self._end.close()

    def pause_reading(self) -> None:
        self._end.pause_reading()

    def resume_reading(self) -> None:
        self._end.resume_reading()
