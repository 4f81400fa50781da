"""Clients of the fake service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from coord_client import Client
from coord_client.session import SessionSettings
from tests.client.fake_server import FakeCluster
from tests.client.virtual import now_ms


def client_of(cluster: FakeCluster, *, chroot: str = "", **settings: Any) -> Client:
    """A client whose network is the fake, whose clock is virtual and whose dice are loaded."""
    return Client(
        cluster.connect_string + chroot,
        SessionSettings(**settings),
        dial=cluster.dial,
        clock_ms=now_ms,
        spread=lambda: 0.0,
    )


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until ``condition`` holds; virtual time may pass."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the condition never came to hold")


async def settle() -> None:
    """Let everything that is ready happen."""
    for _ in range(50):
        await asyncio.sleep(0)
