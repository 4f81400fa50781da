"""What a node does when its disk fails: it says so and ends, or refuses, or leaves; never lies."""

from __future__ import annotations

import pytest

from tests.disk_errors.cluster import FaultyCluster
from tests.disk_errors.faults import LOG, TREE

pytestmark = [pytest.mark.integration, pytest.mark.needs("gcc"), pytest.mark.timeout(900)]

STORAGE = 74


@pytest.mark.parametrize("role", ["leader", "follower"])
@pytest.mark.parametrize("mode", ["eio-sync", "enospc", "short"])
async def test_a_failed_commit_of_the_log_ends_the_process(
    cluster: FaultyCluster, mode: str, role: str
) -> None:
    """Nothing is acknowledged after it, the others go on, and the node comes back whole."""
    leader = await cluster.leader()
    struck = leader if role == "leader" else leader % 3 + 1
    cluster.switches[struck].on(mode, LOG)
    assert await cluster.exit_of(struck) == STORAGE
    assert "log/data.mdb: commit failed" in cluster.nodes[struck].log()
    await cluster.wait_for_writes(20)

    await cluster.back(struck)
    await cluster.wait_for_writes(20)
    await cluster.audit()


async def test_a_leader_whose_disk_is_stuck_is_succeeded(cluster: FaultyCluster) -> None:
    """Another leader acknowledges writes; the stuck node follows when its disk lets go, and has
    lost nothing. That three seconds are enough is shown in virtual time, to which no busy machine
    adds anything (``tests/sim/test_stuck_leader.py``)."""
    leader = await cluster.leader()
    cluster.switches[leader].on("stuck", LOG)
    await cluster.wait_for_writes(5)
    assert await cluster.leader(other_than=leader) != leader
    cluster.switches[leader].off()
    await cluster.wait_for_writes(20)
    await cluster.audit()


async def test_a_follower_whose_disk_is_stuck_holds_nobody_up(cluster: FaultyCluster) -> None:
    """The majority goes on without it."""
    struck = await cluster.leader() % 3 + 1
    cluster.switches[struck].on("stuck", LOG)
    await cluster.wait_for_writes(100)
    cluster.switches[struck].off()
    await cluster.audit()


@pytest.mark.parametrize("role", ["leader", "follower"])
async def test_a_slow_disk_slows_and_breaks_nothing(cluster: FaultyCluster, role: str) -> None:
    """A tenth of a second for each sync: writes go on, with the same leader."""
    leader = await cluster.leader()
    struck = leader if role == "leader" else leader % 3 + 1
    cluster.switches[struck].on("slow", LOG, 100)
    await cluster.wait_for_writes(20)
    assert await cluster.leader() == leader
    cluster.switches[struck].off()
    await cluster.audit()


async def test_a_leader_that_cannot_write_its_tree_hands_over(cluster: FaultyCluster) -> None:
    """A local failure is no result: it applies nothing, tries again, leaves the lead to others,
    and goes on when the disk does."""
    leader = await cluster.leader()
    cluster.switches[leader].on("eio-write", TREE)
    await cluster.leader(other_than=leader)
    await cluster.wait_for_writes(20)
    cluster.switches[leader].off()
    await cluster.wait_for_writes(20)
    await cluster.audit()
