"""Constants of the product that are other numbers for the length of a run, the same on all nodes.

They decide how often rare branches are taken: a fold of session rows, a sampled digest, a revision
that travels in parts, a node that takes no more writes. No promise depends on their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from coord.node import admission, driver
from coord.store import retention, state_machine, write_behind
from coord.watch import notify
from tests.sim import upgrade
from tests.sim.plan import Plan


@contextmanager
def in_force(plan: Plan) -> Iterator[None]:
    """Run with the plan's numbers, and with the next version's code where nodes are upgraded."""
    knobs = plan.knobs
    assert knobs.sample_entries % knobs.fold_entries == 0
    numbers: list[tuple[ModuleType, str, object]] = [
        (retention, "_FOLD_MASK", knobs.fold_entries - 1),
        (state_machine, "_SAMPLE_MASK", knobs.sample_entries - 1),
        (write_behind, "FOLD_CHANGES", knobs.behind_changes),
        (driver, "APPLY_ENTRIES_MAX", knobs.apply_entries),
        (admission, "NODE_WRITES_IN_FLIGHT_MAX", knobs.node_writes_in_flight),
        (state_machine, "apply_command", upgrade.apply_command),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in numbers]
    defaults: dict[str, object] = notify.split.__kwdefaults__ or {}
    part_bytes = defaults["bytes_max"]
    try:
        for module, name, value in numbers:
            setattr(module, name, value)
        defaults["bytes_max"] = knobs.part_bytes
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        defaults["bytes_max"] = part_bytes
