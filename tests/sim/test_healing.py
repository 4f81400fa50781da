"""Which majority is healed first: one that can go on by itself, whatever was done to the others."""

from __future__ import annotations

import pytest

from coord.raft.invariants import InvariantViolation
from tests.sim.cluster import Cluster
from tests.sim.healing import Settled, banish, choose_core
from tests.sim.plan import Plan


def _cluster(nodes: int, core: int) -> Cluster:
    cluster = Cluster(Plan(1, nodes=nodes, core=core, clients=0))
    cluster.prepare()
    cluster.kernel.run_until(cluster.kernel.now_us + 500_000)
    return cluster


def test_a_bare_majority_will_do() -> None:
    """All machines are as good as each other: no more than a majority is taken, not always the
    same."""
    cores = set()
    for number in range(8):
        cluster = _cluster(3, number)
        core = choose_core(cluster)
        assert len(core) == 2
        cores.add(tuple(core))

    assert len(cores) > 1


def test_a_lost_disk_does_not_count() -> None:
    """With one of three disks gone the other two are the only majority."""
    for number in range(6):
        cluster = _cluster(3, number)
        cluster.members[2].wipe()

        assert choose_core(cluster) in ([1, 3], [1, 2, 3])


def test_who_lacks_committed_entries_cannot_lead_the_core() -> None:
    """Two of three disks gone: no smaller set than all machines can promise anything."""
    cluster = _cluster(3, 0)
    cluster.members[1].wipe()
    cluster.members[2].wipe()

    assert choose_core(cluster) == [1, 2, 3]


def test_the_others_are_out_of_reach() -> None:
    """Down, or cut off from everybody in both directions."""
    cluster = _cluster(5, 3)
    core = choose_core(cluster)
    banish(cluster, core)

    for node in set(cluster.members) - set(core):
        name = f"n{node}"
        assert not cluster.members[node].process.alive or all(
            cluster.network.is_cut(name, f"n{one}") and cluster.network.is_cut(f"n{one}", name)
            for one in core
        )


def test_a_leader_deposed_in_peace_is_noticed() -> None:
    """The control of ``healthy-leaders-stay``: somebody wakes the leader as if it had slept."""
    cluster = _cluster(3, 0)
    settled = Settled(cluster)
    settled.check()
    for member in cluster.running():
        if member.node is not None:
            member.node.woke_after_stall(5_000)

    with pytest.raises(InvariantViolation, match="healthy-leaders-stay"):
        settled.check()
