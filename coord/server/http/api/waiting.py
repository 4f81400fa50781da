"""Waiting for the node, and working beside it without keeping it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from coord.model.errors import NotReadyError

if TYPE_CHECKING:
    from coord.node.node import Node

APPLIED_S: Final = 5.0
LOOK_S: Final = 0.01
SLICE_PAUSE_S: Final = 0.005
"""Between two slices of long work: the loop serves others meanwhile."""


async def wait_applied(node: Node, revision: int) -> None:
    """Until this node has applied ``revision``. Raises NotReadyError."""
    if node.reader.revision >= revision:
        return
    try:
        async with asyncio.timeout(APPLIED_S):
            while node.reader.revision < revision:  # noqa: ASYNC110 - applies set no event
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise NotReadyError(
            f"this node has applied up to {node.reader.revision}, not {revision}; ask another"
        ) from None


async def pause() -> None:
    """Let everybody else go first."""
    await asyncio.sleep(SLICE_PAUSE_S)
