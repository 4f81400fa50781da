"""The parts of a node that touch the machine: its clock, its scheduler, its dice."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from coord.node.ports import Clock

NANOSECONDS_PER_MS: Final = 1_000_000
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Boot-time milliseconds (they go on while the machine is suspended) and Unix milliseconds."""

    def monotonic_ms(self) -> int:
        """Never steps, counts suspend (where the system has such a clock)."""
        return time.clock_gettime_ns(_BOOT_CLOCK) // NANOSECONDS_PER_MS

    def wall_ms(self) -> int:
        """For display only."""
        return time.time_ns() // NANOSECONDS_PER_MS


class LoopScheduler:
    """Calls on the node's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._call_later = loop.call_later

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run after the input that is ready now has been read."""
        self._call_soon(call)

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Run once, ``delay_ms`` from now."""
        return self._call_later(delay_ms / 1_000, call)


def _jitter() -> Callable[[int], int]:
    """Uniform in [0, n); not secret, but different in every process."""
    dice = random.Random(os.urandom(16))
    return dice.randrange


@dataclass(slots=True)
class Parts:
    """What ``run`` takes from the machine; a fault injector brings its own."""

    clock: Clock = field(default_factory=SystemClock)
    random_bytes: Callable[[int], bytes] = os.urandom
    jitter: Callable[[int], int] = field(default_factory=_jitter)
    exit_now: Callable[[int], object] = os._exit
    """Ends the process at once, without any further code of ours."""
