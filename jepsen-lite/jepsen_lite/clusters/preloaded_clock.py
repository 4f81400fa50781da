"""A clock for programs that are not ours: Debian's libfaketime, preloaded, told by a file.

Works for what asks libc for the time (a JVM does; Go programs ask the kernel themselves). All
clocks of the process move together, and never back: what was gained stays when the rate is right
again, as on a machine that was suspended.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

LIBRARIES: Final = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/faketime/libfaketimeMT.so.1"),
)
RATE_MIN: Final = 0.1
"""Slower, and what waits now would wait long after all is over."""
SPARE_S: Final = 0.02
"""Added at each change of rate, because the process began at a time known to about this."""


def library() -> Path | None:
    """The library, if this machine has it."""
    return next((path for path in LIBRARIES if path.exists()), None)


class PreloadedClock:
    """The clock of one server, over all its lives."""

    def __init__(self, preloaded: Path, file: Path) -> None:
        """``file`` tells the library what to do."""
        self._file = file
        self._began_s = 0.0
        self._offset_s = 0.0
        self._rate = 1.0
        self.environment = {
            "LD_PRELOAD": str(preloaded),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
        }

    def begin(self) -> None:
        """A new process is about to start: its clock is right."""
        self._began_s, self._offset_s, self._rate = time.monotonic(), 0.0, 1.0
        self._tell()

    def move(self, rate: float | None = None, forward_ms: float = 0) -> None:
        """``rate``: how fast time goes from now on. ``forward_ms``: jump ahead. The process looks
        once a second. Raises ValueError."""
        rate = self._rate if rate is None else rate
        if forward_ms < 0 or rate < RATE_MIN:
            raise ValueError(f"time goes on, at {RATE_MIN} times its pace or more")
        self._offset_s += forward_ms / 1_000
        if rate != self._rate:
            # The library counts the rate from the start of the process.
            lived_s = time.monotonic() - self._began_s
            self._offset_s += lived_s * (self._rate - rate) + SPARE_S
            self._rate = rate
        self._tell()

    def _tell(self) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{self._offset_s:+.3f} x{self._rate:.3f}\n", encoding="ascii")
        beside.replace(self._file)
