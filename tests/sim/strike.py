"""One fault at the moment it strikes: whom it hits, how long it lasts, what it still chooses."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from coord.raft.types import MemberRole
from coord.sim import US_PER_MS, host_name

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster
    from tests.sim.member import Member
    from tests.sim.plan import Fault

Cut = list[tuple[str, str]]
"""Directions (from, to), by process names."""


class Strike:
    """What a fault works with. ``stream`` is its own: faults before it change nothing in it."""

    def __init__(self, cluster: Cluster, fault: Fault) -> None:
        self.cluster = cluster
        self.fault = fault
        self.kernel = cluster.kernel
        self.stream = random.Random(fault.pick)
        self.length_us = fault.length_ms * US_PER_MS

    def later(self, undo: Callable[[], None]) -> None:
        """``undo`` runs when the fault has lasted its time."""
        self.at(self.length_us, undo)

    def at(self, delay_us: int, act: Callable[[], None]) -> None:
        """``act`` runs after a while, unless everything has been healed by then."""

        def unless_healed() -> None:
            if self.cluster.nemesis.active:
                act()

        self.kernel.schedule(delay_us, unless_healed)

    def ids(self) -> list[int]:
        """All machines."""
        return sorted(self.cluster.members)

    def whom(self) -> Member:
        """The machine that is hit: one in the role asked for, else any."""
        members = self.cluster.members
        who = self.fault.who
        if who.startswith("n") and who[1:].isdigit():
            return members.get(int(who[1:])) or members[self.stream.choice(self.ids())]
        fitting = [member.id for member in self.cluster.running() if _has_role(member, who)]
        return members[self.stream.choice(fitting or self.ids())]

    def others(self, one: int) -> list[int]:
        """All machines but one."""
        return [node for node in self.ids() if node != one]


def _has_role(member: Member, who: str) -> bool:
    if who == "leader":
        return member.leads
    if who == "follower":
        return member.node is not None and not member.leads
    if who == "learner":
        node = member.node
        known = None if node is None else node.raft.membership.find(node.id)
        return known is not None and known.role is not MemberRole.VOTER
    return True


def both_ways(some: list[int], others: list[int]) -> Cut:
    """Pairs in alternating direction."""
    pairs = []
    for one in some:
        for two in others:
            pairs.append((host_name(one), host_name(two)))
            pairs.append((host_name(two), host_name(one)))
    return pairs
