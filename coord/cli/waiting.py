"""Waiting for signals inside a loop, even for those that were inherited as ignored."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

STOP_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def signals(wanted: Iterable[signal.Signals] = STOP_SIGNALS) -> Iterator[asyncio.Queue[int]]:
    """A queue of the signals that arrive. A handler replaces an inherited SIG_IGN as well:
    a shell starts background jobs with SIGINT ignored, and they must stop all the same.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[int] = asyncio.Queue()
    held = tuple(wanted)
    for number in held:
        loop.add_signal_handler(number, arrived.put_nowait, int(number))
    try:
        yield arrived
    finally:
        for number in held:
            loop.remove_signal_handler(number)


async def interrupted() -> int:
    """Wait for the first signal that asks to stop, and name it."""
    with signals() as arrived:
        return await arrived.get()
