"""ZooKeeper and etcd from Debian's packages: systems that the tool itself can be checked with."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import urllib.error
import urllib.request
from abc import abstractmethod
from pathlib import Path
from typing import Any, Final

from jepsen_lite.clusters import ports
from jepsen_lite.clusters.cluster import Ability, Cluster, ClusterError
from jepsen_lite.clusters.owners import owner_of
from jepsen_lite.clusters.process import ServerProcess
from jepsen_lite.clusters.proxy import Proxy
from jepsen_lite.clusters.weather import CLIENTS, Weather

READY_WITHIN_S: Final = 60.0
POLL_S: Final = 0.2
ANSWER_WITHIN_S: Final = 1.0


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
            PeerNode(number, home / f"n{number}", next(self.ports))
            for number in range(1, count + 1)
        )
        self.nodes = self.servers
        for node in self.servers:
            node.address = f"{ports.HOST}:{self.proxy(CLIENTS, node.name, node.client)}"

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


# --- ZooKeeper ------------------------------------------------------------------------------------

JAR: Final = Path("/usr/share/java/zookeeper.jar")
_LOGGING: Final = """\
log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d %p %c %m%n
"""


class ZooKeeperCluster(PeerCluster):
    """Each server's own configuration says where it dials the others: a proxy for each way."""

    name = "zookeeper"
    clients = ("kazoo",)

    def __init__(self, home: Path, count: int, *, seed: int, first_port: int) -> None:
        if not JAR.exists() or shutil.which("java") is None:
            raise ClusterError("apt-get install zookeeper default-jre-headless")
        super().__init__(home, count, seed=seed, first_port=first_port)
        self._real = {
            (node.id, purpose): next(self.ports)
            for node in self.servers
            for purpose in ("quorum", "election")
        }
        self._dialled = {
            (node.id, other.id, purpose): self.proxy(
                node.name, other.name, (ports.HOST, self._real[other.id, purpose])
            )
            for node in self.servers
            for other in self.servers
            for purpose in ("quorum", "election")
            if node is not other
        }

    def configure(self, node: PeerNode) -> None:
        data = node.directory / "data"
        data.mkdir(exist_ok=True)
        (data / "myid").write_text(f"{node.id}\n", encoding="ascii")
        (node.directory / "log4j.properties").write_text(_LOGGING, encoding="ascii")
        settings: dict[str, object] = {
            "tickTime": 500,
            "initLimit": 20,
            "syncLimit": 6,
            "dataDir": data,
            "clientPort": node.client[1],
            "clientPortAddress": ports.HOST,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
            "snapCount": 2_000,
        }
        for other in self.servers:
            table = self._real if other is node else self._dialled
            keys = [
                (other.id, purpose) if other is node else (node.id, other.id, purpose)
                for purpose in ("quorum", "election")
            ]
            quorum, election = (table[key] for key in keys)  # type: ignore[index]
            settings[f"server.{other.id}"] = f"{ports.HOST}:{quorum}:{election}"
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (node.directory / "zoo.cfg").write_text(text, encoding="ascii")
        node.command = [
            "java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-cp", f"{node.directory}:{JAR}",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(node.directory / "zoo.cfg"),
        ]  # fmt: skip

    async def role(self, node: PeerNode) -> str:
        answer = await _four_letter_word(node.client, b"srvr")
        for line in answer.splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ").replace("standalone", "leader")
        return ""

    async def versions(self) -> dict[str, Any]:
        answer = await _four_letter_word(self.servers[0].client, b"srvr")
        return {"zookeeper": answer.partition("\n")[0].removeprefix("Zookeeper version: ")}


async def _four_letter_word(address: tuple[str, int], word: bytes) -> str:
    """The answer to a four-letter word; empty if there is none in time."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(word)
                return (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


# --- etcd -----------------------------------------------------------------------------------------


class EtcdCluster(PeerCluster):
    """All members must name one address of each: a proxy that finds out who dials."""

    name = "etcd"
    clients = ("etcd",)

    def __init__(self, home: Path, count: int, *, seed: int, first_port: int) -> None:
        if shutil.which("etcd") is None:
            raise ClusterError("apt-get install etcd-server")
        super().__init__(home, count, seed=seed, first_port=first_port)
        self._real = {node.id: next(self.ports) for node in self.servers}
        self._shown = {
            node.id: self.proxy(None, node.name, (ports.HOST, self._real[node.id]))
            for node in self.servers
        }

    def configure(self, node: PeerNode) -> None:
        members = [f"{n.name}=http://{ports.HOST}:{self._shown[n.id]}" for n in self.servers]
        client = f"http://{node.direct}"
        flags = {
            "name": node.name,
            "data-dir": node.directory / "data",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": f"http://{ports.HOST}:{self._real[node.id]}",
            "initial-advertise-peer-urls": f"http://{ports.HOST}:{self._shown[node.id]}",
            "initial-cluster": ",".join(members),
            "initial-cluster-state": "new",
            "snapshot-count": 1_000,
            "log-level": "warn",
        }
        node.command = ["etcd", *(f"--{name}={value}" for name, value in flags.items())]

    async def role(self, node: PeerNode) -> str:
        status = await asyncio.to_thread(_etcd_status, node.direct)
        if not status or not int(status.get("leader", 0)):
            return ""
        return "leader" if status["leader"] == status["header"]["member_id"] else "follower"

    async def versions(self) -> dict[str, Any]:
        status = await asyncio.to_thread(_etcd_status, self.servers[0].direct)
        return {"etcd": (status or {}).get("version", "")}


def _etcd_status(address: str) -> dict[str, Any] | None:
    url = f"http://{address}/v3/maintenance/status"
    request = urllib.request.Request(url, b"{}")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310
            status: dict[str, Any] = json.loads(answer.read())
            return status
    except (urllib.error.URLError, OSError, ValueError):
        return None
