"""Three real nodes under steady writes, to be struck by whatever a suite is about."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from coord.model.errors import ConnectionLostError, OperationTimeoutError
from coord_client import connect
from tests.acceptance.load import Writer
from tests.integration.processes import Cluster

PATIENCE_S = 120.0
POLL_S = 0.05
WRITERS = 2


class BusyCluster:
    """``settings`` are handed to every node as ``--set``."""

    def __init__(self, directory: Path, *settings: str) -> None:
        self.nodes = Cluster(directory)
        self.writers: list[Writer] = []
        self._settings = [part for setting in settings for part in ("--set", setting)]

    def environment_of(self, number: int) -> dict[str, str]:
        """What a node's process is started with."""
        del number
        return {}

    async def start(self) -> None:
        """Found the cluster and begin to write."""
        for number in self.nodes.nodes:
            self.start_node(number)
        for node in self.nodes.nodes.values():
            await asyncio.to_thread(node.wait_ready)
        for number in range(WRITERS):
            writer = Writer(self.nodes.hosts, f"writer-{number}")
            self.writers.append(writer)
            await writer.start()
        await self.wait_for_writes(5)

    def start_node(self, number: int) -> None:
        """Start a process without waiting for it."""
        environment = self.environment_of(number)
        self.nodes[number].start(self.nodes.initial, *self._settings, environment=environment)

    async def close(self) -> None:
        """Leave nothing behind."""
        for writer in self.writers:
            await writer.abandon()
        self.nodes.close()

    async def status(self, number: int) -> dict[str, Any] | None:
        """What a node says of itself; None if it says nothing within a second."""
        address = self.nodes[number].client
        try:
            async with connect(address, session=False, request_timeout_s=1.0) as client:
                return await client.admin.status()
        except (OperationTimeoutError, ConnectionLostError):
            return None

    async def leader(self, *, other_than: int = 0) -> int:
        """Wait until a node leads and says so itself; its id."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for number in self.nodes.nodes:
                    said = await self.status(number) if number != other_than else None
                    if said and said["leader"] == number:
                        return number
                await asyncio.sleep(POLL_S)

    async def exit_of(self, number: int) -> int:
        """Wait until the process has ended by itself; its exit code."""
        return await asyncio.to_thread(self.nodes[number].wait_exit)

    async def wait_for_writes(self, count: int) -> float:
        """Wait until every writer has been acknowledged so many more; when that was."""
        wanted = [len(writer.acked) + count for writer in self.writers]
        async with asyncio.timeout(PATIENCE_S):
            while any(
                len(writer.acked) < enough
                for writer, enough in zip(self.writers, wanted, strict=True)
            ):
                await asyncio.sleep(POLL_S)
        return time.monotonic()

    async def back(self, number: int) -> None:
        """Start a node that has ended, and wait until it serves."""
        self.start_node(number)
        await asyncio.to_thread(self.nodes[number].wait_ready)

    async def audit(self) -> None:
        """Every acknowledged write is there, and all nodes come to hold the same."""
        for writer in self.writers:
            await writer.stop()
        for writer in self.writers:
            missing = await writer.missing(self.nodes.hosts)
            assert not missing, f"{writer.name}: acknowledged and gone: {missing[:5]}"
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await self._digests()) != 1:
                await asyncio.sleep(POLL_S)
        assert found

    async def _digests(self) -> set[tuple[int, str]]:
        found = set()
        for node in self.nodes.nodes.values():
            async with connect(node.client, session=False) as client:
                digest = await client.admin.digest()
                found.add((digest.revision, digest.digest))
        return found
