"""Kinds of runs that lead sessions, watches and clients into one situation, which hardly any drawn
plan meets."""

from __future__ import annotations

from typing import Any, Final

from coord.sim import Conditions
from tests.broken.steps import BRISK, LAZY_DISK, SLOW_DISK, Focus, Step

_OWN_WIRE: Final[dict[str, Any]] = {"library_every": 0, "zookeeper_every": 0}
_LIBRARY: Final[dict[str, Any]] = {"library_every": 1, "zookeeper_every": 0}

_SESSIONS: Final = {
    "gaps": Focus(
        ("break",),
        calm_ms=1_500,
        is_plain=True,
        plan={
            **BRISK,
            **_OWN_WIRE,
            "depth": 5,
            "programs": ("register", "sequence", "tree"),
            "weather": Conditions(drop_ppm=60_000),
            "fault_ms": 5_000,
        },
    ),
    "moved": Focus(
        ("clog",),
        calm_ms=200,
        length_ms=1_200,
        who="follower",
        is_plain=True,
        plan={
            **BRISK,
            "patience_ms": 250,
            "programs": ("register", "sequence", "tree"),
            "weather": Conditions(delay_us_min=5_000, delay_us_max=40_000),
            "fault_ms": 6_000,
        },
    ),
    "returns": Focus(
        scripts=((Step("absent", length_ms=(2_500, 3_600)),),),
        calm_ms=300,
        is_plain=True,
        plan={
            "clients": 6,
            "think_ms": 400,
            "patience_ms": 300,
            "session_timeout_ms": 1_000,
            "programs": ("register", "ephemerals"),
            "fault_ms": 12_000,
            "disk": SLOW_DISK,
        },
    ),
    "late-pings": Focus(
        scripts=((Step("absent", length_ms=(2_500, 3_500)),),),
        calm_ms=300,
        is_plain=True,
        plan={
            **_OWN_WIRE,
            "clients": 6,
            "think_ms": 400,
            "patience_ms": 8_000,
            "session_timeout_ms": 1_000,
            "programs": ("register", "ephemerals"),
            "fault_ms": 12_000,
            "disk": SLOW_DISK,
        },
    ),
    "lonely-leaders": Focus(
        scripts=((Step("isolate", length_ms=(3_500, 4_500), who="leader"),),),
        calm_ms=3_000,
        is_plain=True,
        plan={
            **_OWN_WIRE,
            "nodes": 3,
            "clients": 6,
            "think_ms": 600,
            "patience_ms": 3_000,
            "session_timeout_ms": 1_000,
            "programs": ("register", "ephemerals"),
            "fault_ms": 14_000,
        },
    ),
    "pipelines": Focus(
        ("break",),
        calm_ms=2_000,
        is_plain=True,
        plan={
            **_OWN_WIRE,
            "clients": 6,
            "depth": 8,
            "think_ms": 250,
            "programs": ("register", "tree"),
            "fault_ms": 4_000,
        },
    ),
    "fates": Focus(
        scripts=((Step("fates"), Step("fates", (0, 300))),),
        calm_ms=300,
        is_plain=True,
        plan={
            **BRISK,
            "zookeeper_every": 0,
            "programs": ("register", "ephemerals", "ephemerals"),
            "fault_ms": 5_000,
        },
    ),
    "half-upgrades": Focus(
        scripts=(
            (
                Step("isolate", length_ms=(5_000, 7_000), who="n3"),
                Step("upgrade", (100, 400), who="n1"),
                Step("upgrade", (1_500, 2_500), who="n2"),
            ),
        ),
        calm_ms=4_000,
        is_plain=True,
        plan={"nodes": 3, "fault_ms": 9_000},
    ),
}

_CLIENTS: Final = {
    "one-shots": Focus(
        ("clients", "break", "kill"),
        calm_ms=400,
        length_ms=600,
        is_plain=True,
        plan={
            **BRISK,
            "library_every": 0,
            "zookeeper_every": 1,
            "programs": ("register", "tree", "register", "ephemerals"),
            "fault_ms": 5_000,
        },
    ),
    "transactions": Focus(
        ("break",),
        calm_ms=1_500,
        is_plain=True,
        plan={
            **BRISK,
            "programs": ("transactions", "watcher"),
            "fault_ms": 5_000,
        },
    ),
    "resumes": Focus(
        ("clients", "break", "isolate"),
        calm_ms=300,
        length_ms=800,
        is_plain=True,
        plan={
            **BRISK,
            "programs": ("watcher", "sequence", "watcher", "tree"),
            "fault_ms": 5_000,
        },
    ),
    "forgotten-pasts": Focus(
        scripts=((Step("absent", length_ms=(1_000, 2_500)),),),
        calm_ms=200,
        is_plain=True,
        plan={
            **BRISK,
            "think_ms": 60,
            "session_timeout_ms": 8_000,
            "programs": ("watcher", "sequence", "watcher", "register"),
            "fault_ms": 6_000,
        },
        knobs={"history_entries": 20, "fold_entries": 64, "sample_entries": 64},
    ),
    "mutes": Focus(
        scripts=((Step("mute", length_ms=(4_500, 6_000)),),),
        calm_ms=1_200,
        is_plain=True,
        plan={
            **BRISK,
            **_LIBRARY,
            "session_timeout_ms": 1_000,
            "patience_ms": 600,
            "programs": ("register", "sequence", "register", "counter"),
            "fault_ms": 12_000,
        },
        knobs={"results_after_end_ms": 100, "fold_entries": 64, "sample_entries": 64},
    ),
    "deadlines": Focus(
        ("break",),
        calm_ms=2_000,
        is_plain=True,
        plan={
            **BRISK,
            **_LIBRARY,
            "programs": ("register", "sequence"),
            "disk": LAZY_DISK,
            "fault_ms": 5_000,
        },
    ),
    "refusals": Focus(
        ("break",),
        calm_ms=2_000,
        is_plain=True,
        plan={
            **_LIBRARY,
            "clients": 6,
            "depth": 6,
            "think_ms": 200,
            "programs": ("register", "sequence"),
            "disk": LAZY_DISK,
            "fault_ms": 5_000,
        },
        knobs={"node_writes_in_flight": 2},
    ),
    "lost-answers": Focus(
        ("clients",),
        calm_ms=150,
        length_ms=500,
        is_plain=True,
        plan={
            **BRISK,
            **_LIBRARY,
            "depth": 5,
            "programs": ("register", "sequence"),
            "weather": Conditions(break_ppm=4_000),
            "fault_ms": 5_000,
        },
    ),
    "deaf-nodes": Focus(
        scripts=((Step("isolate", length_ms=(4_500, 6_000)),),),
        calm_ms=3_000,
        is_plain=True,
        plan={
            **_LIBRARY,
            "nodes": 3,
            "clients": 6,
            "think_ms": 300,
            "patience_ms": 300,
            "session_timeout_ms": 2_000,
            "programs": ("register", "watcher", "holder"),
            "fault_ms": 14_000,
        },
    ),
    "contended": Focus(
        ("break", "transfer"),
        calm_ms=1_500,
        is_plain=True,
        plan={
            "clients": 4,
            "think_ms": 120,
            "programs": ("holder",),
            "fault_ms": 10_000,
        },
    ),
}

FOCUSES: Final[dict[str, Focus]] = {**_SESSIONS, **_CLIENTS}
