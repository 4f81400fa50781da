"""One client's connection as the gateway sees it: what it asked, what it waits for."""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from coord.model.acl import identities_of_address
from coord.model.limits import WAITING_BYTES_MAX
from coord.model.types import NO_SESSION
from coord.node.traffic import Traffic

if TYPE_CHECKING:
    from coord.model.acl import Identity
    from coord.node.ports import ClientLink, Codec


class Phase(IntEnum):
    """NEW: no session yet. ATTACHING: its open or attach is in the log. ATTACHED: serving.
    CLOSED: the link is gone or going; nothing is sent any more. READ_ONLY: served reads without
    being attached, for want of a quorum."""

    NEW = 0
    ATTACHING = 1
    ATTACHED = 2
    CLOSED = 3
    READ_ONLY = 4


InFlight = tuple[int, int, bytes]
"""(seq, xid, command) of a write that was proposed or forwarded and is not applied here yet. A bare
tuple: one is made for every write."""


class Waiting(NamedTuple):
    """A request held back by the order of its session, or a linearizable read in its round."""

    xid: int
    request: Any
    seq: int
    acked: int
    round: int


_NOTHING: Final[deque[Any]] = deque(maxlen=0)
"""An empty deque takes 760 bytes: idle connections share one that cannot be filled."""


def _bytes_of(value: Any) -> int:
    """About what a request, or a part of one, takes."""
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(_bytes_of, value)) if isinstance(value, tuple) else 8


class Connection:
    """State of one client connection. The gateway alone changes it.

    Invariant: ``waiting`` holds only requests that came after everything in ``in_flight``; a
    read in it therefore runs when ``in_flight`` is empty, and a write behind a read is not
    proposed before that read is served (design promise 3, session order).
    """

    __slots__ = (
        "acked",
        "address",
        "client",
        "codec",
        "dirty",
        "events",
        "generation",
        "holds",
        "identities",
        "identities_here",
        "in_flight",
        "is_congested",
        "is_zookeeper",
        "link",
        "next_seq",
        "outbox",
        "paused",
        "phase",
        "session",
        "timeout_ms",
        "traffic",
        "unweighed",
        "waiting",
    )

    def __init__(self, link: ClientLink, codec: Codec, address: str) -> None:
        self.link = link
        self.codec = codec
        self.is_zookeeper = codec.is_zookeeper
        """The node numbers its writes; an overload lets it wait; it ends without explanations."""
        self.address = address
        self.client = ""
        self.phase = Phase.NEW
        self.session = NO_SESSION
        self.generation = 0
        self.timeout_ms = 0
        self.identities: tuple[Identity, ...] | None = None
        """What its client has proven; None: nothing. Goes with its writes."""
        self.identities_here = identities_of_address(address)
        """The same and its address: what its reads are judged by."""
        self.next_seq = 1
        """A refusal that consumes no seq leaves it: every later write is then out of order."""
        self.acked = 0
        self.in_flight: deque[InFlight] = _NOTHING
        """Filled by :meth:`launch` alone."""
        self.waiting: deque[Waiting] = _NOTHING
        """Filled by :meth:`wait` and :meth:`wait_first` alone."""
        self.outbox: list[bytes] = []
        self.events: list[tuple[int, bytes]] = []
        """(revision, frame) of events that leave with the next flush, before later replies."""
        self.dirty = False
        self.is_congested = False
        """The socket has not drained: counted in ``holds``."""
        self.holds = 0
        """Reasons why nothing new is served: a congested socket, streams that catch up, a session
        that is not attached yet (ZooKeeper), a node full of writes (ZooKeeper), the end."""
        self.paused = False
        self.unweighed = 0
        """Bound on the bytes of what waits; put right when it is reached."""
        self.traffic = Traffic()

    def launch(self, seq: int, xid: int, command: bytes) -> None:
        """A write is on its way."""
        if self.in_flight is _NOTHING:
            self.in_flight = deque()
        self.in_flight.append((seq, xid, command))

    def wait(self, waiting: Waiting) -> None:
        """A request waits behind all others."""
        if self.waiting is _NOTHING:
            self.waiting = deque()
        self.waiting.append(waiting)

    def wait_first(self, waiting: Waiting) -> None:
        """A request waits ahead of all others that wait."""
        if self.waiting is _NOTHING:
            self.waiting = deque()
        self.waiting.appendleft(waiting)

    @property
    def backlog(self) -> int:
        """Requests not answered yet."""
        return len(self.in_flight) + len(self.waiting)

    def weigh(self, size: int) -> None:
        """``size`` bytes were read and something waits: read no more if it is too much. Cheap as
        long as it is not: what waits is looked through once per so many bytes read."""
        self.unweighed += size
        if self.unweighed > WAITING_BYTES_MAX:
            self.unweighed = sum(map(_bytes_of, self.waiting))
            if self.unweighed > WAITING_BYTES_MAX // 2:
                self.hush()

    def hush(self) -> None:
        """Read no more from this client for now."""
        if not self.paused:
            self.paused = True
            self.link.pause_reading()
