"""Plans drawn and, when they fail, shrunk by Hypothesis."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.sim.keeping import report
from tests.sim.plan import Plan, from_json, to_json
from tests.sim.run import run_plan
from tests.sim.strategies import plans

EXAMPLES: Final = 25
"""Each is a whole cluster; the search goes on from one night to the next in ``make sim``."""

_settings = settings(
    deadline=None,
    derandomize=True,
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.simulation
@pytest.mark.timeout(600)
@_settings
@given(plans())
def test_drawn_plans_hold(plan: Plan) -> None:
    """Everything promised holds."""
    result = run_plan(plan)

    assert not result.problems, report(result)


@settings(max_examples=50, deadline=None)
@given(plans())
def test_a_plan_survives_its_file(plan: Plan) -> None:
    """What a failing example is kept as gives the same plan again."""
    assert from_json(to_json(plan)) == plan
