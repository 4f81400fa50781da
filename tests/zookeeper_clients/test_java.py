"""Java: the client of ZooKeeper 3.8 by itself, and under Curator 5.4 with its recipes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.zookeeper_clients.lab import Lab
from tests.zookeeper_clients.workers import Worker

pytestmark = [
    pytest.mark.needs("java"),
    pytest.mark.needs("javac"),
    pytest.mark.needs("zookeeper.jar"),
    pytest.mark.needs("curator-recipes.jar"),
]

JARS: Final = [
    f"/usr/share/java/{name}.jar" for name in ("zookeeper", "curator-recipes", "slf4j-simple")
]
SOURCES: Final = Path(__file__).parent / "java"

PLAIN: Final = (
    "crud",
    "createModes",
    "oneShotWatches",
    "persistentWatches",
    "watchesAcrossReconnect",
    "removedWatches",
    "multi",
    "acls",
    "countsAndEphemerals",
    "sessionMoves",
    "expiry",
)
RECIPES: Final = (
    "createModes",
    "transaction",
    "acls",
    "mutex",
    "semaphore",
    "leaderLatch",
    "leaderSelector",
    "leaderLatchSurvivesKill",
    "cache",
    "persistentNode",
    "expiry",
    "counters",
    "queue",
    "barrierAndGroup",
    "ensembleTracker",
)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One Java process for the whole module."""
    classes = tmp_path_factory.mktemp("classes")
    subprocess.run(
        ["javac", "-Xlint:none", "-cp", ":".join(JARS), "-d", str(classes),
         *map(str, sorted(SOURCES.glob("*.java")))],
        check=True,
    )  # fmt: skip
    made = Worker(
        ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
         "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
         "-cp", ":".join([str(classes), *JARS]), "Lab"],
        classes / "log",
    )  # fmt: skip
    yield made
    made.close()


@pytest.mark.parametrize("scenario", PLAIN)
def test_plain_client(worker: Worker, lab: Lab, scenario: str) -> None:
    """A scenario of ``Plain.java``."""
    worker.run(f"Plain.{scenario}", lab)


@pytest.mark.usefixtures("read_only_mode")
def test_plain_client_without_a_quorum(worker: Worker, lab: Lab) -> None:
    """The scenario ``readOnly`` of ``Plain.java``."""
    worker.run("Plain.readOnly", lab)


@pytest.mark.parametrize("scenario", RECIPES)
def test_curator(worker: Worker, lab: Lab, scenario: str) -> None:
    """A scenario of ``Recipes.java``."""
    worker.run(f"Recipes.{scenario}", lab)
