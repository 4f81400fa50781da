"""The fencing checker: legal holds pass, each kind of broken promise is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.checkers import fencing
from tests.sim.codes import CREATE, DELETE, GUARD, SET
from tests.sim.handmade import WORLD, Handmade
from tests.sim.history import Holding, Sighting

RECORD = "/lock/holder"
EPHEMERAL = 1


def _legal() -> Handmade:
    """Two holds one after the other, each with a guarded write; somebody saw the second."""
    made = Handmade()
    made.open_session()
    made.create("/lock")
    made.create("/r")
    for name in ("c1", "c2"):
        asked_us = made.now_us
        grant = made.multi((CREATE, RECORD, name.encode(), WORLD, EPHEMERAL, 0))
        holding = Holding(name, RECORD, grant.revision, asked_us, made.now_us)
        made.multi((GUARD, RECORD, holding.token), (SET, "/r", name.encode(), -1))
        holding.acted_us.append(made.now_us)
        holding.over_us = made.now_us
        made.history.holdings.append(holding)
        if name == "c2":
            seen = Sighting("c3", RECORD, b"c2", holding.token, made.session)
            made.history.sightings.append(seen)
        made.multi((GUARD, RECORD, holding.token), (DELETE, RECORD, -1))
    return made


def test_legal_holds_pass() -> None:
    """One after the other, in the order of asking."""
    assert fencing.check(_legal().history) == []


def _same_token(made: Handmade) -> None:
    first, second = made.history.holdings
    second.token = first.token


def _never_granted(made: Handmade) -> None:
    made.history.holdings[0].token += 1


def _tokens_fall(made: Handmade) -> None:
    first, second = made.history.holdings
    first.token, second.token = second.token, first.token


def _acts_too_late(made: Handmade) -> None:
    first, second = made.history.holdings
    first.acted_us.append(second.granted_us)


def _guard_lets_the_old_pass(made: Handmade) -> None:
    first, second = made.history.holdings
    op = made.multi((SET, "/r", b"late", -1))
    assert op.revision > second.token
    op.args = (((GUARD, RECORD, first.token), *op.args[0]),)


def _another_is_seen(made: Handmade) -> None:
    made.history.sightings[0].data = b"c1"


def _somebody_stays_in_line(made: Handmade) -> None:
    made.history.final_tree = {"/lock": (b"", b""), "/lock/c-0000000001": (b"", b"")}


def _nobody_is_seen(made: Handmade) -> None:
    made.history.sightings[0].token += 1


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_same_token, "grant"),
        (_never_granted, "grant"),
        (_tokens_fall, "order"),
        (_acts_too_late, "alone"),
        (_guard_lets_the_old_pass, "guard"),
        (_another_is_seen, "sighting"),
        (_nobody_is_seen, "sighting"),
        (_somebody_stays_in_line, "orphan"),
    ],
)
def test_a_broken_hold_is_named(spoil: Callable[[Handmade], None], rule: str) -> None:
    """Each by its rule."""
    made = _legal()

    spoil(made)

    found = fencing.check(made.history)
    assert any(problem.startswith(f"fencing/{rule}: ") for problem in found), found


def test_clocks_beyond_their_bounds_leave_only_the_token() -> None:
    """Being alone is promised to nobody whose clock lies; fencing is."""
    made = _legal()
    _acts_too_late(made)
    made.history.clocks_within_bounds = False

    assert fencing.check(made.history) == []
