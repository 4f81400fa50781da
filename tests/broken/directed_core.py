"""Kinds of runs that lead the core and the log into one situation, which hardly any drawn plan
meets."""

from __future__ import annotations

from typing import Any, Final

from tests.broken.steps import BRISK, LAZY_DISK, SLOW_DISK, Focus, Step

_SNAPSHOTS: Final[dict[str, Any]] = {"snapshot_ms": 120}
_SHORT_LOGS: Final[dict[str, Any]] = {"log_entries_kept": 1}

_CONSENSUS: Final = {
    "joint-elections": Focus(
        scripts=(
            (
                Step("replace"),
                Step("halves", (300, 900), (2_500, 3_500), phase="joint"),
            ),
            (
                Step("replace"),
                Step("partial", (300, 900), (2_500, 3_500), phase="joint"),
                Step("kill", (100, 700), (2_000, 3_000), who="leader"),
            ),
        ),
        calm_ms=3_000,
        is_plain=True,
        plan={**BRISK, "nodes": 3, "spares": 2, "fault_ms": 14_000, "disk": LAZY_DISK},
    ),
    "slow-votes": Focus(
        scripts=(
            (
                Step("stall", length_ms=(900, 1_900), who="follower"),
                Step("kill", (0, 250), (2_500, 3_500), who="leader"),
            ),
        ),
        calm_ms=2_500,
        is_plain=True,
        plan={"nodes": 3, "fault_ms": 12_000, "disk": LAZY_DISK},
    ),
    "lagging-candidates": Focus(
        scripts=(
            (
                Step("clog", length_ms=(3_000, 4_000), who="leader"),
                Step("isolate", (500, 1_200), (1_800, 2_600), who="leader"),
            ),
        ),
        calm_ms=2_000,
        is_plain=True,
        plan={**BRISK, "nodes": 3, "fault_ms": 10_000},
    ),
    "third-leaders": Focus(
        scripts=(
            (
                Step("strand", length_ms=(2_000, 3_000)),
                Step("isolate", (2_000, 2_900), (500, 900), who="leader"),
            ),
        ),
        calm_ms=3_000,
        is_plain=True,
        plan={**BRISK, "nodes": 5, "depth": 10, "patience_ms": 400, "fault_ms": 12_000},
    ),
    "stalled-divergence": Focus(
        scripts=(
            (
                Step("stall", length_ms=(2_500, 4_500), who="leader"),
                Step("diverge", (5, 40), (1_200, 1_900)),
            ),
        ),
        calm_ms=2_500,
        is_plain=True,
        plan={**BRISK, "nodes": 3, "fault_ms": 10_000},
    ),
    "late-confirmations": Focus(
        scripts=(
            (
                Step("clog", length_ms=(700, 950), who="follower"),
                Step("clog", length_ms=(1_000, 1_400), who="follower"),
                Step("one-way", (150, 350), (1_500, 2_000), who="leader"),
            ),
        ),
        calm_ms=1_500,
        is_plain=True,
        plan={"nodes": 3, "fault_ms": 15_000},
    ),
    "young-leaders": Focus(
        scripts=(
            (
                Step("transfer"),
                Step("add", (100, 500)),
                Step("remove", (0, 200)),
                Step("replace", (0, 200)),
                Step("add", (0, 200)),
            ),
        ),
        calm_ms=1_500,
        is_plain=True,
        plan={"nodes": 3, "spares": 2, "fault_ms": 12_000, "disk": SLOW_DISK},
    ),
    "changes-in-vain": Focus(
        scripts=(
            (
                Step("isolate", length_ms=(1_800, 2_600), who="leader"),
                *(Step("remove", (10, 60), who="follower") for _ in range(5)),
            ),
        ),
        calm_ms=3_000,
        is_plain=True,
        plan={"nodes": 3, "spares": 1, "depth": 1, "think_ms": 4_000, "fault_ms": 12_000},
    ),
    "leaders-demoted": Focus(
        scripts=((Step("demote"), Step("promote", (1_000, 1_500))),),
        calm_ms=1_000,
        is_plain=True,
        plan={"nodes": 3, "fault_ms": 6_000},
    ),
    "deaf-followers": Focus(
        scripts=((Step("one-way", length_ms=(1_500, 2_500), who="follower"),),),
        calm_ms=1_500,
        is_plain=True,
        plan={"nodes": 3, "depth": 1, "think_ms": 4_000, "fault_ms": 12_000},
    ),
}

_LOGS: Final = {
    "stranded": Focus(
        scripts=((Step("strand", length_ms=(200, 1_000)),),),
        calm_ms=5_000,
        is_plain=True,
        plan={
            **_SNAPSHOTS,
            "nodes": 3,
            "clients": 6,
            "depth": 30,
            "think_ms": 600,
            "patience_ms": 400,
            "programs": ("register", "sequence"),
            "fault_ms": 5_500,
        },
        knobs=_SHORT_LOGS,
    ),
    "cut-back": Focus(
        scripts=(
            (
                Step("diverge", length_ms=(1_300, 1_900)),
                Step("kill-all", (2_000, 2_800), (200, 400)),
            ),
        ),
        calm_ms=2_000,
        is_plain=True,
        plan={**BRISK, "nodes": 3, "depth": 10, "fault_ms": 10_000},
    ),
    "cut-within-a-run": Focus(
        scripts=(
            (
                Step("diverge", length_ms=(1_300, 1_900)),
                Step("kill-all", (2_000, 2_800), (200, 400)),
            ),
        ),
        calm_ms=2_000,
        is_plain=True,
        plan={**BRISK, "nodes": 3, "depth": 10, "fault_ms": 10_000, "disk": LAZY_DISK},
        knobs={"max_slice_bytes": 1, "cache_bytes": 0, "max_inflight": 1},
    ),
    "changed-meanwhile": Focus(
        scripts=(
            (
                Step("isolate", length_ms=(2_500, 3_500), who="follower"),
                Step("add", (200, 600)),
                Step("add", (100, 400)),
                Step("remove", (100, 600), who="learner"),
            ),
        ),
        calm_ms=3_000,
        is_plain=True,
        plan={**BRISK, **_SNAPSHOTS, "nodes": 3, "spares": 2, "fault_ms": 10_000},
        knobs=_SHORT_LOGS,
    ),
    "installs": Focus(
        scripts=(
            (
                Step("isolate", length_ms=(1_500, 1_501), who="n3"),
                Step("break", (1_400, 1_450), who="n3"),
                *(Step("break", who="n3") for _ in range(3)),
            ),
        ),
        calm_ms=2_200,
        is_plain=True,
        plan={
            **BRISK,
            **_SNAPSHOTS,
            "nodes": 3,
            "patience_ms": 3_000,
            "session_timeout_ms": 8_000,
            "programs": ("register", "watcher", "tree", "watcher", "ephemerals", "register"),
            "fault_ms": 8_000,
        },
        knobs=_SHORT_LOGS,
    ),
    "unfinished-installs": Focus(
        scripts=(
            (
                Step("isolate", length_ms=(900, 1_100), who="n3"),
                Step("stall", (850, 1_150), (1_500, 2_000), who="n3"),
                Step("kill", (150, 900), (100, 300), who="n3"),
                Step("isolate", length_ms=(900, 1_500), who="n3"),
            ),
        ),
        calm_ms=1_500,
        is_plain=True,
        plan={**BRISK, **_SNAPSHOTS, "nodes": 3, "fault_ms": 12_000},
        knobs=_SHORT_LOGS,
    ),
    "failing-trees": Focus(
        scripts=((Step("tree-error", length_ms=(200, 900)),),),
        calm_ms=1_000,
        is_plain=True,
        plan={**BRISK, "nodes": 3, "fault_ms": 6_000},
        knobs={"behind_changes": 1},
    ),
    "late-trees": Focus(
        scripts=(
            (
                Step("tree-error", length_ms=(300, 500), who="n2"),
                Step("isolate", (50, 250), (900, 1_800), who="n2"),
            ),
        ),
        calm_ms=2_500,
        is_plain=True,
        plan={**BRISK, **_SNAPSHOTS, "nodes": 3, "fault_ms": 14_000},
        knobs={**_SHORT_LOGS, "behind_changes": 1},
    ),
}

FOCUSES: Final[dict[str, Focus]] = {**_CONSENSUS, **_LOGS}
