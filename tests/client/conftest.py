"""Fixtures of the client's tests."""

from __future__ import annotations

import pytest

from tests.client.fake_server import FakeCluster


@pytest.fixture
def cluster() -> FakeCluster:
    """Three hosts that share one state."""
    return FakeCluster()
