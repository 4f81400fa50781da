"""A node's ``Transport`` over the simulated network: one outgoing stream to every other member.

As the real one: a node sends on the streams it dialled and reads from those dialled to it; both
sides introduce themselves with a hello; a lost outgoing stream is dialled again after a pause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from coord.node.ports import PeerHandler
from coord.raft.types import Membership, NodeId
from coord.sim.kernel import US_PER_MS
from coord.sim.network import PPM, End, Network
from coord.sim.process import Process

PORT: Final = "peer"
REDIAL_US_MIN: Final = 10 * US_PER_MS
REDIAL_US_MAX: Final = 200 * US_PER_MS

Hello = dict[str, Any]


class PeerCodec(Protocol):
    """Turns a batch of messages into bytes and back, as on the real wire."""

    def encode(self, messages: Sequence[Any]) -> bytes:
        """One frame."""
        ...

    def decode(self, frame: bytes) -> list[Any]:
        """Inverse of ``encode``: fresh objects, nothing shared with the sender."""
        ...


class Identity(NamedTuple):
    """Who a node is on the peer network. ``admits``: whether a peer's hello is acceptable."""

    node_id: NodeId
    incarnation: int
    hello: Callable[[], Hello]
    admits: Callable[[Hello], bool]


def host_name(node_id: int) -> str:
    """The process name of a node."""
    return f"n{node_id}"


class SimTransport:
    """Carries one node's messages. ``drop_ppm``: chance that a batch is dropped as if the
    queue were full."""

    def __init__(
        self, network: Network, process: Process, identity: Identity, codec: PeerCodec
    ) -> None:
        self.drop_ppm = 0
        self._network = network
        self._process = process
        self._identity = identity
        self._codec = codec
        self._handler: PeerHandler | None = None
        self._members: dict[int, None] = {}
        self._outgoing: dict[int, End] = {}
        self._incoming: dict[int, End] = {}
        self._dialling: set[int] = set()
        self._closed = False

    # --- coord.node.ports.Transport -------------------------------------------------------------

    def start(self, handler: PeerHandler) -> None:
        """Begin to accept and dial."""
        self._handler = handler
        self._network.listen(self._process, PORT, self._accept)
        for peer in self._members:
            self._dial(peer)

    def set_members(self, membership: Membership) -> None:
        """Dial every member but this node; end the streams of those who left."""
        wanted = sorted({m.id for m in (*membership.members, *membership.outgoing)})
        self._members = {int(i): None for i in wanted if i != self._identity.node_id}
        for streams in (self._outgoing, self._incoming):
            for peer in [p for p in streams if p not in self._members]:
                streams.pop(peer).close()
        if self._handler is not None:
            for peer in self._members:
                self._dial(peer)

    def send(self, to: NodeId, messages: Sequence[Any]) -> bool:
        """One batch, one item; False if there is no stream or the batch was dropped."""
        end = self._outgoing.get(int(to))
        if end is None or end.closed:
            return False
        if self.drop_ppm and self._network.stream.randrange(PPM) < self.drop_ppm:
            return False
        end.write(self._codec.encode(messages))
        return True

    def close(self) -> None:
        """End all streams; dial no more."""
        self._closed = True
        self._network.unlisten(self._process, PORT)
        for end in (*self._outgoing.values(), *self._incoming.values()):
            end.close()
        self._outgoing.clear()
        self._incoming.clear()

    # --- streams --------------------------------------------------------------------------------

    def _dial(self, peer: int) -> None:
        if self._closed or peer in self._dialling or peer in self._outgoing:
            return
        if peer not in self._members:
            return
        self._dialling.add(peer)
        self._network.dial(
            self._process,
            host_name(peer),
            PORT,
            self._identity.hello(),
            lambda end, hello: self._dialled(peer, end, hello),
        )

    def _dialled(self, peer: int, end: End | None, hello: Any) -> None:
        self._dialling.discard(peer)
        if end is None or self._closed or peer not in self._members:
            if end is not None:
                end.close()
            self._redial(peer)
            return
        if not self._identity.admits(hello):
            end.close()
            self._redial(peer)
            return
        end.handler = _Outgoing(self, peer, end)
        self._outgoing[peer] = end
        assert self._handler is not None
        self._handler.on_link_up(NodeId(peer), hello)

    def _redial(self, peer: int) -> None:
        pause_us = self._network.stream.randrange(REDIAL_US_MIN, REDIAL_US_MAX)
        self._network.kernel.schedule(pause_us, lambda: self._dial(peer), self._process)

    def outgoing_ended(self, peer: int, end: End) -> None:
        """A stream this node sent on is gone."""
        if self._outgoing.get(peer) is end:
            del self._outgoing[peer]
            self._redial(peer)

    def _accept(self, end: End, hello: Hello) -> Hello | None:
        peer, incarnation = int(hello["node_id"]), int(hello["incarnation"])
        if self._closed or not self._identity.admits(hello):
            return None
        old = self._incoming.pop(peer, None)
        if old is not None:
            old.close()
        end.handler = _Incoming(self, peer, incarnation, end)
        self._incoming[peer] = end
        assert self._handler is not None
        self._handler.on_link_up(NodeId(peer), hello)
        return self._identity.hello()

    def arrived(self, peer: int, incarnation: int, frame: bytes) -> None:
        """A frame from a peer."""
        assert self._handler is not None
        self._handler.on_messages(NodeId(peer), incarnation, self._codec.decode(frame))

    def incoming_ended(self, peer: int, end: End) -> None:
        """A stream this node read from is gone."""
        if self._incoming.get(peer) is end:
            del self._incoming[peer]
            assert self._handler is not None
            self._handler.on_link_lost(NodeId(peer))


class _Outgoing:
    """Handler of a stream this node dialled: nothing is read from it but its end."""

    def __init__(self, transport: SimTransport, peer: int, end: End) -> None:
        self._transport = transport
        self._peer = peer
        self._end = end

    def on_item(self, item: Any) -> None:
        raise AssertionError(f"peer {self._peer} wrote {item!r:.80} where it must only read")

    def on_end(self) -> None:
        self._transport.outgoing_ended(self._peer, self._end)


class _Incoming:
    """Handler of a stream a peer dialled."""

    def __init__(self, transport: SimTransport, peer: int, incarnation: int, end: End) -> None:
        self._transport = transport
        self._peer = peer
        self._incarnation = incarnation
        self._end = end

    def on_item(self, item: Any) -> None:
        self._transport.arrived(self._peer, self._incarnation, item)

    def on_end(self) -> None:
        self._transport.incoming_ended(self._peer, self._end)
