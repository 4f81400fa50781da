"""From settings to a cluster that has not been started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from jepsen_lite.clusters.cluster import Ability, Cluster, ClusterError
from jepsen_lite.clusters.compose import ComposeCluster
from jepsen_lite.clusters.disk import can_build
from jepsen_lite.clusters.etcd import EtcdCluster
from jepsen_lite.clusters.local import LocalCluster
from jepsen_lite.clusters.netns import NetnsCluster
from jepsen_lite.clusters.remote import RemoteCluster
from jepsen_lite.clusters.zookeeper import ZooKeeperCluster

if TYPE_CHECKING:
    from jepsen_lite.settings import Settings

CLUSTERS: Final = ("local", "netns", "compose", "zookeeper", "etcd", "remote")
OURS: Final = {"local": LocalCluster, "netns": NetnsCluster}
"""Nodes of coord that the tool starts itself."""


def make(settings: Settings, home: Path, needed: frozenset[Ability] = frozenset()) -> Cluster:
    """``needed``: what faults will want to do; some of it has a price and is left out otherwise.
    Raises ClusterError if there is no such cluster here."""
    count, seed, first_port = settings.nodes, settings.seed, settings.first_port
    kind = OURS.get(settings.cluster)
    if settings.planted and kind is None:
        raise ClusterError("bugs can be planted in nodes of coord that the tool starts only")
    if kind is not None:
        return kind(
            home.resolve(),
            count,
            seed=seed,
            settings=settings.server,
            planted=settings.planted or None,
            with_disks=Ability.DISK in needed and can_build(),
            first_port=first_port,
        )
    if settings.cluster == "zookeeper":
        with_clocks = Ability.CLOCK in needed
        return ZooKeeperCluster(
            home.resolve(), count, seed=seed, first_port=first_port, with_clocks=with_clocks
        )
    if settings.cluster == "etcd":
        return EtcdCluster(home.resolve(), count, seed=seed, first_port=first_port)
    if settings.cluster == "compose":
        file = Path(settings.compose_file)
        return ComposeCluster(home.resolve(), file, count, first_port=first_port)
    if settings.cluster == "remote":
        return RemoteCluster(settings.hosts)
    raise ClusterError(f"there is no cluster {settings.cluster!r}: {', '.join(CLUSTERS)}")
