"""The four-letter words of a node: its settings by ZooKeeper's names, and who it says it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import coord
from coord.model.limits import TICK_MS
from coord.server.words.collect import Collector
from coord.server.words.desk import WordDesk
from coord.server.words.facts import SettingsFacts

if TYPE_CHECKING:
    from coord.config import Config
    from coord.node.node import Node
    from coord.server.listener import ClientListener

ZOOKEEPER_VERSION: Final = "3.9.3"
"""Whose clients and rules this version follows. Clients choose their requests by it."""


def make_desk(config: Config, node: Node, listener: ClientListener) -> WordDesk:
    """Who answers the words that the configuration allows."""
    collector = Collector(node, listener, version_line(), config.node.dir, settings_of(config))
    return WordDesk(collector, config.zookeeper.words)


def version_line() -> str:
    """As ``3.9.3-coord-0.1.0, built on 2026-01-31 12:00 UTC``: when its files were made."""
    made = datetime.fromtimestamp(Path(coord.__file__).stat().st_mtime, UTC)
    return f"{ZOOKEEPER_VERSION}-coord-{coord.__version__}, built on {made:%Y-%m-%d %H:%M} UTC"


def settings_of(config: Config) -> SettingsFacts:
    """What ``conf`` shows, but for the members."""
    return SettingsFacts(
        client_port=_port(config.node.client),
        data_dir=str(config.node.dir),
        tick_ms=TICK_MS,
        connections_per_address_max=config.limits.connections_per_address_max,
        session_timeout_ms_min=config.sessions.timeout_ms_min,
        session_timeout_ms_max=config.sessions.timeout_ms_max,
        node=config.node.id,
        election_ticks_max=config.raft.election_timeout_ms_max // TICK_MS,
        peer_port=_port(config.node.peer),
        is_observer=False,
        membership=(),
    )


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
