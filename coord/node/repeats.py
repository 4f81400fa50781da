"""Writes of native clients that do not carry the next number: repeats and gaps.

A client that lost its connection sends again what was not answered: a repeat answers the result of
the first time. One that follows a refused write is refused too, so that the order stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord.model.errors import (
    OK,
    BadArgumentsError,
    CoordError,
    NotReadyError,
    ResultUnknownError,
    SequenceGapError,
)
from coord.node.connection import Phase

if TYPE_CHECKING:
    from coord.node.connection import Connection
    from coord.store.member_store import Store


def answer_to(
    conn: Connection, seq: int, store: Store
) -> CoordError | tuple[int, int, tuple[Any, ...]]:
    """What to say to write ``seq``, which is not the next: a refusal in its order, or the stored
    (code, revision, body)."""
    if conn.phase is not Phase.ATTACHED:
        return NotReadyError("open or attach a session before writing")
    if seq > conn.next_seq:
        return SequenceGapError(f"expected seq {conn.next_seq}, got {seq}")
    if conn.in_flight and seq >= conn.in_flight[0][0]:
        return BadArgumentsError(f"seq {seq} is already in flight on this connection")
    stored = store.machine.sessions.results_of(conn.session, seq)
    return ResultUnknownError(f"result of seq {seq} is not kept") if stored is None else stored


def result_frame(
    conn: Connection, xid: int, code: int, revision: int, body: tuple[Any, ...]
) -> bytes:
    """The reply that carries a write's result. A refused one's ``body`` is (message,) or
    (message, detail)."""
    if code == OK:
        return conn.codec.reply(xid, revision, body)
    message = body[0] if body else ""
    detail = body[1] if len(body) > 1 else None
    return conn.codec.error(xid, revision, code, message, detail)
