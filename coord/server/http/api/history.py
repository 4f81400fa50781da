"""What a node was, who changed it, when and from where."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from coord.model import requests as rq
from coord.model.errors import NoNodeError
from coord.model.limits import MIB
from coord.model.types import ReadLevel
from coord.node.identity import user_names
from coord.server.http.api.calls import Call, Endpoint, answer
from coord.server.http.api.forms import stat_or_none, value_fields
from coord.server.http.api.schemas import (
    FLAG,
    INTEGER,
    KIND,
    MILLISECONDS,
    PATH,
    REVISION,
    STAT,
    TEXT,
    VALUE,
    array,
    number,
    obj,
    or_null,
)
from coord.server.http.api.waiting import Pace

if TYPE_CHECKING:
    from coord.server.http.api.caller import Caller

CHANGES_MAX: Final = 500
READ_AT_ONCE: Final = 16
"""Changes read before others have a turn: they may hold a megabyte each."""
VALUES_BYTES_MAX: Final = 4 * MIB
"""Of one answer; what does not fit is for the next."""


async def history(call: Call) -> web.StreamResponse:
    """What happened to a node, newest first."""
    path, query = call.path, call.query
    limit = query.number("limit", 50, 1, CHANGES_MAX)
    before, with_values = query.number("before", 0), query.is_set("values", default=True)
    async with call.caller() as caller:
        with contextlib.suppress(NoNodeError):  # Its past may be known all the same.
            await caller.ask(rq.Exists(path, False, int(ReadLevel.LINEARIZABLE)))
        rows, following = await _rows(call, caller, path, before, limit)
    reader = call.node.reader
    return answer({
        "path": path,
        "revision": reader.revision,
        "floor": reader.floor,
        "changes": [_change(row, with_values=with_values) for row in rows],
        "more": following > 0,
        "next": following or None,
    })  # fmt: skip


async def _rows(
    call: Call, caller: Caller, path: str, before: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """(newest first, where to go on; 0: there are no more)."""
    rows: list[dict[str, Any]] = []
    size, pace = 0, Pace()
    while True:
        wanted = min(READ_AT_ONCE, limit - len(rows))
        who = caller.conn.identities_here
        found, before = call.node.admin.history(path, before or None, wanted, who)
        rows += found
        size += sum(len(row["data"] or b"") for row in found)
        if not before or len(rows) >= limit or size > VALUES_BYTES_MAX:
            return rows, before
        await pace.pause()


def _change(row: dict[str, Any], *, with_values: bool) -> dict[str, Any]:
    told = {
        "revision": row["revision"],
        "kind": row["kind"],
        "wall_ms": row["wall_ms"],
        "session": row["session"],
        "address": row["address"],
        "who": [f"{scheme}:{name}" for scheme, name in user_names(row["who"] or ())],
        "stat": stat_or_none(row["stat"]),
    }
    if with_values and row["data"] is not None:
        told.update(value_fields(row["data"]))
    return told


_CHANGE: Final = obj(
    {
        "revision": REVISION,
        "kind": KIND,
        "wall_ms": MILLISECONDS,
        "session": INTEGER,
        "address": TEXT,
        "who": array(TEXT),
        "stat": or_null(STAT),
    },
    {**VALUE},
)

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/history/{path}",
        history,
        "What happened to a node: what it was, who changed it, when, from where",
        obj({
            "path": PATH,
            "revision": REVISION,
            "floor": REVISION,
            "changes": array(_CHANGE),
            "more": FLAG,
            "next": or_null(REVISION),
        }),
        query={"limit": number(1, CHANGES_MAX), "before": REVISION, "values": FLAG},
    ),
)  # fmt: skip
