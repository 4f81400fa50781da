"""Is the node alive, is the session, and until when does it hold: the times of one session. Pure.

Three questions with three answers:

- *Until when can the service not give away what we hold?* (Send time of the last confirmed
  heartbeat) + timeout × (1 − drift bound). A heartbeat's answer says that the leader knew of it.
- *Is the node cut off from the leader?* If no heartbeat was confirmed for two thirds of the
  timeout, another node is tried while a third is left.
- *Is the node frozen?* If it owes us an answer and has said nothing for ``probe_ms``, it is asked
  something that it answers at once, by itself; if that stays unanswered it is left. A node that
  keeps answering is believed, however slowly; and if we leave one node so soon after another, the
  load is to blame rather than the nodes: we become twice as patient.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from coord_client.operations import NEVER_MS

PROBE_MS: Final = 300
"""Shorter than an election: a client of a frozen leader is elsewhere when the next one is there."""
_PPM: Final = 1_000_000


class Due(Enum):
    """What must be done now."""

    NOTHING = 0
    PING = 1
    PROBE = 2
    LEAVE = 3


class Liveness:
    """Times in milliseconds of the caller's clock, which runs while the machine sleeps."""

    def __init__(self, probe_ms: int) -> None:
        self._drift_ppm = 0
        self._probe_ms = probe_ms
        self._patience_ms = probe_ms
        self._timeout_ms = 0
        self._confirmed_ms: int | None = None
        self._attached_ms = 0
        self._next_ping_ms = NEVER_MS
        self._pings: dict[int, int] = {}
        self._quiet_ms = 0
        """Since when the node has said nothing though it owes us an answer."""
        self._probe_sent_ms: int | None = None

    # --- what happens ----------------------------------------------------------------------------

    def attached(self, sent_ms: int, now_ms: int, timeout_ms: int, drift_ppm: int) -> None:
        """The service attached us: that confirms contact as of when CONNECT was sent.

        ``drift_ppm``: bound on how much faster a server's clock may run, in millionths.
        """
        self._drift_ppm = drift_ppm
        self._timeout_ms = timeout_ms
        self._confirmed_ms = sent_ms
        self._attached_ms = now_ms
        self._next_ping_ms = now_ms + timeout_ms // 3

    def lost(self) -> None:
        """The connection is gone; what was confirmed stays confirmed."""
        self._pings.clear()
        self._next_ping_ms = NEVER_MS
        self._probe_sent_ms = None

    def ended(self) -> None:
        """The session is over: nothing is held."""
        self.lost()
        self._confirmed_ms = None

    def heard(self, now_ms: int) -> None:
        """Bytes came: the node is alive."""
        self._quiet_ms = now_ms
        self._probe_sent_ms = None

    def asked(self, now_ms: int) -> None:
        """From now on the node owes us an answer, which it did not before."""
        self._quiet_ms = max(self._quiet_ms, now_ms)

    def pinged(self, xid: int, now_ms: int) -> None:
        """A heartbeat leaves."""
        if not self._pings:
            self.asked(now_ms)
        self._pings[xid] = now_ms
        self._next_ping_ms = now_ms + self._timeout_ms // 3

    def probed(self, now_ms: int) -> None:
        """A question that the node answers by itself leaves."""
        self._probe_sent_ms = now_ms

    def confirmed(self, xid: int) -> None:
        """The heartbeat ``xid`` was answered."""
        sent_ms = self._pings.pop(xid)
        assert self._confirmed_ms is not None, "attached before any heartbeat"
        self._confirmed_ms = max(self._confirmed_ms, sent_ms)

    # --- what follows ----------------------------------------------------------------------------

    def is_ping(self, xid: int) -> bool:
        """Whether ``xid`` is a heartbeat without an answer."""
        return xid in self._pings

    @property
    def hold_until_ms(self) -> int:
        """Until then the service gives nothing of ours away; 0 without a session."""
        if self._confirmed_ms is None:
            return 0
        margin_ms = self._timeout_ms * self._drift_ppm // _PPM + 1  # 1: clocks tick once a ms
        return self._confirmed_ms + self._timeout_ms - margin_ms

    @property
    def _leave_ms(self) -> int:
        assert self._confirmed_ms is not None
        return self._confirmed_ms + self._timeout_ms * 2 // 3

    def _frozen_ms(self) -> int:
        """When to probe, or when to give up on the probe."""
        if self._probe_sent_ms is None:
            return self._quiet_ms + self._probe_ms
        return self._probe_sent_ms + self._patience_ms

    def wake_at_ms(self, *, is_owed: bool) -> int:
        """When :meth:`due` will have something; ``is_owed``: requests are without an answer."""
        if self._confirmed_ms is None:
            return NEVER_MS
        wake_ms = min(self._next_ping_ms, self._leave_ms)
        if is_owed or self._pings:
            wake_ms = min(wake_ms, self._frozen_ms())
        return wake_ms

    def due(self, now_ms: int, *, is_owed: bool) -> tuple[Due, str]:
        """What to do now, and why to leave."""
        assert self._confirmed_ms is not None
        if now_ms >= self._leave_ms:
            silent_ms = now_ms - self._confirmed_ms
            return Due.LEAVE, f"no heartbeat was confirmed for {silent_ms} ms"
        if (is_owed or self._pings) and now_ms >= self._frozen_ms():
            if self._probe_sent_ms is None:
                return Due.PROBE, ""
            self._lose_patience(now_ms)
            return Due.LEAVE, f"the node has said nothing for {now_ms - self._quiet_ms} ms"
        return (Due.PING if now_ms >= self._next_ping_ms else Due.NOTHING), ""

    def _lose_patience(self, now_ms: int) -> None:
        """The next node gets longer, unless this one had been good for a while."""
        was_good = now_ms - self._attached_ms > self._timeout_ms // 3
        self._patience_ms = (
            self._probe_ms if was_good else min(2 * self._patience_ms, self._timeout_ms)
        )
