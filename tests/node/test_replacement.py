"""MembershipKeeper: who is replaced, by whom, in how many steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coord.model.errors import MembershipError
from coord.node.replacement import MembershipKeeper, tolerance
from coord.raft.types import Incarnation, Member, MemberRole, Membership, NodeId

MEMBERS = tuple(Member(NodeId(node), Incarnation(10 + node)) for node in (1, 2, 3))


class FakeRaft:
    """A leader that takes every change."""

    def __init__(self) -> None:
        self.membership = Membership(MEMBERS)
        self.proposed: list[Membership] = []

    def propose_membership(self, wanted: Membership) -> int:
        """Record it."""
        self.proposed.append(wanted)
        return 1


class FakeDriver:
    """Leads and accepts."""

    def __init__(self) -> None:
        self.raft = FakeRaft()
        self.accepts_proposals = True

    def wake(self) -> None:
        """A flush would follow."""


def keeper() -> tuple[FakeRaft, MembershipKeeper]:
    """A keeper on the leader, node 1."""
    driver: Any = FakeDriver()
    return driver.raft, MembershipKeeper(driver, NodeId(1))


def hello(incarnation: int, peer: str = "new:1") -> dict[str, Any]:
    """What a node says of itself."""
    return {"incarnation": incarnation, "peer": peer, "client": "c:1", "http": ""}


def test_a_wiped_voter_is_replaced_in_one_change_by_a_joining_learner() -> None:
    """Whoever leads afterwards can finish it: the intention is in the membership."""
    raft, keeping = keeper()
    keeping.introduced(NodeId(3), hello(99))
    keeping.upkeep()

    (change,) = raft.proposed
    assert change.members[:2] == MEMBERS[:2]
    assert change.members[2] == Member(
        NodeId(3), Incarnation(99), MemberRole.JOINING, "new:1", "c:1", ""
    )


def test_a_wiped_learner_stays_a_learner() -> None:
    """Nobody becomes a voter by losing a disk."""
    raft, keeping = keeper()
    raft.membership = Membership((*MEMBERS[:2], replace(MEMBERS[2], role=MemberRole.LEARNER)))
    keeping.introduced(NodeId(3), hello(99))
    keeping.upkeep()

    assert raft.proposed[0].members[2].role is MemberRole.LEARNER


def test_members_as_listed_and_strangers_change_nothing() -> None:
    """A stranger waits until an operator adds it."""
    raft, keeping = keeper()
    keeping.introduced(NodeId(3), hello(13))
    keeping.introduced(NodeId(4), hello(77))
    keeping.upkeep()

    assert raft.proposed == []
    assert [member.id for member in keeping.candidates] == [4]


def test_adding_needs_an_introduction_and_makes_a_learner() -> None:
    """Its incarnation is known only from itself."""
    raft, keeping = keeper()
    with pytest.raises(MembershipError, match="introduced"):
        keeping.change("add", 4)
    keeping.introduced(NodeId(4), hello(77))
    keeping.apply_change("add", 4)

    assert raft.proposed[0].members[3].role is MemberRole.LEARNER


@pytest.mark.parametrize(
    ("action", "node", "reason"),
    [
        ("add", 1, "member already"),
        ("promote", 1, "votes already"),
        ("promote", 9, "not a member"),
        ("remove", 9, "not a member"),
        ("dance", 1, "unknown action"),
    ],
)
def test_a_change_that_makes_no_sense_says_why(action: str, node: int, reason: str) -> None:
    """Before anything is proposed."""
    raft, keeping = keeper()

    with pytest.raises(MembershipError, match=reason):
        keeping.apply_change(action, node)
    assert raft.proposed == []


def test_the_last_voter_cannot_be_removed() -> None:
    """A cluster without voters cannot decide anything any more."""
    raft, keeping = keeper()
    raft.membership = Membership(MEMBERS[:1])

    with pytest.raises(MembershipError, match="last voter"):
        keeping.change("remove", 1)


@pytest.mark.parametrize(("voters", "expected"), [(1, (1, 1, 0)), (3, (3, 2, 1)), (5, (5, 3, 2))])
def test_tolerance_counts_voters(voters: int, expected: tuple[int, int, int]) -> None:
    """(voters, majority, how many may fail)."""
    members = tuple(Member(NodeId(node), Incarnation(node)) for node in range(1, voters + 1))

    assert tolerance(Membership(members)) == expected
