"""Many nodes at a time: children in pages, how many lie below, which paths contain a word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from coord.model import requests as rq
from coord.model.acl import READ, permits
from coord.model.errors import BadArgumentsError
from coord.model.limits import NAME_BYTES_MAX, PATH_BYTES_MAX
from coord.model.paths import ROOT, join, parent_of
from coord.model.types import ReadLevel
from coord.server.http.api.calls import Call, Endpoint, answer
from coord.server.http.api.forms import stat_fields, stat_or_none
from coord.server.http.api.schemas import (
    COUNT,
    FLAG,
    LEVEL,
    PATH,
    REVISION,
    STAT,
    TEXT,
    array,
    number,
    obj,
    or_null,
)
from coord.server.http.api.waiting import wait_applied
from coord.server.http.api.walk import FOUND_MAX, Walk

if TYPE_CHECKING:
    from coord.node.connection import Connection

CHILDREN_MAX: Final = 1_000
STATS_AT_ONCE: Final = 200
WORD_MAX: Final = 256


async def children(call: Call) -> web.StreamResponse:
    """A page of a node's children, by name in byte order."""
    path, query = call.path, call.query
    after, limit = query.text("after"), query.number("limit", 100, 1, CHILDREN_MAX)
    if len(after.encode()) > NAME_BYTES_MAX:
        raise BadArgumentsError("after is a child's name")
    revision, wants_stats = query.number("revision", 0), query.is_set("stats", default=True)
    level = query.level()
    await wait_applied(call.node, query.number("min_revision", 0))
    async with call.caller() as caller:
        if revision:
            return await _children_then(call, caller.conn, path, revision, (after, limit))
        await caller.ask(rq.Exists(path, False, int(level)))
        reads = call.node.reads
        reads.check_readable(caller.conn, path)
        reader, reflects = reads.reader, reads.reader.revision
        listed = reader.children(path, after, limit)
        assert listed is not None, "found a moment ago"
        names, stat, more = listed

        def look(name: str) -> bytes | None:
            return _readable_stat(call, caller.conn, join(path, name))

        entries = await _entries(names, look if wants_stats else None)
    return _page(path, reflects, stat, entries, more=more)


def _readable_stat(call: Call, conn: Connection, path: str) -> bytes | None:
    """None: it is gone, or its ACL hides it."""
    reader = call.node.reads.reader
    stat = reader.stat(path)
    if stat is not None and reader.is_restricted:
        found = reader.acl(path)
        if found is None or not permits(found[0], READ, conn.identities_here):
            return None
    return stat


async def _children_then(
    call: Call, conn: Connection, path: str, revision: int, page: tuple[str, int]
) -> web.Response:
    async with call.services.long_work:
        past = await call.services.pasts.at(revision)
        _, stat = past.read(path, conn.identities_here)
        names, more = await past.children(path, *page)
        entries = await _entries(names, lambda name: past.stat(join(path, name)))
    return _page(path, revision, stat, entries, more=more)


async def _entries(
    names: list[str], look: Callable[[str], bytes | None] | None
) -> list[dict[str, Any]]:
    if look is None:
        return [{"name": name} for name in names]
    entries: list[dict[str, Any]] = []
    for start in range(0, len(names), STATS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        batch = names[start : start + STATS_AT_ONCE]
        entries += [{"name": name, "stat": stat_or_none(look(name))} for name in batch]
    return entries


def _page(
    path: str, revision: int, stat: bytes, entries: list[dict[str, Any]], *, more: bool
) -> web.Response:
    return answer({
        "path": path,
        "revision": revision,
        "stat": stat_fields(stat),
        "children": entries,
        "more": more,
        "next": entries[-1]["name"] if entries and more else None,
    })  # fmt: skip


async def count(call: Call) -> web.StreamResponse:
    """How many nodes lie below one."""
    path = call.path
    async with call.caller() as caller:
        reply = await caller.ask(rq.CountDescendants(path))
    return answer({"path": path, "revision": reply.revision, "count": reply.body[0]})


async def search(call: Call) -> web.StreamResponse:
    """Paths that contain a word, whatever the case of its letters."""
    word, walk = call.query.text("q").casefold(), Walk(call.query, 50)
    if not 0 < len(word) <= WORD_MAX:
        raise BadArgumentsError(f"q is a word of 1 to {WORD_MAX} characters")
    async with call.services.long_work, call.caller() as caller:

        def pick(path: str, _: bytes) -> dict[str, Any] | None:
            if word not in path.casefold() or not _is_listed(call, caller.conn, path):
                return None
            return {"path": path, "stat": stat_or_none(_readable_stat(call, caller.conn, path))}

        found = await walk.find(call, caller, pick)
    return answer({
        "found": found,
        "more": walk.more,
        "next": walk.next,
        "looked_at": walk.looked,
    })  # fmt: skip


def _is_listed(call: Call, conn: Connection, path: str) -> bool:
    """Whether the caller would see this name among its parent's children."""
    return path == ROOT or call.node.reads.may_read(conn, parent_of(path))


async def watchers(call: Call) -> web.StreamResponse:
    """Which clients of this node hear of changes of a node."""
    path = call.path
    async with call.caller() as caller:
        await caller.ask(rq.Exists(path, False, int(ReadLevel.STALE)))
    found = call.node.registry.watchers_of(path)
    listed = [_watcher(owner, is_recursive) for owner, is_recursive in found.items()]
    return answer({
        "path": path,
        "watchers": listed[:CHILDREN_MAX],
        "total": len(listed),
        "node": int(call.node.id),
    })  # fmt: skip


def _watcher(owner: Any, is_recursive: bool) -> dict[str, Any]:
    conn: Connection = owner
    return {
        "session": conn.session,
        "address": conn.address,
        "client": conn.client,
        "recursive": is_recursive,
    }


_WATCHER: Final = obj({"session": REVISION, "address": TEXT, "client": TEXT, "recursive": FLAG})
_CHILD: Final = obj({"name": TEXT}, {"stat": or_null(STAT)})

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/children/{path}",
        children,
        "A page of a node's children, now or as of a revision",
        obj({
            "path": PATH,
            "revision": REVISION,
            "stat": STAT,
            "children": array(_CHILD),
            "more": FLAG,
            "next": or_null(TEXT),
        }),
        query={
            "after": TEXT,
            "limit": number(1, CHILDREN_MAX),
            "stats": FLAG,
            "level": LEVEL,
            "revision": REVISION,
            "min_revision": REVISION,
        },
    ),
    Endpoint(
        "GET",
        "/v1/count/{path}",
        count,
        "How many nodes lie below one",
        obj({"path": PATH, "revision": REVISION, "count": COUNT}),
    ),
    Endpoint(
        "GET",
        "/v1/search",
        search,
        "Nodes whose path contains a word",
        obj({
            "found": array(obj({"path": PATH, "stat": or_null(STAT)})),
            "more": FLAG,
            "next": or_null(TEXT),
            "looked_at": COUNT,
        }),
        query={
            "q": {"type": "string", "minLength": 1, "maxLength": WORD_MAX},
            "under": PATH,
            "after": {"type": "string", "maxLength": PATH_BYTES_MAX},
            "limit": number(1, FOUND_MAX),
        },
    ),
    Endpoint(
        "GET",
        "/v1/watchers/{path}",
        watchers,
        "Which clients of this node watch a node",
        obj({"path": PATH, "watchers": array(_WATCHER), "total": COUNT, "node": COUNT}),
    ),
)  # fmt: skip
