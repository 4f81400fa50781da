"""Many trials, drawn from a seed: every file, every kind of damage, node down and node up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.corruption.damage import KINDS, Damage
from tests.corruption.specimen import make_specimen
from tests.corruption.trial import WORKER, Outcome, Trials

MODES = ("down", "up")


@dataclass(slots=True)
class Tally:
    """What came of it."""

    ends: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(mode, file, path of what happened) to how often."""
    problems: list[Outcome] = field(default_factory=list)

    @property
    def trials(self) -> int:
        """How many changed something."""
        return self.ends.total()

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        what = outcome.damage.file.partition("/")[0].partition("-")[0]
        self.ends[outcome.mode, what, " ".join(outcome.path) or "nothing"] += 1
        if outcome.problem:
            self.problems.append(outcome)

    def rows(self) -> list[tuple[str, str, str, int]]:
        """(mode, part, what happened, times), ordered."""
        return [(*key, count) for key, count in sorted(self.ends.items())]


def drawn(seed: int, files: list[str]) -> Iterator[tuple[Damage, str]]:
    """Damages without end: kinds, files and modes in equal shares."""
    number = 0
    dice = random.Random(seed)
    while True:
        for mode in MODES:
            for kind in KINDS:
                yield Damage(kind, dice.choice(files), seed * 1_000_003 + number), mode
                number += 1


def run(
    place: Path,
    trials: int,
    seed: int,
    on_trial: Callable[[Outcome], Any] = lambda _: None,
    worker: str = WORKER,
) -> Tally:
    """Run that many trials below ``place``, which is a fresh directory, on a file system in memory
    if there is one: what is damaged here is not what a sync protects."""
    specimen = make_specimen(place / "specimen")
    files = specimen.files()
    weighted = [*files, *list(specimen.older) * 2]
    runner = Trials(specimen, place / "trial", worker)
    tally = Tally()
    try:
        for damage, mode in drawn(seed, weighted):
            outcome = runner.run(damage, mode)
            if outcome is not None:
                tally.add(outcome)
                on_trial(outcome)
            if tally.trials >= trials:
                return tally
    finally:
        runner.close()
    raise AssertionError("damages are drawn without end")
