"""Kinds of runs. Most mutants are looked for in any run, as the simulator draws them; what needs a
rare coincidence has a focus: fewer kinds of fault, more of each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from coord.sim import Conditions, DiskConditions, Streams
from tests.broken import directed_clients, directed_core
from tests.broken.steps import SLOW_DISK, Focus, draw_scripts
from tests.sim.drawing import draw_faults, draw_usual
from tests.sim.plan import Fault, Knobs, Plan

PLAIN: Final[dict[str, Any]] = {
    "knobs": Knobs(),
    "weather": Conditions(),
    "disk": DiskConditions(),
    "snapshot_ms": 0,
    "drift_ppm": 0,
}
"""A good day: whatever goes wrong is what the focus is about."""
_BUSY: Final = {"clients": 6, "depth": 3, "think_ms": 20}

FOCUSES: Final[dict[str, Focus]] = {
    "partitions": Focus(("isolate", "one-way", "halves", "partial", "flap")),
    "divergence": Focus(
        ("isolate", "halves"),
        calm_ms=1_300,
        length_ms=2_500,
        who="leader",
        plan={**_BUSY, "fault_ms": 9_000},
        knobs={"max_slice_bytes": 200, "log_entries_kept": 100},
    ),
    "divergence-snapshots": Focus(
        ("isolate", "halves", "kill"),
        calm_ms=1_300,
        length_ms=2_500,
        who="leader",
        plan={**_BUSY, "fault_ms": 9_000, "snapshot_ms": 120},
        knobs={"log_entries_kept": 1, "snapshot_chunk_bytes": 1_000},
    ),
    "noise": Focus(
        ("kill", "transfer", "isolate"),
        calm_ms=500,
        length_ms=600,
        plan={
            **_BUSY,
            "weather": Conditions(
                delay_us_max=40_000, drop_ppm=20_000, duplicate_ppm=150_000, reorder_ppm=150_000
            ),
        },
        knobs={"max_slice_bytes": 200},
    ),
    "members": Focus(
        ("add", "promote", "remove", "replace", "wipe", "isolate", "kill"), plan={"spares": 2}
    ),
    "disks": Focus(("stall", "disk-error", "disk-full", "tree-error", "kill")),
    "elections": Focus(("kill", "isolate", "one-way", "transfer", "lossy"), length_ms=400),
    "pauses": Focus(("pause",), calm_ms=700, length_ms=3_000, who="leader"),
    "sessions": Focus(
        ("clients", "vanish", "transfer", "isolate", "kill"),
        calm_ms=1_200,
        plan={"session_timeout_ms": 1_000, "fault_ms": 10_000},
    ),
    "holds": Focus(
        ("clients", "isolate", "kill", "break", "one-way"),
        calm_ms=700,
        length_ms=6_000,
        plan={
            "session_timeout_ms": 1_000,
            "fault_ms": 10_000,
            "programs": ("holder", "register"),
            "clients": 4,
        },
    ),
    "watches": Focus(
        ("clients", "kill", "isolate", "break", "transfer"),
        calm_ms=300,
        length_ms=1_000,
        plan={
            "fault_ms": 5_000,
            "programs": ("watcher", "sequence", "watcher", "tree", "ephemerals"),
            "clients": 6,
        },
        knobs={"history_entries": 20},
    ),
    "terms": Focus(("isolate", "kill", "transfer"), calm_ms=1_500, plan={"fault_ms": 6_000}),
    "changes": Focus(
        ("add", "remove", "replace", "promote", "transfer"),
        calm_ms=100,
        plan={"spares": 2, "fault_ms": 3_000, "disk": SLOW_DISK},
    ),
    "learners": Focus(
        ("add", "isolate"),
        calm_ms=600,
        length_ms=4_000,
        who="learner",
        plan={"spares": 2, "fault_ms": 5_000},
    ),
    "restarts": Focus(
        ("add", "replace", "kill", "kill-all"),
        calm_ms=250,
        plan={"spares": 2, "fault_ms": 5_000, "snapshot_ms": 0},
    ),
    "wipes": Focus(("wipe",), calm_ms=1_500, plan={"fault_ms": 5_000}),
    "stuck": Focus(
        ("stall",), calm_ms=1_000, length_ms=12_000, who="leader", plan={"fault_ms": 8_000}
    ),
    "full": Focus(("disk-full",), calm_ms=1_000, plan={"fault_ms": 4_000}),
    "late-snapshots": Focus(
        ("isolate",),
        calm_ms=500,
        length_ms=1_500,
        who="follower",
        plan={
            **_BUSY,
            "snapshot_ms": 120,
            "fault_ms": 5_000,
            "disk": DiskConditions(write_us_min=20_000, write_us_max=100_000),
            "weather": Conditions(delay_us_max=20_000, duplicate_ppm=200_000, reorder_ppm=200_000),
        },
        knobs={"log_entries_kept": 1, "snapshot_chunk_bytes": 1_000},
    ),
    "probes": Focus(
        ("one-way", "clog", "flap"),
        calm_ms=300,
        length_ms=800,
        who="follower",
        plan={**_BUSY, "fault_ms": 5_000, "programs": ("register", "counter", "sequence")},
        knobs={"max_slice_bytes": 1},
    ),
    "upgrade": Focus(("upgrade", "kill", "wipe")),
    **directed_core.FOCUSES,
    **directed_clients.FOCUSES,
}


def draw_in(focus: str, seed: int) -> Plan:
    """The plan of a seed, within a focus ("": any run)."""
    plan = draw_usual(seed)
    if not focus:
        return plan
    chosen = FOCUSES[focus]
    if chosen.is_plain:
        plan = replace(plan, **PLAIN)
    plan = replace(plan, knobs=replace(plan.knobs, **chosen.knobs), **chosen.plan)
    return replace(plan, faults=_faults(chosen, plan.fault_ms, Streams(seed)))


def _faults(chosen: Focus, fault_ms: int, streams: Streams) -> tuple[Fault, ...]:
    stream = streams.get("focus")
    if chosen.scripts:
        return draw_scripts(stream, chosen.scripts, fault_ms, chosen.calm_ms)
    faults = draw_faults(
        stream, chosen.kinds, fault_ms, calm_ms=chosen.calm_ms, length_ms=chosen.length_ms
    )
    if chosen.who:
        faults = tuple(replace(fault, who=chosen.who, phase="") for fault in faults)
    return faults
