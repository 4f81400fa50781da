"""Words about one server as a whole: facts in, text out, in ZooKeeper 3.8's format.

Programs read these lines: a label, a separator or a line end is not ours to improve.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coord.server.words.facts import (
        ConnectionFacts,
        DirectoryFacts,
        Latency,
        MonitorFacts,
        QuorumFacts,
        ServerFacts,
        SettingsFacts,
    )

READ_ONLY: Final = "read-only"
STANDALONE: Final = "standalone"
LEADER: Final = "leader"
OBSERVER: Final = "observer"
FOLLOWER: Final = "follower"

_PEER_STATES: Final = {
    LEADER: "leading - broadcast",
    FOLLOWER: "following - broadcast",
    OBSERVER: "observing - broadcast",
}
_READ: Final = 1
_WRITE: Final = 4
_NO_PORT: Final = -1
_DEFAULT_BACKLOG: Final = -1
_FAST_LEADER_ELECTION: Final = 3
_UNKNOWN_PROPOSAL_SIZES: Final = "-1/-1/-1"
"""What ZooKeeper says before its first proposal; proposals are not measured here."""


def srvr(facts: ServerFacts) -> str:
    """Eight lines about the server; nine from a leader."""
    return "".join(f"{line}\n" for line in (*_heading(facts), *_server_lines(facts)))


def stat(facts: ServerFacts, clients: Iterable[str]) -> str:
    """``srvr`` with the clients (lines of :func:`connection`) in between."""
    lines = (*_heading(facts), "Clients:", *clients, "", *_server_lines(facts))
    return "".join(f"{line}\n" for line in lines)


def _heading(facts: ServerFacts) -> Iterator[str]:
    yield f"Zookeeper version: {facts.version}"
    if facts.mode == READ_ONLY:
        yield "READ-ONLY mode; serving only read-only clients"


def _server_lines(facts: ServerFacts) -> Iterator[str]:
    yield f"Latency min/avg/max: {_latency(facts.latency)}"
    yield f"Received: {facts.received}"
    yield f"Sent: {facts.sent}"
    yield f"Connections: {facts.connections}"
    yield f"Outstanding: {facts.outstanding}"
    yield f"Zxid: {facts.zxid:#x}"
    yield f"Mode: {facts.mode}"
    yield f"Node count: {facts.nodes}"
    if facts.mode == LEADER:
        yield f"Proposal sizes last/min/max: {_UNKNOWN_PROPOSAL_SIZES}"


def _latency(latency: Latency) -> str:
    return f"{latency.min}/{round(latency.avg, 4)}/{latency.max}"


def connection(facts: ConnectionFacts, *, brief: bool) -> str:
    """One client, as ``stat`` (brief) and ``cons`` list it."""
    interest = _READ * facts.is_read + _WRITE * facts.is_congested
    text = (
        f" /{facts.address}[{interest:x}]"
        f"(queued={facts.queued},recved={facts.received},sent={facts.sent}"
    )
    if not brief and facts.session:
        text += f",sid={facts.session:#x},lop={facts.last_operation}"
        text += f",est={facts.established_ms},to={facts.timeout_ms}"
        if facts.last_xid >= 0:
            text += f",lcxid={facts.last_xid:#x}"
        latency = facts.latency
        text += f",lzxid={facts.last_zxid:#x},lresp={facts.last_response_ms}"
        text += f",llat={facts.last_latency_ms},minlat={latency.min}"
        text += f",avglat={int(latency.avg)},maxlat={latency.max}"
    return text + ")"


def mntr(facts: MonitorFacts) -> str:
    """Names and values, one row each, for monitoring."""
    rows = [*_server_rows(facts), *_machine_rows(facts)]
    if facts.quorum is not None:
        rows += _quorum_rows(facts.quorum)
    return "".join(f"zk_{name}\t{value}\n" for name, value in rows)


def _server_rows(facts: MonitorFacts) -> Iterator[tuple[str, object]]:
    server = facts.server
    yield "version", server.version
    yield "server_state", server.mode
    if server.mode in _PEER_STATES:
        yield "peer_state", _PEER_STATES[server.mode]
    yield "ephemerals_count", facts.ephemerals
    yield "num_alive_connections", server.connections
    yield "avg_latency", round(server.latency.avg, 4)
    yield "min_latency", server.latency.min
    yield "max_latency", server.latency.max
    yield "outstanding_requests", server.outstanding
    yield "znode_count", server.nodes
    yield "global_sessions", facts.sessions
    yield "local_sessions", 0
    yield "packets_sent", server.sent
    yield "packets_received", server.received
    yield "watch_count", facts.watches
    yield "approximate_data_size", facts.data_bytes


def _machine_rows(facts: MonitorFacts) -> Iterator[tuple[str, object]]:
    if facts.open_descriptors is not None:
        yield "open_file_descriptor_count", facts.open_descriptors
    if facts.max_descriptors is not None:
        yield "max_file_descriptor_count", facts.max_descriptors
    yield "uptime", facts.uptime_ms
    if facts.server.mode != STANDALONE:
        yield "quorum_size", facts.voters
    yield "snap_count", facts.snapshots
    yield "commit_count", facts.entries_applied
    yield "connection_rejected", facts.connections_refused


def _quorum_rows(facts: QuorumFacts) -> Iterator[tuple[str, object]]:
    yield "learners", facts.learners
    yield "followers", facts.learners  # The name until ZooKeeper 3.5; dashboards still have it.
    yield "synced_followers", facts.synced_followers
    yield "synced_non_voting_followers", 0
    yield "synced_observers", facts.synced_observers
    yield "pending_syncs", 0


def conf(facts: SettingsFacts, sizes: DirectoryFacts) -> str:
    """Settings by ZooKeeper's names."""
    rows: list[tuple[str, object]] = [
        ("clientPort", facts.client_port),
        ("secureClientPort", _NO_PORT),
        ("dataDir", facts.data_dir),
        ("dataDirSize", sizes.data_bytes),
        ("dataLogDir", facts.data_dir),
        ("dataLogSize", sizes.log_bytes),
        ("tickTime", facts.tick_ms),
        ("maxClientCnxns", facts.connections_per_address_max),
        ("minSessionTimeout", facts.session_timeout_ms_min),
        ("maxSessionTimeout", facts.session_timeout_ms_max),
        ("clientPortListenBacklog", _DEFAULT_BACKLOG),
        ("serverId", facts.node),
        ("initLimit", facts.election_ticks_max),
        ("syncLimit", facts.election_ticks_max),
        ("electionAlg", _FAST_LEADER_ELECTION),
        ("electionPort", facts.peer_port),
        ("quorumPort", facts.peer_port),
        ("peerType", int(facts.is_observer)),
    ]
    lines = [f"{name}={value}" for name, value in rows]
    return "\n".join([*lines, "membership: ", *facts.membership])


def envi(rows: Sequence[tuple[str, str]]) -> str:
    """The process and its machine; ``rows`` begin with ``zookeeper.version``."""
    return "".join(f"{line}\n" for line in ("Environment:", *(f"{k}={v}" for k, v in rows)))


def dirs(facts: DirectoryFacts) -> str:
    """Bytes on disk."""
    return f"datadir_size: {facts.data_bytes}\nlogdir_size: {facts.log_bytes}\n"
