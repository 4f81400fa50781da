"""Kinds of runs. Most mutants are looked for in any run, as the simulator draws them; what needs a
rare coincidence has a focus: fewer kinds of fault, more of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from coord.sim import Streams
from tests.sim.drawing import draw, draw_faults
from tests.sim.plan import Plan


@dataclass(frozen=True, slots=True)
class Focus:
    """Faults of these ``kinds``, ``calm_ms`` apart in the mean; fields of the plan and its knobs
    that are set instead of drawn."""

    kinds: tuple[str, ...]
    calm_ms: int = 200
    length_ms: int = 1_500
    plan: dict[str, Any] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)


FOCUSES: Final[dict[str, Focus]] = {
    "crashes": Focus(("kill", "kill-all", "power", "power-all")),
    "partitions": Focus(("isolate", "one-way", "halves", "partial", "flap")),
    "snapshots": Focus(
        ("kill", "isolate", "pause", "wipe"),
        plan={"snapshot_ms": 120},
        knobs={"log_entries_kept": 1, "snapshot_chunk_bytes": 1_000},
    ),
    "members": Focus(
        ("add", "promote", "remove", "replace", "wipe", "isolate", "kill"), plan={"spares": 2}
    ),
    "disks": Focus(("stall", "disk-error", "disk-full", "tree-error", "kill")),
    "elections": Focus(("kill", "isolate", "one-way", "transfer", "lossy"), length_ms=400),
    "pauses": Focus(("pause", "kill", "isolate"), length_ms=3_000),
    "sessions": Focus(
        ("clients", "vanish", "transfer", "isolate", "kill"),
        calm_ms=1_200,
        plan={"session_timeout_ms": 1_000, "fault_ms": 10_000},
    ),
    "upgrade": Focus(("upgrade", "kill", "wipe", "restart")),
}


def draw_in(focus: str, seed: int) -> Plan:
    """The plan of a seed, within a focus ("": any run)."""
    plan = draw(seed)
    if not focus:
        return plan
    chosen = FOCUSES[focus]
    stream = Streams(seed).get("focus")
    faults = draw_faults(
        stream, chosen.kinds, plan.fault_ms, calm_ms=chosen.calm_ms, length_ms=chosen.length_ms
    )
    knobs = replace(plan.knobs, **chosen.knobs)
    return replace(plan, faults=faults, knobs=knobs, **chosen.plan)
