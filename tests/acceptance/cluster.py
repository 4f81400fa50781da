"""A real ``coord dev`` cluster in a temporary directory."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from coord.model.errors import ConnectionLostError, OperationTimeoutError
from coord_client import connect

READY_WITHIN_S = 30.0


class Cluster:
    """Three nodes supervised by ``coord dev``; a node that ends is restarted after a second."""

    def __init__(self, directory: Path, port: int, process: asyncio.subprocess.Process) -> None:
        self.directory = directory
        self.port = port
        self.process = process
        self.pids: dict[int, int] = {}
        self._events: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, nodes: int = 3, options: tuple[str, ...] = ()) -> Cluster:
        """Start and wait until it is ready."""
        directory = Path(tempfile.mkdtemp(prefix="coord-drill-"))
        port = free_port()
        command = ["-m", "coord", "dev", "--json", "--nodes", str(nodes), "--dir", str(directory)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            "--port",
            str(port),
            *options,
            stdout=asyncio.subprocess.PIPE,
        )
        self = cls(directory, port, process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S)
        for node in json.loads(line)["nodes"]:
            self.pids[node["id"]] = node["pid"]
        self._events = asyncio.create_task(self._follow())
        return self

    async def _follow(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            event = json.loads(line)
            if event.get("event") == "restart":
                self.pids[event["id"]] = event["pid"]

    @property
    def hosts(self) -> str:
        """Connect string of all nodes."""
        return ",".join(self.address(node) for node in sorted(self.pids))

    def address(self, node: int) -> str:
        """Client address of one node."""
        return f"127.0.0.1:{self.port + node - 1}"

    def data_of(self, node: int) -> Path:
        """The directory that one node lives in."""
        return self.directory / f"node-{node}"

    def signal(self, node: int, number: signal.Signals) -> None:
        """Signal one node's process."""
        os.kill(self.pids[node], number)

    async def status(self, node: int) -> dict[str, Any] | None:
        """What one node says of itself; None if it does not answer within a second."""
        try:
            async with connect(self.address(node), session=False, request_timeout_s=1.0) as client:
                return await client.admin.status()
        except (OperationTimeoutError, ConnectionLostError):
            return None

    async def leader(self) -> int:
        """Wait until a majority names one leader of one term; its id."""
        while True:
            said = [await self.status(node) for node in self.pids]
            up = [status for status in said if status and status["leader"]]
            if len(up) > len(self.pids) // 2 and len({(s["term"], s["leader"]) for s in up}) == 1:
                return int(up[0]["leader"])
            await asyncio.sleep(0.05)

    async def healthy(self, within_s: float = 60.0) -> None:
        """Wait until every node runs, follows one leader and has applied what it has."""
        async with asyncio.timeout(within_s):
            while True:
                said = [await self.status(node) for node in self.pids]
                if all(said):
                    applied = {status["applied"] for status in said if status}
                    leaders = {status["leader"] for status in said if status}
                    if len(leaders) == 1 and max(applied) - min(applied) < 200:
                        return
                await asyncio.sleep(0.1)

    async def digests(self) -> dict[int, tuple[int, str]]:
        """(applied index, digest) of each node, once all stand at the same index."""
        async with asyncio.timeout(60.0):
            while True:
                found: dict[int, tuple[int, str]] = {}
                for node in self.pids:
                    async with connect(self.address(node), session=False) as client:
                        digest = await client.admin.digest()
                        found[node] = (digest.revision, digest.digest)
                await asyncio.sleep(0.05)
                if len({index for index, _ in found.values()}) == 1:
                    return found

    async def stop(self) -> None:
        """End everything and remove the directory."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self.process.wait(), 20)
        if self._events is not None:
            self._events.cancel()
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    """A base port whose neighbours are probably free too."""
    for base in range(24_000, 60_000, 400):
        try:
            for offset in (0, 1, 2, 100, 101, 102, 200, 201, 202):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base
    raise RuntimeError("no free port range")
