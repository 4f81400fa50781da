"""What no ACL governs: changing the cluster, and taking all of its data away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.model.acl import SUPER
from coord.model.errors import NoAuthError
from coord.server.http.api.trust import is_loopback

if TYPE_CHECKING:
    from coord.server.http.api.calls import Call


def require_operator(call: Call) -> None:
    """The super user; where none is configured, whoever sits at this machine. Raises
    NoAuthError."""
    if SUPER in call.asked.identities:
        return
    if call.node.settings.super_digest:
        raise NoAuthError("this is for the super user: sign in as that")
    if not is_loopback(call.asked.address) or "X-Forwarded-For" in call.request.headers:
        raise NoAuthError("without a super user this is done from the node's own machine alone")
