"""What enters the log: requests with time, identity and randomness already decided.

An entry's payload is ``stamp ‖ msgpack([kind, session, generation, seq, acked, who, *arguments])``.
The stamp (two unsigned 64-bit integers, wall_ms and log_ms) is put there by the leader; the rest
is packed once by the gateway that took the request and stays opaque until apply.

``who`` is None for a caller known only as world:anyone, else a list of (scheme, id) pairs that the
gateway has proven. Commands without a session carry session = generation = seq = 0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import msgpack

from coord.model import requests
from coord.model.acl import Identity
from coord.model.errors import CorruptionError

STAMP: Final = struct.Struct(">QQ")
"""wall_ms (display only), log_ms (monotonic across leaders; decides TTLs and retention)."""

# Client writes keep their operation number; these are the service's own.
OPEN_SESSION: Final = 300
ATTACH_SESSION: Final = 301
CLOSE_SESSION: Final = 302
EXPIRE_SESSION: Final = 303
REAP_NODE: Final = 304
RAISE_FEATURE_LEVEL: Final = 305
END_ALL_SESSIONS: Final = 306

_pack: Final[Callable[[object], bytes]] = msgpack.Packer(autoreset=True).pack


def encode_write(
    request: requests.Write,
    session: int,
    generation: int,
    seq: int,
    acked: int,
    who: tuple[Identity, ...] | None,
) -> bytes:
    """Pack a client's write. Hot path: one C call."""
    kind, arguments = KIND_OF[type(request)], request
    if kind == requests.MULTI:
        operations = request.operations  # type: ignore[union-attr]
        arguments = ([(KIND_OF[type(op)], *op) for op in operations],)  # type: ignore[assignment]
    return _pack((kind, session, generation, seq, acked, who, *arguments))


def open_session(timeout_ms: int, secret_hash: bytes, address: str, client: str) -> bytes:
    """Create a session; its id becomes the index of this entry. Result body: (secret_hash,)."""
    return _pack((OPEN_SESSION, 0, 0, 0, 0, None, timeout_ms, secret_hash, address, client))


def attach_session(
    session: int, nonce: bytes, timeout_ms: int, address: str, *, restart_seq: bool
) -> bytes:
    """Attach an open session to the node that proposes this; its generation grows by one.

    ``nonce`` is random per attempt: apply ignores a repeat of the session's last nonce, so that a
    resent attach is idempotent, and the gateway recognises its own. ``restart_seq`` (ZooKeeper
    connections) makes the next write's seq 1 and forgets results. Result body: (nonce, last_seq).
    """
    return _pack((ATTACH_SESSION, session, 0, 0, 0, None, nonce, timeout_ms, address, restart_seq))


def close_session(session: int, generation: int, seq: int, acked: int) -> bytes:
    """End a session at its client's wish; sequenced like a write."""
    return _pack((CLOSE_SESSION, session, generation, seq, acked, None))


def expire_session(session: int, generation: int, reason: dict[str, Any]) -> bytes:
    """End a session that went silent; void at apply if the generation has moved.

    ``reason``: last_heard_ms (before now), deadline_ms, leader, pauses: kept for the post-mortem.
    """
    return _pack((EXPIRE_SESSION, session, generation, 0, 0, None, reason))


def reap_node(path: str, mzxid: int, pzxid: int) -> bytes:
    """Delete a TTL or container node if it still is as the leader saw it."""
    return _pack((REAP_NODE, 0, 0, 0, 0, None, path, mzxid, pzxid))


def raise_feature_level(level: int) -> bytes:
    """Allow the entry types of ``level`` once every member has announced it."""
    return _pack((RAISE_FEATURE_LEVEL, 0, 0, 0, 0, None, level))


def stamped(stamp: bytes, command: bytes) -> bytes:
    """Entry payload of a command, as the leader proposes it."""
    return stamp + command


def decode(payload: bytes) -> tuple[int, int, list[Any]]:
    """(wall_ms, log_ms, [kind, session, generation, seq, acked, who, *arguments]).

    Raises CorruptionError: what was committed must decode on every member.
    """
    try:
        wall_ms, log_ms = STAMP.unpack_from(payload)
        fields = msgpack.unpackb(memoryview(payload)[STAMP.size :], use_list=True)
    except (ValueError, struct.error, msgpack.UnpackException) as error:
        raise CorruptionError(f"a committed entry does not decode: {error}") from error
    return wall_ms, log_ms, fields


KIND_OF: Final[dict[type, int]] = {
    requests.Create: requests.CREATE,
    requests.Delete: requests.DELETE,
    requests.Set: requests.SET,
    requests.SetAcl: requests.SET_ACL,
    requests.Multi: requests.MULTI,
    requests.Check: requests.CHECK,
    requests.Compare: requests.COMPARE,
    requests.Guard: requests.GUARD,
    requests.Refuse: requests.REFUSE,
}
