"""One of three real nodes is damaged: it says what, its peers go on, and they heal it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from coord.store.suspicion import SUSPECT_FILE
from coord_client import connect
from tests.integration.busy_cluster import PATIENCE_S, BusyCluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("corruption-cluster"),
]

STORAGE = 74
PAGE = 4096


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[BusyCluster]:
    """Three busy nodes that read everything on their disks again once a second."""
    made = BusyCluster(tmp_path, "storage.scrub_interval_ms=1s")
    try:
        await made.start()
        yield made
    finally:
        await made.close()


def data_of(cluster: BusyCluster, number: int, part: str) -> Path:
    """The file of a node's log or tree."""
    (found,) = cluster.nodes[number].directory.glob(f"{part}/data.mdb")
    return found


def scribble(path: Path, page: int | None = None) -> None:
    """Somebody else's bytes in the records: of one page, or of every page behind the meta pages.
    What a page says of itself stays."""
    pages = range(2, path.stat().st_size // PAGE) if page is None else [page]
    with path.open("r+b") as file:
        for number in pages:
            file.seek(number * PAGE + PAGE - 256)
            file.write(b"\x5a" * 200)


async def repair(cluster: BusyCluster, number: int, *flags: str) -> tuple[int, dict[str, Any]]:
    """``coord repair`` on a node's directory; exit code and what it says."""
    others = ",".join(n.client for n in cluster.nodes.nodes.values() if n.id != number)
    command = ["repair", "--dir", str(cluster.nodes[number].directory), "--hosts", others, "--json"]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coord", *command, *flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    )
    said, errors = await child.communicate()
    code = child.returncode
    assert code is not None
    return code, json.loads(said or errors)


async def start_and_refuse(cluster: BusyCluster, number: int) -> str:
    """Start a node whose log is damaged; the end of what it says."""
    cluster.start_node(number)
    assert await cluster.exit_of(number) == STORAGE
    return "\n".join(cluster.nodes[number].log().splitlines()[-2:])


async def test_a_log_damaged_while_the_node_was_down(cluster: BusyCluster) -> None:
    """It does not start, today or tomorrow; the command that it names heals it."""
    struck = await cluster.leader() % 3 + 1
    cluster.nodes[struck].kill()
    scribble(data_of(cluster, struck, "log"))
    for _ in range(2):
        said = await start_and_refuse(cluster, struck)
        assert "log/data.mdb: " in said
        assert f"coord repair --dir {cluster.nodes[struck].directory} --hosts " in said

    code, found = await repair(cluster, struck, "--check")
    assert code == STORAGE
    assert "log/data.mdb" in found["lost_because"]
    assert found["quarantine"] is None
    code, found = await repair(cluster, struck)
    assert code == 0
    assert (Path(found["quarantine"]) / "log" / "data.mdb").exists()
    await cluster.back(struck)
    await cluster.audit()
    await voters(cluster, 3)


async def test_a_log_damaged_below_the_leader(cluster: BusyCluster) -> None:
    """The scrub, or whatever reads it first, ends the leader; another one goes on."""
    leader = await cluster.leader()
    scribble(data_of(cluster, leader, "log"))
    assert await cluster.exit_of(leader) == STORAGE
    await cluster.wait_for_writes(20)
    assert "log/data.mdb" in await start_and_refuse(cluster, leader)

    code, _ = await repair(cluster, leader)
    assert code == 0
    await cluster.back(leader)
    await cluster.audit()
    await voters(cluster, 3)


async def test_a_tree_damaged_below_a_node_is_built_anew(cluster: BusyCluster) -> None:
    """The node ends and says why; the next start needs nobody."""
    struck = await cluster.leader()
    scribble(data_of(cluster, struck, "tree-*"))
    assert await cluster.exit_of(struck) == STORAGE
    assert (cluster.nodes[struck].directory / SUSPECT_FILE).stat().st_size > 0
    await cluster.back(struck)
    assert "the tree was rebuilt" in cluster.nodes[struck].log()
    await cluster.wait_for_writes(20)
    await cluster.audit()


async def test_a_node_ended_by_a_signal_does_not_trust_its_tree(cluster: BusyCluster) -> None:
    """The end of the mapped file is gone: reading it is fatal, and the next start knows."""
    struck = await cluster.leader() % 3 + 1
    os.truncate(data_of(cluster, struck, "tree-*"), 2 * PAGE)
    code = await cluster.exit_of(struck)
    assert code in {STORAGE, -signal.SIGBUS, -signal.SIGSEGV}
    await cluster.back(struck)
    assert "the tree was rebuilt" in cluster.nodes[struck].log()
    await cluster.audit()


async def test_a_damaged_snapshot_is_replaced(cluster: BusyCluster) -> None:
    """Nobody is sent it any more; the node goes on."""
    struck = await cluster.leader()
    async with connect(cluster.nodes[struck].client, session=False) as client:
        await client.admin.snapshot()
    (snapshot,) = (cluster.nodes[struck].directory / "snapshots").glob("*.snapshot")
    scribble(snapshot)
    async with asyncio.timeout(PATIENCE_S):
        while snapshot.exists():
            await asyncio.sleep(0.05)
        while not any(snapshot.parent.glob("*.snapshot")):
            await asyncio.sleep(0.05)
    assert "a snapshot is damaged and was dropped" in cluster.nodes[struck].log()
    await cluster.audit()


async def test_a_lost_directory_is_kept_while_the_peers_need_it(cluster: BusyCluster) -> None:
    """Without a majority elsewhere nothing is cleared."""
    struck = await cluster.leader()
    other = struck % 3 + 1
    for number in (struck, other):
        cluster.nodes[number].kill()
    scribble(data_of(cluster, struck, "log"))
    code, said = await repair(cluster, struck)
    assert code == 69
    assert "cannot do without it now" in json.dumps(said)
    assert data_of(cluster, struck, "log").exists()

    await cluster.back(other)
    code, _ = await repair(cluster, struck)
    assert code == 0
    await cluster.back(struck)
    await cluster.audit()


async def voters(cluster: BusyCluster, count: int) -> None:
    """Wait until so many members vote: a healed node gets its vote back by itself."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status = await cluster.status(await cluster.leader())
            members = status["members"] if status else []
            if sum(member["role"] == "voter" for member in members) == count:
                return
            await asyncio.sleep(0.05)
