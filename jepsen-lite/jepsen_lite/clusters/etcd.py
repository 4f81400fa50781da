"""etcd from Debian's package."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from jepsen_lite.clusters import ports
from jepsen_lite.clusters.cluster import ClusterError
from jepsen_lite.clusters.peers import PeerCluster, PeerNode

ANSWER_WITHIN_S: Final = 1.0


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
