"""A cluster that somebody else runs: traffic and judgement, no faults of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jepsen_lite.clusters import watching
from jepsen_lite.clusters.cluster import Cluster, ClusterError
from jepsen_lite.clusters.process import ServerProcess
from jepsen_lite.clusters.weather import Weather


class RemoteNode:
    """An address."""

    def __init__(self, number: int, address: str) -> None:
        self.name = f"n{number}"
        self.address = self.direct = address
        self.directory = Path()
        self.process = ServerProcess(Path())

    async def start(self) -> None:
        raise ClusterError(f"{self.address} is not ours to start")


class RemoteCluster(Cluster):
    """Nodes of coord at given addresses."""

    name = "remote"
    abilities = frozenset()
    clients = ("native", "kazoo")

    def __init__(self, hosts: str) -> None:
        self.weather = Weather()
        addresses = [address for address in hosts.split(",") if address]
        if not addresses:
            raise ClusterError("name the nodes of the remote cluster: --hosts HOST:PORT,…")
        self.nodes = tuple(RemoteNode(at, each) for at, each in enumerate(addresses, 1))

    async def start(self) -> None:
        await self.wait_healthy(0)

    async def stop(self) -> None:
        return

    async def leader(self) -> RemoteNode | None:
        said = await watching.all_status(node.direct for node in self.nodes)
        at = next((at for at, s in enumerate(said) if s and s["role"] == "leader"), None)
        return None if at is None else RemoteNode(at + 1, self.nodes[at].address)

    async def wait_healthy(self, within_s: float) -> None:
        del within_s
        said = await watching.all_status(node.direct for node in self.nodes)
        silent = [n.address for n, s in zip(self.nodes, said, strict=True) if not s]
        if silent:
            raise ClusterError(f"{', '.join(silent)} do not answer")

    async def versions(self) -> dict[str, Any]:
        said = await watching.all_status(node.direct for node in self.nodes)
        return {"coord": ", ".join(str(status["version"]) for status in said if status)}
