"""Three nodes on small file systems that are really full: writes are refused, deletes pass, and
all of it undoes itself when space returns."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from coord.model.errors import NoSpaceError
from coord_client import Client, connect
from tests.integration.processes import Cluster, ServedNode

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts file systems"),
]

MIB = 1 << 20
DISK_BYTES = 64 * MIB
RESERVE = "4MiB"
LEFT_BYTES = 3 * MIB
"""What the balloon leaves: less than the reserve, more than half of it."""
PATIENCE_S = 120.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, each on its own small file system in memory."""
    made = Cluster(tmp_path)
    mounted: list[Path] = []
    try:
        for node in made.nodes.values():
            node.directory.mkdir()
            size = f"size={DISK_BYTES}"
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "tmpfs", node.directory], check=True
            )
            mounted.append(node.directory)
        yield made
    finally:
        made.close()
        for directory in mounted:
            subprocess.run(["umount", "--lazy", directory], check=True)


def balloon(node: ServedNode) -> Path:
    """The file that takes a node's space."""
    return node.directory / "balloon"


def fill(node: ServedNode) -> None:
    """Leave LEFT_BYTES."""
    found = os.statvfs(node.directory)
    with balloon(node).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - LEFT_BYTES)


async def refused(client: Client, *, wanted: bool) -> None:
    """Wait until a write is refused, or is not."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await client.set("/a", b"x" * 100)
            except NoSpaceError:
                is_refused = True
            else:
                is_refused = False
            if is_refused is wanted:
                return
            await asyncio.sleep(0.05)


async def test_a_full_disk_refuses_and_resumes(cluster: Cluster) -> None:
    """Nobody ends, nobody loses anything."""
    for node in cluster.nodes.values():
        node.start(cluster.initial, "--set", f"storage.reserve_bytes={RESERVE}")
    for node in cluster.nodes.values():
        await asyncio.to_thread(node.wait_ready)
    async with connect(cluster.hosts) as client:
        for path in ("/a", "/b", "/c"):
            await client.create(path, b"kept")
        for node in cluster.nodes.values():
            fill(node)
        await refused(client, wanted=True)
        await client.delete("/b")
        assert (await client.get("/c")).data == b"kept"
        async with connect(cluster.hosts) as another:
            assert not await another.exists("/b")

        for node in cluster.nodes.values():
            balloon(node).unlink()
        await refused(client, wanted=False)
    assert all(node.process is not None for node in cluster.nodes.values())
    assert [node.process.poll() for node in cluster.nodes.values() if node.process] == [None] * 3
