"""A leader whose disk hangs is succeeded in time: in virtual time, where no busy machine can add to
it. ``tests/disk_errors`` does the same to real processes, without a clock."""

from __future__ import annotations

from typing import Final

import pytest

from coord.sim import US_PER_S
from tests.sim.cluster import Cluster
from tests.sim.history import Outcome
from tests.sim.plan import Plan
from tests.sim.tuned import in_force

USUAL_US: Final = 2 * US_PER_S
SUCCEEDED_WITHIN_US: Final = 3 * US_PER_S
"""The promise: 2 s until it steps down, and an election."""
STUCK_US: Final = 60 * US_PER_S


def _is_succeeded(cluster: Cluster, term: int) -> bool:
    """A client has been told of a write that a later leader put into the log."""
    later = next((entry.index for entry in cluster.history.log if entry.term > term), None)
    return later is not None and any(
        op.is_write and op.outcome is Outcome.OK and op.revision > later
        for op in cluster.history.ops
    )


@pytest.mark.simulation
@pytest.mark.parametrize("seed", range(6))
def test_a_leader_whose_disk_is_stuck_is_succeeded_within_three_seconds(seed: int) -> None:
    """Another leader acknowledges writes."""
    plan = Plan(seed, clients=3, library_every=seed % 2, programs=("register",), think_ms=50)
    cluster = Cluster(plan)
    with in_force(plan):
        cluster.prepare()
        cluster.add_clients()
        kernel = cluster.kernel
        kernel.run_until(kernel.now_us + USUAL_US)
        leader = next(member for member in cluster.running() if member.leads)
        assert leader.writer is not None
        term = cluster.history.log[-1].term

        leader.writer.stalled_until_us = kernel.now_us + STUCK_US

        deadline_us = kernel.now_us + SUCCEEDED_WITHIN_US
        assert kernel.run_while(lambda: not _is_succeeded(cluster, term), deadline_us)
