"""Three servers for each worker of the test run, and a lab around them for each test.

``COORD_ZK_SERVER=zookeeper`` points the same tests at ZooKeeper itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.zookeeper_clients.ensembles import NODES, CoordEnsemble, Ensemble, ZooKeeperEnsemble
from tests.zookeeper_clients.lab import Lab

SERVERS: Final[dict[str, Callable[[Path], Ensemble]]] = {
    "coord": CoordEnsemble,
    "zookeeper": ZooKeeperEnsemble,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory is an integration test; a module stays on one worker, so that
    its program is built and started once.
    """
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.xdist_group(f"zookeeper_clients/{item.path.stem}"))


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    """Three servers, shared by all modules that this process runs."""
    kind = SERVERS[os.environ.get("COORD_ZK_SERVER", "coord")]
    servers = kind(tmp_path_factory.mktemp("servers"))
    try:
        servers.start(*NODES)
        yield servers
    finally:
        for node in NODES:
            servers.kill(node)


@pytest.fixture
def read_only_mode() -> None:
    """Servers without quorum serve clients that are content with reading: ZooKeeper's do so only
    if sessions are local, which is another product.
    """
    if os.environ.get("COORD_ZK_SERVER") == "zookeeper":
        pytest.skip("needs servers with local sessions")


@pytest.fixture
def lab(ensemble: Ensemble) -> Iterator[Lab]:
    """The servers, whole at the beginning of each test, and a network that can be broken."""
    made = Lab(ensemble)
    yield made
    made.close()
