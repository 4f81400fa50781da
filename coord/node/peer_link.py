"""One TCP connection between two nodes: frames in, frames out, bounded.

Every node dials every other and sends on the connection it dialled; on a connection it accepted
it only answers control messages. The owner (``transport``) decides; a link moves bytes and keeps
order. Control maps: a hello has ``magic``; ``{"refused": reason}`` precedes a close;
``{"probe": n}`` asks whether the other process still lives and is answered by ``{"alive": n}``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from coord.model.errors import ProtocolError
from coord.model.limits import MIB, PEER_FRAME_BYTES_MAX
from coord.node.peer_codec import (
    Control,
    FrameSplitter,
    decode_body,
    encode_batch,
    encode_control,
)
from coord.node.peer_hello import HELLO_BYTES_MAX, Hello, from_wire
from coord.node.roster import Standing
from coord.raft.types import NO_NODE, NodeId

QUEUE_BYTES_MAX: Final = 16 * MIB
"""Unsent bytes per peer; past it the newest batch is dropped and Raft probes again."""
QUEUE_MESSAGES_MAX: Final = 8_192
KEEPALIVE_S: Final = 1
KEEPALIVE_PROBES: Final = 3
UNACKNOWLEDGED_MS_MAX: Final = 3_000
"""A peer whose kernel has acknowledged nothing for this long is gone (power loss, partition)."""
REASON_CHARS_MAX: Final = 500

assert QUEUE_BYTES_MAX >= PEER_FRAME_BYTES_MAX


class LinkOwner(Protocol):
    """What a link tells its transport."""

    def before_input(self) -> None:
        """Bytes have arrived and are about to be handled."""

    def on_connected(self, link: PeerLink) -> None:
        """The connection is up; nobody has introduced himself."""

    def on_hello(self, link: PeerLink, hello: Hello) -> None:
        """The peer has introduced itself, or has news of itself."""

    def on_refused(self, link: PeerLink, reason: str) -> None:
        """The peer does not want us."""

    def on_alive(self, link: PeerLink) -> None:
        """The peer has answered a probe."""

    def on_batch(self, link: PeerLink, messages: list[Any]) -> None:
        """Messages of a member, in the order sent."""

    def on_closed(self, link: PeerLink, reason: str) -> None:
        """The connection is over."""


class PeerLink(asyncio.Protocol):
    """A connection, ``dialled`` to a node by this one (0: accepted)."""

    def __init__(self, owner: LinkOwner, dialled: NodeId = NO_NODE) -> None:
        self.dialled = dialled
        self.hello: Hello | None = None
        """Invariant: set by the owner only, once it has accepted the peer's identity."""
        self.told: Hello | None = None
        """What this node has last said of itself on this link."""
        self.standing = Standing.REFUSED
        self.address = "?"
        self.dropped = 0
        """Messages not sent because the queue was full."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = owner
        self._splitter = FrameSplitter(HELLO_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._queued = 0
        self._end = "closed by the other side"

    # --- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket's options and report."""
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        if name:
            self.address = f"{name[0]}:{name[1]}"
        raw = transport.get_extra_info("socket")
        if raw is not None:
            set_peer_options(raw)
        self._owner.on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Handle whole frames; a batch of messages goes up once per read."""
        self._owner.before_input()
        try:
            self._handle(data)
        except ProtocolError as error:
            self.abort(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """EOF, reset, or our own close."""
        if exc is not None:
            self._end = str(exc) or type(exc).__name__
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)
        self._owner.on_closed(self, self._end)

    # --- incoming ---------------------------------------------------------------------------------

    def _handle(self, data: bytes) -> None:
        messages: list[Any] = []
        for body in self._splitter.feed(data):
            frame = decode_body(body)
            if isinstance(frame, list):
                if self.hello is None:
                    raise ProtocolError("a message before the hello")
                messages += frame
                continue
            if messages:
                self._deliver(messages)
                messages = []
            self._control(frame)
            if self._transport is None or self._transport.is_closing():
                return
        if messages:
            self._deliver(messages)

    def _deliver(self, messages: list[Any]) -> None:
        if self.dialled:
            raise ProtocolError("a message on a link that was dialled from here")
        if self.standing is Standing.MEMBER:
            self._owner.on_batch(self, messages)

    def _control(self, frame: Control) -> None:
        if "magic" in frame:
            self._owner.on_hello(self, from_wire(frame))
        elif "refused" in frame:
            self._owner.on_refused(self, str(frame["refused"])[:REASON_CHARS_MAX])
        elif self.hello is None:
            raise ProtocolError("the other side does not introduce itself")
        elif "probe" in frame:
            self.send_control({"alive": frame["probe"]})
        elif "alive" in frame:
            self._owner.on_alive(self)
        # Anything else is a later version's: it must not matter.

    def accept(self, hello: Hello, standing: Standing) -> None:
        """The owner believes the peer; from here on its frames may be large."""
        assert standing is not Standing.REFUSED
        self.hello = hello
        self.standing = standing
        self._splitter.bytes_max = PEER_FRAME_BYTES_MAX

    # --- outgoing ---------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Bytes can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send_batch(self, messages: Sequence[Any]) -> bool:
        """Queue one frame; False if the batch was dropped. Hot path: one pack, one write."""
        transport = self._transport
        if self.standing is not Standing.MEMBER or transport is None or transport.is_closing():
            return False
        unsent = transport.get_write_buffer_size()
        queued = self._queued + len(messages) if unsent else len(messages)
        if unsent > QUEUE_BYTES_MAX or queued > QUEUE_MESSAGES_MAX:
            self.dropped += len(messages)
            return False
        self._queued = queued
        transport.write(encode_batch(messages))
        return True

    def tell(self, own: Hello) -> None:
        """Introduce this node, unless the peer has heard exactly this."""
        if own != self.told:
            self.told = own
            self.send_control(own.to_wire())

    def send_control(self, control: Control) -> None:
        """Queue a control frame (they are few and small)."""
        if self.is_open:
            assert self._transport is not None
            self._transport.write(encode_control(control))

    def refuse(self, reason: str) -> None:
        """Tell the peer why, then close."""
        self.send_control({"refused": reason[:REASON_CHARS_MAX]})
        self.close(f"refused: {reason}")

    def close(self, reason: str) -> None:
        """Flush, then close."""
        if self.is_open:
            assert self._transport is not None
            self._end = reason
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once; queued bytes are lost."""
        if self._transport is not None:
            self._end = reason
            self._transport.abort()


def set_peer_options(raw: socket.socket) -> None:
    """No delay for small frames; let the kernel notice a peer that lost power or network."""
    if raw.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS_MAX),
    ):
        if hasattr(socket, option):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
