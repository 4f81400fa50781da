"""The application behind a node's HTTP port, and the port."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from coord.model.limits import KIB, PATH_BYTES_MAX
from coord.server.http import feed_stream, metrics, page
from coord.server.http.api.calls import BODY_BYTES_MAX
from coord.server.http.api.routes import add_routes
from coord.server.http.api.services import SERVICES, Services
from coord.server.http.guards import HEADERS, make_guard, put_headers
from coord.server.http.health import readiness
from coord.server.http.problems import problem

if TYPE_CHECKING:
    from coord.node.node import Node

CONNECTIONS_MAX: Final = 256
LINE_BYTES_MAX: Final = 64 * KIB
"""A path of the greatest length, every byte of it percent-encoded, and the query."""
assert LINE_BYTES_MAX > 3 * PATH_BYTES_MAX
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"})
KEEP_ALIVE_S: Final = 30.0
STOP_WITHIN_S: Final = 0.5

log = logging.getLogger(__name__)


def make_application(services: Services, names: Collection[str]) -> web.Application:
    """``names``: what this node may be called besides its addresses."""
    node = services.node
    answers: Counter[tuple[str, int]] = Counter()
    exposition = metrics.make_exposition(node, answers)
    app = web.Application(middlewares=[make_guard(names)], client_max_size=BODY_BYTES_MAX)
    app.on_response_prepare.append(put_headers)

    async def count(request: web.Request, answer: web.StreamResponse) -> None:
        method = request.method if request.method in METHODS else "other"
        answers[method, answer.status] += 1

    app.on_response_prepare.append(count)
    app[SERVICES] = services

    async def livez(_: web.Request) -> web.Response:
        """Whoever answers is alive: the loop turns."""
        return _json({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        checks = readiness(node)
        is_ready = all(check.is_ok for check in checks)
        listed = [{"check": it.name, "ok": it.is_ok, "says": it.says} for it in checks]
        return _json({"ready": is_ready, "checks": listed}, status=200 if is_ready else 503)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scrape)
    add_routes(app, services)
    page.add_routes(app)
    feed_stream.add_routes(app, services)
    return app


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps(value) + "\n",
        content_type="application/json",
        charset="utf-8",
    )


def _parser_log() -> logging.Logger:
    """What aiohttp has to say, without a traceback for each client that speaks no HTTP."""
    found = logging.getLogger(f"{__name__}.aiohttp")
    found.addFilter(lambda record: not _is_bad_request(record))
    return found


def _is_bad_request(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return isinstance(error, HttpProcessingError)


class _Connection(web.RequestHandler):
    """One client. What cannot be read as HTTP is refused like everything else."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to it, after which the connection is closed."""
        super().handle_error(request, status, exc, message)
        answer = problem(status, message or "the node failed to answer this; its log says why")
        answer.headers.update(HEADERS)
        answer.force_close()
        return answer


class _Refused(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


class HttpDoor:
    """Serves the application on a bound socket until stopped."""

    def __init__(
        self, node: Node, names: Collection[str] = (), trusted: Collection[str] = ()
    ) -> None:
        """``names``: what the node may be called. ``trusted``: networks from which passwords are
        taken without TLS."""
        self.services = Services(node, trusted)
        self._runner = web.AppRunner(
            make_application(self.services, names),
            handle_signals=False,
            shutdown_timeout=STOP_WITHIN_S,
        )
        self._logger = _parser_log()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Accept. Raises OSError."""
        await self._runner.setup()
        serve, loop = self._runner.server, asyncio.get_running_loop()
        assert serve is not None

        def accept() -> asyncio.BaseProtocol:
            if len(serve.connections) >= CONNECTIONS_MAX:
                log.warning("too many HTTP connections", extra={"open": len(serve.connections)})
                return _Refused()
            return _Connection(
                serve,
                loop=loop,
                access_log=None,  # type: ignore[arg-type]  # There is none.
                logger=self._logger,
                max_line_size=LINE_BYTES_MAX,
                keepalive_timeout=KEEP_ALIVE_S,
                # A few kilobytes can unfold to what keeps the loop for seconds.
                auto_decompress=False,
            )

        self.services.start()
        self._server = await loop.create_server(accept, sock=sock)

    async def stop(self) -> None:
        """Answer what is being answered, then close."""
        if self._server is not None:
            self._server.close()
        await self.services.stop()
        await self._runner.cleanup()
