"""One `docker-compose` project: its nodes as containers, started, killed, cut off, wiped."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

ROOT: Final = Path(__file__).parents[2]
NODES: Final = (1, 2, 3)
CLIENT_PORT: Final = 28_180
HTTP_PORT: Final = 28_380
LEADER_PORT: Final = 28_400
DEMO_PORT: Final = 28_401
STATISTICS_PORT: Final = 28_404
PATIENCE_S: Final = 60.0
"""Of this drill, not a promise of the product."""


class Overdue(AssertionError):  # noqa: N818 (names the finding)
    """A condition did not come true."""


class Project:
    """The cluster of ``docker-compose.yml`` under a name and ports of its own."""

    def __init__(self, name: str = "coord-drill") -> None:
        self.name = name
        ports = {f"COORD_PORT_{node}": str(CLIENT_PORT + node) for node in NODES}
        ports |= {f"COORD_HTTP_{node}": str(HTTP_PORT + node) for node in NODES}
        ports |= {
            "DEMO_LEADER_PORT": str(LEADER_PORT),
            "DEMO_PORT": str(DEMO_PORT),
            "DEMO_STATISTICS_PORT": str(STATISTICS_PORT),
        }
        self._environment = {**os.environ, **ports}
        self.hosts = ",".join(f"127.0.0.1:{CLIENT_PORT + node}" for node in NODES)

    def compose(self, *arguments: str) -> str:
        """Run a command of docker-compose; what it printed. Raises CalledProcessError."""
        command = ["docker-compose", "--project-name", self.name, *arguments]
        return self._run(command)

    def docker(self, *arguments: str) -> str:
        """The same with the engine's own command."""
        return self._run(["docker", *arguments])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()[-2_000:]}")
        return done.stdout

    def container(self, service: str) -> str:
        """Its id, running or not."""
        return self.compose("--profile", "demo", "ps", "--quiet", service).strip()

    async def worker_that_leads(self, after: str = "") -> str:
        """Wait until HAProxy has one that is not ``after``; its name. Raises Overdue."""
        found = ""

        def is_another() -> bool:
            nonlocal found
            found = _leading_worker()
            return found not in {"", after}

        await self.wait("HAProxy finds a worker that leads", is_another)
        return found

    def readiness(self, node: int) -> dict[str, Any]:
        """What the node says of its readiness; {} if it is not ready or says nothing."""
        return _told(node, "/readyz")

    def status(self, node: int) -> dict[str, Any]:
        """The node's own picture; {} if it does not answer."""
        return _told(node, "/v1/status")

    async def wait_ready(self, *nodes: int) -> None:
        """Until each of them (all) is ready."""
        for node in nodes or NODES:
            await self._wait_ready(node)

    async def _wait_ready(self, node: int) -> None:
        await self.wait(f"node {node} is ready", lambda: bool(self.readiness(node).get("ready")))

    def leader(self) -> int:
        """Who leads, by the word of whoever answers."""
        found = [self.status(node).get("leader", 0) for node in NODES]
        return next((leader for leader in found if leader), 0)

    async def wait(self, what: str, holds: Any) -> None:
        """Until a condition holds. Raises Overdue."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                logs = self.compose("logs", "--no-color", "--tail", "20")
                raise Overdue(f"{what}: not within {PATIENCE_S:.0f} s\n{logs}")
            await asyncio.sleep(0.2)


def _told(node: int, path: str) -> dict[str, Any]:
    try:
        with urlopen(f"http://127.0.0.1:{HTTP_PORT + node}{path}", timeout=3) as answer:
            found: dict[str, Any] = json.load(answer)
    except (URLError, OSError, ValueError):
        return {}
    return found


def _leading_worker() -> str:
    """Who answers behind HAProxy; empty if nobody leads."""
    try:
        with urlopen(f"http://127.0.0.1:{LEADER_PORT}/", timeout=3) as answer:
            name, does, *_ = answer.read().decode().split()
    except (URLError, OSError, ValueError):
        return ""
    return name if does == "leads" else ""
