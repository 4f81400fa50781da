"""What a kind of run consists of: faults of some kinds in any order, or scripts of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from coord.sim import DiskConditions
from tests.sim.drawing import FAULTS_MAX, PICKS
from tests.sim.plan import Fault

Span = tuple[int, int]
"""Milliseconds, from … to (not reached)."""
AT_ONCE: Final[Span] = (0, 1)
START_MS: Final = 1_000
"""A script begins so soon, at the latest."""
BRISK: Final[dict[str, Any]] = {"clients": 6, "depth": 3, "think_ms": 250}
"""Clients that keep everybody busy, at a bearable price."""
SLOW_DISK: Final = DiskConditions(write_us_min=150_000, write_us_max=400_000)
LAZY_DISK: Final = DiskConditions(write_us_min=30_000, write_us_max=120_000)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a script, so long after the one before."""

    kind: str
    after_ms: Span = AT_ONCE
    length_ms: Span = AT_ONCE
    who: str = "any"
    phase: str = ""


Script = tuple[Step, ...]
"""Faults that only together lead into a situation."""


@dataclass(frozen=True, slots=True)
class Focus:
    """Faults of these ``kinds``, ``calm_ms`` apart in the mean, at ``who`` if that is given; or, if
    there are ``scripts``, one of them after the other, so far apart. Fields of the plan and its
    knobs that are set instead of drawn; ``is_plain``: weather, disks and knobs are else those of
    a good day."""

    kinds: tuple[str, ...] = ()
    calm_ms: int = 200
    length_ms: int = 1_500
    who: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    scripts: tuple[Script, ...] = ()
    is_plain: bool = False

    def all_kinds(self) -> set[str]:
        """Of fault that its runs may have."""
        return {*self.kinds, *(step.kind for script in self.scripts for step in script)}


def draw_scripts(
    stream: random.Random, scripts: Sequence[Script], fault_ms: int, calm_ms: int
) -> tuple[Fault, ...]:
    """Faults as the scripts have them, one script after the other."""
    found: list[Fault] = []
    at_ms = stream.randrange(START_MS)
    while at_ms < fault_ms and len(found) < FAULTS_MAX:
        for step in stream.choice(scripts):
            at_ms += stream.randrange(*step.after_ms)
            length_ms = stream.randrange(*step.length_ms)
            pick = stream.randrange(PICKS)
            found.append(Fault(at_ms, step.kind, step.who, step.phase, length_ms, pick))
        at_ms += calm_ms + stream.randrange(calm_ms)
    return tuple(found)
