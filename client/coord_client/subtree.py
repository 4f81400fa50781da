"""Operations on more than one node, made of single ones: not atomic, bounded in flight."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from coord.model.errors import (
    CoordError,
    ListingExpiredError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
)
from coord.model.paths import ROOT, join, parent_of
from coord.model.requests import Children
from coord.model.types import ReadLevel
from coord.model.znode import Stat
from coord.protocol.native_client import Reply
from coord_client.retry import backoff_ms
from coord_client.values import ListedNode
from coord_client.watches import RECURSIVE, Subscription

if TYPE_CHECKING:
    from coord_client.client import Client

DELETES_IN_FLIGHT: Final = 128
"""Bound of one batch of a recursive delete."""
RACES_MAX: Final = 16
"""Attempts of an operation made of several, when others keep changing the same nodes."""
READS_IN_FLIGHT: Final = 256
"""Bound of one batch of a listing in pages."""


async def names_in_pages(
    ask: Callable[[Children], Awaitable[Reply]], request: Children, spread: Callable[[], float]
) -> list[str]:
    """All names that ``request`` is the first page of, as of one revision.

    Too slow for the node that keeps that revision for us, it begins again, a few times.
    """
    for attempt in range(1, RACES_MAX):
        try:
            return await _pages(ask, request)
        except ListingExpiredError:
            await asyncio.sleep(backoff_ms(attempt, spread()) / 1_000)
    return await _pages(ask, request)


async def _pages(ask: Callable[[Children], Awaitable[Reply]], request: Children) -> list[str]:
    names: list[str] = []
    more = True
    while more:
        reply = await ask(request)
        page, _, more = reply.body[:3]
        names += page
        if more:
            revision = reply.body[3] if len(reply.body) > 3 else reply.revision
            request = request._replace(after=page[-1], revision=revision)
    return names


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


async def set_or_create(
    client: Client, path: str, data: bytes, make_parents: bool, timeout_s: float | None
) -> Stat:
    """Set the node or create it, whatever others do to it meanwhile."""
    for _ in range(RACES_MAX):
        try:
            return await client.set(path, data, timeout_s=timeout_s)
        except NoNodeError:
            with contextlib.suppress(NodeExistsError):
                created = await client.create(
                    path, data, make_parents=make_parents, timeout_s=timeout_s
                )
                return created.stat
    return await client.set(path, data, timeout_s=timeout_s)


async def delete_with_all_below(
    client: Client, path: str, version: int, timeout_s: float | None
) -> None:
    """Delete what is below ``path`` and then the node, however often others add to it."""
    for _ in range(RACES_MAX):
        await delete_below(client, path, timeout_s)
        with contextlib.suppress(NotEmptyError):
            return await client.delete(path, version=version, timeout_s=timeout_s)
    return await client.delete(path, version=version, timeout_s=timeout_s)


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


async def list_in_pages(client: Client, subscription: Subscription, path: str) -> None:
    """Read for a watch stream what one listing cannot hold."""
    revision = subscription.listing_revision
    try:
        found = await walk(
            client, path, recursive=subscription.mode == RECURSIVE, values=subscription.values
        )
    except CoordError as error:
        subscription.close()
        subscription.fail(error)
    else:
        subscription.walked(revision, found)


async def walk(client: Client, path: str, *, recursive: bool, values: bool) -> list[ListedNode]:
    """The node at ``path``, then what is below it (its children only, unless ``recursive``).

    Read in pages: each node as of some revision at or after the call, not all as of one.
    """
    found: list[ListedNode] = []
    paths, depth = [path], 0
    while paths:
        below: list[str] = []
        for start in range(0, len(paths), READS_IN_FLIGHT):
            batch = paths[start : start + READS_IN_FLIGHT]
            nodes = await asyncio.gather(*(_look(client, each, values=values) for each in batch))
            found += [node for node in nodes if node is not None]
            parents = [node.path for node in nodes if node is not None and node.stat.num_children]
            if recursive or not depth:
                lists = await asyncio.gather(*(_names(client, each) for each in parents))
                for parent, names in zip(parents, lists, strict=True):
                    below += [join(parent, name) for name in names]
        paths, depth = below, depth + 1
    return found


async def _look(client: Client, path: str, *, values: bool) -> ListedNode | None:
    if not values:
        stat = await client.exists(path, level=ReadLevel.SESSION, timeout_s=math.inf)
        return None if stat is None else ListedNode(path, None, stat)
    try:
        node = await client.get(path, level=ReadLevel.SESSION, timeout_s=math.inf)
    except NoNodeError:
        return None
    return ListedNode(path, node.data, node.stat)


async def _names(client: Client, path: str) -> list[str]:
    try:
        return await client.children(path, level=ReadLevel.SESSION, timeout_s=math.inf)
    except NoNodeError:
        return []
