"""Who a connection is: what it has proven, and what its ACLs then stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.acl import OPEN, identities_of_address
from coord.model.errors import AuthFailedError
from coord.node.identity import prove, resolve_acl

if TYPE_CHECKING:
    from coord.model.acl import Identity
    from coord.node.connection import Connection

IDENTITIES_MAX: Final = 16
"""Per connection: they travel with each of its writes."""


def authenticate(conn: Connection, request: rq.Auth, super_digest: str) -> None:
    """Add what the credential proves to what the connection has proven. Raises AuthFailedError."""
    known = conn.identities or ()
    proven = prove(request.scheme, request.credential, super_digest)
    identities = tuple(dict.fromkeys((*known, *proven)))
    if len(identities) > IDENTITIES_MAX:
        raise AuthFailedError(f"a connection proves at most {IDENTITIES_MAX} identities")
    adopt(conn, identities)


def adopt(conn: Connection, identities: tuple[Identity, ...]) -> None:
    """Make ``identities``, proven elsewhere, all that the connection has proven."""
    if identities:
        conn.identities = identities
        conn.identities_here = (*identities_of_address(conn.address), *identities)


def with_acls_resolved(request: Any, conn: Connection) -> Any:
    """The write with its ACLs as the tree stores them, or with the reason why they name nobody:
    the tree refuses that in its turn."""
    kind = type(request)
    if kind is rq.Create or kind is rq.SetAcl:
        if request.acl == OPEN:
            return request
        return request._replace(acl=resolve_acl(request.acl, conn.identities or ()))
    if kind is rq.Multi:
        return rq.Multi(tuple([with_acls_resolved(each, conn) for each in request.operations]))
    return request
