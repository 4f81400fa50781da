"""A TCP proxy that stands on one way between two names and does what the weather says.

It is what a network does to TCP, in user space and without privileges: what is sent over a cut
path waits and arrives late if the path heals soon; after GIVE_UP_S both ends see their connection
break, as they would by their time-outs. Where the stream consists of frames (u32 big-endian length
first), whole frames can also be lost, doubled or overtaken, on this connection or, once it has
broken, on the next one over the same path.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from jepsen_lite.clusters.pipe import Framing, Late, Pipe, resume
from jepsen_lite.clusters.weather import Weather

GIVE_UP_S: Final = 3.0
"""A connection over a path that stays cut breaks after this long."""
_NO_LINGERING: Final = struct.pack("ii", 1, 0)


def _reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other side is told that it broke."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    transport.abort()


class _Side(asyncio.Protocol):
    """One of the two sockets of a connection."""

    def __init__(self, connection: Connection, outgoing: Pipe, incoming: Pipe) -> None:
        """``outgoing`` takes what this side sends, ``incoming`` what it is to receive."""
        self._connection = connection
        self._outgoing = outgoing
        self._incoming = incoming

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)
        made.pause_reading()
        self._outgoing.source = made
        self._incoming.sink = made

    def data_received(self, data: bytes) -> None:
        self._outgoing.feed(data)

    def eof_received(self) -> bool:
        self._outgoing.put(b"")
        return True

    def pause_writing(self) -> None:
        if self._incoming.source is not None and not self._incoming.source.is_closing():
            self._incoming.source.pause_reading()

    def resume_writing(self) -> None:
        if self._incoming.source is not None:
            resume(self._incoming.source)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connection.lost()


class Connection:
    """A dialler's connection, and ours to whom it dialled."""

    def __init__(self, proxy: Proxy, ends: tuple[str, str]) -> None:
        """``ends``: (who dials, who is dialled)."""
        self._proxy = proxy
        self._ends = ends
        self._forward = proxy.pipe(ends[0], ends[1], self._ended)
        self._backward = proxy.pipe(ends[1], ends[0], self._ended)
        self._give_up: asyncio.TimerHandle | None = None
        self._passable = asyncio.Event()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_broken = False
        self._is_orderly = False
        """Both ends have been passed on: there is nothing to break."""
        self._ends_sent = 0
        self.dialler = _Side(self, self._forward, self._backward)

    async def live(self) -> None:
        """Reach the other side once the way there is open, then carry bytes until it ends."""
        self._proxy.weather.opened(self._ends, self.abort)
        for pipe in (self._forward, self._backward):
            pipe.path.listeners.append(self._watch)
        self._watch()
        if self._is_cut:
            self._forward.path.waited += 1
            self._backward.path.waited += 1
        try:
            await self._until_over(self._passable.wait())
            if not self._over.done():
                await self._connect()
                await self._over
        except OSError:
            pass  # Nobody listens there: the dialler's connection is reset.
        finally:
            self._clean_up()

    async def _until_over(self, wait: Coroutine[Any, Any, Any]) -> None:
        waiting: asyncio.Future[Any] = asyncio.ensure_future(wait)
        await asyncio.wait({waiting, self._over}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def _connect(self) -> None:
        host, port = self._proxy.target
        dialled = _Side(self, self._backward, self._forward)
        await asyncio.get_running_loop().create_connection(lambda: dialled, host, port)
        for pipe in (self._forward, self._backward):
            pipe.open()

    def _clean_up(self) -> None:
        if self._give_up is not None:
            self._give_up.cancel()
        self._proxy.weather.closed(self.abort)
        for pipe in (self._forward, self._backward):
            pipe.path.listeners.remove(self._watch)
            pipe.close()
            if pipe.source is not None and self._is_orderly:
                pipe.source.close()
            elif pipe.source is not None:
                _reset(pipe.source)

    @property
    def _is_cut(self) -> bool:
        return self._forward.path.conditions.is_cut or self._backward.path.conditions.is_cut

    def _watch(self) -> None:
        """The weather may have changed: who waits for a cut path too long is told."""
        if self._is_cut:
            self._passable.clear()
            if self._give_up is None:
                loop = asyncio.get_running_loop()
                self._give_up = loop.call_later(GIVE_UP_S, self.abort)
            return
        self._passable.set()
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None
        if self._is_broken:
            self.abort()

    def _ended(self) -> None:
        """The end of one direction has been passed on."""
        self._ends_sent += 1
        if self._ends_sent == 2:
            self._is_orderly = True
            self.abort()

    def lost(self) -> None:
        """One socket is gone. The other side hears of it only if the way to it is open."""
        self._is_broken = True
        if not self._is_cut:
            self.abort()

    def abort(self) -> None:
        """End it now, on both sides."""
        if not self._over.done():
            self._over.set_result(None)
            self._passable.set()


class Proxy:
    """Listens for those who mean to reach ``target``.

    ``dialler``: who dials here, or a function that tells it from the socket address of a
    connection (None: refuse). ``framing`` None: the stream is not made of frames.
    """

    def __init__(
        self,
        weather: Weather,
        destination: str,
        target: tuple[str, int],
        dialler: str | Callable[[tuple[str, int]], str | None],
        *,
        framing: Framing | None,
        dice: random.Random,
    ) -> None:
        self.weather = weather
        self.target = target
        self._destination = destination
        self._dialler = dialler
        self._framing = framing
        self._dice = dice
        self._late: dict[tuple[str, str], Late] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen there; the port (0: any). Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Newcomer(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and break what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for late in self._late.values():
            late.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def pipe(self, source: str, destination: str, on_ended: Callable[[], None]) -> Pipe:
        """A direction of a new connection."""
        path = self.weather.path(source, destination)
        late = self._late.setdefault((source, destination), Late(path))
        return Pipe(path, late, self._framing, self._dice, on_ended)

    def accept(self, transport: asyncio.Transport) -> None:
        """Somebody has connected."""
        dialler = self._dialler
        if not isinstance(dialler, str):
            name = dialler(transport.get_extra_info("peername"))
            if name is None:
                transport.abort()
                return
            dialler = name
        connection = Connection(self, (dialler, self._destination))
        transport.set_protocol(connection.dialler)
        connection.dialler.connection_made(transport)
        task = asyncio.get_running_loop().create_task(connection.live())
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)


class _Newcomer(asyncio.Protocol):
    """A connection whose dialler is not known yet."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._proxy.accept(cast("asyncio.Transport", transport))
