"""A ZooKeeper and a coord node for all tests of this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.campaign import both_servers
from tests.differential.compare import Side


@pytest.fixture(scope="session")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Both servers, started once."""
    with both_servers(tmp_path_factory.mktemp("servers")) as running:
        yield running
