"""The state of the cluster as one verified file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from coord.model.errors import CoordError, LimitError
from coord.model.limits import KIB
from coord.server.http.api.calls import Call, Endpoint
from coord.server.http.api.nodes import BYTES
from coord.server.http.api.rights import require_operator

if TYPE_CHECKING:
    from coord.raft.types import SnapshotMeta

CHUNK_BYTES: Final = 256 * KIB
TAKEN_S: Final = 600.0
"""How long copying and checking may take."""
STALLED_S: Final = 30.0
"""A client that takes nothing for so long is dropped."""


async def backup(call: Call) -> web.StreamResponse:
    """Take a snapshot, have it verified, and send it: its last 32 bytes, and Coord-Checksum, are
    the SHA-256 of all before."""
    require_operator(call)
    services = call.services
    if services.backing_up.locked():
        raise LimitError("a backup is being sent already")
    async with services.backing_up:
        meta = await _taken(call)
        return await _sent(call, meta)


async def _taken(call: Call) -> SnapshotMeta:
    done: asyncio.Future[SnapshotMeta | BaseException] = asyncio.get_running_loop().create_future()

    def tell(outcome: SnapshotMeta | BaseException) -> None:
        if not done.done():
            done.set_result(outcome)

    if not call.node.housekeeping.take_snapshot(tell):
        raise LimitError("a snapshot is being taken or installed already")
    try:
        async with asyncio.timeout(TAKEN_S):
            outcome = await done
    except TimeoutError:
        raise LimitError(f"the snapshot was not ready within {TAKEN_S:.0f} s") from None
    if isinstance(outcome, CoordError):
        raise outcome
    if isinstance(outcome, BaseException):
        raise CoordError(f"the snapshot failed: {outcome}")
    return outcome


async def _sent(call: Call, meta: SnapshotMeta) -> web.StreamResponse:
    name = f"coord-{call.node.store.machine.cluster_id.hex()}-{meta.index}.snapshot"
    response = web.StreamResponse(
        headers={
            "Content-Type": BYTES,
            "Content-Length": str(meta.length),
            "Content-Disposition": f'attachment; filename="{name}"',
            "Coord-Revision": str(meta.index),
            "Coord-Checksum": f"sha256:{meta.checksum.hex()}",
        }
    )
    await response.prepare(call.request)
    snapshots, offset = call.node.store.snapshots, 0
    try:
        while offset < meta.length:
            data = snapshots.read_chunk(meta.checksum, offset, CHUNK_BYTES)
            if not data:
                break
            offset += len(data)
            async with asyncio.timeout(STALLED_S):
                await response.write(data)
    except (ConnectionResetError, TimeoutError):
        pass  # The length that was announced tells the client that it is not whole.
    if offset < meta.length and call.request.transport is not None:
        call.request.transport.abort()
    return response


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/backup",
        backup,
        "The newest state as a verified snapshot",
        {"type": "string", "format": "binary"},
        answer_type=BYTES,
    ),
)
