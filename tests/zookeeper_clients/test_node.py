"""node-zookeeper-client, as it is on npm: its handshake has no read-only flag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import NODE_MODULES
from tests.zookeeper_clients.lab import Lab
from tests.zookeeper_clients.workers import Worker

pytestmark = [pytest.mark.needs("node"), pytest.mark.needs("node-zookeeper-client")]

PROGRAM: Final = Path(__file__).parent / "node" / "worker.js"
SCENARIOS: Final = (
    "crud",
    "createModes",
    "watches",
    "watchesAcrossReconnect",
    "transaction",
    "acls",
    "ephemerals",
    "sessionMoves",
    "expiry",
)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One Node.js process for the whole module."""
    log = tmp_path_factory.mktemp("node") / "log"
    made = Worker(["node", str(PROGRAM), str(NODE_MODULES)], log)
    yield made
    made.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_node(worker: Worker, lab: Lab, scenario: str) -> None:
    """A scenario of ``worker.js``."""
    worker.run(scenario, lab)
