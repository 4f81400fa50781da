"""What every request and answer passes: a browser must not be made to speak for its user."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from coord.server.http.problems import of_exception, problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""No foreign scripts, no frames, no guessing of types, no copies left behind."""

NOT_FOR_OTHERS: Final = ("/v1/", "/page/feed")
"""What pages of other sites have no business with."""
_SAFE: Final = frozenset({"GET", "HEAD"})

log = logging.getLogger(__name__)


def names_this_node(host: str, names: Collection[str]) -> bool:
    """Whether a Host header may mean this node: an IP address, localhost, or one of ``names``.

    A page elsewhere can point a name of its own at a loopback address (DNS rebinding) and have the
    browser talk to this node as if they were one site; it cannot make the browser say another
    name.
    """
    name = host.rpartition(":")[0] if _has_port(host) else host
    name = name.strip("[]").lower()
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit() and (host.count(":") == 1 or "]:" in host)


def why_foreign(request: web.Request) -> str | None:
    """Why a browser should not have sent this: it was another site's idea. None: it was not.

    Browsers say so (Fetch Metadata, and Origin with every change); other programs say nothing.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return "a page of another site asked for this"
    origin = request.headers.get("Origin")
    if origin is not None and request.method not in _SAFE:
        scheme, _, host = origin.partition("://")
        if scheme not in {"http", "https"} or host.lower() != request.host.lower():
            return f"a page of {origin[:200]} asked for this"
    return None


def make_guard(names: Collection[str]) -> Middleware:
    """Refuses foreign hosts and foreign pages, and turns errors into problems."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await _answer(request, handler, names)

    return guard


async def put_headers(_: web.Request, answer: web.StreamResponse) -> None:
    """Before anything of an answer leaves; what it says itself stays."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)


async def _answer(
    request: web.Request, handler: Handler, names: Collection[str]
) -> web.StreamResponse:
    if not names_this_node(request.host, names):
        return problem(
            421, f"this node is not called {request.host}; use its address, or a name it knows"
        )
    if request.path.startswith(NOT_FOR_OTHERS):
        foreign = why_foreign(request)
        if foreign is not None:
            return problem(403, foreign, code="csrf", definite=True)
    try:
        return await handler(request)
    except web.HTTPException as error:
        return of_exception(error, request.method, request.path)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return problem(500, "the node failed to answer this; its log says why")
