"""Waiting for the node, and working beside it without keeping it."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Final

from coord.model.errors import NotReadyError

if TYPE_CHECKING:
    from coord.node.node import Node

APPLIED_S: Final = 5.0
LOOK_S: Final = 0.01
PAUSE_S_MIN: Final = 0.005
REST: Final = 6.0
"""Long work rests this many times as long as it worked: it takes a seventh of the loop's time."""


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


class Pace:
    """Of work in slices, each of a few milliseconds at most, beside all that the loop serves."""

    def __init__(self) -> None:
        self._began_s = perf_counter()  # The loop's own clock may stand still within a turn.

    async def pause(self) -> None:
        """After a slice: let everybody else go first."""
        await asyncio.sleep(max(PAUSE_S_MIN, REST * (perf_counter() - self._began_s)))
        self._began_s = perf_counter()
