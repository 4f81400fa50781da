"""How cost grows: one function a curve, each on nodes of its own, each giving points by x."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.coord_servers import Coord
from bench.servers import anonymous_kib, cpu_s, mode_of, wait_until
from bench.tools import Figures, Holding, load

WIRE: Final = "zookeeper"
KEYS: Final = 10_000
NODES_A_DIRECTORY: Final = 1_000
WATCHERS: Final = 100
SETTLE_S: Final = 1.0
VALUES_BYTES_MAX: Final = 50_000_000
"""All values of one point together."""
RESTART_S: Final = 120.0

Point = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where curves are measured, and for how long each point."""

    port: int
    seconds: int
    warmup: int
    note: Callable[[str], None]

    @contextlib.contextmanager
    def nodes(self, count: int = 3) -> Iterator[Coord]:
        """Fresh nodes that have worked for a moment."""
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            Coord(Path(folder), self.port, count) as servers,
        ):
            load(WIRE, servers.hosts, "-o", "mixed", "-k", str(KEYS), "-t", "2", "-w", "0")
            yield servers

    def work(self, servers: Coord, name: str, operation: str, *arguments: str) -> Point:
        """Load on keys that exist: rate, latency, and processor time of one server for one
        operation in µs, each under ``name_…``.
        """
        before_s = cpu_s(servers.pids)
        times = ("-n", "-t", str(self.seconds), "-w", str(self.warmup))
        figures: Figures = load(WIRE, servers.hosts, "-o", operation, *times, *arguments)
        used_s = cpu_s(servers.pids) - before_s
        done = max(figures["ops_s"] * (self.seconds + self.warmup), 1.0)
        return {
            f"{name}_ops_s": figures["ops_s"],
            f"{name}_p50_ms": figures["p50_us"] / 1e3,
            f"{name}_cpu_us": used_s * 1e6 / done / len(servers.pids),
        }


@dataclass(frozen=True, slots=True)
class Curve:
    """What grows along x, over which points, and which of the figures are drawn against it."""

    name: str
    title: str
    x_label: str
    points: tuple[int, ...]
    quick_points: tuple[int, ...]
    measure: Callable[[Bench, tuple[int, ...]], list[Point]]
    drawn: tuple[tuple[str, str], ...]
    y_label: str = "CPU of one server for one operation, µs"


def _gets_and_sets(bench: Bench, servers: Coord, *arguments: str) -> Point:
    return {
        **bench.work(servers, "set", "set", *arguments),
        **bench.work(servers, "get", "get", *arguments),
    }


def connections(bench: Bench, points: tuple[int, ...]) -> list[Point]:
    """Sets and gets of ever more sessions, one request of each in flight."""
    found = []
    with bench.nodes() as servers:
        for count in points:
            bench.note(f"{count:,} connections")
            work = _gets_and_sets(bench, servers, "-c", str(count), "-k", str(KEYS))
            found.append({"x": count, **work})
    return found


def value_size(bench: Bench, points: tuple[int, ...]) -> list[Point]:
    """Sets and gets of ever larger values, 16 at a time."""
    found = []
    with bench.nodes() as servers:
        for size in points:
            bench.note(f"values of {size:,} bytes")
            keys = str(max(16, min(KEYS, VALUES_BYTES_MAX // size)))
            where = ("-p", f"/bench-{size}", "-k", keys, "-v", str(size))
            load(WIRE, servers.hosts, "-F", *where)
            work = _gets_and_sets(bench, servers, "-c", "16", *where)
            found.append({"x": size, **work})
    return found


def tree_size(bench: Bench, points: tuple[int, ...]) -> list[Point]:
    """Sets and gets all over an ever larger tree, 1,000 nodes in a directory."""
    found = []
    with bench.nodes() as servers:
        for size in points:
            bench.note(f"{size:,} nodes")
            where = ("-p", "/bench-tree", "-f", str(NODES_A_DIRECTORY), "-k", str(size))
            load(WIRE, servers.hosts, "-F", *where)
            work = _gets_and_sets(bench, servers, "-c", "64", *where)
            mib = anonymous_kib(servers.pids) / 1024
            found.append({"x": size, **work, "anonymous_mib": mib})
    return found


def children(bench: Bench, points: tuple[int, ...]) -> list[Point]:
    """Creates in, and sets below, a directory with ever more children."""
    found = []
    with bench.nodes() as servers:
        for count in points:
            bench.note(f"{count:,} children")
            where = ("-p", f"/bench-wide-{count}", "-k", str(count))
            load(WIRE, servers.hosts, "-F", *where)
            point = bench.work(servers, "set", "set", "-c", "64", *where)
            point |= bench.work(servers, "create", "create", "-c", "64", *where)
            found.append({"x": count, **point})
    return found


def watches(bench: Bench, points: tuple[int, ...]) -> list[Point]:
    """Sets of nodes that nobody watches, beside ever more watches of others."""
    found = []
    with bench.nodes() as servers:
        load(WIRE, servers.hosts, "-F", "-k", str(max(points)))
        others = ("-p", "/bench-unwatched", "-k", str(KEYS))
        load(WIRE, servers.hosts, "-F", *others)
        for count in points:
            bench.note(f"{count:,} watches")
            before_kib = anonymous_kib(servers.pids)
            how = ("-c", str(WATCHERS), "-n", str(count))
            with Holding(WIRE, servers.hosts, "watches", *how) as armed:
                time.sleep(SETTLE_S)
                grown = (anonymous_kib(servers.pids) - before_kib) * 1024 / count
                work = bench.work(servers, "set", "set", "-c", "64", *others)
            rest = {"arms_s": armed["arms_s"], "bytes_per_watch": max(grown, 0.0)}
            found.append({"x": count, **work, **rest})
    return found


def log_length(bench: Bench, points: tuple[int, ...]) -> list[Point]:
    """Sets after ever more writes, and how long a node that was killed takes to serve again."""
    found = []
    with bench.nodes() as servers:
        written = 0.0
        for goal in points:
            bench.note(f"{goal:,} writes")
            while written < goal:
                deep = ("-o", "set", "-n", "-c", "16", "-d", "16", "-k", str(KEYS))
                figures = load(WIRE, servers.hosts, *deep, "-t", "1", "-w", "0")
                written += figures["writes_s"]
            work = bench.work(servers, "set", "set", "-c", "64", "-k", str(KEYS))
            found.append({"x": written, **work, "restart_s": _restart_s(servers)})
            written += work["set_ops_s"] * (bench.seconds + bench.warmup)
    return found


def _restart_s(servers: Coord) -> float:
    leader = servers.leader() or 0
    follower = (leader + 1) % servers.count
    servers.kill(follower)
    servers.reap(follower)
    since_s = time.monotonic()
    servers.spawn(follower)
    address = servers.address(follower)
    wait_until(lambda: mode_of(address) == "follower", "a node is back", RESTART_S)
    return time.monotonic() - since_s


def nodes(bench: Bench, points: tuple[int, ...]) -> list[Point]:
    """The same work on more nodes, all on the same processors."""
    found = []
    for count in points:
        bench.note(f"{count} nodes")
        with bench.nodes(count) as servers:
            work = _gets_and_sets(bench, servers, "-c", "64", "-k", str(KEYS))
            found.append({"x": count, **work})
    return found


GETS_AND_SETS: Final = (("set_cpu_us", "set"), ("get_cpu_us", "get"))

CURVES: Final = (
    Curve("connections", "Connections", "connections, one request in flight on each",
          (1, 4, 16, 64, 256, 1_000, 4_000), (1, 64, 1_000), connections, GETS_AND_SETS),
    Curve("value-size", "Value size", "bytes of a value",
          (10, 100, 1_000, 10_000, 100_000, 900_000), (100, 10_000, 900_000), value_size,
          GETS_AND_SETS),
    Curve("tree-size", "Tree size", "nodes in the tree",
          (1_000, 10_000, 100_000, 1_000_000), (1_000, 20_000), tree_size, GETS_AND_SETS),
    Curve("children", "Children of one directory", "children",
          (100, 1_000, 10_000, 100_000), (100, 10_000), children,
          (("create_cpu_us", "create"), ("set_cpu_us", "set"))),
    Curve("watches", "Watches of other nodes", "one-shot watches",
          (100, 1_000, 10_000, 100_000), (100, 10_000), watches, (("set_cpu_us", "set"),)),
    Curve("log-length", "Log length", "writes since the cluster was founded",
          (10_000, 100_000, 300_000, 1_000_000), (10_000, 50_000), log_length,
          (("set_cpu_us", "set"),)),
    Curve("nodes", "Nodes of the cluster", "nodes", (1, 3, 5), (1, 3), nodes, GETS_AND_SETS),
)  # fmt: skip
