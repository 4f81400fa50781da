"""Draws a plan from a seed.

Swarm selection: each kind of fault, each knob, each kind of weather is on in some runs and off in
the rest, so that runs differ in kind and not only in order.
"""

from __future__ import annotations

import random
from typing import Final

from coord.sim import US_PER_MS, Streams
from tests.sim.plan import FAULTS, MORE_FAULTS, MORE_PROGRAMS, PHASES, PROGRAMS, Fault, Plan

PICKS: Final = 1 << 16
KIND_CHANCE: Final = 0.5
PHASE_CHANCE: Final = 0.3
FAULTS_MAX: Final = 30
LENGTH_MS_MIN: Final = 30
OPERATIONS_MIN: Final = 100
"""A run in which nothing happens proves nothing."""
BUSY_CHANCE: Final = 0.2
HASTY_CHANCE: Final = 0.15
PATIENCE_DELAYS: Final = 15
"""A client that gives a node less than so many of the longest delays leaves it again and again: an
attach, and a request that the leader has to settle, take that long."""
MORE_CHANCE: Final = 0.15
NO_BOOT_ID_CHANCE: Final = 0.1
MORE_LENGTH_MS: Final = 1_500
CUT_OFF_MS: Final = 8_000
THINK_MS_MAX: Final = 8_000
ROLE_WEIGHTS: Final = {"any": 5, "leader": 3, "follower": 2, "learner": 1}
"""Leaders are hit more often than chance would have it."""
_KIB: Final = 1 << 10
TINY: Final = {
    "max_slice_bytes": (1, 200, 2 * _KIB),
    "max_inflight": (1, 2),
    "max_inflight_bytes": (1, 400),
    "max_uncommitted_bytes": (300, 2 * _KIB),
    "max_apply_bytes": (1, 300),
    "cache_bytes": (0, 600),
    "snapshot_chunk_bytes": (200, 1_000, 10 * _KIB),
    "promotion_lag": (1, 20),
    "log_bytes_min": (500, 5 * _KIB),
    "log_entries_kept": (1, 10),
    "history_entries": (20, 200),
    "fold_entries": (64, 128),
    "behind_changes": (1, 30),
    "apply_entries": (1, 5),
    "part_bytes": (1, 200),
    "node_writes_in_flight": (2, 6),
}
"""Values of a knob that are far smaller than any operator's. Each is left alone in half of the
plans."""


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    plan = draw_usual(seed)
    _draw_more(Streams(seed).get("plan/more"), plan)
    return plan


def _draw_more(stream: random.Random, plan: Plan) -> None:
    """What runs have for themselves. It has a stream of its own, and comes last: the rest of the
    plan is as it is without."""
    programs = tuple(name for name in MORE_PROGRAMS if stream.random() < MORE_CHANCE)
    plan.programs = (*programs, *plan.programs)
    plan.addresses = "directory" in programs
    plan.read_only = "reader" in programs
    plan.boot_ids = stream.random() >= NO_BOOT_ID_CHANCE
    kinds = tuple(kind for kind in MORE_FAULTS if stream.random() < MORE_CHANCE)
    calm_ms, length_ms = plan.fault_ms // 5, MORE_LENGTH_MS
    more = draw_faults(stream, kinds, plan.fault_ms, calm_ms=calm_ms, length_ms=length_ms)
    if plan.read_only:  # long enough for a node to give its quorum up
        more += draw_faults(
            stream, ("isolate", "one-way"), plan.fault_ms, calm_ms=calm_ms, length_ms=CUT_OFF_MS
        )
    plan.faults = tuple(sorted(plan.faults + more, key=lambda fault: fault.at_ms))


def draw_usual(seed: int) -> Plan:
    """The same without what few runs have: what a seed meant before there was more to draw."""
    stream = Streams(seed).get("plan")
    plan = Plan(seed)
    plan.nodes = stream.choice((3, 3, 3, 3, 3, 3, 3, 5))
    plan.spares = stream.choice((0, 0, 1, 2))
    plan.clients = stream.randrange(4, 7)
    plan.programs = tuple(stream.sample(PROGRAMS, len(PROGRAMS)))
    plan.zookeeper_every = stream.choice((0, 2, 3))
    plan.library_every = stream.choice((0, 1, 2, 3))
    plan.keys = stream.randrange(1, 5)
    _draw_pace(stream, plan)
    plan.session_timeout_ms = stream.choice((1_000, 2_000, 4_000))
    plan.snapshot_ms = stream.choice((0, 0, plan.fault_ms // 10, plan.fault_ms // 30))
    plan.drift_ppm = stream.choice((0, 0, 500))
    plan.weather.delay_us_max = stream.choice((500, 2_000, 20_000, 60_000))
    plan.patience_ms = _patience_ms(stream, plan.weather.delay_us_max)
    plan.weather.break_ppm = stream.choice((0, 0, 500, 3_000))
    for chance in ("drop_ppm", "duplicate_ppm", "reorder_ppm"):
        setattr(plan.weather, chance, stream.choice((0, 0, 2_000, 20_000)))
    plan.disk.write_us_max = stream.choice((1_000, 4_000, 30_000))
    plan.core = stream.randrange(PICKS)
    for name, values in TINY.items():
        if stream.random() < 0.5:
            setattr(plan.knobs, name, stream.choice(values))
    plan.knobs.sample_entries = stream.choice((4, 2, 1)) * plan.knobs.fold_entries
    kinds = tuple(kind for kind in FAULTS if stream.random() < KIND_CHANCE)
    plan.faults = draw_faults(stream, kinds, plan.fault_ms)
    return plan


def _draw_pace(stream: random.Random, plan: Plan) -> None:
    """Most runs are long and calm, so that time-outs, expiries and slow processes have their turn;
    some are short and busy, for what needs many operations under way."""
    plan.operations_min = OPERATIONS_MIN
    if stream.random() < BUSY_CHANCE:
        plan.depth = stream.choice((1, 2, 3))
        plan.fault_ms = stream.choice((2_500, 5_000))
        plan.think_ms = stream.choice((30, 100, 200))
        return
    plan.depth = stream.choice((1, 1, 2))
    plan.fault_ms = stream.choice((20_000, 30_000, 50_000))
    wanted = stream.choice((40, 60, 80))
    think_ms = 2 * plan.clients * plan.depth * plan.fault_ms // wanted
    plan.think_ms = min(think_ms, THINK_MS_MAX)


def _patience_ms(stream: random.Random, delay_us_max: int) -> int:
    """Long enough to be served, but for a few runs in which clients come and go all the time."""
    patience_ms = stream.choice((200, 600, 2_000))
    if stream.random() < HASTY_CHANCE:
        return patience_ms
    return max(patience_ms, PATIENCE_DELAYS * delay_us_max // US_PER_MS)


def draw_faults(
    stream: random.Random,
    kinds: tuple[str, ...],
    fault_ms: int,
    *,
    calm_ms: int = 0,
    length_ms: int = 0,
) -> tuple[Fault, ...]:
    """Faults of these kinds, ``calm_ms`` apart in the mean, each lasting at most ``length_ms``; 0:
    drawn as well."""
    calm_ms = calm_ms or max(200, fault_ms // stream.choice((8, 15, 25)))
    length_ms = length_ms or stream.choice((400, 1_500, 3_000))
    roles, weights = list(ROLE_WEIGHTS), list(ROLE_WEIGHTS.values())
    found: list[Fault] = []
    at_ms = stream.randrange(2 * calm_ms)
    while kinds and at_ms < fault_ms and len(found) < FAULTS_MAX:
        found.append(
            Fault(
                at_ms,
                stream.choice(kinds),
                stream.choices(roles, weights)[0],
                stream.choice(PHASES) if stream.random() < PHASE_CHANCE else "",
                stream.randrange(LENGTH_MS_MIN, max(LENGTH_MS_MIN + 1, length_ms)),
                stream.randrange(PICKS),
            )
        )
        at_ms += stream.randrange(2 * calm_ms)
    return tuple(found)
