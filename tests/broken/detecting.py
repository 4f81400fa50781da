"""Whether a run notices a planted bug, and by which name.

Counted is only what has a stable name: an invariant, a checker's rule, a demand of progress
(``tests.sim.naming``). An exception of the mutant itself, or an assertion of the product, is a
crash: it shows that something is wrong and not that the simulator would have noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.broken.mutant import Mutant
from tests.sim.naming import names_in
from tests.sim.plan import Plan
from tests.sim.run import run_plan
from tests.sim.workers import limited

WALL_S_MAX: Final = 600
"""A mutant may send the simulator round in circles."""
CRASH_CHARS_MAX: Final = 200


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


def judge(mutant: Mutant, plan: Plan) -> Verdict:
    """Run a plan with the bug planted."""
    try:
        with limited(WALL_S_MAX), mutant.plant():
            result = run_plan(plan)
    except Exception as error:  # A mutant may raise anything, anywhere.
        return Verdict(crash=f"{type(error).__name__}: {error}"[:CRASH_CHARS_MAX])
    names = names_in(result.problems)
    crash = "" if names or not result.problems else result.problems[0][:CRASH_CHARS_MAX]
    return Verdict(names, crash, result.events)
