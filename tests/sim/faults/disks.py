"""Disks that stall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.sim.strike import Strike


def _stall(strike: Strike) -> None:
    """One disk answers nothing for a while."""
    member = strike.whom()
    if member.writer is not None:
        member.writer.stalled_until_us = strike.kernel.now_us + strike.length_us


TABLE: Final[dict[str, Callable[[Strike], None]]] = {"stall": _stall}
