"""coord on this machine, each node with a network of its own: what is cut is cut by the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jepsen_lite.clusters import namespaces
from jepsen_lite.clusters.cluster import Ability
from jepsen_lite.clusters.local import LocalCluster, LocalNode
from jepsen_lite.clusters.namespaces import Namespaces
from jepsen_lite.clusters.packet_filter import PacketFilter

PEER_PORT: Final = 2_281
CLIENT_PORT: Final = 2_181


class NetnsCluster(LocalCluster):
    """Needs root. Takes the keyword arguments of :class:`LocalCluster`."""

    name = "netns"
    can = LocalCluster.can - {Ability.FRAMES, Ability.SLOWNESS} | {Ability.PACKETS}

    def __init__(self, home: Path, count: int, **more: Any) -> None:
        namespaces.check_able()
        self._spaces = Namespaces(count)
        super().__init__(home, count, **more)
        self._filter = PacketFilter(self._spaces, PEER_PORT, CLIENT_PORT)
        self.weather = self._filter

    def place(self, number: int) -> LocalNode:
        seen, behind = self._spaces.seen(number), self._spaces.behind(number)
        node = LocalNode(number, self.home / f"n{number}", (seen, PEER_PORT), (seen, CLIENT_PORT))
        node.listens = f"0.0.0.0:{CLIENT_PORT}"
        node.direct = f"{behind}:{CLIENT_PORT}"
        return node

    def connect(self, node: LocalNode) -> Mapping[int, str]:
        node.address = "{}:{}".format(*node.client)
        return {}

    def configure(self, node: LocalNode) -> None:
        super().configure(node)
        node.command = [*self._spaces.within(node.id), *node.command]
        node.settings |= {"node.advertise_client": node.address, "peers.insecure": "true"}

    async def start(self) -> None:
        self._spaces.open()
        self._filter.open()
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        self._spaces.close()
