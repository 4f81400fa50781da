"""A gateway's side of heartbeats: contacts batched for the leader, replies freed by its answer.

A native heartbeat's reply promises the client that the leader will not end its session before
(send time + timeout); it may leave only once the leader has acknowledged the batch that held the
heartbeat. ZooKeeper pings are answered at once; for them :meth:`is_cut_off` closes the connections
of a node that the leader has not confirmed for half the grace. Pure: the caller brings the time.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Final, NamedTuple

from coord.session.expiry import GRACE_MS

BATCH_INTERVAL_MS: Final = 200
"""How often a gateway sends its batch, empty or not."""
RESEND_MS: Final = 500
"""A batch without an answer for this long is merged into the next one."""

assert BATCH_INTERVAL_MS + RESEND_MS < GRACE_MS // 2

Token = Hashable
"""What the caller needs to send a heartbeat's reply: connection and xid, for instance."""


class Batch(NamedTuple):
    """One message to the leader: each session with the milliseconds since it was heard."""

    id: int
    heard: list[tuple[int, int]]


class _Contact:
    """Sessions heard since some moment, and the heartbeats that wait for an answer."""

    __slots__ = ("heard_ms", "pings", "sent_ms")

    def __init__(self) -> None:
        self.heard_ms: dict[int, int] = {}
        self.pings: list[tuple[int, Token]] = []
        self.sent_ms = 0


class HeartbeatBatch:
    """Contacts on their way from this gateway to the leader.

    Invariants:
      * every heartbeat that waits for its reply is in ``_open`` or in exactly one unanswered batch,
        and its session is in the same place, heard at or after the heartbeat.
      * batch ids only grow; the answer to a batch that was merged into a later one says nothing.
    """

    def __init__(self, now_ms: int, grace_ms: int = GRACE_MS) -> None:
        self._cut_off_ms = grace_ms // 2
        self._open = _Contact()
        self._sent: dict[int, _Contact] = {}
        self._last_id = 0
        self._confirmed_ms = now_ms
        """When the newest acknowledged batch was sent."""

    def heard(self, session: int, now_ms: int) -> None:
        """Anything came from a session's client; news older than what is known changes nothing."""
        heard_ms = self._open.heard_ms
        if now_ms > heard_ms.get(session, -1):
            heard_ms[session] = now_ms

    def ping(self, session: int, token: Token, now_ms: int) -> None:
        """A heartbeat came; ``token`` is given back when its reply may leave."""
        self.heard(session, now_ms)
        self._open.pings.append((session, token))

    def forget(self, session: int) -> None:
        """The session's connection has gone: its waiting heartbeats are answered by nobody."""
        for contact in (self._open, *self._sent.values()):
            if contact.heard_ms.pop(session, None) is not None:
                contact.pings = [ping for ping in contact.pings if ping[0] != session]

    def take(self, now_ms: int) -> Batch:
        """The next batch to send, empty if nobody was heard: an answer also confirms the link."""
        for batch_id in [
            number
            for number, contact in self._sent.items()
            if now_ms - contact.sent_ms >= RESEND_MS
        ]:
            self._merge(batch_id)
        contact, self._open = self._open, _Contact()
        contact.sent_ms = now_ms
        self._last_id += 1
        self._sent[self._last_id] = contact
        heard = [(session, now_ms - at_ms) for session, at_ms in contact.heard_ms.items()]
        assert all(ago_ms >= 0 for _, ago_ms in heard), "the clock is monotonic"
        return Batch(self._last_id, heard)

    def leader_changed(self) -> None:
        """No answer to what was sent counts any more: it goes again with the next batch."""
        for batch_id in list(self._sent):
            self._merge(batch_id)

    def _merge(self, batch_id: int) -> None:
        """Put an unanswered batch's contacts back, dated as they were heard."""
        contact = self._sent.pop(batch_id)
        for session, at_ms in contact.heard_ms.items():
            self.heard(session, at_ms)
        self._open.pings[:0] = contact.pings

    def acknowledged(self, batch_id: int, refused: Collection[int] = ()) -> list[Token]:
        """The leader counted a batch, but for ``refused``. Returns whose replies may leave.

        The heartbeats of refused sessions get no reply: their clients learn the session's end, or
        ask again.
        """
        contact = self._sent.pop(batch_id, None)
        if contact is None:
            return []
        self._confirmed_ms = max(self._confirmed_ms, contact.sent_ms)
        return [token for session, token in contact.pings if session not in refused]

    def is_cut_off(self, now_ms: int) -> bool:
        """No acknowledged batch for half the grace: ZooKeeper clients are to be closed."""
        return now_ms - self._confirmed_ms >= self._cut_off_ms
