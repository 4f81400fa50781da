"""Turns time into Raft ticks, and notices when the loop has stood still.

A process that was stopped, swapped out or moved to another machine wakes up with beliefs that are
no longer true. The gap must be handled before any queued input is: so ``check`` is called ahead of
every handling of received bytes, and ahead of every tick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from coord.model.limits import TICK_MS

if TYPE_CHECKING:
    from coord.node.ports import Cancellable, Clock, Scheduler

BURST_TICKS_MAX: Final = 5
"""Ticks made up for at once when the loop is late; time beyond that is let go, so that a busy
node does not turn its own lateness into an election."""


class Ticker:
    """Calls ``on_tick`` every TICK_MS and ``on_stall(gap_ms)`` after a gap above ``stall_ms``."""

    def __init__(
        self,
        clock: Clock,
        scheduler: Scheduler,
        on_tick: Callable[[], None],
        on_stall: Callable[[int], None],
        stall_ms: int,
    ) -> None:
        assert stall_ms > BURST_TICKS_MAX * TICK_MS, "made-up ticks must not count as a stall"
        self._clock = clock
        self._scheduler = scheduler
        self._on_tick = on_tick
        self._on_stall = on_stall
        self._stall_ms = stall_ms
        self._seen_ms = 0
        """When the loop was last known to run. Invariant: never decreases."""
        self._due_ms = 0
        self._timer: Cancellable | None = None
        self.stalls = 0
        self.longest_stall_ms = 0

    def start(self) -> None:
        """Tick from now on."""
        assert self._timer is None, "started twice"
        self._seen_ms = self._clock.monotonic_ms()
        self._due_ms = self._seen_ms + TICK_MS
        self._schedule()

    def stop(self) -> None:
        """No tick comes after this."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check(self) -> None:
        """Raise the alarm if the loop has not run for too long. Cheap: one clock read."""
        now_ms = self._clock.monotonic_ms()
        gap_ms = now_ms - self._seen_ms
        self._seen_ms = now_ms
        if gap_ms > self._stall_ms and self._timer is not None:
            self.stalls += 1
            self.longest_stall_ms = max(self.longest_stall_ms, gap_ms)
            self._due_ms = now_ms + TICK_MS
            self._on_stall(gap_ms)

    def _fire(self) -> None:
        self.check()
        late_ms = self._seen_ms - self._due_ms
        if late_ms >= 0:
            ticks = min(BURST_TICKS_MAX, late_ms // TICK_MS + 1)
            self._due_ms += (late_ms // TICK_MS + 1) * TICK_MS
            for _ in range(ticks):
                if self._timer is None:
                    return
                self._on_tick()
        if self._timer is not None:
            self._schedule()

    def _schedule(self) -> None:
        delay_ms = max(1, self._due_ms - self._clock.monotonic_ms())
        self._timer = self._scheduler.call_later(delay_ms, self._fire)
