"""What a run consists of: size, weather, knobs, clients, and the list of its faults.

A plan is plain data and goes to JSON and back, so that it can be drawn (in ``drawing`` from a
seed, elsewhere by Hypothesis), shrunk fault by fault, and kept in a file. ``nemesis`` acts on it. A
fault names whom it strikes by role (whoever leads *then*) and may wait for a phase (an election, a
transfer), so that it keeps its meaning when other faults are removed from the list.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from coord.raft import RaftConfig
from coord.sim import Conditions, DiskConditions

CLASSES: Final = {
    "process": ("kill", "kill-all", "power", "power-all", "pause", "wipe"),
    "network": (
        "isolate",
        "diverge",
        "one-way",
        "halves",
        "partial",
        "clog",
        "swizzle",
        "flap",
        "break",
        "lossy",
    ),
    "disk": ("stall", "disk-error", "disk-full", "tree-error"),
    "clock": ("clock-jump", "clock-rate"),
    "members": (
        "transfer",
        "snapshot",
        "add",
        "promote",
        "remove",
        "replace",
        "upgrade",
        "inspect",
    ),
    "clients": ("clients", "vanish"),
}
"""Kinds of fault by class; each kind is a method of ``nemesis``."""
FAULTS: Final = tuple(kind for kinds in CLASSES.values() for kind in kinds)
DIRECTED: Final = ("mute", "absent", "fates", "strand", "demote")
"""Kinds that are about one thing: they are not in the swarm of drawn plans, whose seeds keep their
meaning when one is added."""
MORE_FAULTS: Final = ("tree-lost", "count")
"""Kinds that ``drawing`` adds to some plans, for themselves."""
ROLES: Final = ("any", "leader", "follower", "learner")
"""Whom a fault strikes; ``n1``, ``n2``, … name one machine. Who is not there is anybody."""
PHASES: Final = ("", "uncommitted", "election", "snapshot", "joint", "transfer")
"""What a fault waits for, a second at most: entries that no majority has, a node that campaigns, a
snapshot on its way in, a joint configuration, a transfer of leadership."""
PROGRAMS: Final = (
    "register",
    "counter",
    "sequence",
    "tree",
    "ephemerals",
    "restricted",
    "watcher",
    "holder",
)
MORE_PROGRAMS: Final = ("limited", "directory", "reader", "asker")
"""Programs that ``drawing`` adds to some plans."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. ``pick`` decides whatever else there is to choose."""

    at_ms: int
    """From the start of the phase with faults."""
    kind: str
    who: str = "any"
    phase: str = ""
    length_ms: int = 500
    """Until it is undone; faults without a length have it for nothing."""
    pick: int = 0

    def __post_init__(self) -> None:
        if self.kind not in (*FAULTS, *DIRECTED, *MORE_FAULTS) or self.phase not in PHASES:
            raise ValueError(f"no such fault: {self}")


@dataclass(slots=True)
class Knobs:
    """Settings of the product, small here so that limits and their rare branches are met often.
    The names are those of RaftConfig, SnapshotPolicy and ApplyLimits; the last six are constants of
    the product (see ``tuned``)."""

    max_slice_bytes: int = 1 << 20
    max_inflight: int = 64
    max_inflight_bytes: int = 8 << 20
    max_uncommitted_bytes: int = 32 << 20
    max_apply_bytes: int = 4 << 20
    cache_bytes: int = 8 << 20
    snapshot_chunk_bytes: int = 1 << 20
    promotion_lag: int = 1_000
    log_bytes_min: int = 64 << 20
    """Take a snapshot when the log has grown by more (and by more than the tree)."""
    log_entries_kept: int = 100
    """How many entries behind a node may be and still catch up from the log."""
    history_entries: int = 100_000
    results_after_end_ms: int = 600_000
    """How long it is known what became of an ended session's writes."""
    fold_entries: int = 1_024
    """Session rows are written, and what is too old is dropped, at multiples of this index; a
    multiple of 64."""
    sample_entries: int = 4_096
    """Digests are sampled and compared at multiples; a multiple of ``fold_entries``."""
    behind_changes: int = 4_096
    """The tree is folded into its file after so many changed records."""
    apply_entries: int = 4_096
    part_bytes: int = 256 << 10
    """A part of a watched revision."""
    node_writes_in_flight: int = 20_000

    def of_raft(self) -> dict[str, Any]:
        """Those of RaftConfig."""
        own = {known.name for known in fields(RaftConfig)}
        return {name: value for name, value in asdict(self).items() if name in own}


@dataclass(slots=True)
class Plan:
    """One run. Times in milliseconds of virtual time."""

    seed: int
    """Of all noise: delays, losses, what clients do."""
    nodes: int = 3
    spares: int = 0
    """Machines that belong to no cluster at first and may be added."""
    clients: int = 5
    depth: int = 2
    """Requests a client keeps in flight."""
    library_every: int = 2
    """One client in so many is the client library's session machine; 0: none."""
    zookeeper_every: int = 0
    """One client in so many speaks ZooKeeper's wire; 0: none."""
    keys: int = 3
    programs: tuple[str, ...] = PROGRAMS
    faults: tuple[Fault, ...] = ()
    fault_ms: int = 6_000
    """Length of the phase with faults."""
    think_ms: int = 15
    """Longest pause of a client between requests."""
    operations_min: int = 0
    """The run goes on after its faults until so many operations were answered."""
    session_timeout_ms: int = 4_000
    patience_ms: int = 1_000
    """A client leaves a node that has not answered for so long."""
    drift_ppm: int = 0
    snapshot_ms: int = 0
    """Every node takes a snapshot as often as this during the faults; 0: none."""
    core: int = 0
    """Which majority is healed first: chosen by this number."""
    addresses: bool = False
    """Nodes have addresses with ports, which are published in the tree."""
    read_only: bool = False
    """Nodes without a quorum serve reads to ZooKeeper's clients that ask for it."""
    boot_ids: bool = True
    """Machines can tell one boot from the next."""
    knobs: Knobs = field(default_factory=Knobs)
    weather: Conditions = field(default_factory=Conditions)
    disk: DiskConditions = field(default_factory=DiskConditions)


def to_dict(plan: Plan) -> dict[str, Any]:
    """A plan as JSON has it."""
    return asdict(plan)


def from_dict(data: dict[str, Any]) -> Plan:
    """Inverse of ``to_dict``; what is missing has its default. Raises ValueError for anything that
    no plan has."""
    known = {
        **data,
        "programs": tuple(data.get("programs", PROGRAMS)),
        "faults": tuple(_made(Fault, fault) for fault in data.get("faults", ())),
        "knobs": _made(Knobs, data.get("knobs", {})),
        "weather": _made(Conditions, data.get("weather", {})),
        "disk": _made(DiskConditions, data.get("disk", {})),
    }
    made: Plan = _made(Plan, known)
    return made


def to_json(plan: Plan) -> str:
    """One line of JSON."""
    return json.dumps(to_dict(plan), sort_keys=True)


def from_json(text: str) -> Plan:
    """Inverse of ``to_json``. Raises ValueError."""
    return from_dict(json.loads(text))


def _made(kind: type[Any], data: dict[str, Any]) -> Any:
    unknown = set(data) - {known.name for known in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no {sorted(unknown)}")
    return kind(**data)
