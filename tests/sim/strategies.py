"""Plans drawn by Hypothesis: fewer than by seeds, and shrunk by it when they fail.

What is drawn is the plan alone (some hundred choices). All noise comes from the plan's seed, so
that an example stays within Hypothesis's budget however many messages a run sends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from coord.sim import Conditions, DiskConditions
from tests.sim.drawing import LENGTH_MS_MIN, OPERATIONS_MIN, PICKS, TINY
from tests.sim.plan import FAULTS, PHASES, PROGRAMS, ROLES, Fault, Knobs, Plan

FAULT_MS: Final = (4_000, 12_000)
FAULTS_MAX: Final = 20
LENGTH_MS_MAX: Final = 3_000
DIGIT_BITS: Final = 6


def number(low: int, high: int) -> st.SearchStrategy[int]:
    """As ``st.integers``, by digits. Into wide integers Hypothesis mixes the constants of every
    module that is loaded, so that the same test would draw one thing alone and another in company;
    digits are too narrow for that."""
    span = high - low + 1
    count = -(-span.bit_length() // DIGIT_BITS)

    def joined(digits: list[int]) -> int:
        value = 0
        for digit in digits:
            value = (value << DIGIT_BITS) + digit
        return low + (value * span >> count * DIGIT_BITS)

    digit = st.integers(0, (1 << DIGIT_BITS) - 1)
    return st.lists(digit, min_size=count, max_size=count).map(joined)


def _fault(kinds: tuple[str, ...]) -> st.SearchStrategy[Fault]:
    return st.builds(
        Fault,
        at_ms=number(0, FAULT_MS[1]),
        kind=st.sampled_from(kinds),
        who=st.sampled_from(ROLES),
        phase=st.sampled_from(PHASES),
        length_ms=number(LENGTH_MS_MIN, LENGTH_MS_MAX),
        pick=number(0, PICKS - 1),
    )


@st.composite
def _faults(draw: st.DrawFn) -> tuple[Fault, ...]:
    """Of a few kinds, so that runs differ in kind (swarm selection)."""
    kinds = draw(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=8, unique=True))
    found = draw(st.lists(_fault(tuple(kinds)), max_size=FAULTS_MAX))
    return tuple(sorted(found, key=lambda fault: fault.at_ms))


@st.composite
def _knobs(draw: st.DrawFn) -> Knobs:
    tiny = draw(st.lists(st.sampled_from(sorted(TINY)), max_size=len(TINY), unique=True))
    return replace(Knobs(), **{name: draw(st.sampled_from(TINY[name])) for name in tiny})


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan of moderate size."""
    programs = draw(st.lists(st.sampled_from(PROGRAMS), min_size=1, max_size=6, unique=True))
    return Plan(
        seed=draw(number(0, (1 << 32) - 1)),
        nodes=draw(st.sampled_from((3, 3, 3, 5))),
        spares=draw(st.integers(0, 2)),
        clients=draw(st.integers(2, 5)),
        depth=draw(st.integers(1, 3)),
        library_every=draw(st.integers(0, 3)),
        keys=draw(st.integers(1, 4)),
        programs=tuple(programs),
        faults=draw(_faults()),
        fault_ms=draw(number(*FAULT_MS)),
        think_ms=draw(number(50, 500)),
        operations_min=OPERATIONS_MIN,
        session_timeout_ms=draw(st.sampled_from((1_000, 2_000, 4_000))),
        patience_ms=draw(st.sampled_from((200, 600, 2_000))),
        drift_ppm=draw(st.sampled_from((0, 500))),
        snapshot_ms=draw(st.sampled_from((0, 300, 2_000))),
        core=draw(number(0, PICKS - 1)),
        knobs=draw(_knobs()),
        weather=draw(_weather()),
        disk=DiskConditions(write_us_max=draw(st.sampled_from((1_000, 4_000, 30_000)))),
    )


@st.composite
def _weather(draw: st.DrawFn) -> Conditions:
    chance = st.sampled_from((0, 2_000, 20_000))
    return Conditions(
        delay_us_max=draw(st.sampled_from((500, 2_000, 20_000, 60_000))),
        break_ppm=draw(st.sampled_from((0, 500, 3_000))),
        drop_ppm=draw(chance),
        duplicate_ppm=draw(chance),
        reorder_ppm=draw(chance),
    )
