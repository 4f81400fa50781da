"""Servers of other systems on this machine: what the tool itself can be checked with."""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from pathlib import Path
from typing import Final

from jepsen_lite.clusters import ports
from jepsen_lite.clusters.cluster import Ability, Cluster, ClusterError
from jepsen_lite.clusters.owners import owner_of
from jepsen_lite.clusters.process import ServerProcess
from jepsen_lite.clusters.proxy import Proxy
from jepsen_lite.clusters.weather import CLIENTS, Weather

READY_WITHIN_S: Final = 60.0
POLL_S: Final = 0.2


class PeerNode:
    """One server."""

    def __init__(self, number: int, home: Path, client_port: int) -> None:
        self.id = number
        self.name = f"n{number}"
        self.directory = home
        self.client = (ports.HOST, client_port)
        self.direct = f"{ports.HOST}:{client_port}"
        self.address = ""
        self.command: list[str] = []
        self.process = ServerProcess(home / "server.log")

    async def start(self) -> None:
        self.process.start(self.command)


class PeerCluster(Cluster):
    """Servers of another system behind proxies."""

    abilities = frozenset({Ability.PROCESSES, Ability.PATHS, Ability.SLOWNESS})

    def __init__(self, home: Path, count: int, *, seed: int, first_port: int) -> None:
        self.weather = Weather()
        self._dice = random.Random(f"{seed}/weather")
        self.ports = ports.free_ports(first_port)
        self._proxies: list[tuple[Proxy, int]] = []
        self.servers = tuple(
            self.place(number, home / f"n{number}") for number in range(1, count + 1)
        )
        self.nodes = self.servers
        for node in self.servers:
            node.address = f"{ports.HOST}:{self.proxy(CLIENTS, node.name, node.client)}"

    def place(self, number: int, home: Path) -> PeerNode:
        """A server and its port."""
        return PeerNode(number, home, next(self.ports))

    def proxy(self, source: str | None, destination: str, target: tuple[str, int]) -> int:
        """The port of a proxy; ``source`` None: whichever of our servers dials."""
        dialler = source if source is not None else self._dialler
        proxy = Proxy(self.weather, destination, target, dialler, framing=None, dice=self._dice)
        port = next(self.ports)
        self._proxies.append((proxy, port))
        return port

    def _dialler(self, address: tuple[str, int]) -> str | None:
        return owner_of(address, ((node.name, node.process.pid) for node in self.servers))

    async def start(self) -> None:
        for proxy, port in self._proxies:
            await proxy.start(ports.HOST, port)
        for node in self.servers:
            node.directory.mkdir(parents=True, exist_ok=True)
            self.configure(node)
            await node.start()
        await self.wait_healthy(READY_WITHIN_S)

    @abstractmethod
    def configure(self, node: PeerNode) -> None:
        """Write what the server needs and set its command."""

    async def stop(self) -> None:
        await asyncio.gather(*(node.process.kill() for node in self.servers))
        for proxy, _ in self._proxies:
            await proxy.close()
        self.ports.close()

    @abstractmethod
    async def role(self, node: PeerNode) -> str:
        """What the server is: leader or follower; empty if it does not serve."""

    async def roles(self) -> list[str]:
        """The role of each server."""
        return list(await asyncio.gather(*map(self.role, self.servers)))

    async def leader(self) -> PeerNode | None:
        roles = await self.roles()
        return self.servers[roles.index("leader")] if roles.count("leader") == 1 else None

    async def wait_healthy(self, within_s: float) -> None:
        roles: list[str] = []
        try:
            async with asyncio.timeout(within_s):
                while not roles or not all(roles) or roles.count("leader") != 1:
                    await asyncio.sleep(POLL_S)
                    roles = await self.roles()
        except TimeoutError:
            names = dict(zip((node.name for node in self.servers), roles, strict=False))
            raise ClusterError(f"not healthy within {within_s:g} s: {names}") from None
