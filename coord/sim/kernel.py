"""Virtual time: a heap of events and nothing that runs by itself.

An event is (time, number, target, action). Events of equal time run in the order in which they
were scheduled. Time passes only between events: code under test takes none, except where a
model (network, disk, a paused process) says so.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from coord.sim.streams import Streams
from coord.sim.trace import Trace

if TYPE_CHECKING:
    from coord.sim.process import Process

US_PER_MS: Final = 1_000
US_PER_S: Final = 1_000_000
EVENTS_AT_ONE_TIME_MAX: Final = 20_000
"""More than this without time passing is a loop that would never end."""


class Killed(BaseException):
    """Raised by a harness inside an event to end the event's process at exactly this point.

    Not an ``Exception``: nothing in the product catches it. The kernel turns it into a crash.
    """

    def __init__(self, point: str, *, power: bool = False) -> None:
        super().__init__(point)
        self.point = point
        self.power = power


class Event:
    """Something that will happen. ``action`` is None once cancelled or done."""

    __slots__ = ("action", "epoch", "target")

    def __init__(self, action: Callable[[], None], target: Process | None, epoch: int) -> None:
        self.action: Callable[[], None] | None = action
        self.target = target
        self.epoch = epoch

    def cancel(self) -> None:
        """Forget the action if it has not run."""
        self.action = None


class Kernel:
    """The clock and the heap of one run. ``now_us`` never decreases."""

    def __init__(self, seed: int, trace: Trace | None = None) -> None:
        self.now_us = 0
        self.events_run = 0
        self.streams = Streams(seed)
        self.trace = trace or Trace()
        self._heap: list[tuple[int, int, Event]] = []
        self._number = 0
        self._at_this_time = 0

    def schedule(
        self, delay_us: int, action: Callable[[], None], target: Process | None = None
    ) -> Event:
        """Run ``action`` in ``delay_us`` (≥ 0), in ``target`` if one is named.

        An event dies with the target it was made for: a restarted process does not get it.
        """
        assert delay_us >= 0, delay_us
        event = Event(action, target, 0 if target is None else target.epoch)
        self._number += 1
        heappush(self._heap, (self.now_us + delay_us, self._number, event))
        return event

    def insert(self, time_us: int, event: Event) -> None:
        """Put an event (back) on the heap."""
        assert time_us >= self.now_us
        self._number += 1
        heappush(self._heap, (time_us, self._number, event))

    def emit(self, actor: str, kind: str, text: str = "") -> None:
        """One line for the trace, at this time."""
        self.trace.emit(self.now_us, actor, kind, text)

    def step(self) -> bool:
        """Run the next event; False if there is none."""
        if not self._heap:
            return False
        self._run(heappop(self._heap))
        return True

    def _run(self, due: tuple[int, int, Event]) -> None:
        time_us, _, event = due
        if time_us > self.now_us:
            self.now_us = time_us
            self._at_this_time = 0
        self._at_this_time += 1
        assert self._at_this_time < EVENTS_AT_ONE_TIME_MAX, "events without end at one time"
        action, target = event.action, event.target
        if action is None:
            return
        if target is None:
            event.action = None
            action()
            self.events_run += 1
        elif target.paused:
            target.backlog.append(event)
        elif target.alive and target.epoch == event.epoch:
            event.action = None
            try:
                action()
            except Killed as kill:
                self.emit(target.name, "killed", kill.point)
                target.crash(power=kill.power)
            self.events_run += 1
            if target.observer is not None:
                target.observer()

    def run_until(self, time_us: int) -> None:
        """Run every event up to and including ``time_us``, and let the clock reach it."""
        heap, run = self._heap, self._run
        while heap and heap[0][0] <= time_us:
            run(heappop(heap))
        self.now_us = max(self.now_us, time_us)

    def run_while(self, condition: Callable[[], bool], deadline_us: int) -> bool:
        """Run until ``condition`` turns false; False if it still holds at the deadline."""
        heap, run = self._heap, self._run
        while condition():
            if not heap or heap[0][0] > deadline_us:
                self.now_us = max(self.now_us, deadline_us)
                return False
            run(heappop(heap))
        return True
