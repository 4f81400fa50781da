"""What a run consists of, drawn from its seed: size, weather, faults, clients.

Swarm selection: each kind of fault is on in about half of the runs and off in the rest, so that
runs differ in kind and not only in order. Everything here is plain data; ``nemesis`` acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from coord.sim import Conditions, DiskConditions, Streams

FAULTS: Final = (
    "kill",
    "kill-all",
    "power",
    "power-all",
    "pause",
    "isolate",
    "one-way",
    "halves",
    "leader",
    "break",
    "stall",
    "clients",
    "vanish",
    "transfer",
    "wipe",
)
PROGRAMS: Final = ("register", "counter", "sequence", "tree", "ephemerals")


@dataclass(slots=True)
class Plan:
    """One run. Times in milliseconds of virtual time."""

    seed: int
    nodes: int = 3
    clients: int = 5
    depth: int = 2
    """Requests a client keeps in flight."""
    library_every: int = 2
    """One client in so many is the client library's session machine; 0: none."""
    keys: int = 3
    programs: tuple[str, ...] = PROGRAMS
    faults: tuple[str, ...] = ()
    fault_ms: int = 6_000
    """Length of the phase with faults."""
    calm_ms: int = 800
    """Mean time from one fault to the next."""
    fault_length_ms: int = 1_500
    """Longest time until a fault is undone."""
    think_ms: int = 15
    """Longest pause of a client between requests."""
    session_timeout_ms: int = 4_000
    patience_ms: int = 1_000
    """A client leaves a node that has not answered for so long."""
    drift_ppm: int = 0
    snapshot_ms: int = 0
    """Every node takes a snapshot as often as this during the faults; 0: none."""
    log_entries_kept: int = 100
    """How many entries behind a node may be and still catch up from the log."""
    drop_ppm: int = 0
    """Chance that a batch between nodes is dropped."""
    weather: Conditions = field(default_factory=Conditions)
    disk: DiskConditions = field(default_factory=DiskConditions)


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    stream = Streams(seed).get("plan")
    chance = stream.random
    plan = Plan(seed)
    plan.nodes = stream.choice((3, 3, 3, 5))
    plan.clients = stream.randrange(3, 7)
    plan.depth = stream.choice((1, 1, 2, 3))
    plan.library_every = stream.choice((0, 1, 2, 3))
    plan.keys = stream.randrange(1, 5)
    plan.faults = tuple(fault for fault in FAULTS if chance() < 0.5)
    plan.calm_ms = stream.choice((200, 500, 900))
    plan.fault_length_ms = stream.choice((400, 1_500, 3_000))
    plan.think_ms = stream.choice((20, 50, 120))
    plan.fault_ms = stream.choice((2_500, 4_500))
    plan.session_timeout_ms = stream.choice((1_000, 1_000, 2_000, 4_000))
    plan.patience_ms = stream.choice((200, 600, 2_000))
    plan.snapshot_ms = stream.choice((0, 0, 120, 400))
    plan.log_entries_kept = stream.choice((1, 10, 100))
    plan.drift_ppm = stream.choice((0, 0, 500))
    plan.drop_ppm = stream.choice((0, 0, 2_000, 20_000))
    plan.weather.delay_us_max = stream.choice((500, 2_000, 20_000, 60_000))
    plan.weather.break_ppm = stream.choice((0, 0, 500, 3_000))
    plan.disk.write_us_max = stream.choice((1_000, 4_000, 30_000))
    return plan
