"""GET /page/feed: one page's stream of server-sent events."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import web

from coord.model.acl import identities_of_address
from coord.model.errors import BadArgumentsError, CoordError
from coord.model.paths import check_path
from coord.server.http.api.asked import address_of
from coord.server.http.api.refusals import refusal
from coord.server.http.feed import Feed, Listener, Token
from coord.server.http.problems import problem

if TYPE_CHECKING:
    from coord.server.http.api.services import Services

PAGES_MAX: Final = 200
DIRECTORIES_MAX: Final = 200
STREAM_S: Final = 900.0
"""A stream ends after so long, and the browser opens another: with who is signed in by then."""


def add_routes(app: web.Application, services: Services) -> None:
    """Serve the stream, which ends when the application does."""
    feed = Feed(services.node)

    async def stream(request: web.Request) -> web.StreamResponse:
        if len(feed) >= PAGES_MAX:
            return problem(503, f"{PAGES_MAX} pages of this node are open; close one")
        try:
            listener = _listener(request, services)
        except CoordError as error:
            return refusal(error)
        since = Token.parse(request.query.get("since", request.headers.get("Last-Event-ID", "")))
        return await _serve(request, feed, listener, since)

    async def close(_: web.Application) -> None:
        feed.close()

    app.router.add_get("/page/feed", stream)
    app.on_shutdown.append(close)


def _listener(request: web.Request, services: Services) -> Listener:
    """Raises CoordError."""
    directories = request.query.getall("dir", [])
    if len(directories) > DIRECTORIES_MAX:
        raise BadArgumentsError(f"a page follows at most {DIRECTORIES_MAX} directories")
    for path in directories:
        check_path(path)
    identities = services.identities_of(request)
    return Listener(directories, (*identities, *identities_of_address(address_of(request))))


async def _serve(
    request: web.Request, feed: Feed, listener: Listener, since: Token | None
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await answer.prepare(request)
    feed.join(listener, since)
    try:
        # The browser may go at any write.
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(STREAM_S):
                while not listener.is_over:
                    await answer.write(await listener.take())
    finally:
        feed.leave(listener)
    return answer
