"""Reads what the words tell off a running node. Everything here is asked for by an operator, so it
may cost a pass over connections or sessions, but never one over the tree; lists are bounded.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from coord.model.paths import CONFIG
from coord.raft.types import NO_NODE, MemberRole
from coord.server.words import machine, render
from coord.server.words.facts import (
    ClientsFacts,
    ConnectionFacts,
    Deadline,
    DirectoryFacts,
    Latency,
    MonitorFacts,
    QuorumFacts,
    ServerFacts,
    SessionsFacts,
    WatchCounts,
    WatchFacts,
    Watching,
)
from coord.server.words.operations import name_of
from coord.store.counts import tree_counts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coord.node.connection import Connection
    from coord.node.node import Node
    from coord.node.traffic import Latencies
    from coord.server.listener import ClientListener
    from coord.server.words.facts import SettingsFacts

LISTED_MAX: Final = 2_000
"""Connections, sessions, ephemeral nodes or watches in one answer: some 20 ms of work, in which no
client is served."""


class Collector:
    """One node, its client port, and the settings that ``conf`` shows."""

    def __init__(
        self,
        node: Node,
        listener: ClientListener,
        version: str,
        directory: Path,
        settings: SettingsFacts,
    ) -> None:
        self._node = node
        self._listener = listener
        self._version = version
        self._directory = directory
        self._settings = settings

    # --- the node -------------------------------------------------------------------------------

    def is_serving(self) -> bool:
        """In quorum and caught up, as far as this node knows, or content to be read: what a
        ZooKeeper server is before it answers at all."""
        return self._has_quorum() or self._node.gateway.is_read_only

    def _has_quorum(self) -> bool:
        node = self._node
        return (
            node.raft.leader != NO_NODE
            and node.store.machine.applied_term == node.raft.term
            and not node.gateway.is_cut_off
        )

    def mode(self) -> str:
        """What part a serving node plays, by ZooKeeper's names."""
        raft = self._node.raft
        members = raft.membership.members
        if self._node.gateway.is_read_only:
            return render.READ_ONLY
        if len(members) == 1:
            return render.STANDALONE
        if raft.leader == self._node.id:
            return render.LEADER
        return render.OBSERVER if self._is_observer() else render.FOLLOWER

    def _is_observer(self) -> bool:
        members = self._node.raft.membership.members
        return any(it.id == self._node.id and it.role is not MemberRole.VOTER for it in members)

    def server(self) -> ServerFacts:
        """For ``srvr`` and ``stat``."""
        return self._server(tree_counts(self._node.store.tree).nodes)

    def _server(self, nodes: int) -> ServerFacts:
        gateway = self._node.gateway
        received, sent = gateway.traffic.totals(gateway.connections)
        return ServerFacts(
            version=self._version,
            mode=self.mode(),
            latency=_latency(gateway.traffic.latencies),
            received=received,
            sent=sent,
            connections=self._listener.connections,
            outstanding=sum(conn.backlog for conn in gateway.connections),
            zxid=self._node.reader.revision,
            nodes=nodes,
        )

    def monitor(self) -> MonitorFacts:
        """For ``mntr``."""
        node = self._node
        counts = tree_counts(node.store.tree)
        voters = [m for m in node.raft.membership.members if m.role is MemberRole.VOTER]
        return MonitorFacts(
            server=self._server(counts.nodes),
            ephemerals=counts.ephemerals,
            sessions=len(node.store.machine.sessions),
            watches=self._watches(),
            data_bytes=counts.data_bytes,
            open_descriptors=machine.open_descriptors(),
            max_descriptors=machine.descriptors_max(),
            uptime_ms=node.clock.monotonic_ms() - node.started_ms,
            voters=len(voters),
            snapshots=node.housekeeping.snapshots_taken,
            entries_applied=node.driver.applied_entries,
            connections_refused=self._listener.refused,
            quorum=self._quorum(),
        )

    def _quorum(self) -> QuorumFacts | None:
        raft = self._node.raft
        if raft.leader != self._node.id or self.mode() != render.LEADER:
            return None
        others = [it for it in raft.statistics().progress if it.id != self._node.id]
        synced = [it for it in others if it.recently_active and it.caught_up]
        return QuorumFacts(
            learners=sum(it.recently_active for it in others),
            synced_followers=sum(not it.is_learner for it in synced),
            synced_observers=sum(it.is_learner for it in synced),
        )

    # --- settings and machine -------------------------------------------------------------------

    def settings(self) -> SettingsFacts:
        """For ``conf``, with the members as /zookeeper/config lists them."""
        found = self._node.reader.get(CONFIG)
        # The super user may have written anything there.
        lines = found[0].decode(errors="replace").splitlines() if found else []
        return replace(self._settings, is_observer=self._is_observer(), membership=tuple(lines))

    def directories(self) -> DirectoryFacts:
        """For ``conf`` and ``dirs``."""
        return machine.directory_sizes(self._directory)

    def environment(self) -> tuple[tuple[str, str], ...]:
        """For ``envi``."""
        return machine.environment(self._version)

    # --- connections, sessions, watches ---------------------------------------------------------

    def clients(self) -> ClientsFacts:
        """For ``stat`` and ``cons``."""
        connections = self._node.gateway.connections
        listed = tuple(_facts_of(conn) for conn in islice(connections, LISTED_MAX))
        return ClientsFacts(listed, len(connections) - len(listed))

    def sessions(self) -> SessionsFacts:
        """For ``dump``."""
        sessions, open_now = self._node.store.machine.sessions, self._node.gateway.connections
        rows = list(islice(sessions, LISTED_MAX))
        connections = list(islice(open_now, LISTED_MAX))
        now_ms = self._node.clock.wall_ms()
        return SessionsFacts(
            sessions=tuple(sorted((row.id, row.timeout_ms) for row in rows)),
            deadlines=self._deadlines(),
            ephemerals=tuple(self._ephemerals(row.id for row in rows if row.ephemerals)),
            connections=tuple(
                Deadline(
                    now_ms + conn.timeout_ms,
                    f"ip: /{conn.address} sessionId: {conn.session:#x}",
                )
                for conn in connections
            ),
            left_out=len(sessions) - len(rows) + len(open_now) - len(connections),
        )

    def _deadlines(self) -> tuple[Deadline, ...] | None:
        """Of sessions, in Unix time; None unless this node leads."""
        clock = self._node.clock
        skew_ms = clock.wall_ms() - clock.monotonic_ms()
        due = self._node.liveness.deadlines()
        if due is None:
            return None
        return tuple(
            Deadline(at_ms + skew_ms, f"{session:#x}") for session, at_ms in islice(due, LISTED_MAX)
        )

    def _ephemerals(self, sessions: Iterator[int]) -> Iterator[tuple[int, tuple[str, ...]]]:
        room = LISTED_MAX
        for session in sessions:
            paths = self._node.reader.owners(session)[:room]
            room -= len(paths)
            yield session, tuple(paths)
            if not room:
                return

    def watch_counts(self) -> WatchCounts:
        """For ``wchs``."""
        return WatchCounts(*self._node.registry.counts())

    def watching(self) -> WatchFacts:
        """For ``wchc`` and ``wchp``."""
        paths_of = self._node.registry.paths_of
        pairs = (
            Watching(conn.session, path)
            for conn in self._node.gateway.connections
            for path in paths_of(conn)
        )
        listed = tuple(islice(pairs, LISTED_MAX))
        more = len(listed) == LISTED_MAX
        return WatchFacts(listed, max(0, self._watches() - LISTED_MAX) if more else 0)

    def _watches(self) -> int:
        return sum(map(self._node.registry.count_of, self._node.gateway.connections))

    # --- resets ---------------------------------------------------------------------------------

    def reset_connections(self) -> None:
        """Every connection counts from here on."""
        gateway = self._node.gateway
        gateway.traffic.reset_connections(gateway.connections)

    def reset_server(self) -> None:
        """The server's totals count from here on; those of connections go on."""
        gateway = self._node.gateway
        gateway.traffic.reset(gateway.connections)


def _latency(measured: Latencies) -> Latency:
    return Latency(measured.min, measured.average, measured.max)


def _facts_of(conn: Connection) -> ConnectionFacts:
    traffic = conn.traffic
    return ConnectionFacts(
        address=conn.address,
        is_read=not conn.paused,
        is_congested=conn.is_congested,
        queued=conn.backlog,
        received=traffic.received,
        sent=traffic.sent,
        session=conn.session,
        last_operation=name_of(traffic.last_request),
        established_ms=traffic.opened_wall_ms,
        timeout_ms=conn.timeout_ms,
        last_zxid=traffic.last_revision,
        last_response_ms=traffic.last_sent_ms,
        last_latency_ms=traffic.latencies.last,
        latency=_latency(traffic.latencies),
    )
