"""The drills. Each returns what it measured; a broken promise raises AssertionError."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

from coord_client import Client, CreateMode, connect
from tests.acceptance.cluster import Cluster
from tests.acceptance.load import Writer, longest_gap_ms

WINDOW_S = 4.0
"""How long after a fault the gap is looked for."""


async def _writers(cluster: Cluster, count: int = 6) -> list[Writer]:
    """Writers; each picks its node at random."""
    writers = []
    for number in range(count):
        writer = Writer(cluster.hosts, f"w{number}")
        await writer.start()
        writers.append(writer)
    return writers


async def _audit(cluster: Cluster, writers: list[Writer]) -> dict[str, Any]:
    """Every acknowledged write is there, and every digest agrees."""
    for writer in writers:
        missing = await writer.missing(cluster.hosts)
        assert not missing, f"{writer.name} lost acknowledged writes {missing[:5]}"
    digests = await cluster.digests()
    assert len({digest for _, digest in digests.values()}) == 1, f"digests differ: {digests}"
    return {"acknowledged": sum(len(w.acked) for w in writers), "digest": digests}


def _summary(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 1), "worst": round(max(values), 1)}


async def leader_loss(times: int, *, freeze: bool) -> dict[str, Any]:
    """Kill -9 (or SIGSTOP for 3 s) of the Raft leader under load; longest gap in acknowledged
    writes of the whole cluster, and of a client that was on the lost node."""
    cluster = await Cluster.start()
    service: list[float] = []
    attached: list[float] = []
    try:
        writers = await _writers(cluster)
        for _ in range(times):
            await cluster.healthy()
            await asyncio.sleep(1.0)
            leader = await cluster.leader()
            there = await _attached_to(cluster, leader)
            began = time.monotonic()
            if freeze:
                cluster.signal(leader, signal.SIGSTOP)
                await asyncio.sleep(WINDOW_S)
                cluster.signal(leader, signal.SIGCONT)
            else:
                cluster.signal(leader, signal.SIGKILL)
                await asyncio.sleep(WINDOW_S)
            until = began + WINDOW_S
            every = [moment for writer in writers for moment in writer.times]
            service.append(longest_gap_ms(every, began, until))
            attached.extend(w.gap_ms(began, until) for w in writers if w.name in there)
        await cluster.healthy()
        for writer in writers:
            await writer.stop()
        audit = await _audit(cluster, writers)
    finally:
        await cluster.stop()
    return {
        "service_gap_ms": _summary(service),
        "client_on_lost_node_gap_ms": _summary(attached) if attached else None,
        "all": [round(value) for value in service],
        **audit,
    }


async def _attached_to(cluster: Cluster, node: int) -> set[str]:
    """Names of the clients whose session is attached to a node."""
    async with connect(cluster.address(node), session=False) as client:
        return {row["client"] for row in await client.admin.sessions() if row["here"]}


async def all_killed(times: int) -> dict[str, Any]:
    """Kill -9 of all three nodes at once, under load."""
    cluster = await Cluster.start()
    try:
        writers = await _writers(cluster)
        back: list[float] = []
        for _ in range(times):
            await cluster.healthy()
            await asyncio.sleep(1.5)
            began = time.monotonic()
            for node in cluster.pids:
                cluster.signal(node, signal.SIGKILL)
            await asyncio.sleep(0.5)
            acked = sum(len(writer.acked) for writer in writers)
            while sum(len(writer.acked) for writer in writers) <= acked:
                await asyncio.sleep(0.02)
            back.append(1_000 * (time.monotonic() - began))
        await cluster.healthy()
        for writer in writers:
            await writer.stop()
        audit = await _audit(cluster, writers)
    finally:
        await cluster.stop()
    return {"first_write_after_ms": _summary(back), **audit}


async def wiped(nodes_in_tree: int) -> dict[str, Any]:
    """A follower loses its directory under load and comes back under its id."""
    cluster = await Cluster.start()
    try:
        async with connect(cluster.hosts, client_name="filler") as client:
            for half in (0, 1):
                await _fill(client, half * nodes_in_tree // 2, nodes_in_tree // 2)
                await _snapshot(cluster, list(cluster.pids))
        leader_status = await cluster.status(await cluster.leader())
        assert leader_status is not None
        assert leader_status["log_first"] > 1, "the log is whole: nobody needs a snapshot"
        writers = await _writers(cluster, 3)
        async with connect(cluster.hosts, client_name="admin") as client:
            before = await client.admin.members()
        leader = await cluster.leader()
        victim = next(node for node in cluster.pids if node != leader)
        began = time.monotonic()
        cluster.signal(victim, signal.SIGKILL)
        await asyncio.sleep(0.1)
        for entry in cluster.data_of(victim).iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.suffix not in {".log", ".toml"}:
                entry.unlink()
        await _replaced(cluster, victim, before)
        took_s = time.monotonic() - began
        written = sum(len(writer.acked) for writer in writers)
        await asyncio.sleep(1.0)
        assert sum(len(writer.acked) for writer in writers) > written, "writes must go on"
        for writer in writers:
            await writer.stop()
        audit = await _audit(cluster, writers)
    finally:
        await cluster.stop()
    return {"nodes_in_tree": nodes_in_tree, "voting_again_after_s": round(took_s, 1), **audit}


async def _fill(client: Client, first: int, count: int) -> None:
    """``count`` nodes of 100 bytes, a thousand to a directory, ten to a transaction."""

    async def ten(directory: int, start: int) -> None:
        txn = client.transaction()
        for number in range(start, start + 10):
            txn.create(f"/tree/{directory:08d}/{number:08d}", b"v" * 100)
        await txn.commit()

    for directory in range(first, first + count, 1_000):
        await client.create(f"/tree/{directory:08d}", b"", make_parents=True)
        starts = range(directory, min(directory + 1_000, first + count), 10)
        await asyncio.gather(*(ten(directory, start) for start in starts))


async def _snapshot(cluster: Cluster, nodes: list[int]) -> None:
    """Take one on each of ``nodes``; the second one cuts the log behind the first."""
    for node in nodes:
        async with connect(cluster.address(node), session=False) as client:
            await client.admin.snapshot(timeout_s=60)


async def _replaced(cluster: Cluster, victim: int, before: Any) -> None:
    """Wait until the victim votes under another incarnation than before."""
    old = {member["id"]: member["incarnation"] for member in before.members}[victim]
    async with asyncio.timeout(180), connect(cluster.hosts, client_name="admin") as client:
        while True:
            for member in (await client.admin.members()).members:
                fresh = member["id"] == victim and member["incarnation"] != old
                if fresh and member["role"] == "voter":
                    return
            await asyncio.sleep(0.1)


async def rolling_restart(rounds: int) -> dict[str, Any]:
    """SIGTERM to each node in turn, under load; longest gap of acknowledged writes per restart."""
    cluster = await Cluster.start()
    gaps: list[float] = []
    try:
        writers = await _writers(cluster)
        for _ in range(rounds):
            for node in sorted(cluster.pids):
                await cluster.healthy()
                await asyncio.sleep(1.0)
                began = time.monotonic()
                cluster.signal(node, signal.SIGTERM)
                await asyncio.sleep(WINDOW_S)
                every = [moment for writer in writers for moment in writer.times]
                gaps.append(longest_gap_ms(every, began, began + WINDOW_S))
        await cluster.healthy()
        for writer in writers:
            await writer.stop()
        audit = await _audit(cluster, writers)
    finally:
        await cluster.stop()
    return {"service_gap_ms": _summary(gaps), "all": [round(gap) for gap in gaps], **audit}


async def counter(times: int) -> dict[str, Any]:
    """A counter through kills of random nodes: every increment is a blind, non-idempotent write
    (a sequential create), so a retry that applied twice or not at all shows in the count."""
    cluster = await Cluster.start()
    dice = random.Random(times)
    done = 0
    stopping = False

    async def count(client: Client) -> None:
        nonlocal done
        while not stopping:
            await client.create(
                "/count/n-", b"", mode=CreateMode.PERSISTENT_SEQUENTIAL, timeout_s=60
            )
            done += 1

    try:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(connect(cluster.hosts, client_name=f"c{number}"))
                for number in range(8)
            ]
            await clients[0].create("/count")
            async with asyncio.TaskGroup() as group:
                for client in clients:
                    group.create_task(count(client))
                for _ in range(times):
                    await asyncio.sleep(dice.uniform(0.3, 1.2))
                    cluster.signal(dice.choice(sorted(cluster.pids)), signal.SIGKILL)
                    await cluster.healthy()
                stopping = True
            names = await clients[0].children("/count")
        assert len(names) == done, f"{done} increments were acknowledged, {len(names)} happened"
        digests = await cluster.digests()
        assert len({digest for _, digest in digests.values()}) == 1, f"digests differ: {digests}"
    finally:
        await cluster.stop()
    return {"kills": times, "increments": done}


async def lagging(entries: int) -> dict[str, Any]:
    """A follower stands still while the others write, take snapshots and cut their logs; it then
    catches up by snapshot while writes go on."""
    cluster = await Cluster.start()
    try:
        leader = await cluster.leader()
        victim = next(node for node in cluster.pids if node != leader)
        others = [node for node in cluster.pids if node != victim]
        before = await cluster.status(victim)
        assert before is not None
        cluster.signal(victim, signal.SIGSTOP)
        hosts = ",".join(cluster.address(node) for node in others)
        async with connect(hosts, client_name="filler") as client:
            await client.create("/lag")
            for _ in range(2):
                await _set_many(client, entries // 2)
                await _snapshot(cluster, others)
        cut = await cluster.status(leader)
        assert cut is not None
        assert cut["log_first"] > before["applied"] + 1, f"the log still starts at {cut}"
        writers = await _writers(cluster, 3)
        began = time.monotonic()
        cluster.signal(victim, signal.SIGCONT)
        await cluster.healthy()
        took_s = time.monotonic() - began
        for writer in writers:
            await writer.stop()
        audit = await _audit(cluster, writers)
        after = await cluster.status(victim)
        assert after is not None
        assert after["log_first"] > before["applied"] + 1, "it came by snapshot, not by the log"
    finally:
        await cluster.stop()
    return {"behind_by": cut["applied"] - before["applied"], "caught_up_s": took_s, **audit}


async def _set_many(client: Client, count: int) -> None:
    """``count`` sets of one node, 200 in flight."""
    for start in range(0, count, 200):
        writes = (client.set("/lag", b"x" * 100) for _ in range(min(200, count - start)))
        await asyncio.gather(*writes)
