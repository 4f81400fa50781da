"""From settings to a connected client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jepsen_lite.clients.native import NativeStore
from jepsen_lite.clients.store import Store

if TYPE_CHECKING:
    from jepsen_lite.clusters.cluster import Cluster
    from jepsen_lite.history_file import Writer
    from jepsen_lite.settings import Settings


async def open_store(settings: Settings, cluster: Cluster, writer: Writer, number: int) -> Store:
    """A client for worker ``number``, connected. Raises StoreError."""
    store = make(settings, cluster, writer, number)
    try:
        await store.open()
    except BaseException:
        await store.close()
        raise
    return store


def make(settings: Settings, cluster: Cluster, writer: Writer, number: int) -> Store:
    """The same, not connected yet. kazoo and aiohttp are imported only where they are used."""
    kind = settings.client or cluster.clients[0]
    if kind == "native":
        return NativeStore(
            cluster.hosts,
            writer,
            name=f"jepsen-lite {number}",
            session_timeout_s=settings.session_timeout_s,
            request_timeout_s=settings.request_timeout_s,
        )
    if kind == "kazoo":
        from jepsen_lite.clients.wire import KazooStore  # noqa: PLC0415 - optional

        return KazooStore(
            cluster.hosts,
            number,
            barrier="write" if cluster.name == "zookeeper" else "sync",
            session_timeout_s=settings.session_timeout_s,
            request_timeout_s=settings.request_timeout_s,
        )
    from jepsen_lite.clients.etcd import EtcdStore  # noqa: PLC0415 - optional

    return EtcdStore(cluster.hosts, number, request_timeout_s=settings.request_timeout_s)
