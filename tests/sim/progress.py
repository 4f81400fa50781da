"""A line on the terminal that says how far a long command is; nothing if there is no terminal."""

from __future__ import annotations

import sys
import time

WIDTH = 30
REDRAW_S = 0.2


class Progress:
    """``step`` after each piece of work, ``end`` before anything else is written."""

    def __init__(self, total: int, what: str) -> None:
        self._total = max(total, 1)
        self._what = what
        self._done = 0
        self._started_s = time.monotonic()
        self._drawn_s = 0.0
        self._shown = sys.stderr.isatty()

    def step(self, note: str = "") -> None:
        """One more is done; ``note`` stands at the end of the line."""
        self._done += 1
        now_s = time.monotonic()
        if not self._shown or now_s - self._drawn_s < REDRAW_S:
            return
        self._drawn_s = now_s
        part = min(self._done / self._total, 1.0)
        left_s = (now_s - self._started_s) * (1 - part) / part
        bar = "━" * round(WIDTH * part) + " " * (WIDTH - round(WIDTH * part))
        count = f"{self._done:,}/{self._total:,}"
        left = f"{left_s // 60:.0f}:{left_s % 60:02.0f} left"
        sys.stderr.write(f"\r\x1b[K{self._what} {bar} {count} {left}  {note}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave a clean line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn_s = 0.0
