"""How much goes through a node's client connections, and how long answers take: what ``cons``,
``stat`` and ``mntr`` tell.

Counted per socket read and write, not per request. Latency is a sample: at most one request of a
connection is timed at a time, and at most one begins per tick, so that the clock is read a few
thousand times a second however many requests there are.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from coord.model.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord.node.connection import Connection
    from coord.node.ports import Clock


LATENCY_BOUNDS_MS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""0: less than one millisecond."""
SLOW_MS: Final = 500
"""An answer that took longer is counted as slow."""


class Latencies:
    """Whole milliseconds of the requests that were timed."""

    __slots__ = ("count", "last", "max", "min", "sum")

    def __init__(self) -> None:
        self.count = self.sum = self.min = self.max = self.last = 0

    def add(self, ms: int) -> None:
        """One more."""
        self.min = min(ms, self.min) if self.count else ms
        self.max = max(ms, self.max)
        self.count += 1
        self.sum += ms
        self.last = ms

    @property
    def average(self) -> float:
        """0.0 of none."""
        return self.sum / self.count if self.count else 0.0


class Traffic:
    """One connection's. The gateway counts here directly."""

    __slots__ = (
        "asked_ms",
        "awaited",
        "last_request",
        "last_revision",
        "last_sent_ms",
        "latencies",
        "opened_wall_ms",
        "received",
        "sent",
        "tick_ms",
        "timed",
    )

    def __init__(self) -> None:
        self.received = 0
        """Requests."""
        self.sent = 0
        """Replies and events."""
        self.opened_wall_ms = 0
        self.tick_ms = -1
        """The tick in which a request was looked at last."""
        self.last_request: type | None = None
        """Its kind."""
        self.awaited = 0
        """The request being timed is the how-manyth of ``received``; 0: none is."""
        self.timed: type = object
        """Its kind."""
        self.asked_ms = 0
        """When it came."""
        self.last_sent_ms = 0
        self.last_revision = 0
        """Of the reply to it."""
        self.latencies = Latencies()

    def reset(self) -> None:
        """Count from here on; what is being timed began before and is dropped."""
        self.received = self.sent = self.awaited = 0
        self.latencies = Latencies()


class NodeTraffic:
    """That of all connections, those gone included. ``_received`` and ``_sent`` hold what the
    connections' own counters no longer do, less what was reset."""

    def __init__(self, clock: Clock) -> None:
        self.latencies = Latencies()
        self.asked: dict[type, int] = defaultdict(int)
        """Requests by kind, all of them; a malformed one counts under its error's."""
        self.by_kind: dict[type, Histogram] = {}
        """Latencies of those that were timed. Never reset."""
        self.slow: dict[type, int] = defaultdict(int)
        """Those of them that took longer than SLOW_MS."""
        self._clock = clock
        self._received = 0
        self._sent = 0

    def opened(self, conn: Connection) -> None:
        """A connection begins."""
        conn.traffic.opened_wall_ms = self._clock.wall_ms()

    def arrived(self, conn: Connection, request: type, tick_ms: int) -> None:
        """First read of a connection in this tick; ``request``: the kind of its last request."""
        traffic = conn.traffic
        traffic.tick_ms = tick_ms
        traffic.last_request = request
        if not traffic.awaited:
            traffic.awaited = traffic.received
            traffic.timed = request
            traffic.asked_ms = self._clock.monotonic_ms()

    def answered(self, conn: Connection, revision: int) -> None:
        """Something leaves for a connection of which a request is being timed."""
        traffic = conn.traffic
        if traffic.received - conn.backlog >= traffic.awaited:
            now_ms = self._clock.monotonic_ms()
            traffic.awaited = 0
            traffic.last_sent_ms = now_ms
            traffic.last_revision = revision
            elapsed_ms = now_ms - traffic.asked_ms
            traffic.latencies.add(elapsed_ms)
            self.latencies.add(elapsed_ms)
            self._observe(traffic.timed, elapsed_ms)

    def _observe(self, kind: type, elapsed_ms: int) -> None:
        histogram = self.by_kind.get(kind)
        if histogram is None:
            histogram = self.by_kind[kind] = Histogram(LATENCY_BOUNDS_MS)
        histogram.observe(elapsed_ms)
        if elapsed_ms > SLOW_MS:
            self.slow[kind] += 1

    def left(self, conn: Connection) -> None:
        """A connection has ended: what went through it did so all the same."""
        self._received += conn.traffic.received
        self._sent += conn.traffic.sent
        conn.traffic.reset()

    def totals(self, connections: Iterable[Connection]) -> tuple[int, int]:
        """(requests received, replies and events sent); ``connections``: those that are open."""
        received, sent = self._received, self._sent
        for conn in connections:
            received += conn.traffic.received
            sent += conn.traffic.sent
        return received, sent

    def reset_connections(self, connections: Iterable[Connection]) -> None:
        """Each connection counts from here on; the node's totals go on."""
        for conn in connections:
            self.left(conn)

    def reset(self, connections: Iterable[Connection]) -> None:
        """The node's totals count from here on; those of connections go on."""
        received, sent = self.totals(connections)
        self._received -= received
        self._sent -= sent
        self.latencies = Latencies()
