"""A clock that jumps, drifts and stands still when told to."""

from __future__ import annotations

import threading
from typing import Final

from coord.app.parts import SystemClock

RATE_MAX: Final = 10.0


class MovableClock:
    """Implements ``coord.node.ports.Clock``. Its monotonic time never goes back, whatever it is
    told; its wall clock may. Safe to move from another thread."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._lock = threading.Lock()
        self._since_ms = self._shown_ms = float(self._system.monotonic_ms())
        self._rate = 1.0
        self._wall_offset_ms = 0

    def monotonic_ms(self) -> int:
        """Boot-time milliseconds, as this clock counts them."""
        with self._lock:
            return int(self._now())

    def wall_ms(self) -> int:
        """Unix milliseconds, as this clock has them."""
        return self._system.wall_ms() + self._wall_offset_ms

    def _now(self) -> float:
        return self._shown_ms + (self._system.monotonic_ms() - self._since_ms) * self._rate

    def move(
        self, *, rate: float | None = None, forward_ms: int = 0, wall_ms: int | None = None
    ) -> None:
        """``rate``: how fast time goes (0: it stands still). ``forward_ms``: jump ahead.
        ``wall_ms``: how far the wall clock is off. Raises ValueError."""
        if forward_ms < 0 or not 0 <= (1.0 if rate is None else rate) <= RATE_MAX:
            raise ValueError("monotonic time does not go back, nor faster than tenfold")
        with self._lock:
            self._shown_ms = self._now() + forward_ms
            self._since_ms = float(self._system.monotonic_ms())
            if rate is not None:
                self._rate = rate
            if wall_ms is not None:
                self._wall_offset_ms = wall_ms

    def describe(self) -> dict[str, float]:
        """What it shows beside what the machine says, in milliseconds."""
        return {
            "monotonic_ms": self.monotonic_ms(),
            "system_ms": self._system.monotonic_ms(),
            "wall_ms": self.wall_ms(),
            "system_wall_ms": self._system.wall_ms(),
            "rate": self._rate,
        }
