"""JSON schemas that several endpoints share: what /v1/openapi.json says of values."""

from __future__ import annotations

from typing import Any, Final

from coord.model.limits import REVISION_MAX
from coord.server.http.api.forms import KINDS, MODES

Schema = dict[str, Any]


def obj(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these members."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def array(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def number(low: int, high: int) -> Schema:
    """A whole number within bounds."""
    return {"type": "integer", "minimum": low, "maximum": high}


def one_of(*words: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(words)}


def or_null(schema: Schema) -> Schema:
    """Perhaps there is none."""
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}
INTEGER: Final[Schema] = {"type": "integer"}
REVISION: Final[Schema] = number(0, REVISION_MAX)
COUNT: Final[Schema] = number(0, REVISION_MAX)
MILLISECONDS: Final[Schema] = {"type": "integer", "description": "Unix time in milliseconds"}
VERSION: Final[Schema] = number(-1, 2**31 - 1)
LEVEL: Final[Schema] = one_of("linearizable", "session", "stale")
PATH: Final[Schema] = {"type": "string", "pattern": "^/"}
ENCODING: Final[Schema] = one_of("utf-8", "base64")
MODE: Final[Schema] = one_of(*MODES)
KIND: Final[Schema] = one_of(*KINDS.values())
VALUE: Final[dict[str, Schema]] = {"value": TEXT, "encoding": ENCODING}
STAT: Final[Schema] = {"$ref": "#/components/schemas/Stat"}
ACL: Final[Schema] = {"$ref": "#/components/schemas/Acl"}

LEADER: Final[Schema] = obj({
    "term": COUNT,
    "leader": COUNT,
    "since_ms": MILLISECONDS,
    "reason": TEXT,
})  # fmt: skip

COMPONENTS: Final[dict[str, Schema]] = {
    "Stat": obj({
        "created_revision": REVISION,
        "modified_revision": REVISION,
        "created_ms": MILLISECONDS,
        "modified_ms": MILLISECONDS,
        "version": INTEGER,
        "children_version": INTEGER,
        "acl_version": INTEGER,
        "owner_session": REVISION,
        "bytes": COUNT,
        "children": COUNT,
        "children_revision": REVISION,
    }),
    "Acl": array(
        obj({
            "permissions": array(one_of("read", "write", "create", "delete", "admin")),
            "scheme": TEXT,
            "id": TEXT,
        })
    ),
    "Problem": obj(
        {
            "type": TEXT,
            "title": TEXT,
            "status": INTEGER,
            "detail": TEXT,
        },
        {"code": TEXT, "definite": FLAG, "results": array(obj({"code": TEXT}))},
    ),
}  # fmt: skip
