"""coord in containers, as a compose file describes it: services node1, node2, … with the client
port published. The ports it is published on are taken from the variables COORD_PORT_N.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

from jepsen_lite.clusters import ports, watching
from jepsen_lite.clusters.cluster import Ability, ClusterError
from jepsen_lite.clusters.containers import Container, Engine
from jepsen_lite.clusters.coord import CoordCluster
from jepsen_lite.clusters.process import ServerProcess
from jepsen_lite.clusters.weather import Weather

READY_WITHIN_S: Final = 60.0
CLIENT_PORT: Final = 2_181


class ComposeNode:
    """One service."""

    def __init__(self, engine: Engine, number: int, home: Path) -> None:
        self.id = number
        self.name = f"n{number}"
        self.service = f"node{number}"
        self.address = self.direct = ""
        self.directory = home
        self.container = Container(engine, self.service, home / "containers.log")
        self.process: ServerProcess = self.container

    async def start(self) -> None:
        self.container.start()


class ComposeCluster(CoordCluster):
    """The cluster of a compose file, under a project name of our own."""

    name = "compose"
    abilities = frozenset({Ability.PROCESSES, Ability.ADMIN, Ability.NETWORKS})

    def __init__(self, home: Path, file: Path, count: int, *, first_port: int) -> None:
        if not file.exists():
            raise ClusterError(f"there is no {file}: name the compose file by --compose-file")
        self.weather = Weather()
        self._home = home
        self._engine = Engine(file.resolve())
        self._ports = ports.free_ports(first_port)
        for number in range(1, count + 1):
            for purpose in ("PORT", "HTTP"):
                self._engine.environment[f"COORD_{purpose}_{number}"] = str(next(self._ports))
        self.nodes = self.containers = tuple(
            ComposeNode(self._engine, number, home) for number in range(1, count + 1)
        )

    async def start(self) -> None:
        await asyncio.to_thread(self._up)
        await self.wait_healthy(READY_WITHIN_S)

    def _up(self) -> None:
        self._engine.take()
        services, asked = self._engine.services(), [node.service for node in self.containers]
        if services != asked:
            raise ClusterError(f"{self._engine.file} has {', '.join(services)}: use --nodes")
        self._engine.compose("up", "--detach", "--no-build", *services)
        for node in self.containers:
            node.container.found()
            published = self._engine.compose("port", node.service, str(CLIENT_PORT)).strip()
            node.address = node.direct = published

    async def stop(self) -> None:
        await asyncio.to_thread(self._down)
        self._ports.close()

    def _down(self) -> None:
        with contextlib.suppress(ClusterError, OSError):
            said = self._engine.compose("logs", "--no-color")
            (self._home / "containers.log").write_text(said, "utf-8")
        with contextlib.suppress(ClusterError):
            self._engine.leave()

    async def versions(self) -> dict[str, Any]:
        said = await watching.all_status(node.direct for node in self.nodes)
        return {"coord": ", ".join(str(status["version"]) for status in said if status)}
