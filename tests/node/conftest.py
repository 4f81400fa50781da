"""The transport's tests run on asyncio's own loop and on uvloop."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.loops import BOTH, ONE, LoopFactory


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Both for sockets, one for everything else."""
    return BOTH if item.path.name == "test_transport.py" else ONE
