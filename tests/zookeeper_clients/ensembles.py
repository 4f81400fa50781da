"""Three server processes that a ZooKeeper client can be pointed at: coord's, or ZooKeeper's own.

The tests are run against both: on ZooKeeper to show that they ask for nothing but its behaviour,
on coord to show that it is the same there.
"""

from __future__ import annotations

import base64
import hashlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from tests.integration.processes import HOST, READY_WITHIN_S, Cluster, ServedNode, free_port

SUPER_PASSWORD: Final = "test"
SESSION_MS: Final = 10_000
"""Of sessions that must live through whatever happens."""
SHORT_SESSION_MS: Final = 2_000
"""Of sessions whose end is awaited."""
SESSION_MS_MIN: Final = 1_000
NODES: Final = (1, 2, 3)


def digest_id(user: str, password: str) -> str:
    """The id under which ZooKeeper's ACLs keep a name and its password."""
    secret = hashlib.sha1(f"{user}:{password}".encode(), usedforsecurity=False).digest()
    return f"{user}:{base64.b64encode(secret).decode()}"


class Ensemble(Protocol):
    """Nodes 1, 2 and 3; any of them can be killed and started again at its address."""

    @property
    def addresses(self) -> dict[int, str]:
        """``host:port`` for clients, by node."""

    def start(self, *nodes: int) -> None:
        """Start these and wait until they serve."""

    def kill(self, node: int) -> None:
        """``kill -9``."""

    def signal(self, node: int, number: signal.Signals) -> None:
        """Send it a signal."""

    def is_running(self, node: int) -> bool:
        """Whether its process is there."""


_SETTINGS: Final = {
    "COORD_SESSIONS_TIMEOUT_MS_MIN": f"{SESSION_MS_MIN}ms",
    "COORD_ZOOKEEPER_READ_ONLY": "true",
    "COORD_ZOOKEEPER_SUPER_DIGEST": digest_id("super", SUPER_PASSWORD),
    "COORD_ZOOKEEPER_WORDS": "*",
}


class CoordEnsemble:
    """Three ``coord serve``; ``more`` are settings beyond those of every test, as variables of
    the environment.
    """

    def __init__(self, directory: Path, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self._cluster = Cluster(directory, len(NODES))
        self._settings = {**_SETTINGS, **more}

    @property
    def addresses(self) -> dict[int, str]:
        """``host:port`` for clients, by node."""
        return {node.id: node.client for node in self._cluster.nodes.values()}

    def start(self, *nodes: int) -> None:
        """Start these and wait until they serve."""
        started: list[ServedNode] = [self._cluster[node] for node in nodes]
        for node in started:
            node.start(self._cluster.initial, environment=self._settings)
        for node in started:
            node.wait_ready()

    def kill(self, node: int) -> None:
        """``kill -9``."""
        self._cluster[node].kill()

    def signal(self, node: int, number: signal.Signals) -> None:
        """Send it a signal."""
        self._cluster[node].signal(number)

    def is_running(self, node: int) -> bool:
        """Whether its process is there."""
        return self._cluster[node].process is not None


_ZOO_CFG: Final = """\
tickTime=200
initLimit=50
syncLimit=25
minSessionTimeout={session_ms_min}
maxSessionTimeout=60000
dataDir={data}
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
extendedTypesEnabled=true
reconfigEnabled=true
"""
_LOG4J: Final = """\
log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d %-5p %c - %m%n
"""


class ZooKeeperEnsemble:
    """Three of Debian's ZooKeeper servers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports = {node: (free_port(), free_port(), free_port()) for node in NODES}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        for node in NODES:
            self._configure(node)

    @property
    def addresses(self) -> dict[int, str]:
        """``host:port`` for clients, by node."""
        return {node: f"{HOST}:{ports[0]}" for node, ports in self._ports.items()}

    def start(self, *nodes: int) -> None:
        """Start these and wait until they serve."""
        for node in nodes:
            home = self._directory / str(node)
            with (home / "zookeeper.log").open("ab") as log:
                self._processes[node] = subprocess.Popen(
                    [
                        "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                        "-Dznode.container.checkIntervalMs=500", "-Dzookeeper.forceSync=no",
                        "-Dreadonlymode.enabled=true",
                        "-Dzookeeper.DigestAuthenticationProvider.superDigest="
                        + digest_id("super", SUPER_PASSWORD),
                        "-cp", f"{home}:/usr/share/java/zookeeper.jar",
                        "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(home / "zoo.cfg"),
                    ],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
        deadline = time.monotonic() + READY_WITHIN_S
        for node in nodes:
            while b"Mode:" not in four_letter_word(self.addresses[node], b"srvr"):
                assert time.monotonic() < deadline, f"ZooKeeper {node} does not serve"
                threading.Event().wait(0.05)

    def kill(self, node: int) -> None:
        """``kill -9``."""
        process = self._processes.pop(node, None)
        if process is not None:
            process.kill()
            process.wait()

    def signal(self, node: int, number: signal.Signals) -> None:
        """Send it a signal."""
        self._processes[node].send_signal(number)

    def is_running(self, node: int) -> bool:
        """Whether its process is there."""
        return node in self._processes

    def _configure(self, node: int) -> None:
        home = self._directory / str(node)
        data = home / "data"
        data.mkdir(parents=True)
        (data / "myid").write_text(str(node), encoding="ascii")
        (home / "log4j.properties").write_text(_LOG4J, encoding="ascii")
        members = "".join(
            f"server.{other}={HOST}:{peer}:{election};{HOST}:{client}\n"
            for other, (client, peer, election) in self._ports.items()
        )
        settings = _ZOO_CFG.format(data=data, session_ms_min=SESSION_MS_MIN)
        (home / "zoo.cfg").write_text(settings + members, encoding="ascii")


def four_letter_word(address: str, word: bytes) -> bytes:
    """The answer to a four-letter word; empty if there is none."""
    host, _, port = address.rpartition(":")
    answer = b""
    try:
        with socket.create_connection((host, int(port)), timeout=1.0) as link:
            link.sendall(word)
            while chunk := link.recv(65_536):
                answer += chunk
    except OSError:
        return b""
    return answer
