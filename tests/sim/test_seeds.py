"""Whole clusters from usual seeds: every invariant after every event, every checker at the end.

A failure prints the command that replays it. A plan that once failed goes to ``regressions/``, with
what it found. Those run first.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Final

import pytest

from tests.sim import keeping
from tests.sim.drawing import draw_usual
from tests.sim.plan import FAULTS, Plan
from tests.sim.run import Result, run_plan

SEEDS: Final = range(1, 501)
SEEDS_PER_TEST: Final = 5
ACKNOWLEDGED_MIN: Final = 100
"""Operations that each run must bring to an end, whatever its faults: a run in which nothing
happens proves nothing."""
REGRESSIONS: Final = sorted({name for name, _ in keeping.corpus()})
TWICE: Final = "1-6"


def _hold(plans: Iterable[Plan]) -> list[Result]:
    results = [run_plan(plan) for plan in plans]
    failed = [result for result in results if result.problems]

    assert not failed, "\n\n".join(map(keeping.report, failed))
    return results


@pytest.mark.simulation
@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_plan_that_once_failed_holds(name: str) -> None:
    """What a regression file's plans found stays fixed."""
    _hold(keeping.load(keeping.REGRESSIONS / f"{name}.json"))


@pytest.mark.simulation
@pytest.mark.parametrize("first", SEEDS[::SEEDS_PER_TEST])
def test_clusters_hold(first: int) -> None:
    """Under the faults of each seed's plan everything promised holds, and the cluster recovers."""
    results = _hold(map(draw_usual, range(first, first + SEEDS_PER_TEST)))

    idle = {r.plan.seed: r.acknowledged for r in results if r.acknowledged < ACKNOWLEDGED_MIN}
    assert not idle, f"operations acknowledged, by seed: {idle}"


def test_each_fault_is_in_a_fifth_of_the_seeds() -> None:
    """No kind of fault is left to chance: swarm selection reaches each often enough."""
    plans = [draw_usual(seed) for seed in SEEDS]

    for kind in FAULTS:
        struck = sum(any(fault.kind == kind for fault in plan.faults) for plan in plans)
        assert struck >= len(SEEDS) // 5, kind


@pytest.mark.simulation
def test_a_run_is_a_function_of_its_seed() -> None:
    """Equal trace hashes in separate processes with different hash seeds."""
    command = [sys.executable, "-m", "tests.sim.determinism", "--seeds", TWICE, "--workers", "1"]

    done = subprocess.run(command, cwd=keeping.ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 different traces" in done.stdout
