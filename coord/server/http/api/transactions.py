"""Several operations at once, all or none; and whether a hold still stands."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from coord.model import requests as rq
from coord.model.errors import GuardError, TransactionError
from coord.server.http.api.asked import member
from coord.server.http.api.calls import Call, Endpoint, answer
from coord.server.http.api.schemas import (
    ACL,
    COUNT,
    ENCODING,
    FLAG,
    MODE,
    PATH,
    REVISION,
    STAT,
    TEXT,
    VALUE,
    VERSION,
    array,
    obj,
    one_of,
)
from coord.server.http.api.writes import (
    FIELDS,
    OPERATIONS,
    checked,
    perform,
    result_fields,
    transaction_of,
)

_OPERATION: Final = obj(
    {"op": one_of(*OPERATIONS), "path": PATH},
    {
        **VALUE,
        "mode": MODE,
        "ttl_ms": COUNT,
        "acl": ACL,
        "version": VERSION,
        "token": REVISION,
        "field": one_of(*FIELDS),
        "relation": one_of("=", "!=", "<", ">"),
        "operand": {},
        "encoding": ENCODING,
    },
)


async def commit(call: Call) -> web.StreamResponse:
    """Do all of it or nothing."""
    multi = transaction_of(member(await call.json(), "operations", list))
    reply, body = await perform(call, multi)
    results: list[dict[str, Any]] = [
        result_fields(operation, result[1:])
        for operation, result in zip(multi.operations, body, strict=True)
    ]
    return answer({"revision": reply.revision, "results": results})


async def check_fence(call: Call) -> web.StreamResponse:
    """Whether a hold is still the one with this token and its session is open."""
    body = await call.json()
    path, token = member(body, "guard", str), member(body, "token", int)
    try:
        reply, _ = await perform(call, checked(rq.MULTI, [[rq.GUARD, path, token]]))
    except TransactionError as error:
        if GuardError.code not in error.results:
            raise
        return answer({"holds": False, "guard": path, "token": token})
    return answer({"holds": True, "guard": path, "token": token, "revision": reply.revision})


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/v1/transactions",
        commit,
        "All operations or none, at one revision",
        obj({"revision": REVISION, "results": array(obj({"path": PATH}, {"stat": STAT}))}),
        body=obj({"operations": array(_OPERATION)}),
    ),
    Endpoint(
        "POST",
        "/v1/fencing/check",
        check_fence,
        "Whether a hold still stands",
        obj({"holds": FLAG, "guard": TEXT, "token": REVISION}, {"revision": REVISION}),
        body=obj({"guard": PATH, "token": REVISION}),
    ),
)
