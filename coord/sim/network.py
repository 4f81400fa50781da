"""The simulated network: reliable ordered streams between processes, as TCP gives them.

A stream carries *items* (bytes, or a batch of messages) and keeps their order. What can go wrong
is what goes wrong with TCP: delay; a connection that breaks and loses a suffix of what was in
flight on either side; a path that is cut (items wait for it, as if retransmitted, until it heals
or the stream is given up); an end whose process dies (the other end hears EOF, unless the machine
lost power or the path is cut: then it hears nothing until it gives up or the machine is back).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol
from zlib import crc32

from coord.sim.kernel import US_PER_MS, US_PER_S, Kernel
from coord.sim.process import Process
from coord.sim.streams import spread

GIVE_UP_US: Final = 5 * US_PER_S
"""A stream whose path stays cut ends after this long (keep-alive time-outs of real sockets)."""
DIAL_US: Final = 1 * US_PER_S
"""A dial that nobody answers fails after this long."""
REFUSED_BY_CUT_US: Final = 200 * US_PER_MS
PPM: Final = 1_000_000


@dataclass(slots=True)
class Conditions:
    """Weather on every path: delays in microseconds, chances in millionths.

    The last four are for what a transport sends (see ``coord.sim.peers``): a stream itself loses
    nothing but its end.
    """

    delay_us_min: int = 200
    delay_us_max: int = 2_000
    break_ppm: int = 0
    """Per item written: the stream is reset instead."""
    drop_ppm: int = 0
    """Per batch: lost, as if the queue had been full."""
    duplicate_ppm: int = 0
    """Per batch: sent, and once more later."""
    reorder_ppm: int = 0
    """Per batch: sent later, perhaps on another stream to the same peer."""
    late_us_max: int = 300_000
    """How much later, at most."""


class StreamHandler(Protocol):
    """What an end of a stream tells its owner."""

    def on_item(self, item: Any) -> None:
        """The next item the other end wrote."""
        ...

    def on_end(self) -> None:
        """Nothing more will come: EOF or reset. Not called for an end its owner closed."""
        ...


class End:
    """One end of a stream. Its owner sets ``handler`` before the first item can arrive.

    Invariant: items arrive in the order written, each at most once, a prefix of what was written
    if the stream broke, and none after ``on_end``.
    """

    __slots__ = (
        "broken",
        "closed",
        "handler",
        "last_us",
        "network",
        "other",
        "peer_name",
        "process",
        "receiving",
        "unread",
        "waiting",
    )

    def __init__(self, network: Network, process: Process, peer_name: str) -> None:
        self.network = network
        self.process = process
        self.peer_name = peer_name
        self.other: End = self
        self.handler: StreamHandler | None = None
        self.closed = False
        self.broken = False
        """The stream was reset: what is written from now on is lost."""
        self.receiving = True
        self.unread: deque[Any] = deque()
        self.waiting: deque[Any] = deque()
        """Written while the path was cut; `_EOF` marks the end."""
        self.last_us = 0
        """When the item sent last arrives."""

    # --- the owner's side -----------------------------------------------------------------------

    def write(self, item: Any) -> None:
        """Send one item; silently lost if the stream has ended."""
        if self.closed or self.broken:
            return
        network = self.network
        break_ppm = network.conditions.break_ppm
        if break_ppm and network.stream.randrange(PPM) < break_ppm:
            self.reset()
            return
        self._submit(item)

    def close(self) -> None:
        """End the stream from here: the other end reads what was written, then EOF."""
        if self.closed:
            return
        self.retire()
        if not self.broken:
            self._submit(_EOF)

    def pause_reading(self) -> None:
        """Let what arrives wait."""
        self.receiving = False

    def resume_reading(self) -> None:
        """Take what waits, then go on."""
        self.receiving = True
        while self.unread and self.receiving and not self.closed:
            self._hand_over(self.unread.popleft())

    # --- the network's side ---------------------------------------------------------------------

    def _submit(self, item: Any) -> None:
        if self.waiting or self.network.is_cut(self.process.name, self.peer_name):
            self.waiting.append(item)
            return
        kernel, other = self.network.kernel, self.other
        due_us = self.network.due_us(self.process.name, self.peer_name)
        self.last_us = max(self.last_us, due_us)
        kernel.schedule(self.last_us - kernel.now_us, lambda: other._arrive(item), other.process)

    def path_healed(self) -> None:
        """Send what waited for the path."""
        waited, self.waiting = self.waiting, deque()
        if not self.broken:
            for item in waited:
                self._submit(item)

    def _arrive(self, item: Any) -> None:
        if self.closed:
            if item is not _EOF and not self.other.closed:
                # The machine answers for the process that is gone.
                other, kernel = self.other, self.network.kernel
                kernel.schedule(self.network.delay_us(), other.ended, other.process)
            return
        if not self.receiving or self.unread:
            self.unread.append(item)
            return
        self._hand_over(item)

    def _hand_over(self, item: Any) -> None:
        if item is _EOF:
            self.ended()
            return
        assert self.handler is not None, "an item arrived before the stream had an owner"
        if isinstance(item, bytes):
            text = f"{self.peer_name} {len(item)} {crc32(item):08x}"
            self.network.kernel.emit(self.process.name, "bytes", text)
        self.handler.on_item(item)

    def ended(self) -> None:
        """The other side or the path is gone: tell the owner, once."""
        if self.closed:
            return
        self.retire()
        if self.handler is not None:
            self.handler.on_end()

    def reset(self) -> None:
        """Break the stream: each direction loses what is in flight, or delivers it first."""
        for end in (self, self.other):
            end.broken = True
        for end in (self, self.other):
            kernel = self.network.kernel
            delivers = self.network.stream.randrange(2)
            delay_us = max(0, end.other.last_us - kernel.now_us) if delivers else 0
            kernel.schedule(delay_us, end.ended, end.process)

    def retire(self) -> None:
        """Closed: the network forgets this end."""
        self.closed = True
        self.network.forget(self)


class _Eof:
    """Marks the end of a stream among its items."""


_EOF: Final = _Eof()

Accept = Callable[[End, Any], Any]
"""A listener: gets its end and the dialler's greeting; its answer goes back, None refuses."""
Dialled = Callable[[End | None, Any], None]
"""The outcome of a dial: the dialler's end and the listener's answer, or (None, None)."""


class _Dial:
    """One attempt to connect."""

    def __init__(self, network: Network, process: Process, done: Dialled) -> None:
        self._network = network
        self._process = process
        self._done: Dialled | None = done
        self._near: End | None = None

    def settle(self, end: End | None, answer: Any) -> None:
        """Report the outcome, once."""
        done, self._done = self._done, None
        if end is not None and end.closed:
            end, answer = None, None  # it broke before its owner knew of it
        if done is not None:
            done(end, answer)
        elif end is not None:
            end.close()

    def time_out(self) -> None:
        """Nobody answered."""
        if self._done is not None:
            if self._near is not None:
                self._near.close()
            self.settle(None, None)

    def knock(self, epoch: int, to: str, port: str, greeting: Any) -> None:
        """The request to connect reaches the other machine."""
        network, process = self._network, self._process
        if not process.alive or process.epoch != epoch:
            return
        kernel, listener = network.kernel, network.listener(to, port)
        if network.is_cut(process.name, to) or network.is_cut(to, process.name):
            kernel.schedule(REFUSED_BY_CUT_US, lambda: self.settle(None, None), process)
            return
        if listener is None:
            kernel.schedule(network.delay_us(), lambda: self.settle(None, None), process)
            return
        there, accept = listener
        near, far = network.pair(process, there)
        self._near = near
        kernel.schedule(0, lambda: self._accept(near, far, accept, greeting), there)

    def _accept(self, near: End, far: End, accept: Accept, greeting: Any) -> None:
        if far.closed:
            return
        kernel, delay_us = self._network.kernel, self._network.delay_us()
        # Nothing the listener writes at once may overtake its answer.
        far.last_us = kernel.now_us + delay_us
        answer = accept(far, greeting)
        if answer is None:
            near.retire()
            far.retire()
            kernel.schedule(delay_us, lambda: self.settle(None, None), self._process)
        else:
            kernel.schedule(delay_us, lambda: self.settle(near, answer), self._process)


class Network:
    """All streams and all paths between the processes of a run."""

    def __init__(self, kernel: Kernel, conditions: Conditions | None = None) -> None:
        self.kernel = kernel
        self.conditions = conditions or Conditions()
        self.stream = kernel.streams.get("network")
        self._listeners: dict[tuple[str, str], tuple[Process, int, Accept]] = {}
        self._cuts: dict[tuple[str, str], int] = {}
        """Directions that are cut, with the number of the cut (a later one is another)."""
        self._cut_number = 0
        self._clogs: dict[tuple[str, str], int] = {}
        """Until when a direction holds back what is sent."""
        self._ends: dict[str, list[End]] = {}
        self._silent: dict[str, list[End]] = {}
        """Far ends of streams whose machine lost power, by that machine."""

    def delay_us(self) -> int:
        """How long the next item takes, one way."""
        weather = self.conditions
        return spread(self.stream, weather.delay_us_min, weather.delay_us_max)

    def due_us(self, frm: str, to: str) -> int:
        """When an item sent now from ``frm`` arrives at ``to``, if nothing is ahead of it."""
        return max(self.kernel.now_us, self._clogs.get((frm, to), 0)) + self.delay_us()

    # --- paths ----------------------------------------------------------------------------------

    def clog(self, frm: str, to: str, length_us: int) -> None:
        """Hold back one direction for a while: what is sent arrives after it, in order."""
        self.kernel.emit(frm, "clog", to)
        until_us = self.kernel.now_us + length_us
        self._clogs[frm, to] = max(until_us, self._clogs.get((frm, to), 0))

    def is_cut(self, frm: str, to: str) -> bool:
        """Nothing gets from ``frm`` to ``to`` at the moment."""
        return (frm, to) in self._cuts

    def cut(self, frm: str, to: str) -> None:
        """Cut one direction. What is in flight still arrives; what is written now waits."""
        if self.is_cut(frm, to):
            return
        self._cut_number += 1
        number = self._cuts[frm, to] = self._cut_number
        self.kernel.emit(frm, "cut", to)
        self.kernel.schedule(GIVE_UP_US, lambda: self._give_up(frm, to, number))

    def _give_up(self, frm: str, to: str, number: int) -> None:
        if self._cuts.get((frm, to)) == number:
            for end in self._ends_between(frm, to):
                self.kernel.schedule(0, end.ended, end.process)

    def heal(self, frm: str, to: str) -> None:
        """Open one direction; what waited is sent."""
        if self._cuts.pop((frm, to), None) is None:
            return
        self.kernel.emit(frm, "heal", to)
        for end in self._ends_between(frm, to):
            if end.process.name == frm:
                end.path_healed()

    def heal_all(self) -> None:
        """Open every path; nothing sent from now on is held back."""
        for frm, to in sorted(self._cuts):
            self.heal(frm, to)
        self._clogs.clear()

    def break_streams(self, one: str, two: str) -> None:
        """Reset every stream between two processes."""
        self.kernel.emit(one, "break", two)
        for end in self._ends_between(one, two):
            if end.process.name == one and not end.broken:
                end.reset()

    def _ends_between(self, one: str, two: str) -> list[End]:
        found = [end for end in self._ends.get(one, ()) if end.peer_name == two]
        return found + [end for end in self._ends.get(two, ()) if end.peer_name == one]

    # --- streams --------------------------------------------------------------------------------

    def listen(self, process: Process, port: str, accept: Accept) -> None:
        """Take streams dialled to (process, port), until the process dies."""
        self._listeners[process.name, port] = (process, process.epoch, accept)
        for end in self._silent.pop(process.name, ()):
            # The machine is back and answers the old stream's packets with a reset.
            self.kernel.schedule(self.delay_us(), end.ended, end.process)

    def unlisten(self, process: Process, port: str) -> None:
        """Take no more."""
        self._listeners.pop((process.name, port), None)

    def listener(self, name: str, port: str) -> tuple[Process, Accept] | None:
        """Who takes streams there now."""
        found = self._listeners.get((name, port))
        if found is None or not found[0].alive or found[0].epoch != found[1]:
            return None
        return found[0], found[2]

    def dial(self, process: Process, to: str, port: str, greeting: Any, done: Dialled) -> None:
        """Connect. A refusal, a cut path and silence all end in ``done(None, None)``."""
        epoch = process.epoch
        attempt = _Dial(self, process, done)
        delay_us = self.due_us(process.name, to) - self.kernel.now_us
        self.kernel.schedule(delay_us, lambda: attempt.knock(epoch, to, port, greeting))
        self.kernel.schedule(DIAL_US, attempt.time_out, process)

    def pair(self, one: Process, two: Process) -> tuple[End, End]:
        """Two ends of a new stream."""
        near, far = End(self, one, two.name), End(self, two, one.name)
        near.other, far.other = far, near
        self._ends.setdefault(one.name, []).append(near)
        self._ends.setdefault(two.name, []).append(far)
        return near, far

    def forget(self, end: End) -> None:
        """An end was closed: nothing refers to it any more."""
        ends = self._ends[end.process.name]
        if end in ends:
            ends.remove(end)

    def process_died(self, process: Process, *, power: bool) -> None:
        """The streams of a dead process end: with EOF if its machine lives, silently if not."""
        for end in list(self._ends.get(process.name, ())):
            if power:
                end.retire()
                self._fall_silent(process.name, end.other)
            else:
                end.close()

    def _fall_silent(self, name: str, left: End) -> None:
        self._silent.setdefault(name, []).append(left)
        self.kernel.schedule(GIVE_UP_US, left.ended, left.process)
