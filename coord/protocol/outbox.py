"""In which order one connection's messages leave: an event before any reply that reflects it.

Design promise 3: a watch event of revision r arrives before every reply whose revision is r or
later. Replies keep the order they were given in; events are slipped in between them, as late as
the rule allows, so that a burst of events never delays the replies to what came before them.
"""

from __future__ import annotations

from collections import deque


class Outbox:
    """One connection's output between two socket writes.

    Invariants:
      * ``_events`` ascends by revision, and every revision in it is above ``_replied``.
      * no event is queued at or below a revision that a reply has shown already: whoever applies
        must hand over a revision's events before any reply computed at it.
    """

    __slots__ = ("_events", "_frames", "_replied", "size")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._events: deque[tuple[int, bytes]] = deque()
        self._replied = 0
        """Greatest revision a reply of this connection has shown."""
        self.size = 0
        """Bytes waiting; the caller compares it with CONNECTION_OUTBOX_BYTES_MAX."""

    def __bool__(self) -> bool:
        return bool(self._frames or self._events)

    def event(self, revision: int, frame: bytes) -> None:
        """An event of ``revision``; revisions do not descend."""
        assert revision > self._replied, "an event comes after a reply that reflects it"
        events = self._events
        assert not events or revision >= events[-1][0], "events come in revision order"
        events.append((revision, frame))
        self.size += len(frame)

    def reply(self, revision: int, frame: bytes) -> None:
        """A reply that reflects everything up to ``revision``: events up to it go first."""
        if revision > self._replied:
            self._replied = revision
            if self._events:
                self._release(revision)
        self._frames.append(frame)
        self.size += len(frame)

    def aside(self, frame: bytes) -> None:
        """A frame that reflects no revision (a notice, a replayed event): after what waits."""
        if self._events:
            self._release(self._events[-1][0])
        self._frames.append(frame)
        self.size += len(frame)

    def take(self) -> bytes:
        """Everything, in order, for one socket write."""
        if self._events:
            self._release(self._events[-1][0])
        frames = self._frames
        self.size = 0
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        return data

    def _release(self, revision: int) -> None:
        events = self._events
        while events and events[0][0] <= revision:
            self._frames.append(events.popleft()[1])
