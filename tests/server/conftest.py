"""What faces client sockets is tested on asyncio's own loop and on uvloop."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.loops import BOTH, LoopFactory


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Both."""
    assert "server" in item.path.parts
    return BOTH
