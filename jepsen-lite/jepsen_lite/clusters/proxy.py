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
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from jepsen_lite.clusters.weather import Path, Weather

GIVE_UP_S: Final = 3.0
"""A connection over a path that stays cut breaks after this long."""
HELD_BYTES_MAX: Final = 4 * 1024 * 1024
"""Waiting on one pipe; past it the sender is not read from any more."""
LATE_FRAMES_MAX: Final = 256
"""Frames that are to arrive later, on one path."""
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
_NO_LINGERING: Final = struct.pack("ii", 1, 0)
_LENGTH: Final = struct.Struct(">I")

Framing = Callable[[bytes], bool]
"""Whether a frame's body may be lost, doubled or overtaken without breaking the protocol."""


class Frames:
    """Cuts a stream into frames (with their length) and keeps what is incomplete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Frames completed by ``data``. A length that cannot be one ends the cutting: what is
        here is given as it is."""
        data = self._rest + data
        frames: list[bytes] = []
        at = 0
        while len(data) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, at)
            if length > FRAME_BYTES_MAX:
                frames.append(data[at:])
                at = len(data)
                break
            stop = at + _LENGTH.size + length
            if stop > len(data):
                break
            frames.append(data[at:stop])
            at = stop
        self._rest = data[at:]
        return frames


class _Late:
    """Frames that arrive later than they should, over whichever connection is open then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._timers: set[asyncio.TimerHandle] = set()
        self.pipes: list[Pipe] = []
        """Open pipes over the path, oldest first."""

    def add(self, frame: bytes, delay_s: float) -> bool:
        """Deliver ``frame`` in ``delay_s``; False if too many are waiting."""
        if len(self._timers) >= LATE_FRAMES_MAX:
            return False
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle = loop.call_later(delay_s, lambda: self._deliver(timer, frame))
        self._timers.add(timer)
        return True

    def _deliver(self, timer: asyncio.TimerHandle, frame: bytes) -> None:
        self._timers.discard(timer)
        if self.pipes:
            self.pipes[-1].put(frame)

    def close(self) -> None:
        """Forget them."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


class Pipe:
    """One direction of one connection. Order is kept except where a fault says otherwise."""

    def __init__(
        self,
        path: Path,
        late: _Late,
        framing: Framing | None,
        dice: random.Random,
        on_ended: Callable[[], None],
    ) -> None:
        """``on_ended`` is called when the end of the stream has been passed on."""
        self.path = path
        self._late = late
        self._framing = framing
        self._frames = Frames()
        self._dice = dice
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes]] = deque()
        """(not before, bytes); an empty item is the end of the stream."""
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._opened = False
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None

    def open(self) -> None:
        """Both ends are connected: bytes may flow."""
        self._opened = True
        self.path.listeners.append(self._changed)
        self.path.connections += 1
        self._late.pipes.append(self)
        self._flow()
        if self.source is not None:
            _resume(self.source)

    def close(self) -> None:
        """The connection is over; what waits is lost."""
        if self._opened:
            self._opened = False
            self.path.listeners.remove(self._changed)
            self.path.connections -= 1
            self._late.pipes.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()

    # --- in --------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes from the source."""
        if self._framing is None:
            self.put(data)
            return
        for frame in self._frames.feed(data):
            self._feed_frame(frame)

    def _feed_frame(self, frame: bytes) -> None:
        weather, dice, path = self.path.conditions, self._dice, self.path
        if weather.is_clear or self._framing is None or not self._framing(frame[_LENGTH.size :]):
            self.put(frame)
            return
        if weather.drop and dice.random() < weather.drop:
            path.dropped += 1
            return
        if weather.reorder and dice.random() < weather.reorder:
            if self._late.add(frame, dice.random() * weather.late_s):
                path.reordered += 1
                return
        elif (
            weather.duplicate
            and dice.random() < weather.duplicate
            and self._late.add(frame, dice.random() * weather.late_s)
        ):
            path.duplicated += 1
        self.put(frame)

    def put(self, data: bytes) -> None:
        """Send after what is here already, when the path lets it; b"" ends the stream."""
        if self._opened and not self._queue and self.path.conditions.is_clear:
            self._send(data)
            return
        self.path.held_frames += 1
        self._queue.append((self._due(len(data)), data))
        self._queued += len(data)
        if self._queued > HELD_BYTES_MAX and self.source is not None:
            self.source.pause_reading()
        self._flow()

    def _due(self, size: int) -> float:
        weather, now = self.path.conditions, self._loop.time()
        due = now + weather.delay_s
        if weather.jitter_s:
            due += self._dice.random() * weather.jitter_s
        if weather.bytes_per_s:
            self._free_at = max(self._free_at, now) + size / weather.bytes_per_s
            due = max(due, self._free_at)
        return due

    # --- out -------------------------------------------------------------------------------------

    def _changed(self) -> None:
        if not self.path.conditions.delay_s and not self.path.conditions.bytes_per_s:
            self._queue = deque((0.0, data) for _, data in self._queue)
        self._flow()

    def _flow(self) -> None:
        """Send what may leave now, and set a timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._opened or self.path.conditions.is_cut:
            return
        now = self._loop.time()
        while self._queue and self._queue[0][0] <= now:
            _, data = self._queue.popleft()
            self._queued -= len(data)
            self._send(data)
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._flow)
        if self._queued <= HELD_BYTES_MAX // 2 and self.source is not None:
            _resume(self.source)

    def _send(self, data: bytes) -> None:
        sink = self.sink
        if sink is None or sink.is_closing():
            return
        if data:
            self.path.crossed_bytes += len(data)
            self.path.crossed_frames += 1
            sink.write(data)
        else:
            sink.write_eof()
            self._on_ended()


def _resume(transport: asyncio.Transport) -> None:
    if not transport.is_closing() and not transport.is_reading():
        transport.resume_reading()


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
            _resume(self._incoming.source)

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
        self._late: dict[tuple[str, str], _Late] = {}
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
        late = self._late.setdefault((source, destination), _Late(path))
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
