"""One request to the API: who asks, what for, and what it may use to answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web

from coord.model.errors import BadArgumentsError
from coord.model.limits import KIB, MIB
from coord.server.http.api.asked import Asked, Parameters, path_of

if TYPE_CHECKING:
    from coord.node.node import Node
    from coord.server.http.api.caller import Caller
    from coord.server.http.api.services import Services

BODY_BYTES_MAX: Final = 2 * MIB
"""A value of a megabyte in base64 with what surrounds it."""
LARGE_BODY_BYTES: Final = 64 * KIB
LARGE_BODIES_MAX: Final = 16
"""Large bodies read at the same time; others wait."""
BODY_S: Final = 30.0
"""How long a body may take to arrive."""
JSON: Final = "application/json"

Schema = dict[str, Any]
Handler = Callable[["Call"], Awaitable[web.StreamResponse]]


class Endpoint(NamedTuple):
    """One line of the API. ``path``: as OpenAPI writes it; ``{path}`` may hold slashes.

    ``query``, ``body`` and ``answer`` are JSON schemas; they are what /v1/openapi.json shows, and a
    query parameter that is not listed is refused.
    """

    method: str
    path: str
    handler: Handler
    says: str
    answer: Schema
    query: Mapping[str, Schema] = {}
    body: Schema | None = None
    statuses: tuple[int, ...] = (200,)
    answer_type: str = JSON
    takes_bytes: bool = False
    """The body may be any bytes instead of JSON."""
    in_session: bool = False
    """Without Coord-Session it is refused."""


class Call:
    """What a handler gets."""

    def __init__(
        self,
        services: Services,
        endpoint: Endpoint,
        request: web.Request,
        asked: Asked,
    ) -> None:
        self.services = services
        self.request = request
        self.asked = asked
        self.query = Parameters(request.query, frozenset(endpoint.query))

    @property
    def node(self) -> Node:
        """The node whose door this is."""
        return self.services.node

    @property
    def path(self) -> str:
        """The node of the tree that the URL names. Raises BadArgumentsError."""
        return path_of(self.request)

    def caller(self) -> AbstractAsyncContextManager[Caller]:
        """Who acts on the tree for this request."""
        return self.services.callers.acting_for(self.asked)

    async def body(self) -> bytes:
        """All of it. Raises BadArgumentsError if it does not come, web.HTTPException if it is too
        large."""
        length = self.request.content_length
        if length is not None and length <= LARGE_BODY_BYTES:
            return await self._read()
        async with self.services.large_bodies:
            return await self._read()

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(BODY_S):
                return await self.request.read()
        except TimeoutError:
            raise BadArgumentsError(f"the body did not arrive within {BODY_S:.0f} s") from None
        except web.RequestPayloadError:
            raise BadArgumentsError("the body is not what its headers say") from None

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises BadArgumentsError."""
        raw = await self.body()
        try:
            if len(raw) > LARGE_BODY_BYTES:
                found = await asyncio.to_thread(json.loads, raw)
            else:
                found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise BadArgumentsError(f"the body is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise BadArgumentsError("the body must be a JSON object")
        return found


def answer(value: Mapping[str, Any], status: int = 200) -> web.Response:
    """JSON."""
    return web.Response(
        status=status, text=json.dumps(value) + "\n", content_type=JSON, charset="utf-8"
    )
