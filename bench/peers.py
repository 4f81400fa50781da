"""The systems we are compared with: ZooKeeper and etcd from Debian's packages, fsync on.

    python -m bench.peers zookeeper           runs three until interrupted, with hosts and pids
    python -m bench.peers etcd --port 30000

apt-get install zookeeper default-jre-headless etcd-server
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import ClassVar, Final

from bench.servers import HOST, Servers

JAR: Final = Path("/usr/share/java/zookeeper.jar")
PORT: Final = 23_100
HTTP_S: Final = 2.0


class ZooKeeper(Servers):
    """Servers of ZooKeeper with the heap that its documentation's examples have, 1 GB."""

    name = "zookeeper"
    warmup_s: ClassVar[float] = 12.0
    """The JVM compiles what is hot; after ten seconds its rates no longer rise."""

    @staticmethod
    def missing() -> str:
        """How to install what is missing on this machine; empty if nothing is."""
        found = JAR.exists() and shutil.which("java")
        return "" if found else "apt-get install zookeeper default-jre-headless"

    def prepare(self, number: int) -> None:
        """Write its configuration."""
        super().prepare(number)
        data = self.home(number) / "data"
        data.mkdir(exist_ok=True)
        (data / "myid").write_text(f"{number + 1}\n", encoding="ascii")
        settings = {
            "tickTime": 2000,
            "initLimit": 10,
            "syncLimit": 5,
            "dataDir": data,
            "clientPort": self.port + number,
            "clientPortAddress": HOST,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        }
        for other in range(self.count):
            quorum, election = (self.port + 10 * purpose + other for purpose in (1, 2))
            settings[f"server.{other + 1}"] = f"{HOST}:{quorum}:{election}"
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.home(number) / "zoo.cfg").write_text(text, encoding="ascii")

    def command(self, number: int) -> list[str]:
        """One server."""
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        heap = ["-Xms512m", "-Xmx1g"]
        return ["java", *heap, "-cp", str(JAR), main, str(self.home(number) / "zoo.cfg")]

    def is_ready(self) -> bool:
        """One leads, all others follow."""
        return self.has_quorum_view()


class Etcd(Servers):
    """Servers of etcd."""

    name = "etcd"
    warmup_s: ClassVar[float] = 3.0

    @staticmethod
    def missing() -> str:
        """How to install what is missing on this machine; empty if nothing is."""
        return "" if shutil.which("etcd") else "apt-get install etcd-server"

    def command(self, number: int) -> list[str]:
        """One member, with room for the growing history that etcd keeps of every key."""
        client, peer = f"http://{self.address(number)}", f"http://{self.address(number, 1)}"
        members = [f"n{n}=http://{self.address(n, 1)}" for n in range(self.count)]
        flags = {
            "name": f"n{number}",
            "data-dir": self.home(number) / "data",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": ",".join(members),
            "initial-cluster-state": "new",
            "log-level": "error",
            "quota-backend-bytes": 4_000_000_000,
        }
        return ["etcd", *(f"--{name}={value}" for name, value in flags.items())]

    def is_ready(self) -> bool:
        """Every member says that it can commit."""
        return all(self._is_healthy(number) for number in range(self.count))

    def _is_healthy(self, number: int) -> bool:
        with contextlib.suppress(urllib.error.URLError, OSError, ValueError):
            url = f"http://{self.address(number)}/health"
            with urllib.request.urlopen(url, timeout=HTTP_S) as answer:
                return str(json.load(answer).get("health")) == "true"
        return False


def main() -> None:
    """Run one of them until a signal comes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=["zookeeper", "etcd"])
    parser.add_argument("--port", type=int, default=PORT, help="first of about thirty")
    parser.add_argument("--count", type=int, default=3)
    options = parser.parse_args()
    kind = ZooKeeper if options.system == "zookeeper" else Etcd
    if kind.missing():
        raise SystemExit(f"{options.system} is missing: {kind.missing()}")
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="bench-peers-") as folder,
        kind(Path(folder), options.port, options.count) as servers,
    ):
        print(json.dumps({"hosts": servers.hosts, "pids": servers.pids}), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
