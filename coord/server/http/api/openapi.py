"""The API described by its own table of endpoints (OpenAPI 3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from coord.model.limits import REVISION_MAX
from coord.server.http.api.asked import SEQUENCE, SESSION
from coord.server.http.api.calls import JSON, Endpoint
from coord.server.http.api.logins import COOKIE, CSRF
from coord.server.http.api.schemas import COMPONENTS, REVISION, TEXT, Schema, number
from coord.server.http.problems import CONTENT_TYPE

OPENAPI: Final = "3.1.0"
BYTES: Final = "application/octet-stream"
_SAFE: Final = frozenset({"GET", "HEAD"})
_PATH_PARAMETERS: Final[dict[str, Schema]] = {
    "path": {
        "type": "string",
        "description": "the node's path without its first slash; slashes stay, names are encoded",
    },
    "session": {
        "description": "as a number, or in hexadecimal as the command line and the page write it",
        "anyOf": [
            number(1, REVISION_MAX),
            {"type": "string", "pattern": "^0x[0-9a-f]{1,13}$"},
        ],
    },
}
_WRITES: Final = frozenset({"/v1/nodes/{path}", "/v1/acl/{path}", "/v1/transactions"})
"""Where a write may be numbered."""


def document(endpoints: Iterable[Endpoint], version: str) -> dict[str, Any]:
    """All of it."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "coord",
            "version": version,
            "description": "The tree, its watches, history, sessions and recipes, and the cluster.",
        },
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "a digest user"},
                "login": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
        "security": [{}, {"basic": []}, {"login": []}],
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.says,
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.body is not None:
        content: dict[str, Any] = {JSON: {"schema": endpoint.body}}
        if endpoint.takes_bytes:
            content[BYTES] = {"schema": {"type": "string", "format": "binary"}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[a-z]+", endpoint.path.removeprefix("/v1"))
    return "-".join([endpoint.method.lower(), *words])


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    found += [
        {"name": name, "in": "query", "schema": schema} for name, schema in endpoint.query.items()
    ]
    if "{path}" in endpoint.path or endpoint.in_session:
        handle = {"type": "string", "pattern": r"^[1-9][0-9]{0,14}\.[0-9a-f]{32}$"}
        found.append(_header(SESSION, handle, required=endpoint.in_session))
    if endpoint.method not in _SAFE:
        found.append(_header(CSRF, TEXT))
        if endpoint.path in _WRITES:
            found.append(_header(SEQUENCE, REVISION | {"minimum": 1}))
    return found


def _header(name: str, schema: Schema, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": schema}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    answer = {
        "description": "done",
        "content": {endpoint.answer_type: {"schema": endpoint.answer}},
    }
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    responses = {str(status): answer for status in endpoint.statuses}
    return {
        **responses,
        "default": {"description": "a refusal", "content": {CONTENT_TYPE: problem}},
    }
