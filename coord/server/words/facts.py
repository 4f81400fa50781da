"""What the words tell, as plain values. Times in milliseconds, sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


class Latency(NamedTuple):
    """From a request's arrival to its reply."""

    min: int = 0
    avg: float = 0.0
    max: int = 0


NO_LATENCY: Final = Latency()


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A serving node in the eight lines of ``srvr``. ``zxid`` is the revision it has applied."""

    version: str
    mode: str
    """leader, follower, observer, standalone or read-only."""
    latency: Latency
    received: int
    sent: int
    connections: int
    outstanding: int
    zxid: int
    nodes: int


@dataclass(frozen=True, slots=True)
class QuorumFacts:
    """What only a leader knows of the others. ``learners``: all that follow, voting or not."""

    learners: int
    synced_followers: int
    synced_observers: int


@dataclass(frozen=True, slots=True)
class MonitorFacts:
    """The rows of ``mntr``. Descriptor counts are None where the system does not tell."""

    server: ServerFacts
    ephemerals: int
    sessions: int
    watches: int
    data_bytes: int
    open_descriptors: int | None
    max_descriptors: int | None
    uptime_ms: int
    voters: int
    snapshots: int
    entries_applied: int
    connections_refused: int
    quorum: QuorumFacts | None
    """None on whoever does not lead."""


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """One client. ``session`` 0: it has none, and what follows means nothing."""

    address: str
    is_read: bool
    """Its requests are being read."""
    is_congested: bool
    """It does not read its replies."""
    queued: int
    received: int
    sent: int
    session: int = 0
    last_operation: str = "NA"
    established_ms: int = 0
    """Unix time."""
    timeout_ms: int = 0
    last_xid: int = -1
    last_zxid: int = 0
    last_response_ms: int = 0
    """On the node's own clock."""
    last_latency_ms: int = 0
    latency: Latency = NO_LATENCY


class ClientsFacts(NamedTuple):
    """Connections, and how many more there are."""

    connections: tuple[ConnectionFacts, ...]
    left_out: int = 0


class WatchCounts(NamedTuple):
    """All watches of a node."""

    owners: int
    paths: int
    watches: int


class Watching(NamedTuple):
    """A session and a path it watches."""

    session: int
    path: str


class WatchFacts(NamedTuple):
    """Watches, and how many more there are."""

    watching: tuple[Watching, ...]
    left_out: int = 0


class Deadline(NamedTuple):
    """When something ends unless it is heard of, in Unix time, and the line that names it."""

    at_ms: int
    line: str


@dataclass(frozen=True, slots=True)
class SessionsFacts:
    """The sections of ``dump``."""

    sessions: tuple[tuple[int, int], ...]
    """(id, timeout) of open sessions, by id."""
    deadlines: tuple[Deadline, ...] | None
    """Of sessions; None on whoever does not lead and therefore does not know them."""
    ephemerals: tuple[tuple[int, tuple[str, ...]], ...]
    """(session, paths) of sessions that have some."""
    connections: tuple[Deadline, ...]
    left_out: int = 0
    """Sessions and connections that are not listed."""


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """``conf``, as far as ZooKeeper has the same setting. ``membership``: one line per member."""

    client_port: int
    data_dir: str
    tick_ms: int
    connections_per_address_max: int
    session_timeout_ms_min: int
    session_timeout_ms_max: int
    node: int
    election_ticks_max: int
    peer_port: int
    is_observer: bool
    membership: tuple[str, ...]


class DirectoryFacts(NamedTuple):
    """Bytes on disk: tree and snapshots, and the log."""

    data_bytes: int
    log_bytes: int
