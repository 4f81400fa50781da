"""Creating a node together with the parents that are missing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from coord.model.acl import OPEN
from coord.model.errors import LimitError, NodeExistsError, NoNodeError
from coord.model.paths import ROOT, parent_of
from coord.model.requests import Create

if TYPE_CHECKING:
    from coord.protocol.native_client import Reply
    from coord.server.http.api.caller import Caller

PARENTS_MAX: Final = 100
"""That one request makes."""


async def create_with_parents(caller: Caller, create: Create) -> Reply:
    """The reply to ``create``. Parents that were made stay, whatever becomes of it. Raises
    CoordError."""
    try:
        return await caller.write_one(create)
    except NoNodeError:
        if parent_of(create.path) == ROOT:
            raise
    missing = [parent_of(create.path)]
    while not await _made(caller, missing[-1]):
        missing.append(parent_of(missing[-1]))
        if len(missing) > PARENTS_MAX:
            raise LimitError(f"more than {PARENTS_MAX} parents of {create.path[:200]} are missing")
    for path in reversed(missing[:-1]):
        with contextlib.suppress(NodeExistsError):
            await caller.write_one(_plain(path))
    return await caller.write_one(create)


async def _made(caller: Caller, path: str) -> bool:
    """Create it, unless it is there; False if its parent is not."""
    try:
        await caller.write_one(_plain(path))
    except NodeExistsError:
        return True
    except NoNodeError:
        return False
    return True


def _plain(path: str) -> Create:
    return Create(path, b"", OPEN, 0, 0)
