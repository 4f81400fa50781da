"""Locks, elections and services: who holds, who waits, who is a member; and taking part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from coord.model import requests as rq
from coord.model.acl import OPEN, READ, permits
from coord.model.errors import BadArgumentsError, NoAuthError, NoNodeError
from coord.model.paths import check_path, join, name_of, parent_of
from coord.model.recipes import (
    CONTENDER,
    HOLDER,
    MARKS,
    kind_of,
    refuse_beside_members,
    sequence_of,
)
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode, Stat
from coord.server.http.api.asked import member
from coord.server.http.api.calls import Call, Endpoint, answer
from coord.server.http.api.forms import value_fields, value_of
from coord.server.http.api.line import Grant, Line, claim, names_at
from coord.server.http.api.schemas import (
    COUNT,
    FLAG,
    MILLISECONDS,
    PATH,
    REVISION,
    TEXT,
    VALUE,
    array,
    number,
    obj,
    or_null,
)
from coord.server.http.api.walk import FOUND_MAX, Walk

WAITERS_TOLD_MAX: Final = 100
NAMES_MAX: Final = 10_000
"""Of one line that are looked at; who stands further back is not counted."""
WAIT_MS_MAX: Final = 60_000
_MARK_BYTES: Final = frozenset(map(len, MARKS.values()))
_WORDS: Final = {"lock": "locks", "election": "elections", "group": "services"}


# --- looking ------------------------------------------------------------------------------------


async def _listed(call: Call, kind: str) -> web.StreamResponse:
    """The recipes of a kind below a path, with who holds and who waits."""
    walk = Walk(call.query, 100)
    async with call.services.long_work, call.caller() as caller:
        look = _Look(call, caller.conn.identities_here)

        def pick(path: str, stat: bytes) -> dict[str, Any] | None:
            return look.told(path, kind) if look.is_home(path, stat, kind) else None

        found = await walk.find(call, caller, pick)
    return answer({
        "revision": call.node.reader.revision,
        _WORDS[kind]: found,
        "more": walk.more,
        "next": walk.next,
    })  # fmt: skip


class _Look:
    """At recipes, as far as the caller's identities may see them."""

    def __init__(self, call: Call, who: tuple[tuple[str, str], ...]) -> None:
        self._node = call.node
        self._who = who

    def is_home(self, path: str, stat: bytes, kind: str) -> bool:
        """Whether a recipe of this kind lives there."""
        if Stat.unpack(stat).data_length not in _MARK_BYTES:
            return False
        found = self._read(path)
        return found is not None and found[0] == MARKS[kind]

    def _read(self, path: str) -> tuple[bytes, Stat] | None:
        reader = self._node.reader
        found = reader.get(path)
        if found is None:
            return None
        if reader.is_restricted:
            acl = reader.acl(path)
            if acl is None or not permits(acl[0], READ, self._who):
                return None
        return found[0], Stat.unpack(found[1])

    def told(self, path: str, kind: str) -> dict[str, Any]:
        """One recipe. Raises NoNodeError."""
        listed = self._node.reader.children(path, "", NAMES_MAX)
        if listed is None:
            raise NoNodeError(f"node {path} does not exist")
        names, stat, _ = listed
        if kind == "group":
            members = [it for name in names[:FOUND_MAX] if (it := self._one(path, name))]
            count = Stat.unpack(stat).num_children
            return {"path": path, "members": members, "count": count}
        line = sorted((name for name in names if name.startswith(CONTENDER)), key=sequence_of)
        holder = self._holder(path)
        told = [it for name in line[: WAITERS_TOLD_MAX + 1] if (it := self._one(path, name))]
        waiters = [it for it in told if holder is None or it["session"] != holder["session"]]
        return {
            "path": path,
            "holder": holder,
            "waiters": waiters[:WAITERS_TOLD_MAX],
            "waiting": len(line) - (len(told) - len(waiters)),
        }

    def _one(self, path: str, name: str) -> dict[str, Any] | None:
        found = self._read(join(path, name))
        if found is None:
            return None
        data, stat = found
        return {
            "name": name,
            "session": stat.ephemeral_owner,
            "since_ms": stat.ctime_ms,
            **value_fields(data),
        }

    def _holder(self, path: str) -> dict[str, Any] | None:
        found = self._read(join(path, HOLDER))
        if found is None:
            return None
        data, stat = found
        row = self._node.store.machine.sessions.get(stat.ephemeral_owner)
        return {
            "session": stat.ephemeral_owner,
            "address": row.address if row else "",
            "client": row.client if row else "",
            "guard": join(path, HOLDER),
            "token": stat.mzxid,
            "since_ms": stat.ctime_ms,
            **value_fields(data),
        }


async def _one(call: Call, kind: str) -> web.StreamResponse:
    """One recipe."""
    path = call.path
    async with call.caller() as caller:
        reply = await caller.ask(rq.Get(path, False, int(ReadLevel.LINEARIZABLE)))
        if reply.body[0] != MARKS[kind]:
            raise NoNodeError(f"{path} is no {kind}")
        told = _Look(call, caller.conn.identities_here).told(path, kind)
    return answer({"revision": call.node.reader.revision, **told})


# --- taking part --------------------------------------------------------------------------------


async def _acquire(call: Call, kind: str) -> web.StreamResponse:
    """Stand in line, or go on standing there, until granted or ``wait_ms`` are over."""
    path, body = call.path, await call.json()
    wait_ms = member(body, "wait_ms", int, 0)
    if not 0 <= wait_ms <= WAIT_MS_MAX:
        raise BadArgumentsError(f"wait_ms is from 0 to {WAIT_MS_MAX}")
    data = value_of(body)
    async with call.caller() as caller:
        line = Line(caller, path, kind, data)
        found = await line.acquire(wait_ms / 1_000, lambda: call.request.transport is None)
    if isinstance(found, Grant):
        return answer({"granted": True, "path": path, "guard": found.guard, "token": found.token})
    told = {"granted": False, "path": path, "place": found.name, "before": found.before}
    return answer(told, 202)


async def _release(call: Call, kind: str) -> web.StreamResponse:
    """Give up the hold, or the place in line."""
    async with call.caller() as caller:
        released = await Line(caller, call.path, kind, b"").leave()
    return answer({"released": released, "path": call.path})


async def join_service(call: Call) -> web.StreamResponse:
    """Become a member as long as the session lives."""
    path, body = call.path, await call.json()
    name = _member_name(member(body, "name", str))
    mode = int(CreateMode.EPHEMERAL)
    async with call.caller() as caller:
        await claim(caller, path, "group")
        refuse_beside_members(path, await names_at(caller, path, int(ReadLevel.LINEARIZABLE)))
        created = rq.Create(join(path, name), value_of(body), OPEN, mode, 0)
        check_path(created.path)
        reply = await caller.write_one(created)
    return answer({"path": created.path, "name": name, "revision": reply.revision}, 201)


def _member_name(name: str) -> str:
    if not name or "/" in name or kind_of(name):
        raise BadArgumentsError(f"{name[:64]!r} is not a member's name")
    return name


async def leave_service(call: Call) -> web.StreamResponse:
    """Stop being a member."""
    name = _member_name(call.query.text("name"))
    path = join(call.path, name)
    check_path(path)
    async with call.caller() as caller:
        reply = await caller.ask(rq.Ephemerals(path))
        if path not in reply.body[0]:
            raise NoAuthError(f"{name} is no member of this session's")
        await caller.write_one(rq.Delete(path, -1))
    return answer({"path": parent_of(path), "name": name_of(path)})


# --- endpoints ----------------------------------------------------------------------------------

_ENTRY: Final = {"name": TEXT, "session": REVISION, "since_ms": MILLISECONDS, **VALUE}
_HOLDER: Final = obj({
    "session": REVISION,
    "address": TEXT,
    "client": TEXT,
    "guard": PATH,
    "token": REVISION,
    "since_ms": MILLISECONDS,
    **VALUE,
})  # fmt: skip
_LINE: Final = {
    "path": PATH,
    "holder": or_null(_HOLDER),
    "waiters": array(obj(_ENTRY)),
    "waiting": COUNT,
}
_GROUP: Final = {"path": PATH, "members": array(obj(_ENTRY)), "count": COUNT}
_GRANTED: Final = obj(
    {"granted": FLAG, "path": PATH},
    {"guard": PATH, "token": REVISION, "place": TEXT, "before": COUNT},
)
_QUERY: Final = {"under": PATH, "after": TEXT, "limit": number(1, FOUND_MAX)}


def _for(
    handle: Callable[[Call, str], Awaitable[web.StreamResponse]], kind: str
) -> Callable[[Call], Awaitable[web.StreamResponse]]:
    return lambda call: handle(call, kind)


def _looking(kind: str) -> tuple[Endpoint, ...]:
    word, entry = _WORDS[kind], _GROUP if kind == "group" else _LINE
    return (
        Endpoint(
            "GET",
            f"/v1/{word}",
            _for(_listed, kind),
            f"The {word} below a path",
            obj({
                "revision": REVISION,
                word: array(obj(entry)),
                "more": FLAG,
                "next": or_null(TEXT),
            }),
            query=_QUERY,
        ),
        Endpoint(
            "GET",
            f"/v1/{word}/{{path}}",
            _for(_one, kind),
            f"One of the {word}",
            obj({"revision": REVISION, **entry}),
        ),
    )  # fmt: skip


def _line(kind: str) -> tuple[Endpoint, ...]:
    path = f"/v1/{_WORDS[kind]}/{{path}}"
    return (
        *_looking(kind),
        Endpoint(
            "POST",
            path,
            _for(_acquire, kind),
            f"Stand in line for the {kind}; 202: not granted yet, the place is kept",
            _GRANTED,
            body=obj({}, {**VALUE, "wait_ms": number(0, WAIT_MS_MAX)}),
            statuses=(200, 202),
            in_session=True,
        ),
        Endpoint(
            "DELETE",
            path,
            _for(_release, kind),
            f"Give the {kind} up, or the place in line",
            obj({"released": FLAG, "path": PATH}),
            in_session=True,
        ),
    )


ENDPOINTS: Final = (
    *_line("lock"),
    *_line("election"),
    *_looking("group"),
    Endpoint(
        "POST",
        "/v1/services/{path}",
        join_service,
        "Become a member as long as the session lives",
        obj({"path": PATH, "name": TEXT, "revision": REVISION}),
        body=obj({"name": TEXT}, {**VALUE}),
        statuses=(201,),
        in_session=True,
    ),
    Endpoint(
        "DELETE",
        "/v1/services/{path}",
        leave_service,
        "Stop being a member",
        obj({"path": PATH, "name": TEXT}),
        query={"name": TEXT},
        in_session=True,
    ),
)
