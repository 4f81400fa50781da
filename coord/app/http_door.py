"""The HTTP door of a node that has one. A node without it never loads aiohttp."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from coord.app import binding

if TYPE_CHECKING:
    import socket

    from coord.config import Config
    from coord.node.node import Node
    from coord.server.http.doors import HttpDoor

log = logging.getLogger(__name__)


def load() -> None:
    """Import what the door needs, before there is a loop that must not stand still: it takes a
    while on a busy machine."""
    importlib.import_module("coord.server.http.doors")


async def opened(config: Config, node: Node, sock: socket.socket | None) -> HttpDoor | None:
    """Serve HTTP on the bound socket; None without one. Raises ConfigError."""
    if sock is None:
        return None
    from coord.server.http.doors import HttpDoor  # noqa: PLC0415 - see load()

    door = HttpDoor(node, config.node.http_names, config.node.http_trusted)
    try:
        await door.start(sock)
    except OSError as error:
        raise binding.explained(error, config.node.http, "HTTP") from error
    log.info("serving HTTP", extra={"http": config.node.http, "page": f"http://{_page(config)}/"})
    return door


def _page(config: Config) -> str:
    """Where a browser finds this node, which may lie behind a forwarded port."""
    own = (member.http for member in config.cluster.initial if member.id == config.node.id)
    return next(own, "") or config.node.http


async def close(door: HttpDoor | None) -> None:
    """Answer what is being answered, then close the port."""
    if door is not None:
        await door.stop()
