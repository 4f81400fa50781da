"""Tells the operator of the leader which subtrees pass their limits, without flooding the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coord.node.ports import Clock

log = logging.getLogger(__name__)

SILENCE_MS: Final = 60_000
"""A subtree is named at most this often."""
NAMED_MAX: Final = 1_000
"""Subtrees remembered; more of them at once are counted and not named."""


class QuotaWarnings:
    """``count``: batches of entries, times subtrees, that passed a limit while this node led."""

    def __init__(self, clock: Clock, is_leader: Callable[[], bool]) -> None:
        self._clock = clock
        self._is_leader = is_leader
        self._named: dict[str, int] = {}
        """When each was named last, oldest first."""
        self.count = 0

    def note(self, over_quota: dict[str, str]) -> None:
        """An applied batch's subtrees past a limit, with what there is to say of each."""
        if not self._is_leader():
            return
        self.count += len(over_quota)
        now_ms = self._clock.monotonic_ms()
        self._forget(now_ms - SILENCE_MS)
        for path, message in over_quota.items():
            if path not in self._named and len(self._named) < NAMED_MAX:
                self._named[path] = now_ms
                log.warning("a quota is exceeded", extra={"path": path, "why": message})

    def _forget(self, before_ms: int) -> None:
        for path, named_ms in list(self._named.items()):
            if named_ms > before_ms:
                return
            del self._named[path]
