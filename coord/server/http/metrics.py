"""What Prometheus is told: counters and gauges read off the node when it asks.

``METRICS`` are the plain ones, ``labelled`` has the others; docs/metrics.md explains each line, and
a test holds the two together. What is counted for metrics alone costs a request next to nothing
(``bench/metrics_cost.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from coord.node.status import NodeStatus
from coord.raft import Role
from coord.server.http.labelled import labelled

if TYPE_CHECKING:
    from coord.node.node import Node

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Facts(NamedTuple):
    """One look at the node, shared by all metrics of a scrape."""

    node: Node
    status: NodeStatus
    received: int
    sent: int


Read = Callable[[Facts], float]


class Described(NamedTuple):
    """A metric without labels. ``is_counter``: it only grows, and its name ends in _total."""

    name: str
    help: str
    read: Read
    is_counter: bool = False


def _gauge(name: str, text: str, read: Read) -> Described:
    return Described(f"coord_{name}", text, read)


def _counter(name: str, text: str, read: Read) -> Described:
    return Described(f"coord_{name}_total", text, read, is_counter=True)


METRICS: Final = (
    _gauge(
        "is_leader",
        "1 on the node that leads, else 0",
        lambda it: float(it.status.role == Role.LEADER.value),
    ),
    _gauge("has_leader", "1 if the node knows a leader", lambda it: float(it.status.leader != 0)),
    _gauge("term", "Raft term", lambda it: it.status.term),
    _gauge("commit_index", "Newest entry known to be committed", lambda it: it.status.commit),
    _gauge("applied_index", "Newest entry in the tree: its revision", lambda it: it.status.applied),
    _gauge(
        "commit_lag_entries",
        "Entries in the log that are not known to be committed",
        lambda it: it.status.log_last - it.status.commit,
    ),
    _gauge(
        "apply_lag_entries",
        "Committed entries that are not in the tree yet",
        lambda it: it.status.commit - it.status.applied,
    ),
    _gauge("log_first_index", "Oldest entry in the log", lambda it: it.status.log_first),
    _gauge("log_last_index", "Newest entry in the log", lambda it: it.status.log_last),
    _gauge("feature_level", "Feature level of the cluster", lambda it: it.status.feature_level),
    _gauge("sessions", "Open sessions in the cluster", lambda it: it.status.sessions),
    _gauge("connections", "Clients connected to this node", lambda it: it.status.connections),
    _gauge("watches", "Watches held by this node", lambda it: it.status.watches),
    _gauge(
        "writes_in_flight",
        "Writes of this node's clients on their way",
        lambda it: it.status.writes_in_flight,
    ),
    _gauge(
        "writes_allowed",
        "0 while disk space or quota forbids writes",
        lambda it: float(it.status.writes_allowed),
    ),
    _gauge(
        "digest_alarm",
        "1 if the nodes' states differ and no majority agrees",
        lambda it: float(it.status.digest_alarm),
    ),
    _gauge("uptime_seconds", "Since the node started", lambda it: it.status.uptime_ms / 1_000),
    _gauge(
        "longest_stall_seconds",
        "Longest time the event loop stood still",
        lambda it: it.status.longest_stall_ms / 1_000,
    ),
    _gauge(
        "replicated_bytes",
        "Records that count against the quota, as of the last fold",
        lambda it: it.node.store.machine.replicated_bytes,
    ),
    _gauge(
        "tree_file_bytes", "Used in the tree's file", lambda it: it.node.store.tree.used_bytes()
    ),
    _gauge(
        "log_bytes",
        "Written to the log since the newest snapshot",
        lambda it: it.status.disk.log,
    ),
    _gauge(
        "disk_free_bytes",
        "What the file system had left when it was last asked",
        lambda it: it.status.disk.free,
    ),
    _gauge(
        "snapshot_revision",
        "Newest verified snapshot; 0 without one",
        lambda it: it.status.snapshots[0].revision if it.status.snapshots else 0,
    ),
    _gauge(
        "snapshot_bytes",
        "Its size",
        lambda it: it.status.snapshots[0].bytes if it.status.snapshots else 0,
    ),
    _gauge(
        "in_flight_bytes",
        "Bytes of the writes on their way",
        lambda it: it.node.gateway.admission.bytes_in_flight,
    ),
    _counter(
        "proposed_entries",
        "Commands that this node, as leader, put into the log",
        lambda it: it.node.driver.proposed,
    ),
    _counter("requests", "Requests received from clients", lambda it: it.received),
    _counter("replies", "Replies and events sent to clients", lambda it: it.sent),
    _counter(
        "applied_entries", "Entries applied since start", lambda it: it.status.applied_entries
    ),
    _counter(
        "folds",
        "Times the tree's changes were written to its file",
        lambda it: it.node.store.tree.folds,
    ),
    _counter("snapshots", "Snapshots taken since start", lambda it: it.status.snapshots_taken),
    _counter(
        "stalls",
        "Times the event loop stood still for longer than an election timeout",
        lambda it: it.status.stalls,
    ),
)


def _info(facts: Facts) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "coord_info", "Always 1", labels=["node", "version", "cluster", "role"]
    )
    status = facts.status
    info.add_metric([str(status.node), status.version, status.cluster, status.role], 1)
    yield info


class NodeCollector(Collector):
    """All metrics of one node."""

    def __init__(self, node: Node, http: Mapping[tuple[str, int], int]) -> None:
        self._node = node
        self._http = http

    def collect(self) -> Iterator[Metric]:
        """Look once, tell everything."""
        gateway = self._node.gateway
        totals = gateway.traffic.totals(gateway.connections)
        facts = Facts(self._node, self._node.statistics(), *totals)
        for metric in METRICS:
            family = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
            yield family(metric.name, metric.help, value=metric.read(facts))
        yield from labelled(self._node, self._http)
        yield from _info(facts)


def make_exposition(
    node: Node, http: Mapping[tuple[str, int], int] = MappingProxyType({})
) -> Callable[[], bytes]:
    """A function that renders everything in Prometheus's text format. ``http``: answers so far, by
    method and status."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(node, http))
    return lambda: generate_latest(registry)
