"""Majority and joint arithmetic against brute force."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from coord.raft.quorum import Verdict, agreed, joint_verdict, majority, verdict

values = st.lists(st.integers(0, 20), min_size=1, max_size=7)
ballots = st.dictionaries(st.integers(1, 9), st.booleans())
groups = st.lists(st.integers(1, 9), unique=True, min_size=1, max_size=7)


@given(st.integers(1, 9))
def test_two_majorities_always_overlap(count: int) -> None:
    """Any two sets of majority size share a member, and no smaller size guarantees that."""
    size = majority(count)

    assert 2 * size > count
    assert 2 * (size - 1) <= count


@given(values)
def test_agreed_is_the_highest_number_a_majority_reaches(numbers: list[int]) -> None:
    """Compared with trying every number."""
    reached = [n for n in range(21) if sum(v >= n for v in numbers) >= majority(len(numbers))]

    assert agreed(list(numbers)) == max(reached)


def test_nobody_agrees_to_nothing() -> None:
    """An empty configuration commits nothing and elects nobody."""
    assert agreed([]) == 0
    assert verdict([], {1: True}) is Verdict.LOST


@given(groups, ballots)
def test_a_verdict_is_final_exactly_when_it_cannot_change(
    voters: list[int], votes: dict[int, bool]
) -> None:
    """Compared with every way the missing votes could go."""
    open_voters = [voter for voter in voters if voter not in votes]
    granted = sum(votes.get(voter, False) for voter in voters)
    outcomes = {
        granted + len(more) >= majority(len(voters))
        for count in range(len(open_voters) + 1)
        for more in combinations(open_voters, count)
    }

    expected = Verdict.PENDING
    if granted >= majority(len(voters)):
        expected = Verdict.WON
    elif outcomes == {False}:
        expected = Verdict.LOST
    assert verdict(voters, votes) is expected


@given(groups, groups, ballots)
def test_a_joint_verdict_needs_both(
    incoming: list[int], outgoing: list[int], votes: dict[int, bool]
) -> None:
    """Won in both is won, lost in either is lost, anything else is open."""
    verdicts = {verdict(incoming, votes), verdict(outgoing, votes)}

    result = joint_verdict(incoming, outgoing, votes)

    if Verdict.LOST in verdicts:
        assert result is Verdict.LOST
    elif verdicts == {Verdict.WON}:
        assert result is Verdict.WON
    else:
        assert result is Verdict.PENDING


@given(groups, ballots)
def test_without_an_outgoing_configuration_one_decides(
    voters: list[int], votes: dict[int, bool]
) -> None:
    """The joint rule reduces to the simple one."""
    assert joint_verdict(voters, [], votes) is verdict(voters, votes)
