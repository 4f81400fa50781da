"""What few of the drawn plans have: each in a small plan of its own that must come by it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.sim import keeping
from tests.sim.plan import Fault, Knobs, Plan
from tests.sim.run import run_plan

SMALL: Final[dict[str, Any]] = {
    "clients": 4,
    "depth": 1,
    "think_ms": 150,
    "operations_min": 60,
    "session_timeout_ms": 2_000,
    "patience_ms": 600,
    "fault_ms": 5_000,
}
CUT_OFF_MS: Final = 4_500
"""Long enough for a node to give its quorum up, and for clients to find it so."""
PLANS: Final[dict[str, dict[str, Any]]] = {
    "read without a quorum": {
        "seed": 1,
        "programs": ("reader", "reader", "register", "ephemerals"),
        "read_only": True,
        "fault_ms": 9_000,
        "faults": (
            Fault(500, "isolate", length_ms=CUT_OFF_MS, pick=0),
            Fault(2_000, "kill"),
            Fault(4_800, "isolate", "leader", length_ms=CUT_OFF_MS, pick=1),
        ),
    },
    "membership published": {
        "seed": 2,
        "programs": ("directory", "watcher", "directory", "register"),
        "addresses": True,
        "spares": 1,
        "zookeeper_every": 2,
        "faults": (
            Fault(300, "add"),
            Fault(1_500, "promote"),
            Fault(2_500, "remove", "follower"),
            Fault(3_500, "add"),
        ),
    },
    "watch taken back": {
        "seed": 3,
        "programs": ("asker", "asker", "tree", "ephemerals"),
        "faults": (Fault(1_000, "clients"), Fault(2_500, "kill"), Fault(3_300, "clients")),
    },
    "quota refused": {
        "seed": 4,
        "programs": ("limited", "limited", "tree", "watcher"),
        "snapshot_ms": 500,
        "knobs": Knobs(behind_changes=1, fold_entries=64, sample_entries=64),
        "faults": (
            Fault(500, "count"),
            Fault(1_000, "kill-all"),
            Fault(2_300, "count"),
            Fault(2_500, "isolate", "leader"),
            Fault(4_000, "count"),
        ),
    },
    "tree not trusted": {
        "seed": 5,
        "programs": ("limited", "sequence", "tree", "watcher"),
        "boot_ids": False,
        "snapshot_ms": 300,
        "knobs": Knobs(log_entries_kept=1),
        "fault_ms": 6_000,
        "faults": (
            *(Fault(500 + 700 * n, "tree-lost", length_ms=300, pick=7 * n) for n in range(7)),
            Fault(4_000, "power-all"),
        ),
    },
}
"""By the situation that each is about."""


@pytest.mark.simulation
@pytest.mark.parametrize("situation", list(PLANS))
def test_a_plan_about_one_thing_comes_by_it_and_holds(situation: str) -> None:
    """All invariants and checkers, and the thing itself."""
    result = run_plan(Plan(**{**SMALL, **PLANS[situation]}))

    assert not result.problems, keeping.report(result)
    assert result.reached[situation]
