"""Clocks that step and clocks that change their pace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.sim.strike import Strike

JUMP_MS: Final = 400 * 24 * 3_600 * 1_000
"""More than a year: no promise hangs on the wall clock."""
RATE_PPM_MAX: Final = 500
"""Two clocks then differ by one part in a thousand, the bound that sessions are promised for."""


def _jump(strike: Strike) -> None:
    """The wall clock of one machine steps, backwards or forwards, and back in the end."""
    clock = strike.whom().process.clock
    far_ms = strike.stream.choice((2_000, 3_600_000, JUMP_MS))
    clock.wall_offset_ms = strike.stream.randrange(-far_ms, far_ms)

    def back() -> None:
        clock.wall_offset_ms = 0

    strike.later(back)


def _rate(strike: Strike) -> None:
    """Every clock of one machine runs at another pace from now on."""
    clock = strike.whom().process.clock
    clock.rate_ppm = strike.stream.choice((-RATE_PPM_MAX, 0, RATE_PPM_MAX))


TABLE: Final[dict[str, Callable[[Strike], None]]] = {"clock-jump": _jump, "clock-rate": _rate}
