"""FeatureKeeper: the level is raised when the last member can follow, and not before."""

from __future__ import annotations

from typing import Any

from coord.model import commands
from coord.node.features import FeatureKeeper
from coord.raft.types import Incarnation, Member, Membership, NodeId


class FakeRaft:
    """Three members."""

    membership = Membership(
        tuple(Member(NodeId(node), Incarnation(10 + node)) for node in (1, 2, 3))
    )


class FakeDriver:
    """Leads; records proposals."""

    def __init__(self) -> None:
        self.raft = FakeRaft()
        self.accepts_proposals = True
        self.proposed: list[bytes] = []

    def propose(self, payloads: list[bytes]) -> bool:
        """Record them."""
        self.proposed.extend(payloads)
        return True


class FakeStore:
    """A machine at level 1."""

    def __init__(self) -> None:
        self.machine = type("Machine", (), {"feature_level": 1})()


def keeper_of(level: int) -> tuple[FakeDriver, FakeStore, FeatureKeeper]:
    """A keeper on node 1 that knows ``level``."""
    driver, store = FakeDriver(), FakeStore()
    made: Any = FeatureKeeper(driver, store, NodeId(1), level)  # type: ignore[arg-type]  # fakes
    return driver, store, made


def hello(node: int, level: int) -> dict[str, Any]:
    """What a peer announces."""
    return {"incarnation": 10 + node, "feature_level": level}


def test_nothing_is_raised_while_a_member_is_unknown() -> None:
    """A member that has not introduced itself may be an old version."""
    driver, _, keeper = keeper_of(2)
    keeper.introduced(NodeId(2), hello(2, 2))
    keeper.upkeep()

    assert driver.proposed == []


def test_the_smallest_announced_level_counts() -> None:
    """Two nodes at 3 and one at 2 make 2."""
    driver, _, keeper = keeper_of(3)
    keeper.introduced(NodeId(2), hello(2, 3))
    keeper.introduced(NodeId(3), hello(3, 2))
    keeper.upkeep()
    keeper.upkeep()

    assert driver.proposed == [commands.raise_feature_level(2)], "proposed once"


def test_the_announcement_of_an_old_incarnation_does_not_count() -> None:
    """A replaced node has to announce itself anew."""
    driver, _, keeper = keeper_of(2)
    keeper.introduced(NodeId(2), hello(2, 2))
    keeper.introduced(NodeId(3), {"incarnation": 99, "feature_level": 2})
    keeper.upkeep()

    assert driver.proposed == []


def test_a_follower_proposes_nothing_and_a_new_leader_asks_again() -> None:
    """What was proposed in an earlier leadership may be lost."""
    driver, _, keeper = keeper_of(2)
    for node in (2, 3):
        keeper.introduced(NodeId(node), hello(node, 2))
    keeper.upkeep()
    driver.accepts_proposals = False
    keeper.upkeep()
    driver.accepts_proposals = True
    keeper.upkeep()

    assert driver.proposed == [commands.raise_feature_level(2)] * 2
