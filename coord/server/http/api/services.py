"""What the handlers share for as long as the door is open."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from aiohttp import web

from coord.model.errors import NotReadyError
from coord.node.identity import prove
from coord.server.http.api.asked import basic_of
from coord.server.http.api.callers import Callers
from coord.server.http.api.calls import LARGE_BODIES_MAX
from coord.server.http.api.gathering import Gathering
from coord.server.http.api.logins import Logins
from coord.server.http.api.past import Pasts
from coord.server.http.api.refusals import NotSecureError
from coord.server.http.api.samples import Samples
from coord.server.http.api.trust import Trust

if TYPE_CHECKING:
    from coord.model.acl import Identity
    from coord.node.node import Node
    from coord.server.http.api.watch import Feed

LONG_WORK_MAX: Final = 2
"""Searches and looks at the past at the same time; others wait."""


class Services:
    """One per door."""

    def __init__(self, node: Node, trusted: Collection[str] = ()) -> None:
        """``trusted``: networks from which passwords are taken without TLS."""
        self.node = node
        self.trust = Trust(trusted)
        self.callers = Callers(node)
        self.gathering = Gathering(node)
        self.samples = Samples(node)
        self.pasts = Pasts(node)
        self.logins = Logins(node.clock.wall_ms)
        self.feeds: set[Feed] = set()
        """Watches that are open."""
        self.large_bodies = asyncio.Semaphore(LARGE_BODIES_MAX)
        self.long_work = asyncio.Semaphore(LONG_WORK_MAX)
        self.backing_up = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin the upkeep. On the loop."""
        self._tasks = [
            asyncio.create_task(self.callers.keep_up(), name="coord-http-callers"),
            asyncio.create_task(self.samples.keep_up(), name="coord-http-samples"),
        ]

    def identities_of(self, request: web.Request) -> tuple[Identity, ...]:
        """What the caller has proven, by HTTP Basic or by signing in. Raises CoordError."""
        credential = basic_of(request)
        if credential is not None:
            if not self.trust.is_confidential(request):
                raise NotSecureError
            return prove("digest", credential, self.node.settings.super_digest)
        login = self.logins.of(request)
        return () if login is None else login.identities

    async def stop(self) -> None:
        """End what is open."""
        for feed in self.feeds:
            feed.end(NotReadyError("this node is stopping; resume at another"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self.callers.close()


SERVICES: Final = web.AppKey("services", Services)
"""Where the application keeps them."""
