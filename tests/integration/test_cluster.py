"""Three real nodes: founding, stopping, killing, freezing, wiping."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from coord.model.errors import MembershipError
from coord_client import Client, connect
from tests.integration.conftest import MakeCluster
from tests.integration.processes import Cluster, ServedNode

PATIENCE_S = 20.0
FREEZE_S = 1.0
"""Longer than any election timeout."""


def to(cluster: Cluster, *nodes: int) -> Client:
    """A client of some of the nodes (all unless told)."""
    chosen = [cluster[n] for n in nodes] if nodes else cluster.nodes.values()
    return connect(",".join(node.client for node in chosen), request_timeout_s=PATIENCE_S)


async def digests(cluster: Cluster) -> set[tuple[int, str]]:
    """(revision, digest) of every node."""
    found = set()
    for node in cluster.nodes.values():
        async with connect(node.client, session=False) as client:
            digest = await client.admin.digest()
            found.add((digest.revision, digest.digest))
    return found


async def same_state(cluster: Cluster) -> None:
    """Wait until all nodes stand at one revision; then they must hold the same."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        found = await digests(cluster)
        if len({revision for revision, _ in found}) == 1:
            assert len(found) == 1, f"nodes differ at one revision: {found}"
            return
        assert time.monotonic() < deadline_s, f"nodes do not come to one revision: {found}"


async def test_a_cluster_is_founded_serves_stops_and_comes_back(make_cluster: MakeCluster) -> None:
    """From three empty directories to data that is there after everybody has stopped cleanly."""
    cluster = make_cluster(3)
    cluster.start()
    async with to(cluster) as client:
        await client.create("/kept", b"before")
        await client.set("/kept", b"value")

    for node in cluster.nodes.values():
        node.signal(signal.SIGTERM)
    assert [node.wait_exit() for node in cluster.nodes.values()] == [0, 0, 0]

    cluster.start()
    async with to(cluster) as client:
        assert (await client.get("/kept")).data == b"value"
    assert all("stopped" in node.log() for node in cluster.nodes.values())


async def test_a_killed_leader_is_succeeded_and_comes_back(make_cluster: MakeCluster) -> None:
    """What was acknowledged is there; the killed node catches up and holds the same state."""
    cluster = make_cluster(3)
    leader = cluster.start()
    async with to(cluster) as client:
        await client.create("/before", b"1")
        cluster[leader].kill()
        await client.create("/after", b"2")
        assert (await client.get("/before")).data == b"1"

        cluster.start(leader)
        await client.set("/after", b"3")
    async with to(cluster, leader) as client:
        assert (await client.get("/after")).data == b"3"
        await client.sync("/")


async def test_a_stopping_leader_hands_over_within_five_seconds(make_cluster: MakeCluster) -> None:
    """SIGTERM: leadership moves, clients are sent away, the exit code is 0."""
    cluster = make_cluster(3)
    leader = cluster.start()
    async with to(cluster) as client:
        await client.create("/a", b"")
        started_s = time.monotonic()
        cluster[leader].signal(signal.SIGTERM)
        assert cluster[leader].wait_exit() == 0
        assert time.monotonic() - started_s < 5, "the promise of the manual"
        await client.set("/a", b"still writable")
        status = await client.admin.status()

    assert status["leader"] not in {0, leader}


async def test_a_frozen_leader_is_succeeded_and_follows_when_it_thaws(
    make_cluster: MakeCluster,
) -> None:
    """Its silence elects another; awake, it notices the gap and does not disturb."""
    cluster = make_cluster(3)
    leader = cluster.start()
    others = [n for n in cluster.nodes if n != leader]
    async with to(cluster, *others) as client:
        await client.create("/a", b"")
        cluster[leader].signal(signal.SIGSTOP)
        frozen_s = time.monotonic()
        while time.monotonic() < frozen_s + FREEZE_S:
            await client.set("/a", b"without it")
        term = (await client.admin.status())["term"]
        cluster[leader].signal(signal.SIGCONT)
        async with to(cluster, leader) as thawed:
            assert (await thawed.get("/a")).data == b"without it"
            status = await thawed.admin.status()

    assert status["stalls"] >= 1
    assert status["leader"] in others
    assert status["term"] == term


async def test_a_wiped_node_is_replaced_and_votes_again(make_cluster: MakeCluster) -> None:
    """It comes back under its id with an empty directory: its old incarnation is removed, the new
    one added, caught up and promoted; afterwards the cluster survives without another node."""
    cluster = make_cluster(3)
    leader = cluster.start()
    wiped, other = (n for n in cluster.nodes if n != leader)
    async with to(cluster, leader, other) as client:
        await client.create("/a", b"kept")
        cluster[wiped].kill()
        cluster[wiped].wipe()
        await client.set("/a", b"while away")
        cluster.start(wiped)
        await voters_are(client, {1, 2, 3})
        await client.set("/a", b"all there")

        cluster[other].kill()
        await client.set("/a", b"majority with the new one")
        async with to(cluster, wiped) as newcomer:
            assert (await newcomer.get("/a")).data == b"majority with the new one"


async def test_a_new_node_is_added_and_promoted(make_cluster: MakeCluster, tmp_path: Path) -> None:
    """It names members that run, introduces itself, and takes part once an operator says so."""
    cluster = make_cluster(3)
    cluster.start()
    newcomer = cluster.nodes[4] = ServedNode(4, tmp_path / "node-4")
    newcomer.start(cluster.initial)
    async with to(cluster, 1, 2, 3) as client:
        await client.create("/a", b"before it came")
        await changed(client, "add", 4)
        await client.set("/a", b"after it came")
        ready = await asyncio.to_thread(newcomer.wait_ready)
        assert ready["leader"] in {1, 2, 3}
        await changed(client, "promote", 4)
        await voters_are(client, {1, 2, 3, 4})
    async with to(cluster, 4) as client:
        assert (await client.get("/a")).data == b"after it came"


async def changed(client: Client, action: str, node: int) -> None:
    """Change the membership; the leader refuses until it has heard of the node, or as long as
    the node lags."""
    deadline_s = time.monotonic() + PATIENCE_S
    refusal = ""
    while time.monotonic() < deadline_s:
        try:
            await client.admin.change_member(action, node)
        except MembershipError as error:
            refusal = str(error)
            await client.sync("/")
        else:
            return
    pytest.fail(f"cannot {action} node {node}: {refusal}")


async def voters_are(client: Client, wanted: set[int]) -> None:
    """Wait until the membership is simple and has exactly these voters, none of them waiting."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        members = await client.admin.members()
        voters = {member["id"] for member in members.members if member["role"] == "voter"}
        if voters == wanted and not members.is_joint and not members.waiting:
            return
        assert time.monotonic() < deadline_s, f"the membership stays {members}"
        await client.sync("/")


async def test_all_nodes_killed_at_once_lose_nothing(make_cluster: MakeCluster) -> None:
    """Every acknowledged write is there, and every node has the same state."""
    cluster = make_cluster(3)
    cluster.start()
    async with to(cluster) as client:
        await client.create("/n", b"")
        for number in range(50):
            await client.create(f"/n/{number}", b"x" * number)
    for node in cluster.nodes.values():
        node.signal(signal.SIGKILL)
    for node in cluster.nodes.values():
        node.kill()

    cluster.start()
    async with to(cluster) as client:
        assert sorted(map(int, await client.children("/n"))) == list(range(50))
        for number in cluster.nodes:
            async with to(cluster, number) as each:
                await each.sync("/")
    await same_state(cluster)


@pytest.mark.parametrize("count", [1])
async def test_a_cluster_of_one_serves(make_cluster: MakeCluster, count: int) -> None:
    """It needs nobody else to be founded, and none to commit."""
    cluster = make_cluster(count)
    assert cluster.start() == 1
    async with to(cluster) as client:
        await client.create("/alone", b"yes")
        assert (await client.get("/alone")).data == b"yes"
