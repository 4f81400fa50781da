"""A real ZooKeeper and a coord node, each alone, started for comparison.

ZooKeeper is Debian's (3.8.0), standalone, with extended types on and its data unsynced: nothing
here is about durability. Both know the same super user, who cleans up.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

JAR: Final = Path("/usr/share/java/zookeeper.jar")
SUPER_USER: Final = "super"
SUPER_PASSWORD: Final = "differential"
HOST: Final = "127.0.0.1"
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


class ZooKeeper:
    """One standalone server. ``address`` is where its clients connect."""

    def __init__(self, directory: Path, port: int) -> None:
        self.address = (HOST, port)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        directory = self._directory
        (directory / "data").mkdir(parents=True, exist_ok=True)
        (directory / "log4j.properties").write_text(_LOGGING, encoding="utf-8")
        (directory / "zoo.cfg").write_text(
            f"tickTime=500\ndataDir={directory / 'data'}\n"
            f"clientPort={self.address[1]}\nclientPortAddress={HOST}\n"
            "maxClientCnxns=0\nmaxSessionTimeout=60000\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=*\nextendedTypesEnabled=true\n",
            encoding="utf-8",
        )
        with (directory / "zookeeper.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                    "-Dzookeeper.forceSync=no", "-Dzookeeper.snapCount=1000000",
                    "-Dznode.container.checkIntervalMs=3600000",
                    f"-Dzookeeper.DigestAuthenticationProvider.superDigest={super_digest()}",
                    "-cp", f"{directory}:{JAR}",
                    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                    str(directory / "zoo.cfg"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        wait_until_serving(self.address, self._process)

    def stop(self) -> None:
        """End it and forget its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
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


def wait_until_serving(address: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers a word that only a serving one answers."""
    deadline = time.monotonic() + READY_WITHIN_S
    while "Mode:" not in four_letter_word(address, "srvr"):
        assert process.poll() is None, f"the server at {address} has ended"
        assert time.monotonic() < deadline, f"the server at {address} is not ready"
        time.sleep(0.05)
