"""One member of a simulated cluster: a real Node on a simulated machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from coord.model.errors import ProtocolError
from coord.node.node import Node
from coord.node.peer_codec import FrameSplitter, decode_body, encode_batch
from coord.node.peer_messages import PEER_TYPES
from coord.node.settings import NodeSettings
from coord.model.limits import PEER_FRAME_BYTES_MAX
from coord.protocol.native import NativeCodec
from coord.raft import RaftConfig
from coord.raft.types import Incarnation, NodeId
from coord.sim import (
    End,
    Identity,
    Process,
    ProcessClock,
    SimLogWriter,
    SimTransport,
    host_name,
)
from tests.sim.clients import PORT
from tests.sim.invariants import DurableView
from tests.sim.store import SimDisk, SimStore

if TYPE_CHECKING:
    from coord.raft import LogSlice
    from tests.sim.cluster import Cluster

OWN_MESSAGES = frozenset(PEER_TYPES.values())


class _Codec:
    """The real peer codec, so that nothing is shared between nodes."""

    def encode(self, messages: Any) -> bytes:
        return encode_batch(messages)

    def decode(self, frame: bytes) -> list[Any]:
        batch: list[Any] = []
        for body in FrameSplitter(PEER_FRAME_BYTES_MAX).feed(frame):
            messages = decode_body(body)
            assert isinstance(messages, list)
            batch += messages
        return batch


class Member:
    """A machine with a disk, on which a node runs, dies and starts again."""

    def __init__(self, cluster: Cluster, node_id: int, incarnation: int, drift_ppm: int) -> None:
        kernel = cluster.kernel
        self.id = node_id
        self.incarnation = incarnation
        self.process = Process(
            kernel,
            host_name(node_id),
            ProcessClock(kernel, rate_ppm=drift_ppm, boot_ms=1_000_000 * node_id),
        )
        self.disk = SimDisk(node_id, incarnation)
        self.store: SimStore | None = None
        self.node: Node | None = None
        self.writer: SimLogWriter | None = None
        self.around_apply: Callable[[str], None] | None = None
        """Called with the name of each point around an apply: a harness may raise Killed."""
        self.around_reply: Callable[[str], None] | None = None
        self._cluster = cluster
        self._random = kernel.streams.get(f"node/{node_id}")
        self.process.on_death.append(self._died)

    @property
    def key(self) -> tuple[int, int]:
        """How the Raft checker names this data directory."""
        return (self.id, self.incarnation)

    @property
    def leads(self) -> bool:
        """This node believes to lead."""
        return self.node is not None and self.node.driver.is_leader

    def durable_log(self) -> DurableView:
        """What its disk holds."""
        if self.store is not None:
            return DurableView(self.store.log)
        return DurableView(SimStore(self.disk).log)

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process unless it runs."""
        if self.process.alive:
            return
        self.process.start()
        self.process.call_soon(self._boot)

    def _boot(self) -> None:
        cluster = self._cluster
        store = self.store = SimStore(self.disk)
        if store.is_empty():
            store.bootstrap(cluster.cluster_id, cluster.founders)
        self._watch_apply(store)
        kernel = cluster.kernel
        self.writer = SimLogWriter(
            self.process,
            store.log,
            kernel.streams.get(f"disk/{self.id}"),
            cluster.plan.disk,
        )
        identity = Identity(NodeId(self.id), self.incarnation, self._hello, _admits)
        transport = _CheckedTransport(self, SimTransport(
            cluster.network, self.process, identity, _Codec()
        ))
        transport.inner.drop_ppm = cluster.drop_ppm
        raft = RaftConfig(NodeId(self.id), Incarnation(self.incarnation))
        self.node = Node(
            NodeSettings(raft),
            store,
            self.process.clock,
            self.process,
            transport,
            self.writer,
            self._random.randbytes,
            self._random.randrange,
            self._fatal,
        )
        cluster.invariants.started(self, self.node.raft)
        self.node.start()
        cluster.network.listen(self.process, PORT, self._accept)

    def _hello(self) -> dict[str, Any]:
        return {"node_id": self.id, "incarnation": self.incarnation}

    def _fatal(self, error: BaseException) -> None:
        raise AssertionError(f"node {self.id} gave up: {error}") from error

    def _died(self, power: bool) -> None:
        if self.writer is not None:
            self.writer.process_died()
        if self.store is not None:
            self.store.died(power=power)
        self._cluster.network.process_died(self.process, power=power)
        if self.node is not None:
            self._cluster.invariants.stopped(self)
        self.node = self.store = self.writer = None

    # --- what the harness watches ---------------------------------------------------------------

    def _watch_apply(self, store: SimStore) -> None:
        apply_steps = store.machine.apply_steps

        def watched(slices: list[LogSlice]) -> Iterator[None]:
            self._point("before-apply")
            self._cluster.invariants.applying(self, slices, self._cluster.kernel.now_us)
            batch = yield from apply_steps(slices)
            self._point("after-apply")
            return batch

        store.machine.apply_steps = watched  # type: ignore[method-assign, assignment]

    def _point(self, name: str) -> None:
        if self.around_apply is not None:
            self.around_apply(name)

    def sent(self, message: Any) -> None:
        """A message is about to leave."""
        if type(message) not in OWN_MESSAGES:
            self._cluster.invariants.sent(self, message)

    # --- clients --------------------------------------------------------------------------------

    def _accept(self, end: End, greeting: str) -> str | None:
        if self.node is None:
            return None
        end.handler = _Front(self, self.node, end, greeting)
        return "welcome"


def _admits(hello: dict[str, Any]) -> bool:
    return bool(hello)


class _CheckedTransport:
    """A transport that shows every message to the invariants first."""

    def __init__(self, member: Member, inner: SimTransport) -> None:
        self.inner = inner
        self._member = member
        self.start = inner.start
        self.set_members = inner.set_members
        self.close = inner.close

    def send(self, to: NodeId, messages: Any) -> bool:
        for message in messages:
            self._member.sent(message)
        return self.inner.send(to, messages)


class _Front:
    """A client's connection at the node: what coord.server.connection is to a socket."""

    def __init__(self, member: Member, node: Node, end: End, address: str) -> None:
        self._member = member
        self._node = node
        self._end = end
        self._codec = NativeCodec()
        self._conn = node.gateway.open(self, self._codec, address)

    def on_item(self, item: bytes) -> None:
        self._node.ticker.check()
        try:
            items = self._codec.feed(item)
        except ProtocolError as error:
            raise AssertionError(f"a simulated client broke the protocol: {error}") from error
        if items:
            self._node.gateway.receive(self._conn, items)

    def on_end(self) -> None:
        self._node.gateway.lost(self._conn)

    def write(self, data: bytes) -> None:
        if self._member.around_reply is not None:
            self._member.around_reply("before-reply")
        self._end.write(data)

    def close(self) -> None:
        self._end.close()

    def pause_reading(self) -> None:
        self._end.pause_reading()

    def resume_reading(self) -> None:
        self._end.resume_reading()
