"""docs/http.md lists the endpoints and the bounds that there are."""

from __future__ import annotations

import re
from pathlib import Path

from coord.model.limits import KIB, MIB
from coord.server.http import doors, feed_stream
from coord.server.http.api import (
    backup,
    caller,
    callers,
    calls,
    deletes,
    history,
    listings,
    logins,
    parents,
    past,
    recipes,
    services,
    sessions,
    walk,
    watch,
)
from coord.server.http.api.routes import ENDPOINTS

DOCS = Path(__file__).parents[2] / "docs" / "http.md"
BOUNDS = {
    "connections of a node": (doors.CONNECTIONS_MAX,),
    "a connection that asks nothing": (f"{doors.KEEP_ALIVE_S:.0f} s",),
    "request line, header": (f"{doors.LINE_BYTES_MAX // KIB} KiB",),
    "body": (
        f"{calls.BODY_BYTES_MAX // MIB} MiB",
        calls.LARGE_BODIES_MAX,
        f"{calls.LARGE_BODY_BYTES // KIB} KiB",
        f"{calls.BODY_S:.0f} s",
    ),
    "an answer from the cluster": (f"{caller.ANSWER_S:.0f} s",),
    "waiting in line": (f"{recipes.WAIT_MS_MAX // 1000} s",),
    "callers, by address and user": (callers.CALLERS_MAX,),
    "sessions opened over HTTP, on one node": (callers.LEASES_MAX,),
    "sign-ins": (logins.LOGINS_MAX, f"{logins.LOGIN_S // 3600} hours"),
    "a page of a list": (
        listings.CHILDREN_MAX,
        sessions.LISTED_MAX,
        history.CHANGES_MAX,
        walk.FOUND_MAX,
    ),
    "waiters that are told of one line": (recipes.WAITERS_TOLD_MAX,),
    "search, past, lists of recipes": (services.LONG_WORK_MAX, walk.LOOKED_MAX),
    "nodes changed since a `revision` that is read": (past.PATHS_MAX,),
    "nodes deleted with `recursive`, parents made": (deletes.DELETED_MAX, parents.PARENTS_MAX),
    "watches": (watch.WATCHES_MAX, f"{watch.PENDING_BYTES_MAX // MIB} MiB"),
    "pages": (feed_stream.PAGES_MAX, feed_stream.DIRECTORIES_MAX),
    "backups": ("1 at a time", f"{backup.STALLED_S:.0f} s"),
}
"""Each row of the table of bounds, and what it has to say."""


def test_every_endpoint_is_documented() -> None:
    """And no other."""
    rows = re.findall(r"^\| ([A-Z]+) \| `(/v1/[^`]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted((it.method, it.path) for it in ENDPOINTS)


def test_every_bound_is_documented_as_it_is() -> None:
    """Row by row, and no row is about anything else."""
    table = DOCS.read_text("utf-8").partition("\n## Bounds\n")[2]
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)[1:])
    assert list(rows) == list(BOUNDS)
    for what, values in BOUNDS.items():
        for value in values:
            text = f"{value:,}" if isinstance(value, int) else value
            assert text in rows[what], what
