"""Plans: data that goes to JSON and back, drawn so that every kind of fault has its turn."""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import find, given

from coord.sim import US_PER_MS
from tests.sim.drawing import TINY, draw, draw_usual
from tests.sim.faults import TABLE
from tests.sim.phases import IN_PHASE
from tests.sim.plan import (
    DIRECTED,
    FAULTS,
    MORE_FAULTS,
    MORE_PROGRAMS,
    PHASES,
    ROLES,
    Fault,
    Knobs,
    Plan,
    from_dict,
    from_json,
    to_json,
)
from tests.sim.strategies import number

SEEDS: Final = range(200)
DELAYS_TO_BE_SERVED: Final = 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_plan_goes_to_json_and_back(seed: int) -> None:
    """Nothing is lost, and what is missing has its default."""
    plan = draw(seed)

    assert from_json(to_json(plan)) == plan
    assert from_dict({"seed": 7}) == Plan(7)


@pytest.mark.parametrize(
    "data",
    [
        {"seed": 1, "weeks": 2},
        {"seed": 1, "faults": [{"at_ms": 1, "kind": "meteor"}]},
        {"seed": 1, "faults": [{"at_ms": 1, "kind": "kill", "phase": "of the moon"}]},
        {"seed": 1, "knobs": {"volume": 11}},
    ],
)
def test_what_no_plan_has_is_refused(data: dict[str, object]) -> None:
    """A file from another version fails by name instead of running as something else."""
    with pytest.raises(ValueError, match="no"):
        from_json(json.dumps(data))


def test_every_kind_role_and_phase_is_drawn_and_done() -> None:
    """No name without an act, none that swarm selection leaves out."""
    faults = [fault for seed in SEEDS for fault in draw(seed).faults]

    assert set(TABLE) == {*FAULTS, *DIRECTED, *MORE_FAULTS}
    assert {fault.kind for fault in faults} == {*FAULTS, *MORE_FAULTS}
    assert {fault.who for fault in faults} == set(ROLES)
    assert {fault.phase for fault in faults} == set(PHASES) == {"", *IN_PHASE}


def test_every_knob_is_tiny_in_some_plans_and_left_alone_in_others() -> None:
    """Limits are met, and so is what happens without meeting them."""
    drawn = [draw(seed).knobs for seed in SEEDS]

    for name in TINY:
        values = {getattr(knobs, name) for knobs in drawn}
        assert getattr(Knobs(), name) in values, name
        assert len(values) > 1, name


def test_what_few_runs_have_changes_nothing_else() -> None:
    """It is drawn apart: a plan without it is the usual one of its seed."""
    more = [seed for seed in SEEDS if draw(seed) != draw_usual(seed)]

    assert len(SEEDS) // 4 < len(more) < len(SEEDS)
    for seed in SEEDS:
        plan, usual = draw(seed), draw_usual(seed)
        plan.programs = tuple(name for name in plan.programs if name not in MORE_PROGRAMS)
        left = [fault for fault in plan.faults if fault not in usual.faults]
        assert plan.programs == usual.programs
        assert {fault.kind for fault in left} <= {*MORE_FAULTS, "isolate", "one-way"}


def test_most_clients_wait_until_they_can_have_been_served() -> None:
    """Those that leave too early reconnect all the time: a few runs shall be like that."""
    plans = [draw(seed) for seed in SEEDS]
    hasty = [
        plan
        for plan in plans
        if plan.patience_ms * US_PER_MS < DELAYS_TO_BE_SERVED * plan.weather.delay_us_max
    ]

    assert 0 < len(hasty) < len(plans) // 5


@given(number(5, 9), number(100, 100_000))
def test_numbers_by_digits_are_in_their_range(narrow: int, wide: int) -> None:
    """Both ends included."""
    assert 5 <= narrow <= 9
    assert 100 <= wide <= 100_000


def test_numbers_by_digits_shrink_to_the_least_and_reach_the_greatest() -> None:
    """As integers do."""
    assert find(number(5, 9), lambda value: value > 0) == 5
    assert find(number(5, 9), lambda value: value == 9) == 9
    assert find(number(100, 100_000), lambda value: value > 300) in range(301, 400)


def test_a_fault_is_a_value() -> None:
    """It can be compared and dropped from a list: shrinking relies on it."""
    one, other = Fault(1, "kill", pick=3), Fault(1, "kill", pick=3)

    assert one == other
    assert len({one, other}) == 1
