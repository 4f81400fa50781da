"""Values of the tree as JSON, both ways. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from coord.model import acl as acls
from coord.model.acl import Acl
from coord.model.errors import BadArgumentsError, InvalidAclError
from coord.model.events import ChangeKind
from coord.model.znode import CreateMode, Stat
from coord.server.http.api.asked import member

_PERMISSIONS: Final = {
    "read": acls.READ,
    "write": acls.WRITE,
    "create": acls.CREATE,
    "delete": acls.DELETE,
    "admin": acls.ADMIN,
}
MODES: Final = {mode.name.lower().replace("_", "-"): mode for mode in CreateMode}
KINDS: Final = {int(kind): kind.name.lower() for kind in ChangeKind}


def value_fields(data: bytes, *, as_base64: bool = False) -> dict[str, str]:
    """Text where the bytes are text, else base64."""
    if not as_base64:
        try:
            return {"value": data.decode(), "encoding": "utf-8"}
        except UnicodeDecodeError:
            pass
    return {"value": base64.b64encode(data).decode(), "encoding": "base64"}


def value_of(body: Mapping[str, Any], name: str = "value") -> bytes:
    """The inverse; no value is an empty one. Raises BadArgumentsError."""
    text = member(body, name, str, "")
    match member(body, "encoding", str, "utf-8"):
        case "utf-8":
            return _utf8(text)
        case "base64":
            try:
                return base64.b64decode(text, validate=True)
            except (ValueError, binascii.Error):
                raise BadArgumentsError(f"{name} is not base64") from None
    raise BadArgumentsError("encoding is utf-8 or base64")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadArgumentsError("a lone surrogate is no text: send the value as base64") from None


def stat_fields(packed: bytes) -> dict[str, int]:
    """A stat in words."""
    stat = Stat.unpack(packed)
    return {
        "created_revision": stat.czxid,
        "modified_revision": stat.mzxid,
        "created_ms": stat.ctime_ms,
        "modified_ms": stat.mtime_ms,
        "version": stat.version,
        "children_version": stat.cversion,
        "acl_version": stat.aversion,
        "owner_session": stat.ephemeral_owner,
        "bytes": stat.data_length,
        "children": stat.num_children,
        "children_revision": stat.pzxid,
    }


def stat_or_none(packed: bytes | None) -> dict[str, int] | None:
    """Of a node that may not exist."""
    return None if packed is None else stat_fields(packed)


def acl_fields(acl: tuple[Acl, ...]) -> list[dict[str, Any]]:
    """Who may do what."""
    return [
        {
            "permissions": [name for name, bit in _PERMISSIONS.items() if entry.perms & bit],
            "scheme": entry.scheme,
            "id": entry.id,
        }
        for entry in acl
    ]


def acl_of(entries: list[Any] | None) -> list[Any] | None:
    """The native wire's form of a JSON ACL. Raises InvalidAclError."""
    return None if entries is None else [_acl_entry(entry) for entry in entries]


def _acl_entry(entry: Any) -> list[Any]:
    names = entry.get("permissions") if isinstance(entry, dict) else None
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name in _PERMISSIONS for name in names
    ):
        raise InvalidAclError(
            'an ACL entry is {"permissions": […], "scheme", "id"}; permissions are'
            f" {', '.join(_PERMISSIONS)}"
        )
    perms = 0
    for name in names:
        perms |= _PERMISSIONS[name]
    return [perms, entry.get("scheme"), entry.get("id")]


def mode_of(body: Mapping[str, Any]) -> CreateMode:
    """The kind of node to create. Raises BadArgumentsError."""
    name = member(body, "mode", str, "persistent")
    mode = MODES.get(name)
    if mode is None:
        raise BadArgumentsError(f"mode is one of {', '.join(MODES)}")
    return mode


def user_of(identities: tuple[acls.Identity, ...]) -> str | None:
    """The name of the digest user among proven identities."""
    names = [who.partition(":")[0] for scheme, who in identities if scheme == "digest"]
    return names[0] if names else None
