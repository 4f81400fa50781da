"""ZooKeeper's read-only mode, off by default: without a quorum, clients that said in their
handshake that they can do with less are served what this node applied last. Writes and barriers
are refused.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol, cast

from coord.model import requests as rq
from coord.model.errors import AuthFailedError, CoordError, NotReadOnlyError, SessionExpiredError
from coord.model.limits import SECRET_BYTES
from coord.model.types import NO_SESSION, SessionId
from coord.node.connection import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.model.requests import Connect
    from coord.node.connection import Connection
    from coord.store.member_store import Store

LOCAL_SESSION: Final = 1 << 62
"""Set in the ids of sessions that this node made up: no entry's index is so large, so that they
are unknown to every node, and their clients open real ones later."""

REFUSED: Final = frozenset({
    rq.Create, rq.Delete, rq.Set, rq.SetAcl, rq.Multi, rq.Sync, rq.Reconfig,
})  # fmt: skip


class _Codec(Protocol):
    """What the codec of such a client knows beside the rest."""

    read_only_allowed: bool | None
    is_read_only: bool


def is_content(conn: Connection) -> bool:
    """Whether its client takes a server without quorum."""
    return conn.is_zookeeper and bool(cast("_Codec", conn.codec).read_only_allowed)


def admit(
    conn: Connection, request: Connect, store: Store, random_bytes: Callable[[int], bytes]
) -> tuple[SessionId, bytes]:
    """(session, password) to answer with; nothing enters the log. Raises SessionExpiredError,
    AuthFailedError for a session that this node knows to have ended, or another password."""
    session, secret = SessionId(request.session_id), request.secret
    if session == NO_SESSION:
        noise = int.from_bytes(random_bytes(7), "big")
        session, secret = SessionId(LOCAL_SESSION | noise), random_bytes(SECRET_BYTES)
    else:
        row = store.machine.sessions.get(session)
        if row is None:
            raise SessionExpiredError(f"session {session:#x} is not known here")
        if not hmac.compare_digest(sha256(secret).digest(), row.secret_hash):
            raise AuthFailedError("the session's secret does not match")
    cast("_Codec", conn.codec).is_read_only = True
    conn.phase = Phase.READ_ONLY
    conn.session = session
    return session, secret


def refusal() -> CoordError:
    """What a write is answered with."""
    return NotReadOnlyError("this node has no quorum and serves reads alone; try another node")
