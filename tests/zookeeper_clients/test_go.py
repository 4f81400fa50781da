"""Debian's Go client: its handshake has no read-only flag, and it arms its watches again under an
ordinary request number.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.zookeeper_clients.lab import Lab
from tests.zookeeper_clients.workers import Worker

pytestmark = [pytest.mark.needs("go"), pytest.mark.needs("go-zookeeper")]

PROGRAM: Final = Path(__file__).parent / "go" / "worker.go"
SCENARIOS: Final = (
    "crud",
    "createModes",
    "watches",
    "watchesAcrossReconnect",
    "multi",
    "acls",
    "ephemerals",
    "sessionMoves",
    "expiry",
    "lock",
    "words",
)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One process for the whole module, built against what Debian has in its Go path."""
    directory = tmp_path_factory.mktemp("go")
    subprocess.run(
        ["go", "build", "-o", str(directory / "worker"), str(PROGRAM)],
        env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"},
        check=True,
    )
    made = Worker([str(directory / "worker")], directory / "log")
    yield made
    made.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_go(worker: Worker, lab: Lab, scenario: str) -> None:
    """A scenario of ``worker.go``."""
    worker.run(scenario, lab)
