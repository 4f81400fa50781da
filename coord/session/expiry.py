"""The leader's policy: whose contact counts, and who is proposed to end. Pure.

Rules (``design.md`` 6, Heartbeats):
  1. Contact counts only while this node leads and has applied its own term's first entry; from
     that moment every session has its whole timeout again.
  2. The end of a session is proposed at deadline + grace, naming its generation. From then on its
     contact is refused until the log has decided, so that nobody is told *alive* of a session that
     a committed entry is about to end.
  3. Contact is dated when the gateway heard it, not when the batch came.
  4. Time this node slept through is nobody's silence: deadlines move by the gap.

What the log decided comes back through ``opened`` and ``closed``, at apply, on every node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from coord.model.limits import ELECTION_TIMEOUT_MS_MAX, SESSION_TIMEOUT_MS_MIN
from coord.session.tracker import SessionTracker

GRACE_MS: Final = 2_000
"""Between a session's deadline and the proposal to end it: room for batches and acknowledgements
under way, and for a deposed leader to notice. What it still acknowledges after its successor has
started every timeout anew lets a client hold on for that much longer than the successor knows.
A gateway without an acknowledged batch for half of it closes its ZooKeeper clients."""
CHECK_INTERVAL_MS: Final = 100
"""How often the leader looks for overdue sessions."""
PAUSE_MS: Final = 400
"""A longer gap between two looks at the clock means that this process did not run."""
PAUSES_KEPT: Final = 8

assert 2 * CHECK_INTERVAL_MS <= PAUSE_MS < GRACE_MS
assert 2 * ELECTION_TIMEOUT_MS_MAX < GRACE_MS <= 2 * SESSION_TIMEOUT_MS_MIN


class Expiry(NamedTuple):
    """A session to propose to end, and what its post-mortem should say."""

    session: int
    generation: int
    reason: dict[str, object]


class Pause(NamedTuple):
    """This process did not run for ``gap_ms``, until ``ended_ms``."""

    ended_ms: int
    gap_ms: int


class ExpiryPolicy:
    """One node's view; active only while it leads.

    Invariants:
      * inactive ⇒ no session is tracked, no contact accepted, no end proposed.
      * a session whose end is proposed accepts no contact until ``opened`` (its generation moved),
        ``closed`` or ``withdrawn``.
    """

    def __init__(self, leader: int, grace_ms: int = GRACE_MS, pause_ms: int = PAUSE_MS) -> None:
        self._leader = leader
        self._grace_ms = grace_ms
        self._pause_ms = pause_ms
        self._tracker = SessionTracker()
        self._active = False
        self._seen_ms = 0
        self._pauses: deque[Pause] = deque(maxlen=PAUSES_KEPT)

    @property
    def is_active(self) -> bool:
        """Whether contact counts here."""
        return self._active

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """The last pauses of this process that were noticed while it led."""
        return tuple(self._pauses)

    def deadlines(self) -> Iterator[tuple[int, int]] | None:
        """(session, when its timeout ends unless it is heard); None while inactive."""
        return self._tracker.deadlines() if self._active else None

    # --- leadership ------------------------------------------------------------------------------

    def activate(self, sessions: Iterable[tuple[int, int, int]], now_ms: int) -> None:
        """This node leads and has applied its own term's first entry.

        ``sessions``: (id, generation, timeout_ms) of every open session. Each gets its whole
        timeout: what an earlier leader acknowledged is unknown, but cannot reach further.
        """
        self._tracker.clear()
        self._pauses.clear()
        self._active = True
        self._seen_ms = now_ms
        for session, generation, timeout_ms in sessions:
            self._tracker.opened(session, generation, timeout_ms, now_ms)

    def deactivate(self) -> None:
        """This node no longer leads, or knows that it slept: forget all deadlines and proposals."""
        self._active = False
        self._tracker.clear()

    # --- what apply says -------------------------------------------------------------------------

    def opened(self, session: int, generation: int, timeout_ms: int, now_ms: int) -> None:
        """A session was created or attached (applied): its whole timeout; voids a proposed end."""
        if self._active:
            self._observe(now_ms)
            self._tracker.opened(session, generation, timeout_ms, now_ms)

    def closed(self, session: int) -> None:
        """A session was closed or expired (applied)."""
        self._tracker.closed(session)

    # --- contact ---------------------------------------------------------------------------------

    def touch(self, heard: Iterable[tuple[int, int]], now_ms: int) -> list[int] | None:
        """A gateway's batch of (session, ago_ms). None: do not acknowledge it.

        Returns the sessions refused: ending, or not known (any more, or yet).
        """
        if not self._active:
            return None
        self._observe(now_ms)
        tracker = self._tracker
        return [
            session
            for session, ago_ms in heard
            if tracker.is_handed_out(session) or not tracker.touch(session, now_ms - max(ago_ms, 0))
        ]

    # --- ending ----------------------------------------------------------------------------------

    def check(self, now_ms: int) -> list[Expiry]:
        """Sessions to propose to end now; call it every CHECK_INTERVAL_MS. Each comes once."""
        if not self._active:
            return []
        self._observe(now_ms)
        return [
            Expiry(
                overdue.session,
                overdue.generation,
                {
                    "last_heard_ms": now_ms - overdue.heard_ms,
                    "deadline_ms": now_ms - overdue.deadline_ms,
                    "leader": self._leader,
                    "pauses": [[now_ms - pause.ended_ms, pause.gap_ms] for pause in self._pauses],
                },
            )
            for overdue in self._tracker.overdue(now_ms, self._grace_ms)
        ]

    def withdrawn(self, session: int) -> None:
        """The proposal certainly did not enter the log: contact counts again, the next check
        proposes again."""
        self._tracker.requeue(session)

    # --- pauses ----------------------------------------------------------------------------------

    def _observe(self, now_ms: int) -> None:
        """Rule 4: a gap in our own looks at the clock is no session's silence."""
        gap_ms = now_ms - self._seen_ms
        assert gap_ms >= 0, "the clock is monotonic"
        self._seen_ms = now_ms
        if gap_ms >= self._pause_ms:
            self._pauses.append(Pause(now_ms, gap_ms))
            self._tracker.shift(gap_ms)
