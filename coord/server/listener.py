"""Accepts clients: limits in all and per address, and a graceful end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from coord.model.limits import DATA_BYTES_MAX
from coord.protocol.sniff import SNIFF_TIMEOUT_MS
from coord.server.connection import ClientConnection, Words
from coord.server.newcomers import Newcomers

if TYPE_CHECKING:
    from coord.node.gateway import Gateway

REFUSALS_PER_LINE: Final = 1_000
"""Refused connections per log line: a stampede must not fill the disk."""

log = logging.getLogger(__name__)


class ClientListener:
    """The client port. ``before_input`` runs ahead of any handling of received bytes;
    ``on_closed`` after each connection that had been let in; ``words`` answers four-letter words;
    ``serves_zookeeper``: its clients are let in, with requests up to ``request_bytes_max``."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        connections_max: int,
        per_address_max: int,
        before_input: Callable[[], None],
        on_closed: Callable[[], None] = lambda: None,
        words: Words = lambda _word: None,
        serves_zookeeper: bool = True,
        request_bytes_max: int = DATA_BYTES_MAX,
    ) -> None:
        self.gateway = gateway
        self.words = words
        self.serves_zookeeper = serves_zookeeper
        self.request_bytes_max = request_bytes_max
        self.before_input = before_input
        self.newcomers = Newcomers(SNIFF_TIMEOUT_MS)
        self.refused = 0
        self._connections_max = connections_max
        self._per_address_max = per_address_max
        self._on_closed = on_closed
        self._server: asyncio.Server | None = None
        self._open: set[ListenedConnection] = set()
        self._by_address: Counter[str] = Counter()
        """Invariant: the counts are positive and add up to ``len(_open)``."""
        self._empty: asyncio.Future[None] | None = None

    async def start(self, sock: socket.socket) -> None:
        """Accept on a bound socket."""
        loop = asyncio.get_running_loop()
        # Accepted sockets inherit it: a client that vanished is noticed in minutes, not never.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._server = await loop.create_server(lambda: ListenedConnection(self), sock=sock)

    def stop_accepting(self) -> None:
        """Refuse new clients; those connected stay."""
        if self._server is not None:
            self._server.close()

    async def wait_empty(self, timeout_s: float) -> bool:
        """Wait until every client has gone, having been told to; False if some stayed."""
        if not self._open:
            return True
        self._empty = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty
        except TimeoutError:
            return False
        return True

    def abort_all(self) -> None:
        """Drop who has stayed, unsent bytes included."""
        for connection in list(self._open):
            connection.abort()

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._open)

    def admit(self, connection: ListenedConnection, host: str) -> bool:
        """Count a new connection; False if it is one too many."""
        if (
            len(self._open) >= self._connections_max
            or self._by_address[host] >= self._per_address_max
        ):
            if self.refused % REFUSALS_PER_LINE == 0:
                log.warning(
                    "too many connections",
                    extra={"address": host, "open": len(self._open), "refused": self.refused + 1},
                )
            self.refused += 1
            return False
        self._open.add(connection)
        self._by_address[host] += 1
        return True

    def left(self, connection: ListenedConnection, host: str) -> None:
        """An admitted connection has ended."""
        self._open.remove(connection)
        self._by_address[host] -= 1
        assert self._by_address[host] >= 0
        if not self._by_address[host]:
            del self._by_address[host]
        self._on_closed()
        if not self._open and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)


class ListenedConnection(ClientConnection):
    """A client connection that is counted, and ahead of whose input a stall is noticed."""

    __slots__ = ("_host", "_listener", "_raw")

    def __init__(self, listener: ClientListener) -> None:
        super().__init__(
            listener.gateway,
            listener.newcomers,
            words=listener.words,
            serves_zookeeper=listener.serves_zookeeper,
            request_bytes_max=listener.request_bytes_max,
        )
        self._listener = listener
        self._raw: Any = None
        self._host: str | None = None
        """Set while this connection counts."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, or close at once."""
        peer = transport.get_extra_info("peername")
        host = peer[0] if peer else ""
        self._raw = transport
        if self._listener.admit(self, host):
            self._host = host
            super().connection_made(transport)
        else:
            self._raw.abort()

    def data_received(self, data: bytes) -> None:
        """Requests."""
        if self._host is not None:
            self._listener.before_input()
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._host is not None:
            host, self._host = self._host, None
            super().connection_lost(exc)
            self._listener.left(self, host)

    def abort(self) -> None:
        """Drop the connection with whatever is unsent."""
        self._raw.abort()
