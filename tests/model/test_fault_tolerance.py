"""What a membership change does to the failures a cluster survives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model import fault_tolerance as ft
from coord.model.fault_tolerance import Seat


def _voters(count: int, *, down: int = 0) -> list[Seat]:
    return [Seat(k, voter=True, up=k > down, leader=k == count) for k in range(1, count + 1)]


@pytest.mark.parametrize(("voters", "survives"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (7, 3)])
def test_survivable_failures(voters: int, survives: int) -> None:
    """N voters survive (n − 1) // 2 failures."""
    assert ft.strength(_voters(voters)).survives == survives


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([True, False, None])), max_size=9))
def test_majority_rule(flags: list[tuple[bool, bool | None]]) -> None:
    """Whatever is up or down, failures are survived as long as a majority is up."""
    seats = [Seat(k, voter, up) for k, (voter, up) in enumerate(flags, 1)]
    found = ft.strength(seats)
    standing = sum(seat.voter and seat.up is not False for seat in seats)

    assert (found.survives >= 0) == (2 * standing > found.voters)


def test_learners_do_not_count() -> None:
    """Adding a member changes nothing until it is promoted, and the remark says so."""
    effect = ft.added(_voters(3), 4)

    assert effect.after.voters == effect.before.voters == 3
    assert effect.after.survives == effect.before.survives == 1
    assert "learner" in effect.remarks[0]
    assert not effect.fatal


def test_even_number_of_voters_is_remarked() -> None:
    """A fourth voter costs and brings nothing: say so."""
    seats = [*_voters(3), Seat(4, voter=False, up=True)]
    effect = ft.promoted(seats, 4)

    assert effect.after.voters == 4
    assert "4 voters survive no more failures than 3: add one more" in effect.remarks


def test_removing_a_voter_too_many_is_fatal() -> None:
    """With one of three down, removing another one that is up leaves no majority."""
    effect = ft.removed(_voters(3, down=1), 3)

    assert effect.after.survives < 0
    assert effect.fatal
    assert any("would stop" in remark for remark in effect.remarks)


def test_removing_the_dead_member_helps() -> None:
    """With one of three down, removing that one keeps the cluster serving, without reserve."""
    effect = ft.removed(_voters(3, down=1), 1)

    assert not effect.fatal
    assert effect.after.voters == 2
    assert effect.after.survives == 0


def test_removing_the_leader_says_who_takes_over() -> None:
    """The remark prepares for the change of leader."""
    effect = ft.removed(_voters(3), 3)

    assert any("leads now" in remark for remark in effect.remarks)


def test_the_last_voter_stays() -> None:
    """Removing the only voter is fatal."""
    effect = ft.removed(_voters(1), 1)

    assert effect.fatal
    assert "no voter would be left" in effect.remarks


@pytest.mark.parametrize(
    ("seat", "fatal"),
    [
        (Seat(9, voter=True, up=True), False),
        (Seat(9, voter=False, up=True), True),
        (Seat(9, voter=True, up=False), True),
    ],
    ids=["voter", "learner", "down"],
)
def test_leadership_goes_to_a_voter_that_is_up(seat: Seat, fatal: bool) -> None:
    """A transfer to a learner or a dead node is refused beforehand."""
    assert ft.transferred([*_voters(3), seat], 9).fatal is fatal


def test_description_reads_as_a_sentence() -> None:
    """What is printed names voters, majority and what is survived."""
    assert ft.strength(_voters(3)).describe() == (
        "3 voters, majority 2: survives 1 further failure"
    )
    assert ft.strength(_voters(3, down=2)).describe() == (
        "3 voters, majority 2, 2 down: no majority is up"
    )
