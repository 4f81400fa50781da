"""Metrics with labels, and histograms: what ``metrics`` tells beside its plain list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from coord.model import commands
from coord.model.errors import CoordError
from coord.model.histogram import Histogram
from coord.server.http.health import readiness
from coord.store.log_writer import ThreadLogWriter

if TYPE_CHECKING:
    from coord.node.node import Node

MALFORMED: Final = "malformed"
_SESSION_CHANGES: Final = {
    commands.OPEN_SESSION: "opened",
    commands.ATTACH_SESSION: "attached",
    commands.CLOSE_SESSION: "closed",
    commands.EXPIRE_SESSION: "expired",
}
_WORDS: Final = re.compile(r"(?<!^)(?=[A-Z])")


def operation_of(kind: type) -> str:
    """``SetAcl`` is "set_acl"; what could not be read is "malformed"."""
    if issubclass(kind, CoordError):
        return MALFORMED
    return _WORDS.sub("_", kind.__name__).lower()


def _by_operation(counts: Mapping[type, int]) -> Iterator[tuple[Sequence[str], float]]:
    found: dict[str, int] = {}
    for kind, count in counts.items():
        name = operation_of(kind)
        found[name] = found.get(name, 0) + count
    for name in sorted(found):
        yield [name], found[name]


def _counter(
    name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    family = CounterMetricFamily(f"coord_{name}", text, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)
    return family


def _gauge(
    name: str, text: str, label: str, rows: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"coord_{name}", text, labels=[label])
    for value, count in rows:
        family.add_metric([value], count)
    return family


def _histogram(
    name: str, text: str, rows: Iterable[tuple[Sequence[str], Histogram]], scale: float,
    labels: Sequence[str] = (),
) -> Metric:  # fmt: skip
    """``scale``: seconds in what was observed."""
    family = HistogramMetricFamily(f"coord_{name}", text, labels=labels)
    for values, histogram in rows:
        bounds = [str(bound * scale) for bound in histogram.bounds]
        counts = accumulate(list(histogram.counts))
        buckets = list(zip([*bounds, "+Inf"], counts, strict=True))
        family.add_metric(values, buckets, histogram.total * scale)
    return family


def labelled(node: Node, http: Mapping[tuple[str, int], int]) -> Iterator[Metric]:
    """All of them. ``http``: answers by method and status."""
    traffic = node.gateway.traffic
    yield _counter(
        "operations", "Requests by operation", ["operation"], _by_operation(traffic.asked)
    )
    yield _counter(
        "slow_operations",
        "Timed requests that took longer than 0.5 s",
        ["operation"],
        _by_operation(traffic.slow),
    )
    timed = sorted((operation_of(kind), it) for kind, it in traffic.by_kind.items())
    yield _histogram(
        "operation_seconds",
        "From a request's arrival to its answer, of a sample of requests",
        (([name], histogram) for name, histogram in timed if name != MALFORMED),
        0.001,
        ["operation"],
    )
    writer = node.log_writer
    if isinstance(writer, ThreadLogWriter):
        yield _histogram(
            "log_write_seconds",
            "Until a write of the log was durable, its sync included",
            [((), writer.durations)],
            1.0,
        )
    yield _counter(
        "elections",
        "Changes of the leader as this node saw them",
        ["reason"],
        (([reason], count) for reason, count in sorted(node.leaders.elections.items())),
    )
    controls = node.liveness.controls
    yield _counter(
        "session_changes",
        "Sessions of the cluster, since this node started",
        ["change"],
        (([change], controls[kind]) for kind, change in _SESSION_CHANGES.items()),
    )
    yield _gauge("queue_length", "What waits in this node", "queue", sorted(_queues(node).items()))
    yield _counter(
        "http_answers",
        "Answers over HTTP",
        ["method", "status"],
        (([method, str(status)], count) for (method, status), count in sorted(http.items())),
    )
    yield from _peers(node)
    yield _gauge(
        "ready",
        "1 for each condition of readiness that holds",
        "check",
        ((check.name, float(check.is_ok)) for check in readiness(node)),
    )


def _queues(node: Node) -> dict[str, int]:
    return {**node.driver.queues(), "forward": len(node.forwarder.commands)}


def _peers(node: Node) -> Iterator[Metric]:
    others = [it for it in node.statistics().members if it.id != int(node.id)]
    yield _gauge(
        "peer_reachable",
        "1 if this node is linked with the peer",
        "peer",
        ((str(it.id), float(it.reachable)) for it in others),
    )
    yield _gauge(
        "peer_lag_entries",
        "On the leader: entries the peer lacks",
        "peer",
        ((str(it.id), it.lag) for it in others if it.lag is not None),
    )
