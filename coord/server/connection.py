"""One client's socket: finds out which protocol it speaks, then moves bytes both ways.

No task per connection: asyncio calls ``data_received``, every complete request of that read is
decoded in one pass and handed to the gateway, which answers with one ``write``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from coord.model.errors import ProtocolError
from coord.model.limits import CONNECTION_OUTBOX_BYTES_MAX, DATA_BYTES_MAX, REPLY_BURST_BYTES
from coord.node.connection import Phase
from coord.protocol.native import NativeCodec
from coord.protocol.sniff import WORD_BYTES, Front, sniff
from coord.protocol.zookeeper import ZooKeeperCodec

if TYPE_CHECKING:
    from coord.node.connection import Connection
    from coord.node.gateway import Gateway
    from coord.server.newcomers import Newcomers

LINGER_MS: Final = 5_000
"""For the last bytes of a connection that the node ends: nobody holds one by not reading."""

Words = Callable[[bytes], bytes | None]
"""Answers a four-letter word; None: closed without an answer."""


class ClientConnection(asyncio.Protocol):
    """The ClientLink of a real socket. ``request_bytes_max`` binds ZooKeeper's clients."""

    __slots__ = (
        "_address",
        "_codec",
        "_conn",
        "_gateway",
        "_head",
        "_newcomers",
        "_on_closed",
        "_request_bytes_max",
        "_serves_zookeeper",
        "_timer",
        "_transport",
        "_words",
    )

    def __init__(
        self,
        gateway: Gateway,
        newcomers: Newcomers,
        on_closed: Callable[[ClientConnection], None] | None = None,
        *,
        words: Words = lambda _word: None,
        serves_zookeeper: bool = True,
        request_bytes_max: int = DATA_BYTES_MAX,
    ) -> None:
        self._gateway = gateway
        self._newcomers = newcomers
        self._words = words
        self._serves_zookeeper = serves_zookeeper
        self._request_bytes_max = request_bytes_max
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._conn: Connection | None = None
        self._codec: NativeCodec | ZooKeeperCodec | None = None
        self._head = b""
        self._address = ""
        self._timer: asyncio.TimerHandle | None = None
        """How long the last bytes may take."""

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open; a client that says nothing for 5 s is closed."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=REPLY_BURST_BYTES)
        peer = transport.get_extra_info("peername")
        self._address = f"{peer[0]}:{peer[1]}" if peer else ""
        self._newcomers.add(self)

    def data_received(self, data: bytes) -> None:
        """Requests, in whatever pieces the network cut them."""
        codec = self._codec
        if codec is None:
            self._recognise(data)
            return
        conn = self._conn
        assert conn is not None
        try:
            items = codec.feed(data)
        except ProtocolError as error:
            self._gateway.end(conn, "protocol", str(error))
            return
        if items:
            self._gateway.receive(conn, items)
            if conn.waiting:
                conn.weigh(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """EOF, reset or our own close."""
        del exc
        self._newcomers.discard(self)
        self._stop_timer()
        self._transport = None
        if self._conn is not None:
            self._gateway.lost(self._conn)
        if self._on_closed is not None:
            self._on_closed(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than it asks: nothing new is served until it has read."""
        if self._conn is not None:
            self._gateway.congested(self._conn)

    def resume_writing(self) -> None:
        """It has read."""
        if self._conn is not None:
            self._gateway.drained(self._conn)

    # --- ClientLink -----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue bytes for the client. Events cannot wait: a client that does not even read those
        is dropped at the bound, and resumes later."""
        transport = self._transport
        if transport is not None:
            transport.write(data)
            if transport.get_write_buffer_size() > CONNECTION_OUTBOX_BYTES_MAX:
                transport.abort()

    def close(self) -> None:
        """Flush and close. A client that does not read the rest loses it after LINGER_MS."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self._set_timer(LINGER_MS, transport.abort)
            transport.close()

    def pause_reading(self) -> None:
        """Too many requests wait: let TCP push back."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    # --- how long it may take -------------------------------------------------------------------

    def _set_timer(self, delay_ms: int, call: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(delay_ms / 1_000, call)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- the first bytes ------------------------------------------------------------------------

    def _recognise(self, data: bytes) -> None:
        self._head += data
        match sniff(self._head):
            case Front.UNDECIDED:
                pass
            case Front.NATIVE:
                self._newcomers.discard(self)
                self._open(NativeCodec())
            case Front.ZOOKEEPER if self._serves_zookeeper:
                self._open(ZooKeeperCodec(request_bytes_max=self._request_bytes_max))
            case Front.WORD:
                self._answer_word(self._head[:WORD_BYTES])
            case Front.ZOOKEEPER | Front.UNKNOWN:
                self.close()

    def _open(self, codec: NativeCodec | ZooKeeperCodec) -> None:
        self._codec = codec
        self._conn = self._gateway.open(self, codec, self._address)
        head, self._head = self._head, b""
        self.data_received(head)

    def give_up(self) -> None:
        """Nothing was said, or a handshake stopped halfway."""
        if self._conn is None or self._conn.phase is Phase.NEW:
            self.close()

    def _answer_word(self, word: bytes) -> None:
        """The answer ends with the connection."""
        answer = self._words(word)
        if answer:
            self.write(answer)
        self.close()
