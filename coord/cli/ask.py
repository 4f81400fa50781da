"""Questions about one node, asked of that node without a session: they need no quorum.

``status`` and ``digest`` must work exactly when the client library cannot: against a node that
has no leader.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coord.model.errors import ConnectionLostError, CoordError, ProtocolError
from coord.model.requests import Admin
from coord.protocol.native_client import OPENING, ClientCodec, Reply, encode_request

_XID: Final = 1
_READ_BYTES: Final = 1 << 16
DEFAULT_PORT: Final = 2181


@dataclass(frozen=True, slots=True)
class Answer:
    """What one address said: ``body``, or why it said nothing."""

    address: str
    body: tuple[Any, ...] | None
    error: str = ""


def addresses_of(hosts: str) -> list[str]:
    """The "host:port" of each node in a connect string, without its path."""
    nodes = hosts.partition("/")[0]
    return [with_port(item.strip()) for item in nodes.split(",") if item.strip()]


def with_port(address: str) -> str:
    """``address`` with the default client port where it names none."""
    host, colon, port = address.rpartition(":")
    bare_ipv6 = ":" in host and not host.endswith("]")
    return address if colon and port.isdigit() and not bare_ipv6 else f"{address}:{DEFAULT_PORT}"


async def ask(address: str, op: int, arguments: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """The body of the answer, not empty. Limit the time with ``asyncio.timeout``.

    Raises CoordError as the node answered it, ConnectionLostError if it did not.
    """
    host, _, port = with_port(address).rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError as error:
        raise ConnectionLostError(f"{address}: {_reason(error)}", definite=True) from error
    try:
        writer.write(OPENING + encode_request(_XID, Admin(op, arguments or {})))
        reply = await _reply(reader, address)
    except OSError as error:
        raise ConnectionLostError(f"{address}: {_reason(error)}") from error
    finally:
        writer.close()
    if reply.code:
        raise reply.error()
    if not reply.body:
        raise ProtocolError(f"{address} sent an empty answer")
    return reply.body


def _reason(error: OSError) -> str:
    """What the system says, without the address that asyncio puts in front of it."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def _reply(reader: asyncio.StreamReader, address: str) -> Reply:
    codec = ClientCodec()
    while data := await reader.read(_READ_BYTES):
        for message in codec.feed(data):
            if isinstance(message, Reply) and message.xid == _XID:
                return message
    raise ConnectionLostError(f"{address} closed the connection without an answer")


async def answer_of(
    address: str, op: int, timeout_s: float, arguments: dict[str, Any] | None = None
) -> Answer:
    """Like :func:`ask`, with a failure as a value: one silent node must not hide the others."""
    try:
        async with asyncio.timeout(timeout_s):
            return Answer(address, await ask(address, op, arguments))
    except TimeoutError:
        return Answer(address, None, f"no answer within {timeout_s:g} s")
    except CoordError as error:
        return Answer(address, None, str(error).removeprefix(f"{address}: "))


async def answers_of(addresses: Sequence[str], op: int, timeout_s: float) -> list[Answer]:
    """Ask every address at the same time."""
    return list(await asyncio.gather(*(answer_of(a, op, timeout_s) for a in addresses)))
