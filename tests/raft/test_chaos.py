"""Whole clusters of cores under faults: every invariant after every event, recovery at the end.

``python -m tests.raft.test_chaos FIRST LAST [SIZE] [membership]`` runs further seeds.
"""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coord.raft.invariants import InvariantViolation
from tests.raft.chaos import KNOBS, Chaos
from tests.raft.harness import SECOND

ACTIONS = [
    "crash",
    "restart",
    "partition",
    "usurp",
    "mend",
    "pause",
    "resume",
    "snapshot",
    "save",
    "transfer",
    "stick",
    "change",
    "wipe",
]


@pytest.mark.simulation
@pytest.mark.parametrize("membership", [False, True], ids=["fixed", "changing"])
@pytest.mark.parametrize("size", [3, 5])
def test_invariants_hold_under_faults(size: int, *, membership: bool) -> None:
    """Crashes, restarts, partitions, pauses, slow disks, lost, late and repeated messages,
    snapshots, transfers and membership changes break no invariant, and all recover from them."""
    written = served = 0
    for seed in range(12 if size == 3 else 6):
        chaos = Chaos(seed, size, membership=membership)
        chaos.run(4 * SECOND)
        written += chaos.written
        served += chaos.cluster.served

    assert written > 1_000
    assert served > 300


@pytest.mark.simulation
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**64),
    size=st.sampled_from([3, 5]),
    actions=st.sets(st.sampled_from(ACTIONS)),
    knobs=st.fixed_dictionaries({name: st.sampled_from(KNOBS[name]) for name in KNOBS}),
    drop=st.sampled_from([0.0, 0.05, 0.3]),
    repeat=st.sampled_from([0.0, 0.2]),
    straggle=st.sampled_from([0.0, 0.1, 0.4]),
)
def test_any_schedule_is_safe(
    seed: int,
    size: int,
    actions: set[str],
    knobs: dict[str, int],
    drop: float,
    repeat: float,
    straggle: float,
) -> None:
    """Hypothesis chooses faults, rates and limits; noise comes from the seed."""
    chaos = Chaos(seed, size, membership=True, **knobs)
    chaos.choose(actions)
    chaos.faults.drop, chaos.faults.repeat, chaos.faults.straggle = drop, repeat, straggle

    chaos.run(2 * SECOND)


@pytest.mark.simulation
def test_a_seed_repeats_its_run() -> None:
    """Same seed, same trace, event for event: a failure can be replayed."""
    traces = []
    for _ in range(2):
        chaos = Chaos(7, 3, membership=True)
        chaos.cluster.lines = []
        chaos.run(2 * SECOND)
        traces.append(chaos.cluster.lines)

    assert len(traces[0]) > 500
    assert traces[0] == traces[1]


def main() -> None:
    """Run a range of seeds and name those that fail."""
    first, last, *rest = sys.argv[1:]
    size = int(rest[0]) if rest else 3
    for seed in range(int(first), int(last)):
        try:
            Chaos(seed, size, membership="membership" in rest).run()
        except InvariantViolation as violation:
            sys.stdout.write(f"seed {seed}: {violation}\n")


if __name__ == "__main__":
    main()
