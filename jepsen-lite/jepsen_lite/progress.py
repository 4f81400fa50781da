"""What a run shows on a terminal while it goes on: one line, rewritten every second; many runs at
once: a line each."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from jepsen_lite.run import Run

WIDTH = 24


class Progress:
    """Shows runs on a terminal; silent on anything else."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._is_shown = stream.isatty()
        self._last: tuple[float, int] = (0.0, 0)

    def show(self, run: Run) -> None:
        """The state of a run."""
        if self._is_shown:
            self._stream.write(f"\r\033[K{self.line(run)}")
            self._stream.flush()

    def line(self, run: Run) -> str:
        """Phase, bar, operations by outcome, rate, and the faults that last now."""
        if run.recorder is None or not run.traffic_since_s:
            return run.phase
        counts, now_s = run.recorder.counts, time.monotonic()
        since_s, before = self._last
        rate = (counts.ok - before) / (now_s - since_s) if since_s and now_s > since_s else 0.0
        self._last = (now_s, counts.ok)
        passed_s = min(now_s - run.traffic_since_s, run.settings.time_s)
        filled = round(WIDTH * passed_s / run.settings.time_s)
        bar = "█" * filled + "░" * (WIDTH - filled)
        faults = "" if run.schedule is None else _faults(run.schedule.active)
        return (
            f"{run.phase} {bar} {passed_s:.0f}/{run.settings.time_s:.0f} s · {counts.ok:,} ok"
            f" {counts.fail:,} fail {counts.info:,} unknown · {rate:,.0f}/s{faults}"
        )

    def end(self) -> None:
        """Leave an empty line behind."""
        if self._is_shown:
            self._stream.write("\r\033[K")
            self._stream.flush()


class Board:
    """What goes on at once, a line each, rewritten in place on a terminal; silent on anything
    else."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._is_shown = stream.isatty()
        self._height = 0

    def show(self, lines: Sequence[str]) -> None:
        """These lines instead of those before. What does not fit in one is cut off."""
        if not self._is_shown:
            return
        self.clear()
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("".join(f"{line[:width]}\n" for line in lines))
        self._stream.flush()
        self._height = len(lines)

    def clear(self) -> None:
        """Leave nothing behind."""
        if self._height:
            self._stream.write(f"\033[{self._height}F\033[J")
            self._stream.flush()
            self._height = 0


def _faults(active: dict[str, list[str]]) -> str:
    shown = "; ".join(f"{name} ({', '.join(targets[:4])})" for name, targets in active.items())
    return f" · {shown}" if shown else ""
