"""coord on this machine: a process for each node, every way between them through a proxy."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import coord
from jepsen_lite.clusters import disk, ports
from jepsen_lite.clusters.cluster import Ability, ClusterError
from jepsen_lite.clusters.coord import CoordCluster
from jepsen_lite.clusters.process import ServerProcess
from jepsen_lite.clusters.proxy import Proxy
from jepsen_lite.clusters.weather import CLIENTS, Weather

READY_WITHIN_S: Final = 60.0
SETTINGS: Final[Mapping[str, str]] = {
    # Snapshots, installs and cut logs should be everyday events within a minute.
    "storage.snapshot_log_bytes": "256KiB",
    "storage.log_entries_kept": "2000",
    "storage.map_bytes": "1GiB",
    "storage.quota_bytes": "512MiB",
    "sessions.timeout_ms_min": "1s",
    "tree.reap_interval_ms": "1s",
    "log.format": "json",
}


def is_message_batch(body: bytes) -> bool:
    """Whether a frame between nodes holds messages of Raft (a msgpack array), which coord allows
    to be lost, doubled and overtaken; a map is a link's own business."""
    return bool(body) and (body[0] & 0xF0 == 0x90 or body[0] in {0xDC, 0xDD})


class LocalNode:
    """One node: its addresses, its directory, its process."""

    def __init__(
        self, number: int, home: Path, peer: tuple[str, int], client: tuple[str, int]
    ) -> None:
        """``peer``, ``client``: where it is reached, by other nodes and by clients or a proxy."""
        self.id = number
        self.name = f"n{number}"
        self.home = home
        self.directory = home / "data"
        self.peer = peer
        self.client = client
        self.direct = self.listens = "{}:{}".format(*client)
        self.address = ""
        self.clock_socket = Path()
        self.settings: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.descriptors: tuple[int, ...] = ()
        self.command: list[str] = []
        self.disk: disk.Disk | None = None
        self.process = ServerProcess(home / "server.log")

    async def start(self) -> None:
        """Start its process, without waiting until it serves."""
        arguments = [f"{key}={value}" for key, value in self.settings.items()]
        self.process.start([*self.command, *arguments], self.environment, self.descriptors)

    async def clock(self, **change: float) -> dict[str, float]:
        """Move its clock; what it shows now. Raises OSError, ClusterError."""
        reader, writer = await asyncio.open_unix_connection(str(self.clock_socket))
        try:
            writer.write(json.dumps(change).encode())
            async with asyncio.timeout(2.0):
                shown: dict[str, Any] = json.loads(await reader.readline())
        finally:
            writer.close()
        if "error" in shown:
            raise ClusterError(f"{self.name}: {shown['error']}")
        return shown

    def wipe(self) -> None:
        """Lose the disk."""
        assert not self.process.is_running
        shutil.rmtree(self.directory, ignore_errors=True)


class LocalCluster(CoordCluster):
    """``count`` nodes under ``home``. ``planted``: a bug of ``tests.broken`` to start them with.
    ``with_disks``: their disks can be made bad, which costs them a little even while they are well.
    """

    name = "local"
    can = frozenset(
        {
            Ability.PROCESSES,
            Ability.PATHS,
            Ability.SLOWNESS,
            Ability.FRAMES,
            Ability.CLOCK,
            Ability.FREEZE,
            Ability.FILES,
            Ability.MEMBERS,
            Ability.ADMIN,
        }
    )

    def __init__(
        self,
        home: Path,
        count: int,
        *,
        seed: int = 0,
        settings: Mapping[str, str] | None = None,
        planted: str | None = None,
        with_disks: bool = False,
        first_port: int = ports.FIRST,
    ) -> None:
        self.weather = Weather()
        self._dice = random.Random(f"{seed}/weather")
        self._ports = ports.free_ports(first_port)
        self._proxies: list[tuple[Proxy, int]] = []
        self.home = home
        self._with_disks = with_disks
        self.abilities = self.can | ({Ability.DISK} if with_disks else set())
        self._planted = planted
        self._settings = {**SETTINGS, **(settings or {})}
        self._life: tuple[int, int] | None = None
        """A pipe whose end tells the nodes that the harness is gone, however it went."""
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self.local_nodes = tuple(self.place(number) for number in range(1, count + 1))
        self.nodes = self.local_nodes
        for node in self.local_nodes:
            self.configure(node)

    def place(self, number: int) -> LocalNode:
        """A node and its addresses."""
        peer, client = ((ports.HOST, next(self._ports)) for _ in range(2))
        return LocalNode(number, self.home / f"n{number}", peer, client)

    def connect(self, node: LocalNode) -> Mapping[int, str]:
        """Say where clients reach a node; where it is to dial others, if not where they are."""
        node.address = f"{ports.HOST}:{self._proxy(CLIENTS, node.name, node.client)}"
        return {
            other.id: f"{ports.HOST}:{self._proxy(node.name, other.name, other.peer)}"
            for other in self.local_nodes
            if other is not node
        }

    def configure(self, node: LocalNode) -> None:
        """Set its command and its settings."""
        members = ",".join(
            "{}={}:{}/{}:{}".format(each.id, *each.peer, *each.client) for each in self.local_nodes
        )
        dial = self.connect(node)
        node.settings = {
            "node.id": str(node.id),
            "node.dir": str(node.directory),
            "node.client": node.listens,
            "node.peer": "{}:{}".format(*node.peer),
            "cluster.initial": members,
            "peers.dial": ",".join(f"{number}={address}" for number, address in dial.items()),
            **self._settings,
        }
        planted = ["tests.broken", self._planted, "-m"] if self._planted else []
        node.command = [sys.executable, "-m", *planted, "jepsen_lite.servers"]

    def _proxy(self, source: str, destination: str, target: tuple[str, int]) -> int:
        """The port of a proxy for one way."""
        framing = None if source == CLIENTS else is_message_batch
        proxy = Proxy(self.weather, destination, target, source, framing=framing, dice=self._dice)
        port = next(self._ports)
        self._proxies.append((proxy, port))
        return port

    async def start(self) -> None:
        for proxy, port in self._proxies:
            await proxy.start(ports.HOST, port)
        if self._with_disks:
            library = disk.build(self.home)
            for node in self.local_nodes:
                node.disk = disk.Disk(library, node.directory, node.home)
                node.environment |= node.disk.environment
        self._life = os.pipe()
        # The path of a socket has 107 bytes at most, which a directory of results may exceed.
        self._sockets = tempfile.TemporaryDirectory(prefix="jepsen-lite-")
        for node in self.local_nodes:
            node.clock_socket = Path(self._sockets.name) / node.name
            node.environment["JEPSEN_LITE_CLOCK"] = str(node.clock_socket)
            node.environment["COORD_PARENT_FD"] = str(self._life[0])
            node.descriptors = self._life[:1]
            node.home.mkdir(parents=True, exist_ok=True)
            await node.start()
        self.is_starting = True
        await self.wait_healthy(READY_WITHIN_S)
        self.is_starting = False

    async def stop(self) -> None:
        await asyncio.gather(*(node.process.kill() for node in self.local_nodes))
        for node in self.local_nodes:
            if node.disk is not None:
                node.disk.close()
        if self._sockets is not None:
            self._sockets.cleanup()
        for end in self._life or ():
            os.close(end)
        self._life = None
        for proxy, _ in self._proxies:
            await proxy.close()
        self._ports.close()

    async def versions(self) -> dict[str, Any]:
        return {"coord": coord.__version__, "python": sys.version.split()[0]}
