"""Ticks keep their pace, lateness is bounded, and a stall is told before anything else."""

from __future__ import annotations

from collections.abc import Callable

from coord.model.limits import TICK_MS
from coord.node.ticker import BURST_TICKS_MAX, Ticker

STALL_MS = 400


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class World:
    """A clock moved by hand that runs due timers; it is clock and scheduler at once."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.heard: list[str] = []
        self.timers: list[tuple[int, Callable[[], None], Timer]] = []
        self.ticker = Ticker(self, self, self.tick, self.stall, STALL_MS)

    def monotonic_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        raise AssertionError("ticks do not depend on the wall clock")

    def call_soon(self, call: Callable[[], None]) -> None:
        raise AssertionError("unused")

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> Timer:
        timer = Timer()
        self.timers.append((self.now_ms + delay_ms, call, timer))
        return timer

    def tick(self) -> None:
        self.heard.append("tick")

    def stall(self, gap_ms: int) -> None:
        self.heard.append(f"stall {gap_ms}")

    def advance(self, to_ms: int) -> None:
        """Run timers at their time, until ``to_ms``."""
        while due := [entry for entry in self.timers if entry[0] <= to_ms]:
            entry = min(due, key=lambda each: each[0])
            self.timers.remove(entry)
            self.now_ms = max(self.now_ms, entry[0])
            if not entry[2].cancelled:
                entry[1]()
        self.now_ms = max(self.now_ms, to_ms)

    def jump(self, by_ms: int) -> None:
        """Time passes and nothing runs."""
        self.now_ms += by_ms


def started() -> World:
    """A world whose ticker runs."""
    world = World()
    world.ticker.start()
    return world


def test_ticks_come_at_their_pace() -> None:
    """One per TICK_MS, without drift."""
    world = started()
    world.advance(1_000 + 50 * TICK_MS)

    assert world.heard == ["tick"] * 50


def test_a_late_loop_makes_up_for_its_ticks() -> None:
    """Time that passed in a slow callback still counts."""
    world = started()
    world.jump(3 * TICK_MS)
    world.advance(world.now_ms)

    assert world.heard == ["tick"] * 3


def test_lateness_beyond_the_burst_is_let_go() -> None:
    """A busy node must not run through its own election timeout in one go."""
    world = started()
    world.jump(STALL_MS - 1)
    world.advance(world.now_ms)

    assert world.heard == ["tick"] * BURST_TICKS_MAX


def test_a_stall_is_told_before_the_tick_and_the_missed_ticks_are_dropped() -> None:
    """The node hears of the gap first, and of one tick a full period later."""
    world = started()
    world.jump(STALL_MS + 1)
    world.advance(world.now_ms)
    assert world.heard == [f"stall {STALL_MS + 1}"]

    world.advance(world.now_ms + TICK_MS)
    assert world.heard == [f"stall {STALL_MS + 1}", "tick"]


def test_input_that_comes_first_finds_the_stall() -> None:
    """A check ahead of received bytes tells it, and the tick does not tell it again."""
    world = started()
    world.jump(5_000)
    world.ticker.check()
    world.advance(world.now_ms)

    assert world.heard == ["stall 5000"]
    assert world.ticker.longest_stall_ms == 5_000


def test_checks_between_ticks_find_nothing() -> None:
    """Input does not disturb the pace."""
    world = started()
    for _ in range(10):
        world.advance(world.now_ms + 7)
        world.ticker.check()

    assert world.heard == ["tick"] * (70 // TICK_MS)


def test_a_stopped_ticker_is_silent() -> None:
    """Neither ticks nor stalls come after stop, even from within a tick."""
    world = started()
    world.ticker.stop()
    world.jump(5_000)
    world.ticker.check()
    world.advance(world.now_ms + 1_000)

    assert not world.heard
