"""How a running ``coord dev`` is told what to do from another shell: a socket in its directory.

One line of JSON each way, then the connection is closed. Only the owner of the directory can open
the socket. The request is ``{"do": "stop" | "start", "nodes": [1, …]}``, the answer
``{"nodes": [{"id", "state", "pid"}, …]}`` or ``{"error": text}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from coord.model.errors import (
    ConfigError,
    ConnectionLostError,
    OperationTimeoutError,
    ProtocolError,
)

SOCKET: Final = "dev.sock"
ADDRESS_BYTES_MAX: Final = 103
"""Longest name of a unix socket that every system takes."""
LINE_BYTES_MAX: Final = 4_096
REQUEST_WITHIN_S: Final = 5.0
PROBE_S: Final = 1.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@contextlib.asynccontextmanager
async def served(directory: Path, handle: Handler) -> AsyncIterator[str]:
    """Answer requests with ``handle``; yields why that is not possible here, or nothing.

    Raises ConfigError if another process answers in ``directory``.
    """
    path = directory / SOCKET
    try:
        listening = _listening(path)
    except OSError as error:
        yield error.strerror or str(error)
        return
    try:
        server = await asyncio.start_unix_server(
            lambda reader, writer: _answer(reader, writer, handle),
            sock=listening,
            limit=LINE_BYTES_MAX,
        )
        try:
            yield ""
        finally:
            server.close()
    finally:
        path.unlink(missing_ok=True)


def _listening(path: Path) -> socket.socket:
    with _address(path) as address:
        if _is_answered(address):
            raise ConfigError(f"another coord dev runs in {path.parent}")
        path.unlink(missing_ok=True)  # left by one that was killed
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        others = os.umask(0o177)
        try:
            listening.bind(address)
        except OSError:
            listening.close()
            raise
        finally:
            os.umask(others)
    return listening


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name of ``path`` that fits into a socket's address: its own, or through a short link."""
    name = os.fspath(path.absolute())
    if len(os.fsencode(name)) <= ADDRESS_BYTES_MAX:
        yield name
        return
    with tempfile.TemporaryDirectory() as short:
        link = Path(short) / "d"
        link.symlink_to(path.parent.absolute(), target_is_directory=True)
        yield os.fspath(link / path.name)


def _is_answered(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler
) -> None:
    try:
        async with asyncio.timeout(REQUEST_WITHIN_S):
            line = await reader.readline()
        answer = await handle(_request(line))
    except (ValueError, TimeoutError) as error:
        answer = {"error": f"not a request: {error}"}
    except OSError:
        writer.close()
        return
    with contextlib.suppress(OSError):
        writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()
        await writer.wait_closed()


def _request(line: bytes) -> dict[str, Any]:
    """Raises ValueError for what is not {"do": text, "nodes": [numbers]}."""
    request = json.loads(line)
    nodes = request.get("nodes") if isinstance(request, dict) else None
    if not isinstance(nodes, list) or not all(type(node) is int for node in nodes):
        raise ValueError("it names no nodes")
    return dict(request)


def ask(directory: Path, request: dict[str, Any], timeout_s: float) -> list[dict[str, Any]]:
    """What the ``coord dev`` that runs in ``directory`` says of the nodes named.

    Raises ConfigError if none runs there or it refuses, OperationTimeoutError,
    ConnectionLostError.
    """
    with _address(directory / SOCKET) as address, socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout_s)
        try:
            link.connect(address)
        except OSError as error:
            raise ConfigError(
                f"no coord dev runs in {directory}: start it there, or name its --dir"
            ) from error
        try:
            link.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(link.makefile("rb").readline() or b"null")
        except TimeoutError as error:
            raise OperationTimeoutError(f"no answer within {timeout_s:g} s") from error
        except OSError as error:
            raise ConnectionLostError("coord dev ended meanwhile") from error
    if answer is None:
        raise ConnectionLostError("coord dev ended meanwhile")
    if "error" in answer:
        raise ConfigError(answer["error"])
    if not isinstance(answer.get("nodes"), list):
        raise ProtocolError("coord dev gave an answer that cannot be read")
    return list(answer["nodes"])
