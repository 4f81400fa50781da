"""A process of the simulated world: it starts, stops, hangs and dies; its clock may drift.

The same object outlives its deaths: ``epoch`` counts them, and whatever was scheduled for an
earlier life never runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coord.sim.kernel import US_PER_MS, Event, Kernel

WALL_START_MS: Final = 1_700_000_000_000
PPM: Final = 1_000_000


class ProcessClock:
    """The two clocks of one machine (see ``coord.node.ports.Clock``).

    ``rate_ppm``: how much faster than true time it runs. The wall clock can also be stepped.
    """

    def __init__(self, kernel: Kernel, *, rate_ppm: int = 0, boot_ms: int = 0) -> None:
        assert -PPM < rate_ppm < PPM
        self.wall_offset_ms = 0
        self._rate_ppm = rate_ppm
        self._kernel = kernel
        self._boot_ms = boot_ms
        self._since_us = 0
        self._elapsed_by_then_us = 0
        self._read_us = -1
        """When it was read last, and what it said: most events read it several times."""
        self._read_ms = 0

    @property
    def rate_ppm(self) -> int:
        """How much faster than true time it runs at present."""
        return self._rate_ppm

    @rate_ppm.setter
    def rate_ppm(self, rate_ppm: int) -> None:
        """Another rate from now on; the clock does not step."""
        assert -PPM < rate_ppm < PPM
        self._elapsed_by_then_us, self._since_us = self._elapsed_us(), self._kernel.now_us
        self._rate_ppm = rate_ppm
        self._read_us = -1

    def _elapsed_us(self) -> int:
        true_us = self._kernel.now_us - self._since_us
        return self._elapsed_by_then_us + true_us * (PPM + self._rate_ppm) // PPM

    def monotonic_ms(self) -> int:
        """Boot-time milliseconds; runs on while the process is down or paused."""
        now_us = self._kernel.now_us
        if now_us != self._read_us:
            self._read_us = now_us
            self._read_ms = self._boot_ms + self._elapsed_us() // US_PER_MS
        return self._read_ms

    def wall_ms(self) -> int:
        """Unix milliseconds, wrong by whatever the run has made it wrong."""
        return WALL_START_MS + self.wall_offset_ms + self._elapsed_us() // US_PER_MS

    def true_delay_us(self, delay_ms: int) -> int:
        """True microseconds until this clock has advanced by ``delay_ms``."""
        return delay_ms * US_PER_MS * PPM // (PPM + self._rate_ppm)


class Process:
    """One process, also its scheduler (see ``coord.node.ports.Scheduler``).

    Invariant: a process that is not alive is not paused and has no backlog.
    """

    def __init__(self, kernel: Kernel, name: str, clock: ProcessClock | None = None) -> None:
        self.kernel = kernel
        self.name = name
        self.clock = clock or ProcessClock(kernel)
        self.alive = False
        self.paused = False
        self.epoch = 0
        self.backlog: list[Event] = []
        self.on_death: list[Callable[[bool], None]] = []
        """Called with ``power`` at each death, in order; survive it."""
        self.observer: Callable[[], None] | None = None
        """Called after each event of the process, its last one too."""

    def start(self) -> None:
        """Begin a new life."""
        assert not self.alive
        self.epoch += 1
        self.alive = True
        self.kernel.emit(self.name, "start")

    def crash(self, *, power: bool = False) -> None:
        """End at once: kill -9, or with ``power`` the whole machine."""
        if not self.alive:
            return
        self.alive = self.paused = False
        self.backlog.clear()
        self.kernel.emit(self.name, "power-loss" if power else "kill")
        for told in self.on_death:
            told(power)

    def pause(self) -> None:
        """SIGSTOP: events wait, the clock runs on."""
        if self.alive and not self.paused:
            self.paused = True
            self.kernel.emit(self.name, "pause")

    def resume(self) -> None:
        """SIGCONT: everything that waited runs now, in its old order."""
        if not self.paused:
            return
        self.paused = False
        self.kernel.emit(self.name, "resume", f"{len(self.backlog)} events waited")
        waited, self.backlog = self.backlog, []
        for event in waited:
            self.kernel.insert(self.kernel.now_us, event)

    # --- scheduler ------------------------------------------------------------------------------

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run after what is ready now."""
        assert self.alive, f"{self.name} is dead"
        self.kernel.schedule(0, call, self)

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> Event:
        """Run once this process's clock has advanced by ``delay_ms``."""
        assert self.alive, f"{self.name} is dead"
        return self.kernel.schedule(self.clock.true_delay_us(delay_ms), call, self)
