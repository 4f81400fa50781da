"""Exactly once through a thousand kills: no increment is lost, none is counted twice."""

from __future__ import annotations

from typing import Final

import pytest

from coord.sim import US_PER_S
from tests.sim import library, programs
from tests.sim.app_client import AppClient
from tests.sim.checkers import exactly_once, witness
from tests.sim.cluster import Cluster
from tests.sim.kills import POINTS, Killer
from tests.sim.plan import Knobs, Plan

KILLS: Final = 320
KILLS_PER_POINT_MIN: Final = 15
LIMIT_US: Final = 600 * US_PER_S


@pytest.mark.simulation
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_counter_is_exact_through_kills(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three clients add to one counter while nodes are killed between commit and apply, between
    apply and reply, in log writes, around snapshots and at start: it ends at exactly the number
    of increments that were made."""
    monkeypatch.setattr(library, "HASTY", 0.0)  # nobody gives up before the answer
    plan = Plan(seed, clients=4, depth=1, keys=1, think_ms=40, knobs=Knobs(log_entries_kept=20))
    plan.programs = ("counter", "counter", "counter", "sequence")
    plan.session_timeout_ms, plan.patience_ms = 60_000, 2_000
    cluster = Cluster(plan)
    cluster.prepare()
    cluster.add_clients()
    killer = Killer(cluster, KILLS)

    assert cluster.kernel.run_while(lambda: not killer.done, LIMIT_US), killer.fired
    cluster.heal()
    cluster.recover()

    added = [
        c.program.added
        for c in cluster.clients
        if not isinstance(c, AppClient) and isinstance(c.program, programs.Counter)
    ]
    assert cluster.final.counter == sum(added)
    assert min(added) > 0
    assert cluster.final.sequence is not None
    history = cluster.history
    assert exactly_once.check_sequence(history, programs.SEQUENCE, cluster.final.sequence) == []
    assert witness.check(history) == []
    assert all(killer.fired[point] >= KILLS_PER_POINT_MIN for point in POINTS), killer.fired
