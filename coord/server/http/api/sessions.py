"""Sessions: who is there, why one ended, and leases for clients that speak nothing but HTTP."""

from __future__ import annotations

from dataclasses import asdict
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from coord.model import requests as rq
from coord.model.errors import BadArgumentsError, NoNodeError
from coord.model.limits import RESULTS_AFTER_END_MS, SESSION_TIMEOUT_MS
from coord.server.http.api.asked import SESSION, handle_of, member
from coord.server.http.api.calls import Call, Endpoint, answer
from coord.server.http.api.schemas import (
    COUNT,
    FLAG,
    INTEGER,
    LEADER,
    MILLISECONDS,
    PATH,
    REVISION,
    TEXT,
    array,
    number,
    obj,
    one_of,
    or_null,
)

if TYPE_CHECKING:
    from coord.store.sessions import SessionRow

LISTED_MAX: Final = 1_000
CLIENT_BYTES_MAX: Final = 256
TIMEOUT_MS_MAX: Final = 2**31 - 1
_WINDOWS_MS: Final = (1_000, 10_000, 60_000, RESULTS_AFTER_END_MS)
"""How far back to look for sessions that ended, until enough are found."""
_ENDED_READ_MAX: Final = 20_000
_ID_DIGITS_MAX: Final = 16


async def listed(call: Call) -> web.StreamResponse:
    """A page of the open sessions, by id."""
    after = call.query.number("after", 0)
    limit = call.query.number("limit", 100, 1, LISTED_MAX)
    table = call.node.store.machine.sessions
    ids = nsmallest(limit + 1, (session for session in table.rows if session > after))
    page = [_open_fields(call, table.rows[session]) for session in ids[:limit]]
    return answer({
        "revision": call.node.reader.revision,
        "sessions": page,
        "total": len(table),
        "more": len(ids) > limit,
        "next": ids[limit - 1] if len(ids) > limit else None,
    })  # fmt: skip


def _open_fields(call: Call, row: SessionRow) -> dict[str, Any]:
    details = row.facts.details
    return {
        "session": row.id,
        "address": row.address,
        "client": details.client,
        "timeout_ms": row.timeout_ms,
        "opened_ms": details.opened_wall_ms,
        "ephemerals": row.ephemerals,
        "here": row.id in call.node.gateway.attached,
    }


async def ended(call: Call) -> web.StreamResponse:
    """Sessions that ended within the last ten minutes, newest first."""
    limit = call.query.number("limit", 100, 1, LISTED_MAX)
    machine = call.node.store.machine
    ids: list[int] = []
    for window_ms in _WINDOWS_MS:
        ids = machine.ended_since(machine.log_ms - window_ms, _ENDED_READ_MAX)
        if len(ids) >= limit:
            break
    found = [machine.ended_session(session) for session in reversed(ids[-limit:])]
    return answer({"sessions": [_ended_briefly(it) for it in found if it is not None]})


def _ended_briefly(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "session": found["session"],
        "ended_revision": found["ended_revision"],
        "ended_ms": found["ended_wall_ms"],
        "reason": found["reason"]["kind"],
        "address": found["address"],
        "client": found["client"],
        "ephemerals": len(found["ephemerals"]),
    }


async def explained(call: Call) -> web.StreamResponse:
    """An open session with what it owns and watches, or why it ended and what went with it."""
    session = _session_of(call)
    machine = call.node.store.machine
    row = machine.sessions.get(session)
    if row is not None:
        return answer({"state": "open", **_open_in_full(call, row)})
    found = machine.ended_session(session)
    if found is None:
        raise NoNodeError(f"session {session:#x} is not known (post-mortems are kept 10 minutes)")
    return answer({"state": "ended", **_ended_in_full(call, found)})


def _session_of(call: Call) -> int:
    """As a number or, with 0x, as the command line and the page write it."""
    text = call.request.match_info["session"]
    if len(text) > _ID_DIGITS_MAX:
        raise BadArgumentsError(f"a session's id has at most {_ID_DIGITS_MAX} digits")
    return int(text, 16) if text.startswith("0x") else int(text)


def _open_in_full(call: Call, row: SessionRow) -> dict[str, Any]:
    conn = call.node.gateway.attached.get(row.id)
    return {
        **_open_fields(call, row),
        "attaches": [_attach(*each) for each in row.facts.details.attaches],
        "leaders": _leaders_since(call, row.facts.details.opened_wall_ms),
        "ephemerals": call.node.reader.owners(row.id),
        "watches": None if conn is None else call.node.registry.paths_of(conn)[:LISTED_MAX],
    }


def _leaders_since(call: Call, opened_ms: int, ended_ms: int | None = None) -> list[dict[str, Any]]:
    """Changes of the leader during a session's life, as this node saw them: each one began every
    session's timeout anew."""
    return [
        asdict(it)
        for it in call.node.leaders.kept
        if opened_ms < it.since_ms and (ended_ms is None or it.since_ms <= ended_ms)
    ]


def _attach(revision: int, wall_ms: int, address: str) -> dict[str, Any]:
    return {"revision": revision, "wall_ms": wall_ms, "address": address}


def _ended_in_full(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    reason = found["reason"]
    return {
        "session": found["session"],
        "address": found["address"],
        "client": found["client"],
        "timeout_ms": found["timeout_ms"],
        "opened_ms": found["opened_wall_ms"],
        "ended_revision": found["ended_revision"],
        "ended_ms": found["ended_wall_ms"],
        "reason": {
            "kind": reason["kind"],
            "last_heard_ms": reason.get("last_heard_ms"),
            "leader": reason.get("leader"),
            "pauses": [
                {"ago_ms": ago_ms, "lasted_ms": lasted_ms}
                for ago_ms, lasted_ms in reason.get("pauses") or ()
            ],
        },
        "attaches": [_attach(*each) for each in found["attaches"]],
        "leaders": _leaders_since(call, found["opened_wall_ms"], found["ended_wall_ms"]),
        "ephemerals": found["ephemerals"],
    }


# --- leases -------------------------------------------------------------------------------------


async def begin(call: Call) -> web.StreamResponse:
    """Open a session that its client keeps alive."""
    body = await call.json()
    timeout_ms = member(body, "timeout_ms", int, SESSION_TIMEOUT_MS)
    if not 0 < timeout_ms <= TIMEOUT_MS_MAX:
        raise BadArgumentsError(f"timeout_ms is from 1 to {TIMEOUT_MS_MAX}")
    client = member(body, "client", str, "http")
    if len(client.encode()) > CLIENT_BYTES_MAX:
        raise BadArgumentsError(f"client has at most {CLIENT_BYTES_MAX} bytes")
    caller = await call.services.callers.new_lease(call.asked, client, timeout_ms)
    session = caller.conn.session
    told = {
        "session": session,
        "handle": handle_of(session, caller.secret),
        "timeout_ms": caller.conn.timeout_ms,
    }
    return answer(told, 201)


async def keep_alive(call: Call) -> web.StreamResponse:
    """The session's client is there; answered once the leader has counted that."""
    session = _own_session(call)
    async with call.caller() as caller:
        await caller.ask(rq.Ping())
        told = {
            "session": session,
            "timeout_ms": caller.conn.timeout_ms,
            "last_sequence": caller.conn.next_seq - 1,
        }
    return answer(told)


async def end(call: Call) -> web.StreamResponse:
    """Close the session; what it owns goes with it."""
    session = _own_session(call)
    async with call.caller() as caller:
        reply = await caller.write_one(rq.Close())
    return answer({"session": session, "state": "ended", "revision": reply.revision})


def _own_session(call: Call) -> int:
    session = _session_of(call)
    assert call.asked.session is not None, "the endpoint asks for one"
    if call.asked.session[0] != session:
        raise BadArgumentsError(f"{SESSION} names another session than the URL")
    return session


_OPEN: Final = {
    "session": REVISION,
    "address": TEXT,
    "client": TEXT,
    "timeout_ms": INTEGER,
    "opened_ms": MILLISECONDS,
}
_ATTACH: Final = obj({"revision": REVISION, "wall_ms": MILLISECONDS, "address": TEXT})
_REASON: Final = obj({
    "kind": TEXT,
    "last_heard_ms": or_null(INTEGER),
    "leader": or_null(INTEGER),
    "pauses": array(obj({"ago_ms": INTEGER, "lasted_ms": INTEGER})),
})  # fmt: skip

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/sessions",
        listed,
        "A page of the open sessions",
        obj({
            "revision": REVISION,
            "sessions": array(obj({**_OPEN, "ephemerals": COUNT, "here": FLAG})),
            "total": COUNT,
            "more": FLAG,
            "next": or_null(REVISION),
        }),
        query={"after": REVISION, "limit": number(1, LISTED_MAX)},
    ),
    Endpoint(
        "GET",
        "/v1/sessions/ended",
        ended,
        "Sessions that ended lately, newest first",
        obj({
            "sessions": array(
                obj({
                    "session": REVISION,
                    "ended_revision": REVISION,
                    "ended_ms": MILLISECONDS,
                    "reason": TEXT,
                    "address": TEXT,
                    "client": TEXT,
                    "ephemerals": COUNT,
                })
            )
        }),
        query={"limit": number(1, LISTED_MAX)},
    ),
    Endpoint(
        "GET",
        "/v1/sessions/{session}",
        explained,
        "A session: what it owns and watches, or why it ended and what went with it",
        obj(
            {
                **_OPEN,
                "state": one_of("open", "ended"),
                "attaches": array(_ATTACH),
                "leaders": array(LEADER),
                "ephemerals": array(PATH),
            },
            {
                "here": FLAG,
                "watches": or_null(array(PATH)),
                "ended_revision": REVISION,
                "ended_ms": MILLISECONDS,
                "reason": _REASON,
            },
        ),
    ),
    Endpoint(
        "POST",
        "/v1/sessions",
        begin,
        "Open a session; its handle goes into Coord-Session",
        obj({"session": REVISION, "handle": TEXT, "timeout_ms": INTEGER}),
        body=obj({}, {"timeout_ms": number(1, TIMEOUT_MS_MAX), "client": TEXT}),
        statuses=(201,),
    ),
    Endpoint(
        "POST",
        "/v1/sessions/{session}/keep-alive",
        keep_alive,
        "Say that the session's client is there",
        obj({"session": REVISION, "timeout_ms": INTEGER, "last_sequence": COUNT}),
        body=obj({}),
        in_session=True,
    ),
    Endpoint(
        "DELETE",
        "/v1/sessions/{session}",
        end,
        "Close a session; its ephemerals and holds go with it",
        obj({"session": REVISION, "state": one_of("ended"), "revision": REVISION}),
        in_session=True,
    ),
)  # fmt: skip
