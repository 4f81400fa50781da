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
    """The same, not connected yet."""
    kind = settings.client or cluster.clients[0]
    if kind == "native":
        return NativeStore(
            cluster.hosts,
            writer,
            name=f"jepsen-lite {number}",
            session_timeout_s=settings.session_timeout_s,
            request_timeout_s=settings.request_timeout_s,
        )
    raise ValueError(f"there is no client {kind!r}")
