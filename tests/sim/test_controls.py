"""The simulation must notice what it is there for: each control breaks one promise on purpose.

A control is found if any of its seeds fails by the expected name; seeds that hold by luck are
allowed, a control that no seed finds is not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest

from coord.raft.types import LogSlice
from tests.sim.cluster import Cluster
from tests.sim.drawing import draw_faults, draw_usual
from tests.sim.member import Member
from tests.sim.plan import Plan
from tests.sim.run import run_plan

SEEDS: Final = range(1, 13)


def _plan(seed: int, *faults: str) -> Plan:
    plan = draw_usual(seed)
    plan.nodes = 3
    stream = random.Random(seed)
    plan.faults = draw_faults(stream, faults, plan.fault_ms, calm_ms=200, length_ms=1_500)
    plan.think_ms = 20
    plan.session_timeout_ms = 2_000
    return plan


def _disks_lie(cluster: Cluster) -> None:
    """A write is reported before it is on disk."""
    cluster.disks_lie = True


def _reads_do_not_ask(cluster: Cluster) -> None:
    """Linearizable reads are served without asking a majority."""

    def sabotage(member: Member) -> None:
        assert member.node is not None
        member.node.rounds.confirmed = 1 << 60

    cluster.sabotage = sabotage


def _leader_is_impatient(cluster: Cluster) -> None:
    """Sessions are ended long before their time-out has passed."""

    def sabotage(member: Member) -> None:
        assert member.node is not None
        member.node.liveness._policy._grace_ms = -1_500

    cluster.sabotage = sabotage


def _one_node_applies_something_else(cluster: Cluster) -> None:
    """One replica's state differs from the others' by a single byte."""

    def falsified(slices: list[LogSlice]) -> list[LogSlice]:
        return [
            LogSlice(
                run.first,
                run.term,
                run.kind,
                [payload.replace(b"c1/", b"c9/") for payload in run.payloads],
            )
            for run in slices
        ]

    cluster.members[2].given = falsified


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("alter", "faults", "names"),
    [
        (_disks_lie, ("kill", "power"), ("durable", "survives", "completeness", "matching")),
        (_reads_do_not_ask, ("halves", "isolate"), ("witness/stale",)),
        (_leader_is_impatient, ("clients",), ("sessions/E3",)),
        (_one_node_applies_something_else, ("kill",), ("equal-digests",)),
    ],
)
def test_a_broken_promise_is_noticed(
    alter: Callable[[Cluster], None], faults: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Some seed fails, and by the name of what was broken."""
    found: list[str] = []
    for seed in SEEDS:
        found += run_plan(_plan(seed, *faults), alter=alter).problems
        if any(name in problem for problem in found for name in names):
            return

    raise AssertionError(f"{alter.__name__}: nothing like {names} in {found[:10]}")
