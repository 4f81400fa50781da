"""What is measured: the work, the systems that do it, and the floors that we have set ourselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SYSTEMS: Final = ("zookeeper", "etcd", "coord", "coord-native")
"""coord is our nodes on ZooKeeper's wire; coord-native the same nodes on their own."""
LABELS: Final = {
    "zookeeper": "ZooKeeper",
    "etcd": "etcd",
    "coord": "coord",
    "coord-native": "coord, native wire",
}
WIRES: Final = {
    "zookeeper": "zookeeper",
    "etcd": "etcd",
    "coord": "zookeeper",
    "coord-native": "native",
}
ON_ZOOKEEPERS_WIRE: Final = ("zookeeper", "coord")


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of trial. ``arguments`` are the generator's; a probe has none."""

    name: str
    label: str
    arguments: tuple[str, ...] = ()
    systems: tuple[str, ...] = SYSTEMS


def _load(name: str, label: str, arguments: str, systems: tuple[str, ...] = SYSTEMS) -> Case:
    return Case(name, label, tuple(arguments.split()), systems)


LOADS: Final = (
    _load("set-64x1", "set, 64 × 1", "-o set -c 64 -d 1"),
    _load("set-256x1", "set, 256 × 1", "-o set -c 256 -d 1"),
    _load("set-16x16", "set, 16 × 16", "-o set -c 16 -d 16"),
    _load("create-64x1", "create, 64 × 1", "-o create -c 64 -d 1"),
    _load("get-64x1", "get, 64 × 1", "-o get -c 64 -d 1"),
    _load("get-16x16", "get, 16 × 16", "-o get -c 16 -d 16"),
    _load("mixed-64x1", "90 % get, 10 % set, 64 × 1", "-o mixed -c 64 -d 1"),
    _load("set-1x1", "set, 1 × 1", "-o set -c 1 -d 1"),
    _load(
        "get-linearizable-64x1",
        "linearizable get, 64 × 1",
        "-o get -l linearizable -c 64 -d 1",
        ("coord-native",),
    ),
)
PROBES: Final = (
    Case("sessions", "5,000 sessions", systems=ON_ZOOKEEPERS_WIRE),
    Case("fanout", "5,000 watchers of one node", systems=("zookeeper", "coord", "coord-native")),
    Case("memory", "200,000 nodes of 100 bytes", systems=("zookeeper", "etcd", "coord")),
)
FAILOVERS: Final = (
    Case("failover-kill", "kill -9 of the leader", systems=ON_ZOOKEEPERS_WIRE),
    Case("failover-stop", "SIGSTOP of the leader", systems=ON_ZOOKEEPERS_WIRE),
)
CASES: Final = (*LOADS, *PROBES, *FAILOVERS)
NAMES: Final = tuple(case.name for case in CASES)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table: a figure of a case, and how far from ZooKeeper's it should be.

    ``floor`` is a ratio to ZooKeeper's median, unless ``is_absolute``: then a value in ``unit``.
    """

    case: str
    figure: str
    label: str
    unit: str
    floor: float = 0.0
    more_is_better: bool = True
    is_absolute: bool = False
    scale: float = 1.0

    @property
    def key(self) -> str:
        """A name that no other metric has."""
        return f"{self.case}.{self.figure}"

    def is_met(self, value: float, ratio: float | None) -> bool | None:
        """Whether the floor is met; None if there is none, or nothing to compare with."""
        found = value if self.is_absolute else ratio
        if not self.floor or found is None:
            return None
        return found >= self.floor if self.more_is_better else found <= self.floor


def _rate(case: str, label: str, floor: float) -> Metric:
    return Metric(case, "ops_s", label, "ops/s", floor)


METRICS: Final = (
    _rate("set-64x1", "set, 64 × 1", 1.5),
    _rate("set-256x1", "set, 256 × 1", 1.6),
    _rate("set-16x16", "set, 16 × 16", 2.2),
    _rate("create-64x1", "create, 64 × 1", 1.2),
    _rate("get-64x1", "get, 64 × 1", 2.0),
    _rate("get-16x16", "get, 16 × 16", 2.5),
    _rate("mixed-64x1", "90 % get, 10 % set, 64 × 1", 1.6),
    Metric("set-64x1", "p99_us", "set, 64 × 1: p99", "ms", 0.5, False, scale=1e-3),
    Metric("set-1x1", "p50_us", "set, 1 × 1: p50", "ms", 1.15, False, scale=1e-3),
    Metric("failover-kill", "write_gap_max_ms", "write gap, leader killed", "ms", 250, False, True),
    Metric(
        "failover-stop", "write_gap_max_ms", "write gap, leader frozen", "ms", 1000, False, True
    ),
    Metric("fanout", "last_ms", "5,000 watchers: last one told", "ms", 0.6, False),
    Metric("sessions", "kib_per_session", "memory per idle session", "KiB", 0.5, False),
    Metric("memory", "anonymous_mib", "anonymous memory, 200,000 nodes", "MiB", 0.15, False),
    Metric("sessions", "opens_s", "open 5,000 sessions", "sessions/s", 1.0),
    _rate("get-linearizable-64x1", "linearizable get, 64 × 1", 0.0),
)
