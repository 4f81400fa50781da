"""ZooKeeper from Debian's package."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any, Final

from jepsen_lite.clusters import ports, preloaded_clock
from jepsen_lite.clusters.cluster import Ability, ClusterError
from jepsen_lite.clusters.peers import PeerCluster, PeerNode
from jepsen_lite.clusters.preloaded_clock import PreloadedClock

ANSWER_WITHIN_S: Final = 1.0

JAR: Final = Path("/usr/share/java/zookeeper.jar")
_LOGGING: Final = """\
log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d %p %c %m%n
"""


class ZooKeeperNode(PeerNode):
    """A server whose clock can be moved, if the machine has what that takes."""

    preloaded: PreloadedClock | None = None
    _known_start = 0
    """Of which of its lives the next field tells."""
    _ahead_ms = 0.0
    """Its own age, compared with the machine's time, before any fault."""

    async def start(self) -> None:
        environment = {}
        if self.preloaded is not None:
            self.preloaded.begin()
            environment = self.preloaded.environment
        self.process.start(self.command, environment)

    async def clock(self, **change: float) -> dict[str, float]:
        """Move its clocks, which go together; what they show now. Raises OSError."""
        system_ms, age_ms = time.monotonic() * 1_000, await self._age_ms()
        if self._known_start != self.process.starts:
            self._known_start, self._ahead_ms = self.process.starts, age_ms - system_ms
        if self.preloaded is not None:
            self.preloaded.move(change.get("rate"), change.get("forward_ms", 0))
        own_ms, wall_ms = age_ms - self._ahead_ms, time.time() * 1_000
        return {
            "monotonic_ms": own_ms,
            "system_ms": system_ms,
            "wall_ms": wall_ms + own_ms - system_ms,
            "system_wall_ms": wall_ms,
        }

    async def _age_ms(self) -> float:
        """How long it has run, as it says itself. Raises OSError."""
        told = await four_letter_word(self.client, b"mntr")
        for line in told.splitlines():
            name, _, value = line.partition("\t")
            if name == "zk_uptime":
                return float(value)
        raise OSError(f"{self.name} does not serve")


class ZooKeeperCluster(PeerCluster):
    """Each server's own configuration says where it dials the others: a proxy for each way."""

    name = "zookeeper"
    clients = ("kazoo",)

    def __init__(
        self, home: Path, count: int, *, seed: int, first_port: int, with_clocks: bool = False
    ) -> None:
        """``with_clocks``: their clocks can be moved, which makes every look at them slower."""
        if not JAR.exists() or shutil.which("java") is None:
            raise ClusterError("apt-get install zookeeper default-jre-headless")
        self._faketime = preloaded_clock.library() if with_clocks else None
        if self._faketime is not None:
            self.abilities |= {Ability.CLOCK}
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

    def place(self, number: int, home: Path) -> ZooKeeperNode:
        node = ZooKeeperNode(number, home, next(self.ports))
        if self._faketime is not None:
            node.preloaded = PreloadedClock(self._faketime, home / "clock")
        return node

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
        answer = await four_letter_word(node.client, b"srvr")
        for line in answer.splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ").replace("standalone", "leader")
        return ""

    async def versions(self) -> dict[str, Any]:
        answer = await four_letter_word(self.servers[0].client, b"srvr")
        return {"zookeeper": answer.partition("\n")[0].removeprefix("Zookeeper version: ")}


async def four_letter_word(address: tuple[str, int], word: bytes) -> str:
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
