"""What a run needs from a cluster, whatever system it consists of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from jepsen_lite.clients.store import Store
    from jepsen_lite.clusters.process import ServerProcess
    from jepsen_lite.clusters.weather import Weather


OpenStore = Callable[[int], Awaitable["Store"]]
"""A connected client for the worker with this number. Raises StoreError."""


class Ability(Enum):
    """Something that can be done to a cluster. A fault names those it needs."""

    PROCESSES = "start, kill and freeze its processes"
    PATHS = "cut the paths between its nodes and to its clients"
    SLOWNESS = "delay and narrow these paths"
    PACKETS = "lose packets on these paths"
    NETWORKS = "take the whole network of a node away"
    FRAMES = "lose, double and reorder the messages between its nodes"
    CLOCK = "move the clock of a node"
    FREEZE = "stop the clock of a node"
    DISK = "slow, fail and roll back the disk of a node"
    FILES = "damage the files of a node that is down"
    MEMBERS = "change its membership"
    ADMIN = "move its leadership, take snapshots"


class Node(Protocol):
    """One server of a cluster."""

    name: str
    """"n1", "n2", …: what targets, paths and reports call it."""
    address: str
    """host:port where clients reach it, through a proxy if there is one."""
    direct: str
    """host:port that no fault stands before, for questions and commands of the harness."""
    process: ServerProcess
    directory: Path

    async def start(self) -> None:
        """Start its process, without waiting until it serves."""


class Cluster(ABC):
    """Servers, and the ways between them. Use with ``async with``."""

    name: str
    abilities: frozenset[Ability]
    clients: tuple[str, ...]
    """Kinds of client that speak its protocol, the preferred one first."""
    nodes: tuple[Node, ...]
    weather: Weather

    @abstractmethod
    async def start(self) -> None:
        """Start every node and wait until the cluster serves. Raises ClusterError."""

    @abstractmethod
    async def stop(self) -> None:
        """End every process; never raises."""

    @abstractmethod
    async def leader(self) -> Node | None:
        """Who leads now, as a majority of those who answer says; None if nobody knows."""

    @abstractmethod
    async def wait_healthy(self, within_s: float) -> None:
        """Until every node serves and follows one leader. Raises ClusterError that says what is
        missing."""

    async def wait_converged(self, within_s: float) -> str:
        """Until all nodes hold the same data; how that was seen, empty if it cannot be.
        Raises ClusterError."""
        await self.wait_healthy(within_s)
        return ""

    open_store: OpenStore | None = None
    """Opens a further client, whose requests are recorded. Set by the run."""

    async def versions(self) -> dict[str, Any]:
        """What runs here: for the report."""
        return {}

    @property
    def hosts(self) -> str:
        """All client addresses, as a connect string."""
        return ",".join(node.address for node in self.nodes)

    def node(self, name: str) -> Node:
        """The node called so. Raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    @property
    def majority(self) -> int:
        """How many nodes are more than half."""
        return len(self.nodes) // 2 + 1


class ClusterError(Exception):
    """The cluster does not do what it must before a run can begin or end."""
