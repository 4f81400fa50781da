"""ZooKeeper's own C client, from Debian: the multi-threaded library."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.zookeeper_clients.lab import Lab
from tests.zookeeper_clients.workers import Worker

pytestmark = [pytest.mark.needs("gcc"), pytest.mark.needs("zookeeper.h")]

PROGRAM: Final = Path(__file__).parent / "c" / "worker.c"
SCENARIOS: Final = (
    "crud",
    "create_modes",
    "watches",
    "watches_across_reconnect",
    "multi",
    "acls",
    "ephemerals",
    "session_moves",
    "expiry",
)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One process for the whole module."""
    directory = tmp_path_factory.mktemp("c")
    subprocess.run(
        ["gcc", "-std=gnu11", "-DTHREADED", "-Wall", "-Wno-unused-parameter", "-Werror", "-O1",
         "-o", str(directory / "worker"), str(PROGRAM), "-lzookeeper_mt", "-lpthread"],
        check=True,
    )  # fmt: skip
    made = Worker([str(directory / "worker")], directory / "log")
    yield made
    made.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_c(worker: Worker, lab: Lab, scenario: str) -> None:
    """A scenario of ``worker.c``."""
    worker.run(scenario, lab)
