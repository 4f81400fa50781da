"""One direction of a proxied connection: what the weather does to bytes and to whole frames."""

from __future__ import annotations

import asyncio
import random
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from jepsen_lite.clusters.weather import Path

HELD_BYTES_MAX: Final = 4 * 1024 * 1024
"""Waiting on one pipe; past it the sender is not read from any more."""
LATE_FRAMES_MAX: Final = 256
"""Frames that are to arrive later, on one path."""
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
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


class Late:
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
        late: Late,
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
        self._is_ended = False
        """The end has been passed on."""
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
            resume(self.source)

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
            resume(self.source)

    def _send(self, data: bytes) -> None:
        sink = self.sink
        # A late frame can come after the end: it is lost, as on any closed connection.
        if sink is None or sink.is_closing() or self._is_ended:
            return
        if data:
            self.path.crossed_bytes += len(data)
            self.path.crossed_frames += 1
            sink.write(data)
        else:
            self._is_ended = True
            sink.write_eof()
            self._on_ended()


def resume(transport: asyncio.Transport) -> None:
    """Read from it again."""
    if not transport.is_closing() and not transport.is_reading():
        transport.resume_reading()
