"""From settings to a cluster that has not been started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jepsen_lite.clusters.cluster import Cluster, ClusterError
from jepsen_lite.clusters.local import LocalCluster

if TYPE_CHECKING:
    from jepsen_lite.settings import Settings

CLUSTERS = ("local",)


def make(settings: Settings, home: Path) -> Cluster:
    """Raises ClusterError if there is no such cluster on this machine."""
    if settings.cluster == "local":
        return LocalCluster(
            home,
            settings.nodes,
            seed=settings.seed,
            settings=settings.server,
            planted=settings.planted or None,
            first_port=settings.first_port,
        )
    raise ClusterError(f"there is no cluster {settings.cluster!r}: {', '.join(CLUSTERS)}")
