"""A real ZooKeeper and a coord node, each alone, started for comparison.

ZooKeeper is Debian's (3.8.0), standalone, with extended types on and its data unsynced: nothing
here is about durability. Both know the same super user, who cleans up.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from tests.integration.processes import HOST, ServedNode, free_port

JAR: Final = Path("/usr/share/java/zookeeper.jar")
SUPER_USER: Final = "super"
SUPER_PASSWORD: Final = "differential"
READY_WITHIN_S: Final = 30.0

_LOGGING: Final = """\
log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
"""


def super_digest() -> str:
    """What both servers are configured with."""
    secret = hashlib.sha1(f"{SUPER_USER}:{SUPER_PASSWORD}".encode(), usedforsecurity=False)
    return f"{SUPER_USER}:{base64.b64encode(secret.digest()).decode()}"


def is_zookeeper_installed() -> bool:
    """Whether Debian's package and a Java to run it are there."""
    return JAR.exists() and shutil.which("java") is not None


class Server(Protocol):
    """A process with an address for clients; a context manager around its life."""

    name: str
    address: tuple[str, int]

    def __enter__(self) -> Self:
        """Start it and wait until it serves."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and forget its data."""


class ZooKeeper:
    """One standalone ZooKeeper."""

    def __init__(self, directory: Path) -> None:
        self.name = "zookeeper"
        self.address = (HOST, free_port())
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        (self._directory / "log4j.properties").write_text(_LOGGING, encoding="utf-8")
        (self._directory / "zoo.cfg").write_text(self._configuration(), encoding="utf-8")
        with (self._directory / "zookeeper.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_until_serving(self._process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self._directory, ignore_errors=True)

    def _configuration(self) -> str:
        return (
            f"tickTime=500\ndataDir={self._directory / 'data'}\n"
            f"clientPort={self.address[1]}\nclientPortAddress={HOST}\n"
            "maxClientCnxns=0\nmaxSessionTimeout=60000\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=*\nextendedTypesEnabled=true\n"
        )

    def _command(self) -> list[str]:
        return [
            "java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dzookeeper.forceSync=no", "-Dzookeeper.snapCount=1000000",
            "-Dznode.container.checkIntervalMs=3600000",
            f"-Dzookeeper.DigestAuthenticationProvider.superDigest={super_digest()}",
            "-cp", f"{self._directory}:{JAR}",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(self._directory / "zoo.cfg"),
        ]  # fmt: skip

    def _wait_until_serving(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while "Mode:" not in four_letter_word(self.address, "srvr"):
            assert time.monotonic() < deadline, "ZooKeeper is not ready"
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"ZooKeeper has ended with {process.wait(timeout=0.05)}")


class Coord:
    """One ``coord serve`` whose cluster is itself."""

    def __init__(self, directory: Path) -> None:
        self.name = "coord"
        self._directory = directory
        self._node = ServedNode(1, directory / "node")
        host, _, port = self._node.client.rpartition(":")
        self.address = (host, int(port))

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        self._node.start(
            f"1={self._node.peer}/{self._node.client}",
            "--set",
            "tree.reap_interval_ms=60000",  # nothing is reaped while a sequence runs
            environment={"COORD_ZOOKEEPER_SUPER_DIGEST": super_digest()},
        )
        self._node.wait_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._node.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


def four_letter_word(address: tuple[str, int], word: str) -> str:
    """The answer to a four-letter word; empty if there is none."""
    try:
        with socket.create_connection(address, 2.0) as link:
            link.sendall(word.encode())
            parts = []
            while part := link.recv(65_536):
                parts.append(part)
    except OSError:
        return ""
    return b"".join(parts).decode()
