"""Deadlines of sessions, earliest first. Leader side; pure: the caller brings the time.

A session has one heap entry at most. Contact only moves the session's own deadline; the heap
entry stays where it is and is put right when it surfaces, so that contact costs one dictionary
look-up however many sessions there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple

from coord.model.limits import SESSION_TIMEOUT_MS_MAX


class Overdue(NamedTuple):
    """A session whose deadline has passed. Times are those of the caller's clock."""

    session: int
    generation: int
    deadline_ms: int
    heard_ms: int
    """When it was last heard, as far as acknowledged contact goes."""


class _Row:
    __slots__ = ("deadline_ms", "generation", "heard_ms", "queued_ms", "timeout_ms")

    def __init__(self, generation: int, timeout_ms: int, now_ms: int) -> None:
        self.generation = generation
        self.timeout_ms = timeout_ms
        self.heard_ms = now_ms
        self.deadline_ms = now_ms + timeout_ms
        self.queued_ms: int | None = None
        """Time of this row's heap entry; None: handed out. Other entries of it are void."""


TIMEOUT_MS_MAX: Final = 4 * SESSION_TIMEOUT_MS_MAX
"""Far above what is configurable; a timeout beyond it is a defect of the caller."""


class SessionTracker:
    """Sessions by deadline.

    Invariants:
      * deadline = heard + timeout for every session, and heard never moves back: contact extends
        a deadline or leaves it.
      * every session not handed out by :meth:`overdue` has exactly one valid heap entry, at or
        before its deadline.
    """

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}
        self._heap: list[tuple[int, int]] = []
        self._shift_ms = 0
        """Sum of the pauses; rows and heap hold times less this, so that a pause moves all."""

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, session: int) -> bool:
        return session in self._rows

    def opened(self, session: int, generation: int, timeout_ms: int, now_ms: int) -> None:
        """A session was created or attached: whole timeout from now, in its new generation.

        A repeat of the generation already known is contact, no more: it does not undo a hand-out.
        """
        assert 0 < timeout_ms <= TIMEOUT_MS_MAX
        row = self._rows.get(session)
        now = now_ms - self._shift_ms
        if row is None:
            row = self._rows[session] = _Row(generation, timeout_ms, now)
        elif generation == row.generation:
            if row.queued_ms is not None:
                self.touch(session, now_ms)
            return
        else:
            assert generation > row.generation, "generations only grow"
            row.generation = generation
            row.timeout_ms = timeout_ms
            row.heard_ms = max(row.heard_ms, now)
            row.deadline_ms = row.heard_ms + timeout_ms
        if row.queued_ms is None or row.deadline_ms < row.queued_ms:
            self._queue(session, row)

    def _queue(self, session: int, row: _Row) -> None:
        row.queued_ms = row.deadline_ms
        heapq.heappush(self._heap, (row.deadline_ms, session))

    def closed(self, session: int) -> None:
        """The session has ended; an unknown one is no error."""
        self._rows.pop(session, None)

    def touch(self, session: int, heard_ms: int) -> bool:
        """The session was heard at ``heard_ms``. False if it is not known."""
        row = self._rows.get(session)
        if row is None:
            return False
        heard = heard_ms - self._shift_ms
        if heard > row.heard_ms:
            row.heard_ms = heard
            row.deadline_ms = heard + row.timeout_ms
        return True

    def overdue(self, now_ms: int, grace_ms: int = 0) -> list[Overdue]:
        """Sessions whose deadline + grace has passed, each handed out once, earliest first.

        One handed out stays known; :meth:`requeue`, ``opened`` or ``closed`` decides about it.
        """
        limit = now_ms - self._shift_ms - grace_ms
        found: list[Overdue] = []
        heap = self._heap
        while heap and heap[0][0] <= limit:
            queued_ms, session = heapq.heappop(heap)
            row = self._rows.get(session)
            if row is None or row.queued_ms != queued_ms:
                continue
            if row.deadline_ms > limit:
                self._queue(session, row)
                continue
            row.queued_ms = None
            found.append(
                Overdue(
                    session,
                    row.generation,
                    row.deadline_ms + self._shift_ms,
                    row.heard_ms + self._shift_ms,
                )
            )
        return found

    def requeue(self, session: int) -> None:
        """A session handed out was not ended after all: watch its deadline again."""
        row = self._rows.get(session)
        if row is not None and row.queued_ms is None:
            self._queue(session, row)

    def is_handed_out(self, session: int) -> bool:
        """Whether ``overdue`` has named the session and nothing has been decided since."""
        row = self._rows.get(session)
        return row is not None and row.queued_ms is None

    def shift(self, gap_ms: int) -> None:
        """Move every deadline ``gap_ms`` later: the watcher itself was not watching."""
        assert gap_ms >= 0
        self._shift_ms += gap_ms

    def deadline_ms(self, session: int) -> int | None:
        """When the session's timeout ends unless it is heard; None if not known."""
        row = self._rows.get(session)
        return None if row is None else row.deadline_ms + self._shift_ms

    def deadlines(self) -> Iterator[tuple[int, int]]:
        """(session, deadline) of all that are known."""
        for session, row in self._rows.items():
            yield session, row.deadline_ms + self._shift_ms

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self._heap.clear()
        self._shift_ms = 0
