"""Operations on more than one node, made of single ones: not atomic, bounded in flight."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from coord.model.errors import NodeExistsError, NoNodeError, NotEmptyError
from coord.model.paths import ROOT, join, parent_of

if TYPE_CHECKING:
    from coord_client.client import Client

DELETES_IN_FLIGHT: Final = 128
"""Bound of one batch of a recursive delete."""


async def create_above(create: Callable[[str], Awaitable[object]], path: str) -> None:
    """Create what is missing above ``path`` (with the chroot), as far down as its parent."""
    missing: list[str] = []
    while (path := parent_of(path)) != ROOT:
        try:
            await create(path)
        except NoNodeError:
            missing.append(path)
        except NodeExistsError:
            break
        else:
            break
    for each in reversed(missing):
        with contextlib.suppress(NodeExistsError):
            await create(each)


async def delete_below(client: Client, path: str, timeout_s: float | None) -> None:
    """Delete everything below ``path``: try each child as a leaf, descend only where it is none.

    Raises what else a delete may raise (NoAuthError…), after the batch it happened in.
    """
    try:
        names = await client.children(path, timeout_s=timeout_s)
    except NoNodeError:
        return
    for start in range(0, len(names), DELETES_IN_FLIGHT):
        below = [join(path, name) for name in names[start : start + DELETES_IN_FLIGHT]]
        deletes = (client.delete(child, timeout_s=timeout_s) for child in below)
        results = await asyncio.gather(*deletes, return_exceptions=True)
        for child, result in zip(below, results, strict=True):
            if isinstance(result, NotEmptyError):
                with contextlib.suppress(NoNodeError):
                    await client.delete(child, recursive=True, timeout_s=timeout_s)
            elif isinstance(result, BaseException) and not isinstance(result, NoNodeError):
                raise result
