"""Who a caller is and what its ACLs stand for: ZooKeeper's schemes world, auth, digest, ip, super.

The gateway proves identities and resolves ACLs before a command enters the log; apply compares
only. Schemes that need another exchange (SASL) are refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from coord.model.acl import OPEN, SUPER, Acl, Identity
from coord.model.errors import AuthFailedError
from coord.model.networks import is_network

USER_BYTES_MAX: Final = 512
"""A proven identity travels with every write of its connection."""
_EXPANDABLE: Final = frozenset(("digest",))
"""Schemes that ``auth`` stands for: who somebody is, not where from."""


def digest_of(credential: str) -> str:
    """The digest id of "user:password": ``user:base64(sha1("user:password"))``."""
    user = credential.partition(":")[0]
    hashed = hashlib.sha1(credential.encode(), usedforsecurity=False).digest()
    return f"{user}:{base64.b64encode(hashed).decode()}"


def prove(scheme: str, credential: bytes, super_digest: str) -> tuple[Identity, ...]:
    """The identities that a credential proves; () for ip, which the connection has proven.

    ``super_digest``: digest id of the super user, empty: there is none. Raises AuthFailedError.
    """
    if scheme == "ip":
        return ()
    if scheme != "digest":
        raise AuthFailedError(f"scheme {scheme[:32]!r} is not known; use digest")
    text = credential.decode(errors="replace")
    if len(text.partition(":")[0].encode()) > USER_BYTES_MAX:
        raise AuthFailedError(f"a user name has at most {USER_BYTES_MAX} bytes")
    digest = digest_of(text)
    is_super = bool(super_digest) and hmac.compare_digest(digest.encode(), super_digest.encode())
    return (*((SUPER,) if is_super else ()), ("digest", digest))


def resolve_acl(acl: tuple[Acl, ...], identities: Sequence[Identity]) -> tuple[Acl, ...] | str:
    """The ACL as it is stored: duplicates gone, ``auth`` replaced by the caller's identities.

    Returns a text, the reason, if it is not valid: what ``Create.acl`` carries to its refusal.
    """
    if acl == OPEN:
        return OPEN
    if not acl:
        return "an ACL has at least one entry"
    kept: dict[Acl, None] = {}
    for entry in acl:
        if entry.scheme == "auth":
            proven = [one for one in identities if one[0] in _EXPANDABLE]
            if not proven:
                return "scheme auth stands for the identities proven before, and there are none"
            kept.update(dict.fromkeys(Acl(entry.perms, *one) for one in proven))
        elif _is_valid(entry):
            kept[entry] = None
        else:
            return f"{entry.scheme[:32]}:{entry.id[:64]} names nobody"
    return tuple(kept)


def _is_valid(entry: Acl) -> bool:
    match entry.scheme:
        case "world":
            return entry.id == "anyone"
        case "digest":
            # ZooKeeper splits at every colon and forgets empty parts at the end.
            return entry.id.rstrip(":").count(":") == 1
        case "ip":
            return is_network(entry.id)
        case _:
            return False


def redacted(acl: tuple[Acl, ...]) -> tuple[Acl, ...]:
    """An ACL as somebody without ADMIN sees it: hashes of passwords are hidden."""
    return tuple(
        entry._replace(id=f"{entry.id.partition(':')[0]}:x") if entry.scheme == "digest" else entry
        for entry in acl
    )


def user_names(identities: Sequence[Identity]) -> list[Identity]:
    """(scheme, user name) of each identity, without hashes of passwords: what WhoAmI replies."""
    return [
        (scheme, name.partition(":")[0] if scheme == "digest" else name)
        for scheme, name in identities
    ]
