"""All endpoints, and the way every request takes to its handler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aiohttp import web

from coord.model.errors import BadArgumentsError, CoordError
from coord.server.http.api import (
    backup,
    cluster,
    history,
    listings,
    login,
    nodes,
    recipes,
    sessions,
    transactions,
    watch,
)
from coord.server.http.api.asked import SESSION, Asked, address_of, session_of
from coord.server.http.api.calls import JSON, Call, Endpoint
from coord.server.http.api.openapi import document
from coord.server.http.api.refusals import refusal
from coord.server.http.problems import problem

if TYPE_CHECKING:
    from coord.server.http.api.services import Services
    from coord.server.http.guards import Handler

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *login.ENDPOINTS,
    *nodes.ENDPOINTS,
    *listings.ENDPOINTS,
    *history.ENDPOINTS,
    *sessions.ENDPOINTS,
    *transactions.ENDPOINTS,
    *watch.ENDPOINTS,
    *recipes.ENDPOINTS,
    *cluster.ENDPOINTS,
    *backup.ENDPOINTS,
)


def add_routes(app: web.Application, services: Services) -> None:
    """Serve the API."""
    described = json.dumps(document(ENDPOINTS, services.node.settings.version)).encode()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=described, content_type=JSON, charset="utf-8")

    app.router.add_get("/v1/openapi.json", openapi)
    for endpoint in ENDPOINTS:
        pattern = endpoint.path.replace("{path}", "{path:.*}").replace(
            "{session}", r"{session:\d+|0x[0-9a-f]+}"
        )
        app.router.add_route(endpoint.method, pattern, _handler(services, endpoint))


def _handler(services: Services, endpoint: Endpoint) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and request.content_type != JSON:
            return problem(415, f"send {JSON}", code="bad-arguments", definite=True)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return problem(415, "send the body as it is", code="bad-arguments", definite=True)
        try:
            identities = services.identities_of(request)
            asked = Asked(address_of(request), identities, session_of(request))
            if endpoint.in_session and asked.session is None:
                raise BadArgumentsError(f"name the session to act in with {SESSION}")
            return await endpoint.handler(Call(services, endpoint, request, asked))
        except CoordError as error:
            return refusal(error)
        except UnicodeEncodeError:
            return refusal(BadArgumentsError("a lone surrogate is no text"))

    return handle
