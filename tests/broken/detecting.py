"""Whether a run notices a planted bug, and by which name.

Counted is only what has a stable name: an invariant, a checker's rule, a demand of progress. An
exception of the mutant itself, or an assertion of the product, is a crash: it shows that something
is wrong and not that the simulator would have noticed.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from tests.broken.mutant import Mutant
from tests.sim.plan import Plan
from tests.sim.run import run_plan

WALL_S_MAX: Final = 120
"""A mutant may send the simulator round in circles: no run of a healthy system takes so long."""
_NAMED: Final = (
    re.compile(r"InvariantViolation: ([a-z-]+):"),
    re.compile(r"([a-z_]+/[A-Za-z0-9-]+): "),
)
_STUCK: Final = re.compile(r"Stuck: no cluster to ")
PROGRESS: Final = "progress"
"""Name of the demand that a healed cluster serves, ends what is over, and converges."""


class TooLong(Exception):  # noqa: N818 (names the finding)
    """The run did not end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a run with a bug planted: ``names`` of what noticed it, or a ``crash``;
    neither: it passed."""

    names: tuple[str, ...] = ()
    crash: str = ""
    events: int = 0

    @property
    def is_caught(self) -> bool:
        """By name."""
        return bool(self.names)


def names_in(problems: list[str]) -> tuple[str, ...]:
    """Stable names among the problems of a run, in their order, each once."""
    found: dict[str, None] = {}
    for problem in problems:
        for pattern in _NAMED:
            match = pattern.match(problem)
            if match is not None:
                found[match[1]] = None
        if _STUCK.match(problem):
            found[PROGRESS] = None
    return tuple(found)


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raises TooLong after so many seconds. Main thread of a process only."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(mutant: Mutant, plan: Plan) -> Verdict:
    """Run a plan with the bug planted."""
    try:
        with _limited(WALL_S_MAX), mutant.plant():
            result = run_plan(plan)
    except Exception as error:  # A mutant may raise anything.
        return Verdict(crash=f"{type(error).__name__}: {error}"[:200])
    names = names_in(result.problems)
    crash = "" if names or not result.problems else result.problems[0][:200]
    return Verdict(names, crash, result.events)
