"""What leaves: frames gathered per connection, events before the replies that reflect them, one
socket write for each connection and flush.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.node.connection import Phase

if TYPE_CHECKING:
    from coord.node.connection import Connection
    from coord.node.reads import ReadServer
    from coord.node.traffic import NodeTraffic


class Outboxes:
    """Of one node's connections. ``dirty``: those with output; hot paths append to it themselves.

    Invariant: a connection is in ``dirty``, once, iff its own ``dirty`` is set.
    """

    def __init__(self, reads: ReadServer, traffic: NodeTraffic) -> None:
        self.dirty: list[Connection] = []
        self._reads = reads
        self._traffic = traffic

    def mark(self, conn: Connection) -> None:
        """The connection has output."""
        if not conn.dirty:
            conn.dirty = True
            self.dirty.append(conn)

    def put(self, conn: Connection, frame: bytes) -> None:
        """Queue a frame."""
        conn.outbox.append(frame)
        self.mark(conn)

    def flush(self) -> None:
        """Write out."""
        dirty, self.dirty = self.dirty, []
        for conn in dirty:
            conn.dirty = False
            if conn.events:
                _merge_events(conn)
            if conn.outbox:
                frames = conn.outbox
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                traffic = conn.traffic
                traffic.sent += len(frames)
                frames.clear()
                if conn.phase is not Phase.CLOSED:
                    if traffic.awaited:
                        self._traffic.answered(conn, self._reads.reader.revision)
                    conn.link.write(data)


def _merge_events(conn: Connection) -> None:
    """Events precede every reply of the same or a later revision. Replies of applied writes
    were put among the events; what is in the outbox already reflects the newest revision
    only if it was served after them, so the events go first."""
    merged = [frame for _, frame in sorted(conn.events, key=lambda pair: pair[0])]
    conn.events.clear()
    conn.outbox[:0] = merged
