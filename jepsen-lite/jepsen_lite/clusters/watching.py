"""Questions to nodes of coord that no fault stands before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from coord.model.errors import CoordError
from coord_client import Client, connect

ANSWER_WITHIN_S: Final = 1.0


@contextlib.asynccontextmanager
async def harness(address: str, timeout_s: float = ANSWER_WITHIN_S) -> AsyncIterator[Client]:
    """A client without a session: it works on a node without quorum. Raises CoordError."""
    async with connect(address, session=False, request_timeout_s=timeout_s) as client:
        yield client


async def status_of(address: str) -> dict[str, Any] | None:
    """What a node says of itself; None if it does not answer in time."""
    try:
        async with harness(address) as client:
            return await client.admin.status()
    except (CoordError, OSError):
        return None


async def digest_of(address: str) -> tuple[int, str] | None:
    """(applied index, digest) of a node; None if it does not answer in time."""
    try:
        async with harness(address) as client:
            found = await client.admin.digest()
            return found.revision, found.digest
    except (CoordError, OSError):
        return None


async def all_status(addresses: Iterable[str]) -> list[dict[str, Any] | None]:
    """What each node says."""
    return list(await asyncio.gather(*map(status_of, addresses)))


def agreed_leader(said: Iterable[dict[str, Any] | None], majority: int) -> int:
    """The id of the leader whom a majority names in the newest term; 0 if there is none."""
    named: dict[tuple[int, int], int] = {}
    for status in said:
        if status and status["leader"]:
            vote = (int(status["term"]), int(status["leader"]))
            named[vote] = named.get(vote, 0) + 1
    if not named:
        return 0
    newest = max(named)
    return newest[1] if named[newest] >= majority else 0
