"""Makes a failing plan smaller while it fails in the same way.

First the list of faults by delta debugging (Zeller and Hildebrandt: parts, then complements of
parts, ever finer); then everything else that can be made plain: knobs, weather, clients, lengths.
Every fault and every field keeps its meaning when others go, so most steps succeed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, fields, replace
from itertools import pairwise
from typing import Any, Final

from tests.sim.naming import signature
from tests.sim.plan import Fault, Plan
from tests.sim.run import Result

Fails = Callable[[Plan], bool]
RUNS_MAX: Final = 400
LEAST: Final[dict[str, tuple[Any, ...]]] = {
    "nodes": (3,),
    "spares": (0,),
    "clients": (1, 2, 3),
    "depth": (1,),
    "keys": (1,),
}
"""Smaller values of what has no plain default, best first."""
SHORTER: Final = (4, 2)
"""The phase with faults is tried at a half and at three quarters of its length."""


class Budget(Exception):  # noqa: N818 (not an error: the answer so far stands)
    """No more runs are allowed."""


class Shrinker:
    """Keeps the smallest plan that fails as ``name`` says. ``runs`` counts attempts."""

    def __init__(
        self,
        run: Callable[[Plan], Result],
        runs_max: int = RUNS_MAX,
        on_run: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.runs = 0
        self._run = run
        self._runs_max = runs_max
        self._on_run = on_run
        self._name = ""
        self._best = Plan(0)
        self._known: set[str] = set()

    def shrink(self, plan: Plan) -> Plan:
        """The smallest plan found that fails as ``plan`` does. Raises ValueError if it holds."""
        self._best = plan
        self._name = signature(self._run(plan).problems)
        if not self._name:
            raise ValueError("this plan does not fail")
        with suppress(Budget):
            self._reduce()
        return self._best

    def _reduce(self) -> None:
        before = None
        while before != self._best:
            before = self._best
            self._drop_faults()
            for candidate in self._plainer():
                self._accepts(candidate)

    def _accepts(self, candidate: Plan) -> bool:
        """It fails likewise and is kept. Nothing is tried twice."""
        text = json.dumps(asdict(candidate), sort_keys=True)
        if candidate == self._best or text in self._known:
            return False
        self._known.add(text)
        if self.runs >= self._runs_max:
            raise Budget
        self.runs += 1
        if signature(self._run(candidate).problems) != self._name:
            return False
        self._best = candidate
        self._on_run(f"{len(candidate.faults)} faults, {candidate.fault_ms} ms")
        return True

    def _drop_faults(self) -> None:
        """Delta debugging of the list of faults."""
        parts = 2
        while len(self._best.faults) >= parts:
            if self._accepts_one_of(self._without_parts(parts)):
                parts = max(2, parts - 1)
            elif parts == len(self._best.faults):
                break
            else:
                parts = min(2 * parts, len(self._best.faults))
        self._accepts(replace(self._best, faults=()))

    def _accepts_one_of(self, candidates: Iterator[Plan]) -> bool:
        return any(self._accepts(candidate) for candidate in candidates)

    def _without_parts(self, parts: int) -> Iterator[Plan]:
        faults = self._best.faults
        edges = [len(faults) * at // parts for at in range(parts + 1)]
        for start, stop in pairwise(edges):
            yield replace(self._best, faults=faults[:start] + faults[stop:])

    def _plainer(self) -> Iterator[Plan]:
        """Variants of what is best by then, each simpler in one respect."""
        plain = Plan(self._best.seed)
        for name, values in LEAST.items():
            for value in values:
                if value < getattr(self._best, name):
                    yield replace(self._best, **{name: value})
        for part in SHORTER:
            yield self._cut_to(self._best.fault_ms - self._best.fault_ms // part)
        for program in self._best.programs:
            left = tuple(kind for kind in self._best.programs if kind != program)
            if left:
                yield replace(self._best, programs=left)
        keep = {"seed", "faults", "fault_ms", "programs", *LEAST}
        for known in fields(Plan):
            if known.name not in keep:
                yield from self._plain_field(known.name, getattr(plain, known.name))
        for at, fault in enumerate(self._best.faults):
            if fault.phase:
                yield self._with_fault(at, replace(fault, phase=""))

    def _plain_field(self, name: str, plain: Any) -> Iterator[Plan]:
        """The whole field as it is by default, then part by part."""
        yield replace(self._best, **{name: plain})
        now = getattr(self._best, name)
        if hasattr(type(plain), "__dataclass_fields__") and now != plain:
            for part in fields(plain):
                value = getattr(plain, part.name)
                changed = replace(getattr(self._best, name), **{part.name: value})
                yield replace(self._best, **{name: changed})

    def _cut_to(self, fault_ms: int) -> Plan:
        faults = tuple(fault for fault in self._best.faults if fault.at_ms < fault_ms)
        return replace(self._best, fault_ms=fault_ms, faults=faults)

    def _with_fault(self, at: int, fault: Fault) -> Plan:
        faults = list(self._best.faults)
        if at < len(faults):
            faults[at] = fault
        return replace(self._best, faults=tuple(faults))
