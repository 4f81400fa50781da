"""Which event loops a suite runs on: what faces sockets runs on both, as in production."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import uvloop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

BOTH: Final[Mapping[str, LoopFactory]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
ONE: Final[Mapping[str, LoopFactory]] = {"asyncio": asyncio.new_event_loop}
