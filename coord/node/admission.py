"""Which writes this node takes on: bounds on what is in flight, and space on the disk.

A native client is refused and told to pause. ZooKeeper's clients know no such answer: their
connection waits in line, unread, until there is room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.errors import CoordError, NoSpaceError, OverloadedError
from coord.model.limits import (
    NODE_BYTES_IN_FLIGHT_MAX,
    NODE_WRITES_IN_FLIGHT_MAX,
    WRITES_IN_FLIGHT_MAX,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord.node.connection import Connection

_DELETES: Final = frozenset({rq.Delete, rq.Close})
_WRITES_NOTHING: Final = frozenset({rq.Delete, rq.Check, rq.Compare, rq.Guard, rq.Refuse})
"""What a transaction may consist of where space is short: a hold is released by such a one."""


class Admission:
    """Writes in flight on one node, in number and bytes, and who waits for room.

    Invariant: every connection in line is held once (``Connection.holds``) and not read.
    """

    def __init__(self) -> None:
        self.writes_in_flight = 0
        self.bytes_in_flight = 0
        self.has_space = True
        """As of the last tick; the reserve is far more than one tick can write."""
        self._line: dict[Connection, None] = {}

    def is_full(self) -> bool:
        """No more user writes for now."""
        return (
            self.writes_in_flight >= NODE_WRITES_IN_FLIGHT_MAX
            or self.bytes_in_flight >= NODE_BYTES_IN_FLIGHT_MAX
        )

    def refusal(self, conn: Connection, request: Any, seq: int) -> CoordError | None:
        """Refusals that leave the seq unused: the client may send it again."""
        if type(request) is rq.Close:
            return None
        if self.writes_in_flight >= NODE_WRITES_IN_FLIGHT_MAX:
            return OverloadedError("this node has 20,000 writes in flight; retry after a pause")
        if self.bytes_in_flight >= NODE_BYTES_IN_FLIGHT_MAX:
            return OverloadedError("this node has 128 MiB of writes in flight; retry after a pause")
        if seq - conn.acked > WRITES_IN_FLIGHT_MAX:
            return OverloadedError(
                f"{WRITES_IN_FLIGHT_MAX} results of this session are not acknowledged"
            )
        if not self.has_space and not _frees(request):
            return NoSpaceError(
                "disk space or the data quota is below its reserve on this node; delete nodes or"
                " free space, writes resume by themselves"
            )
        return None

    def forget(self, conn: Connection) -> None:
        """The connection has ended: nobody waits for its writes."""
        self.writes_in_flight -= len(conn.in_flight)
        self.bytes_in_flight -= sum(len(command) for _, _, command in conn.in_flight)
        conn.in_flight.clear()
        self._line.pop(conn, None)

    # --- the line of ZooKeeper's clients --------------------------------------------------------

    def line_up(self, conn: Connection) -> None:
        """Hold a connection until there is room for its next write."""
        assert conn not in self._line, "who is in line is held: it asks for nothing"
        conn.holds += 1
        conn.hush()
        self._line[conn] = None

    def admit(self, release: Callable[[Connection], None]) -> None:
        """Let connections go on while there is room, first come first served."""
        while self._line and not self.is_full():
            conn = next(iter(self._line))
            del self._line[conn]
            release(conn)

    def in_line(self) -> Iterator[Connection]:
        """Who waits. Nobody hears them meanwhile, so their silence is not theirs."""
        return iter(self._line)


def _frees(request: Any) -> bool:
    """A delete, or a transaction that takes no room: it passes however little is left."""
    if type(request) is rq.Multi:
        return all(type(operation) in _WRITES_NOTHING for operation in request.operations)
    return type(request) in _DELETES
