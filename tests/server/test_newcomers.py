"""Whoever does not say who it is in time is given up, oldest first; one timer serves all."""

from __future__ import annotations

import asyncio

from coord.server.newcomers import Newcomers

TIMEOUT_MS = 20


class Caller:
    """Someone new."""

    def __init__(self, name: str, given_up: list[str]) -> None:
        self.name = name
        self._given_up = given_up

    def give_up(self) -> None:
        """Too late."""
        self._given_up.append(self.name)


async def test_the_silent_are_given_up_oldest_first() -> None:
    """Each once; those who spoke or left are not."""
    newcomers, given_up = Newcomers(TIMEOUT_MS), list[str]()
    first, spoke, last = (Caller(name, given_up) for name in ("first", "spoke", "last"))
    newcomers.add(first)
    newcomers.add(spoke)
    newcomers.discard(spoke)
    newcomers.discard(spoke)
    newcomers.add(last)

    while len(given_up) < 2:
        await asyncio.sleep(0)

    assert given_up == ["first", "last"]
    assert not len(newcomers)


async def test_nobody_is_given_up_early() -> None:
    """The timer of an older one, long gone, does not count for who came later."""
    newcomers, given_up = Newcomers(TIMEOUT_MS), list[str]()
    loop = asyncio.get_running_loop()
    gone = Caller("gone", given_up)
    newcomers.add(gone)
    await asyncio.sleep(TIMEOUT_MS / 2_000)
    newcomers.discard(gone)
    came_s = loop.time()
    newcomers.add(Caller("late", given_up))

    while not given_up:
        await asyncio.sleep(0)

    assert given_up == ["late"]
    # Added as the product adds: a difference of two times can round to less than the timeout.
    assert loop.time() >= came_s + TIMEOUT_MS / 1_000


async def test_the_timer_runs_again_for_who_comes_after_everyone_left() -> None:
    """Nobody is forgotten."""
    newcomers, given_up = Newcomers(TIMEOUT_MS), list[str]()
    newcomers.add(Caller("one", given_up))
    while not given_up:
        await asyncio.sleep(0)
    newcomers.add(Caller("two", given_up))
    while len(given_up) < 2:
        await asyncio.sleep(0)

    assert given_up == ["one", "two"]
