"""ACL entries as text: ``scheme:id:perms``, as in ``world:anyone:r`` and ``auth::cdrwa``."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Final

from coord.model import acl
from coord.model.acl import Acl
from coord.model.errors import BadArgumentsError

PERMISSIONS: Final = {
    "c": acl.CREATE,
    "d": acl.DELETE,
    "r": acl.READ,
    "w": acl.WRITE,
    "a": acl.ADMIN,
}
DIGEST_BYTES: Final = 20


def parse(text: str) -> Acl:
    """One entry. Raises BadArgumentsError that says which part is wrong."""
    scheme, colon, rest = text.partition(":")
    who, second, letters = rest.rpartition(":")
    if not colon or not second:
        raise BadArgumentsError(f"{text!r}: an entry is scheme:id:perms, as world:anyone:r")
    check = _CHECKS.get(scheme)
    if check is None:
        raise BadArgumentsError(f"{text!r}: the scheme is one of {', '.join(_CHECKS)}")
    complaint = check(who)
    if complaint:
        raise BadArgumentsError(f"{text!r}: {complaint}")
    return Acl(_permissions(text, letters), scheme, who)


def shown(entry: Acl) -> str:
    """The text that :func:`parse` takes."""
    return f"{entry.scheme}:{entry.id}:{letters_of(entry.perms)}"


def letters_of(permissions: int) -> str:
    """The letters of a set of permissions, in the usual order."""
    return "".join(letter for letter, bit in PERMISSIONS.items() if permissions & bit)


def _permissions(text: str, letters: str) -> int:
    permissions = 0
    for letter in letters:
        bit = PERMISSIONS.get(letter, 0)
        if not bit or permissions & bit:
            break
        permissions |= bit
    else:
        if permissions:
            return permissions
    raise BadArgumentsError(
        f"{text!r}: perms are letters of cdrwa (create, delete, read, write, admin), once each"
    )


def _world(who: str) -> str:
    return "" if who == "anyone" else "the only id of scheme world is anyone"


def _auth(who: str) -> str:
    return "" if not who else "scheme auth takes no id: it means everything this session has proven"


def _digest(who: str) -> str:
    user, _, proof = who.partition(":")
    try:
        is_hash = len(base64.b64decode(proof, validate=True)) == DIGEST_BYTES
    except (binascii.Error, ValueError):
        is_hash = False
    if user and is_hash:
        return ""
    return "an id of scheme digest is user:hash, never a password; `coord acl digest USER` makes it"


def _ip(who: str) -> str:
    try:
        ipaddress.ip_network(who, strict=False)
    except ValueError:
        return "an id of scheme ip is an address or a network, as 10.0.0.0/8"
    return ""


def _x509(who: str) -> str:
    return "" if who else "an id of scheme x509 is a certificate's subject"


_CHECKS: Final = {"world": _world, "auth": _auth, "digest": _digest, "ip": _ip, "x509": _x509}
