"""A cluster of three whose disks can fail, with writers at work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.disk_errors.cluster import FaultyCluster
from tests.disk_errors.faults import build


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The failing disk, compiled."""
    return build(tmp_path_factory.mktemp("faulty"))


@pytest.fixture
async def cluster(tmp_path: Path, library: Path) -> AsyncIterator[FaultyCluster]:
    """Three nodes that serve, and two clients that write without a pause."""
    made = FaultyCluster(tmp_path, library)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
