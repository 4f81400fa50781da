"""Connections that have yet to say who they are: one timer for all of them.

A timer of its own for each would cost a connection more memory than everything else it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Protocol


class Newcomer(Hashable, Protocol):
    """Someone whose first bytes are awaited."""

    def give_up(self) -> None:
        """The time for them is over. Called once, unless discarded before."""
        ...


class Newcomers:
    """Those of one listener.

    Invariant: oldest first, and as long as there is anyone the timer runs, at the latest to the
    time of the oldest.
    """

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_s = timeout_ms / 1_000
        self._due_s: dict[Newcomer, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due_s)

    def add(self, newcomer: Newcomer) -> None:
        """Its time begins."""
        self._due_s[newcomer] = asyncio.get_running_loop().time() + self._timeout_s
        if self._timer is None:
            self._set_timer(self._timeout_s)

    def discard(self, newcomer: Newcomer) -> None:
        """It has said who it is, or left; an unknown one is no error."""
        self._due_s.pop(newcomer, None)

    def _set_timer(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        while self._due_s:
            oldest = next(iter(self._due_s))
            left_s = self._due_s[oldest] - now_s
            if left_s > 0:
                self._set_timer(left_s)
                return
            del self._due_s[oldest]
            oldest.give_up()
