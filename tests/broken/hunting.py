"""Looks for the runs that notice a planted bug: how many does it take?"""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from typing import Final

from tests.broken.catalogue import BY_NAME
from tests.broken.detecting import judge
from tests.broken.focus import draw_in
from tests.broken.ledger import Record, load
from tests.sim.run import run_plan

CATCHES_WANTED: Final = 3
"""So many catches make a median."""
RUNS_MAX: Final = 60
CHECK_RUNS_MAX: Final = 100
"""A mutant whose recorded run no longer notices it (what the seeds mean has shifted) must be
noticed by one of so many others."""


class Missed(Exception):  # noqa: N818 (names the finding)
    """No run noticed the mutant. ``crashes``: how many of them ended in an exception."""

    def __init__(self, name: str, runs: int, crashes: Counter[str]) -> None:
        super().__init__(name, runs, crashes)
        self.name = name
        self.runs = runs
        self.crashes = crashes

    def __str__(self) -> str:
        crashed = sum(self.crashes.values())
        most = self.crashes.most_common(1)
        why = f"; {crashed} crashed, most often: {most[0][0]}" if most else ""
        return f"{self.name}: not noticed by {self.runs} runs{why}"


@cache
def holds(focus: str, seed: int) -> bool:
    """The same run passes without the bug: else it would have failed anyway."""
    return not run_plan(draw_in(focus, seed)).problems


def hunt(name: str, first: int = 0, runs_max: int = RUNS_MAX) -> Record:
    """Try seeds from ``first`` on, until it has been caught often enough. Raises Missed."""
    mutant = BY_NAME[name]
    cheapest: tuple[int, int] | None = None
    names, crashes = Counter[str](), Counter[str]()
    gaps: list[int] = []
    tried = gap = 0
    for seed in range(first, first + runs_max):
        verdict = judge(mutant, draw_in(mutant.focus, seed))
        tried, gap = tried + 1, gap + 1
        if verdict.is_caught and holds(mutant.focus, seed):
            gaps.append(gap)
            gap = 0
            names.update(verdict.names)
            cost = (verdict.events, seed)
            cheapest = cost if cheapest is None else min(cheapest, cost)
            if len(gaps) == CATCHES_WANTED:
                break
        elif verdict.crash:
            crashes[verdict.crash] += 1
    if cheapest is None:
        raise Missed(name, tried, crashes)
    by = tuple(name for name, _ in names.most_common(3))
    median = round(statistics.median(gaps))
    crashed = sum(crashes.values())
    return Record(name, cheapest[1], by, median, tried, len(gaps), crashed)


def check(name: str, runs_max: int = CHECK_RUNS_MAX) -> Record:
    """The recorded run still catches it, or another one is found soon. Raises Missed."""
    mutant, known = BY_NAME[name], load().get(name)
    seeds = [] if known is None else [known.seed]
    seeds += [seed for seed in range(runs_max) if seed not in seeds]
    crashes = Counter[str]()
    for tried, seed in enumerate(seeds, 1):
        verdict = judge(mutant, draw_in(mutant.focus, seed))
        if verdict.is_caught and holds(mutant.focus, seed):
            crashed = sum(crashes.values())
            return Record(name, seed, verdict.names[:3], tried, tried, 1, crashed)
        if verdict.crash:
            crashes[verdict.crash] += 1
    raise Missed(name, len(seeds), crashes)


Search = Callable[[str, int, int], Record]


def hunt_from(name: str, first: int, runs_max: int) -> Record:
    """As ``hunt``; keeps what is known of where the line runs."""
    record = hunt(name, first, runs_max)
    known = load().get(name)
    return record if known is None else replace(record, ran_in=known.ran_in)


def check_from(name: str, _first: int, runs_max: int) -> Record:
    """As ``check``."""
    return check(name, runs_max)


def search_all(
    search: Search, names: Sequence[str], first: int, runs_max: int, workers: int = 0
) -> Iterator[Record | Missed]:
    """Search for many at once, one per core; in the order in which they are found."""
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        tasks = [pool.submit(search, name, first, runs_max) for name in names]
        for task in as_completed(tasks):
            try:
                yield task.result()
            except Missed as missed:
                yield missed
