"""kazoo's own tests, unmodified, against three coord processes: a pytest plugin.

    python -m pytest -c /dev/null -p tests.zookeeper_clients.kazoo_suite --pyargs kazoo.tests

kazoo's harness starts ZooKeeper servers of its own; here it is given ours instead, once for the
whole run (``COORD_ZK_SERVER=zookeeper``: ZooKeeper's, to compare).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.zookeeper_clients.ensembles import NODES, CoordEnsemble, Ensemble, ZooKeeperEnsemble

# The harness makes certificates with these, for servers that we do not let it start.
for _name in ("OpenSSL", "jks"):
    sys.modules.setdefault(_name, ModuleType(_name))

from kazoo.testing import harness  # noqa: E402 - after the two stand-ins

SETTINGS = {
    "COORD_ZOOKEEPER_RECONFIG": "true",
    "COORD_ZOOKEEPER_WORDS": "*",
}
"""What kazoo's harness switches on in its own servers."""


class Server:
    """One server as kazoo's tests handle it."""

    def __init__(self, ensemble: Ensemble, node: int) -> None:
        self._ensemble = ensemble
        self._node = node
        self.address = ensemble.addresses[node]

    @property
    def running(self) -> bool:
        """Whether it is."""
        return self._ensemble.is_running(self._node)

    def run(self) -> None:
        """Start it if it is not."""
        if not self.running:
            self._ensemble.start(self._node)

    def stop(self) -> None:
        """End it."""
        self._ensemble.kill(self._node)


class Servers:
    """The cluster as kazoo's tests handle it; it stays up between test classes."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble
        self._servers = [Server(ensemble, node) for node in NODES]

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers)

    def __getitem__(self, index: int) -> Server:
        return self._servers[index]

    def start(self) -> None:
        """Start what does not run."""
        self._ensemble.start(*(node for node in NODES if not self._ensemble.is_running(node)))

    def terminate(self) -> None:
        """Asked for after each test class: the next one finds the servers as they are."""

    def get_logs(self) -> list[str]:
        """Asked for after a failure."""
        return []


_directory = tempfile.TemporaryDirectory()


def _ensemble() -> Ensemble:
    if os.environ.get("COORD_ZK_SERVER") == "zookeeper":
        return ZooKeeperEnsemble(Path(_directory.name))
    return CoordEnsemble(Path(_directory.name), SETTINGS)


def pytest_sessionstart(session: Any) -> None:
    """Start the servers and put them in the place of kazoo's."""
    session.config.coord_ensemble = ensemble = _ensemble()
    ensemble.start(*NODES)
    servers = Servers(ensemble)
    harness.get_global_cluster = lambda: servers


def pytest_sessionfinish(session: Any) -> None:
    """End the servers."""
    for node in NODES:
        session.config.coord_ensemble.kill(node)
    _directory.cleanup()
