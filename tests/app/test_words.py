"""Who a node says it is, and its settings by ZooKeeper's names."""

from __future__ import annotations

import re

import coord
from coord.app.words import settings_of, version_line
from coord.config import load


def test_the_version_is_zookeepers_with_our_name_behind() -> None:
    """Three single numbers, a dash, and a date where programs look for one."""
    assert re.fullmatch(
        rf"3\.9\.\d-coord-{re.escape(coord.__version__)}, built on \d{{4}}-\d\d-\d\d \d\d:\d\d UTC",
        version_line(),
    )


def test_settings_come_from_the_configuration() -> None:
    """Ports without their hosts; times in ticks where ZooKeeper has ticks."""
    flags = {
        "node.id": ("2", "--id"),
        "node.dir": ("data", "--dir"),
        "node.client": ("[::1]:4181", "--client"),
        "node.peer": ("127.0.0.1:4281", "--peer"),
        "cluster.initial": ("1=127.0.0.1:1", "--initial"),
        "limits.connections_per_address_max": ("60", "--set"),
    }
    settings = settings_of(load(flags, {}, None))

    assert (settings.client_port, settings.peer_port) == (4181, 4281)
    assert settings.connections_per_address_max == 60
    assert (settings.session_timeout_ms_min, settings.session_timeout_ms_max) == (1_000, 60_000)
    assert settings.election_ticks_max * settings.tick_ms == 800
