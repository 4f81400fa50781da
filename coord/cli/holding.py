"""A command that runs only while something is held: when to signal it, and what to report.

The hold ends, at the earliest, at a moment that this process reads from its own clock (design: a
hold outlives its last confirmed heartbeat by the session timeout, less drift). The command is
asked to end ``grace_s`` before that moment and killed before it, so that two holders never run
at once. A process that is itself frozen cannot do this: then only the token protects.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from coord.cli import exits

KILL_MARGIN_S: Final = 0.25
"""The kill comes this long before the hold can end: time for the signal to take effect."""


class Stoppable(Protocol):
    """The command that runs."""

    async def wait(self) -> int:
        """Its return code; negative: the signal that ended it."""
        ...

    def signal(self, number: int) -> None:
        """Signal all of it."""
        ...


async def run_while_held(
    command: Stoppable,
    *,
    lost: Awaitable[object],
    remaining_s: Callable[[], float],
    signals: asyncio.Queue[int],
    grace_s: float,
) -> int:
    """Wait for ``command``; end it before the hold can be lost.

    ``lost`` completes when the hold is certainly gone; ``remaining_s`` says for how long it is
    certainly kept; signals from the queue are passed on to the command. Returns the exit code:
    the command's own, or TEMPORARY if the hold ended it.
    """
    ended = asyncio.ensure_future(command.wait())
    gone = asyncio.ensure_future(lost)
    asked = asyncio.ensure_future(signals.get())
    try:
        while True:
            left_s = remaining_s() - grace_s
            if ended.done():
                return exits.of_returncode(ended.result())
            if gone.done() or left_s <= 0:
                await _end(command, ended, gone, remaining_s)
                return exits.TEMPORARY
            await asyncio.wait(
                {ended, gone, asked}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
            if asked.done():
                command.signal(asked.result())
                asked = asyncio.ensure_future(signals.get())
    finally:
        if not ended.done():
            command.signal(signal.SIGKILL)
        for task in (gone, asked):
            task.cancel()
        await ended


async def _end(
    command: Stoppable,
    ended: asyncio.Future[int],
    gone: asyncio.Future[object],
    remaining_s: Callable[[], float],
) -> None:
    """SIGTERM while there is time, SIGKILL before there is none. A late heartbeat changes nothing:
    the command has been told to end.
    """
    left_s = remaining_s() - KILL_MARGIN_S
    if not gone.done() and left_s > 0:
        command.signal(signal.SIGTERM)
        waiting: set[asyncio.Future[Any]] = {ended, gone}
        await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        command.signal(signal.SIGKILL)
        await asyncio.wait({ended})
