"""Single nodes: read, write, create, delete; and their ACLs."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from coord.model import requests as rq
from coord.model.acl import Acl
from coord.model.errors import BadArgumentsError, NodeExistsError, NoNodeError
from coord.model.znode import Stat
from coord.server.http.api.asked import SEQUENCE, member
from coord.server.http.api.calls import JSON, Call, Endpoint, answer
from coord.server.http.api.deletes import delete_all
from coord.server.http.api.forms import acl_fields, acl_of, stat_fields, value_fields, value_of
from coord.server.http.api.parents import create_with_parents
from coord.server.http.api.schemas import (
    ACL,
    COUNT,
    ENCODING,
    FLAG,
    LEVEL,
    MODE,
    PATH,
    REVISION,
    STAT,
    VALUE,
    VERSION,
    obj,
)
from coord.server.http.api.waiting import wait_applied
from coord.server.http.api.writes import (
    ANY,
    EPHEMERAL,
    checked,
    create_arguments,
    guard_of,
    perform,
)

BYTES: Final = "application/octet-stream"
RACES_MAX: Final = 16
"""Attempts to set or create a node that others keep deleting and creating."""

_GUARDED: Final = {"guard": PATH, "token": REVISION}
_VALUE_BODY: Final = obj({}, {**VALUE})
_WRITTEN: Final = obj({"path": PATH, "revision": REVISION, "stat": STAT})


async def get(call: Call) -> web.StreamResponse:
    """A node's value and stat."""
    path, query = call.path, call.query
    level = query.level()
    as_base64 = _wants_base64(call)
    revision = query.number("revision", 0)
    await wait_applied(call.node, query.number("min_revision", 0))
    async with call.caller() as caller:
        if revision:
            past = await call.services.pasts.at(revision)
            data, stat = past.read(path, caller.conn.identities_here)
        else:
            reply = await caller.ask(rq.Get(path, False, int(level)))
            (data, stat), revision = reply.body, reply.revision
    if BYTES in call.request.headers.get("Accept", ""):
        return _bare(data, stat, revision)
    value = value_fields(data, as_base64=as_base64)
    return answer({"path": path, "revision": revision, **value, "stat": stat_fields(stat)})


def _wants_base64(call: Call) -> bool:
    encoding = call.query.text("encoding", "utf-8")
    if encoding not in {"utf-8", "base64"}:
        raise BadArgumentsError("encoding is utf-8 or base64")
    return encoding == "base64"


def _bare(data: bytes, stat: bytes, revision: int) -> web.Response:
    headers = {
        "Coord-Revision": str(revision),
        "Coord-Version": str(Stat.unpack(stat).version),
        "Content-Disposition": "attachment",
    }
    return web.Response(body=data, content_type=BYTES, headers=headers)


async def put(call: Call) -> web.StreamResponse:
    """Replace a node's value, or with ``create`` make the node."""
    path, query = call.path, call.query
    version = query.number("version", ANY, ANY, 2**31 - 1)
    guard, may_create = guard_of(query), query.is_set("create")
    data = await _value(call)
    write = checked(rq.SET, path, data, version)
    if may_create:
        if version != ANY or guard is not None or SEQUENCE in call.request.headers:
            raise BadArgumentsError("create goes with no version, guard or number")
        return await _set_or_create(call, path, data)
    reply, body = await perform(call, write, guard)
    return _written(path, reply.revision, body[0], created=False)


async def _value(call: Call) -> bytes:
    if call.request.content_type == JSON:
        return value_of(await call.json())
    return await call.body()


async def _set_or_create(call: Call, path: str, data: bytes) -> web.Response:
    create = checked(rq.CREATE, path, data)
    for _ in range(RACES_MAX):
        try:
            reply, body = await perform(call, rq.Set(path, data, ANY))
            return _written(path, reply.revision, body[0], created=False)
        except NoNodeError:
            pass
        try:
            reply, body = await perform(call, create)
            return _written(path, reply.revision, body[1], created=True)
        except NodeExistsError:
            pass
    raise NodeExistsError(f"others keep creating and deleting {path}; try again")


def _written(path: str, revision: int, stat: bytes, *, created: bool) -> web.Response:
    fields = {"path": path, "revision": revision, "created": created, "stat": stat_fields(stat)}
    return answer(fields, 201 if created else 200)


async def post(call: Call) -> web.StreamResponse:
    """Create a node."""
    guard, body = guard_of(call.query), await call.json()
    path = "/" + call.request.match_info["path"]
    create: rq.Create = checked(rq.CREATE, *create_arguments(body, path))
    if member(body, "make_parents", bool, False):
        if guard is not None or SEQUENCE in call.request.headers or create.mode in EPHEMERAL:
            raise BadArgumentsError("make_parents goes with no guard, number or ephemeral node")
        async with call.caller() as caller:
            reply = await create_with_parents(caller, create)
            made = reply.body
    else:
        reply, made = await perform(call, create, guard)
    fields = {"path": made[0], "revision": reply.revision, "stat": stat_fields(made[1])}
    return answer(fields, 201)


async def delete(call: Call) -> web.StreamResponse:
    """Delete a node, with ``recursive`` all below it too."""
    path, query = call.path, call.query
    guard = guard_of(query)
    write = checked(rq.DELETE, path, query.number("version", ANY, ANY, 2**31 - 1))
    if query.is_set("recursive"):
        if write.version != ANY or SEQUENCE in call.request.headers:
            raise BadArgumentsError("recursive goes with no version or number")
        revision, deleted = await delete_all(call, path, guard)
    else:
        reply, _ = await perform(call, write, guard)
        revision, deleted = reply.revision, 1
    return answer({"path": path, "revision": revision, "deleted": deleted})


async def get_acl(call: Call) -> web.StreamResponse:
    """Who may do what with a node."""
    path, level = call.path, call.query.level()
    async with call.caller() as caller:
        reply = await caller.ask(rq.GetAcl(path, int(level)))
    entries, stat = reply.body
    told = acl_fields(tuple(Acl(*entry) for entry in entries))
    return answer({
        "path": path, "revision": reply.revision, "acl": told, "stat": stat_fields(stat)
    })  # fmt: skip


async def put_acl(call: Call) -> web.StreamResponse:
    """Replace a node's ACL."""
    version = call.query.number("version", ANY, ANY, 2**31 - 1)
    acl = acl_of(member(await call.json(), "acl", list))
    write = checked(rq.SET_ACL, call.path, acl, version)
    reply, body = await perform(call, write)
    return answer({
        "path": write.path, "revision": reply.revision, "stat": stat_fields(body[0])
    })  # fmt: skip


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/nodes/{path}",
        get,
        "A node's value and stat; as bare bytes with Accept: application/octet-stream",
        obj({"path": PATH, "revision": REVISION, **VALUE, "stat": STAT}),
        query={
            "level": LEVEL,
            "revision": REVISION,
            "min_revision": REVISION,
            "encoding": ENCODING,
        },
    ),
    Endpoint(
        "PUT",
        "/v1/nodes/{path}",
        put,
        "Replace a node's value; any other type of body than JSON is the value itself",
        obj({"path": PATH, "revision": REVISION, "created": FLAG, "stat": STAT}),
        query={"version": VERSION, "create": FLAG, **_GUARDED},
        body=_VALUE_BODY,
        statuses=(200, 201),
        takes_bytes=True,
    ),
    Endpoint(
        "POST",
        "/v1/nodes/{path}",
        post,
        "Create a node",
        _WRITTEN,
        query=_GUARDED,
        body=obj({}, {**VALUE, "mode": MODE, "ttl_ms": COUNT, "acl": ACL, "make_parents": FLAG}),
        statuses=(201,),
    ),
    Endpoint(
        "DELETE",
        "/v1/nodes/{path}",
        delete,
        "Delete a node",
        obj({"path": PATH, "revision": REVISION, "deleted": COUNT}),
        query={"version": VERSION, "recursive": FLAG, **_GUARDED},
    ),
    Endpoint(
        "GET",
        "/v1/acl/{path}",
        get_acl,
        "Who may do what with a node",
        obj({"path": PATH, "revision": REVISION, "acl": ACL, "stat": STAT}),
        query={"level": LEVEL},
    ),
    Endpoint(
        "PUT",
        "/v1/acl/{path}",
        put_acl,
        "Replace a node's ACL",
        _WRITTEN,
        query={"version": VERSION},
        body=obj({"acl": ACL}),
    ),
)
