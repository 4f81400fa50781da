"""Work side by side: what children say, how they end, what is left of them (nothing)."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jepsen_lite import parallel
from jepsen_lite.faults.catalogue import UnknownFaultError
from jepsen_lite.parallel import Row, Tell

FORK = multiprocessing.get_context("fork")
WITHIN_S = 60.0


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    """However a test ends its work, no child outlives it, and SIGTERM means what it did."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert multiprocessing.active_children() == []
    assert signal.getsignal(signal.SIGTERM) is before


def for_ever(item: str, tell: Tell) -> Row:
    """Work that ends only when it is made to."""
    tell(f"{item} goes on")
    while True:
        signal.pause()


def test_as_many_at_once_as_asked() -> None:
    """Three meet: each waits for the two others; their lines are shown and their rows arrive."""
    meeting = FORK.Barrier(3)
    shown: list[str] = []

    def meet(item: int, tell: Tell) -> Row:
        tell(f"{item} waits")
        meeting.wait(WITHIN_S)
        return {"item": item}

    rows = dict(parallel.each(range(6), meet, 3, shown.extend))
    assert rows == {item: {"item": item} for item in range(6)}
    assert {f"{item} waits" for item in range(6)} <= set(shown)


def test_never_more_than_asked(tmp_path: Path) -> None:
    """Whoever begins counts who is there."""

    def count(item: int, _tell: Tell) -> Row:
        mine = tmp_path / str(item)
        mine.touch()
        there = len(list(tmp_path.iterdir()))
        mine.unlink()
        return {"there": there}

    rows = [row for _, row in parallel.each(range(8), count, 2, lambda _lines: None)]
    assert len(rows) == 8
    assert all(isinstance(row, dict) and 1 <= row["there"] <= 2 for row in rows)


def test_a_child_that_dies_is_said_and_the_others_go_on() -> None:
    """As the kernel's killer of large processes does to one."""

    def die(item: int, _tell: Tell) -> Row:
        if item == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

    rows = dict(parallel.each(range(4), die, 2, lambda _lines: None))
    assert rows == {0: {}, 1: "its process ended with -9", 2: {}, 3: {}}


def test_what_the_work_raises_ends_all() -> None:
    """Wrong usage is the same for every run."""

    def refuse(item: str, tell: Tell) -> Row:
        if item == "bad":
            raise UnknownFaultError("there is no fault 'melt'")
        return for_ever(item, tell)

    with pytest.raises(UnknownFaultError, match="melt"):
        list(parallel.each(["good", "bad"], refuse, 2, lambda _lines: None))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(number: signal.Signals) -> None:
    """Ctrl-C as well as a polite kill; children do not decide for themselves."""

    def interrupt(lines: list[str]) -> None:
        if all(lines):
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        list(parallel.each(["a", "b"], for_ever, 2, interrupt))


def test_children_ignore_the_terminals_interrupt(tmp_path: Path) -> None:
    """It reaches every process of the terminal; who gets it twice would not clean up."""

    def survive(item: str, _tell: Tell) -> Row:
        os.kill(os.getpid(), signal.SIGINT)
        (tmp_path / item).touch()
        return {}

    assert dict(parallel.each(["a"], survive, 2, lambda _lines: None)) == {"a": {}}
    assert (tmp_path / "a").exists()
