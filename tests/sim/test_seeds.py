"""Whole clusters from seeds: every invariant after every event, every checker at the end.

A failure prints the command that replays it. A seed that once failed goes to ``regressions/``: what
it found, and the whole plans that found it. Those run first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.sim.drawing import draw
from tests.sim.plan import FAULTS, Plan, from_dict
from tests.sim.run import run_plan

SEEDS: Final = range(1, 201)
SEEDS_PER_TEST: Final = 5
REGRESSIONS: Final = sorted((Path(__file__).parent / "regressions").glob("*.json"))
TWICE: Final = (3, 5, 8, 12)
ROOT: Final = Path(__file__).resolve().parents[2]


def _hold(plans: Iterable[Plan]) -> None:
    failed = [result for result in map(run_plan, plans) if result.problems]

    assert not failed, "\n\n".join(result.report() for result in failed)


@pytest.mark.simulation
@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_a_plan_that_once_failed_holds(path: Path) -> None:
    """What a regression file's plans found stays fixed."""
    found = json.loads(path.read_text(encoding="utf-8"))

    _hold(from_dict(plan) for plan in found["plans"])


@pytest.mark.simulation
@pytest.mark.parametrize("first", SEEDS[::SEEDS_PER_TEST])
def test_clusters_hold(first: int) -> None:
    """Under the faults of each seed's plan everything promised holds, and the cluster recovers."""
    _hold(draw(seed) for seed in range(first, first + SEEDS_PER_TEST))


def test_each_fault_is_in_a_fifth_of_the_seeds() -> None:
    """No kind of fault is left to chance: swarm selection reaches each often enough."""
    plans = [draw(seed) for seed in SEEDS]

    for fault in FAULTS:
        assert (
            sum(any(it.kind == fault for it in plan.faults) for plan in plans) >= len(SEEDS) // 5
        ), fault


@pytest.mark.simulation
def test_a_run_is_a_function_of_its_seed() -> None:
    """Equal trace hashes in separate processes with different hash seeds."""
    program = (
        "from tests.sim.run import run_seed\n"
        f"print(*(run_seed(seed).trace_hash for seed in {TWICE}))"
    )

    def hashes(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join([".", "client"]),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    first, second = hashes("1"), hashes("2")

    assert first == second
    assert len(set(first.split())) == len(TWICE)
