"""A look through all nodes below a path: a bounded part of them, and where to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.errors import BadArgumentsError
from coord.model.paths import check_path
from coord.model.types import ReadLevel
from coord.server.http.api.waiting import Pace

if TYPE_CHECKING:
    from coord.server.http.api.asked import Parameters
    from coord.server.http.api.caller import Caller
    from coord.server.http.api.calls import Call

FOUND_MAX: Final = 500
LOOKED_AT_ONCE: Final = 500
LOOKED_MAX: Final = 20_000
"""Nodes that one request looks at; the next goes on from there."""

Pick = Callable[[str, bytes], dict[str, Any] | None]
"""What to tell of a node, given its path and packed Stat; None: nothing."""


class Walk:
    """``looked``: nodes so far. ``more``: there are others behind ``next``."""

    def __init__(self, query: Parameters, limit: int) -> None:
        """``limit``: found at most, where the query does not say. Raises BadArgumentsError."""
        self.under, self._after = query.path("under"), query.text("after")
        self._limit = query.number("limit", limit, 1, FOUND_MAX)
        self.looked, self.more = 0, True
        if self._after:
            check_path(self._after)
            below = self.under.rstrip("/") + "/"
            if self._after != self.under and not self._after.startswith(below):
                raise BadArgumentsError("after is what the answer before called next")

    @property
    def next(self) -> str | None:
        """What the next request says as ``after``; None at the end."""
        return self._after if self.more else None

    async def find(self, call: Call, caller: Caller, pick: Pick) -> list[dict[str, Any]]:
        """What ``pick`` tells, in the order of paths. Raises CoordError."""
        found: list[dict[str, Any]] = []
        await caller.ask(rq.Exists(self.under, False, int(ReadLevel.STALE)))
        pace = Pace()
        while self.more and self.looked < LOOKED_MAX and len(found) < self._limit:
            page, self.more = call.node.reader.look(self.under, self._after, LOOKED_AT_ONCE)
            for path, stat in page:
                self.looked, self._after = self.looked + 1, path
                told = pick(path, stat)
                if told is not None:
                    found.append(told)
                    if len(found) == self._limit:
                        self.more = self.more or path != page[-1][0]
                        break
            await pace.pause()
        return found
