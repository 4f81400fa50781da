"""The session checker: lives within the contract pass, each broken rule is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.sim.checkers import sessions
from tests.sim.handmade import Handmade
from tests.sim.history import SessionLife

TIMEOUT_MS = 10_000
EPHEMERAL = 1


def _legal() -> Handmade:
    """A session with an ephemeral, whose client dies, and that is expired in time."""
    made = Handmade()
    session = made.open_session()
    life = made.history.sessions[session] = SessionLife(session, TIMEOUT_MS, confirmed_us=0)
    made.create("/e", mode=EPHEMERAL)
    made.get("/e")
    life.confirmed_us = made.now_us
    life.hold_until_us = made.now_us + 9_900_000
    life.gone_us = made.now_us
    made.history.healed_us = made.now_us
    made.now_us += 11_000_000
    made.expire_session()
    life.told_expired_us = made.now_us + 1
    made.get("/e")
    made.history.over_us = made.now_us
    return made


def _life(made: Handmade) -> SessionLife:
    return made.history.sessions[made.session]


def test_a_life_within_the_contract_passes() -> None:
    """A session may end once its whole timeout has passed since the last confirmed contact."""
    made = _legal()

    assert sessions.check(made.history) == []
    assert made.history.ops[-1].code != 0, "the ephemeral has gone with its session"


def _ephemeral_outlives(made: Handmade) -> None:
    early, late = (op for op in made.history.ops if op.kind == "get")
    late.code, late.body = early.code, early.body


def _write_after_the_end(made: Handmade) -> None:
    op = made.history.ops[0]
    assert op.kind == "create"
    op.revision = made.model.index + 1


def _read_after_the_end(made: Handmade) -> None:
    late = made.history.ops[-1]
    late.code, late.session, late.body = 0, made.session, ()


def _confirmed_too_late(made: Handmade) -> None:
    _life(made).confirmed_us += 2_000_000


def _held_too_long(made: Handmade) -> None:
    _life(made).hold_until_us += 2_000_000


def _never_ended(made: Handmade) -> None:
    del made.history.log[-1]
    _life(made).told_expired_us = -1
    made.history.over_us += 60_000_000


def _ended_late(made: Handmade) -> None:
    made.history.applied_us[made.model.index] += 60_000_000
    _life(made).told_expired_us += 60_000_000


def _nobody_was_told_of_it(made: Handmade) -> None:
    del made.history.sessions[made.session]
    del made.history.log[-1]
    made.history.over_us += 60_000_000


def _told_without_reason(made: Handmade) -> None:
    del made.history.log[-1]


def _told_before(made: Handmade) -> None:
    _life(made).told_expired_us -= 1_000


def _by_a_new_leader(made: Handmade) -> None:
    """The term began long after the session's last contact, but less than a time-out ago."""
    made.history.log.append(replace(made.history.log.pop(), term=2))
    _life(made).confirmed_us = _life(made).hold_until_us = -1


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_ephemeral_outlives, "E1"),
        (_write_after_the_end, "E2"),
        (_read_after_the_end, "E2"),
        (_confirmed_too_late, "E3"),
        (_held_too_long, "E3"),
        (_never_ended, "E4"),
        (_ended_late, "E4"),
        (_nobody_was_told_of_it, "E4"),
        (_told_without_reason, "E5"),
        (_told_before, "E5"),
        (_by_a_new_leader, "E6"),
    ],
)
def test_a_broken_rule_is_named(spoil: Callable[[Handmade], None], rule: str) -> None:
    """Each session rule has a history that breaks it."""
    made = _legal()

    spoil(made)

    found = sessions.check(made.history)
    assert any(problem.startswith(f"sessions/{rule}: ") for problem in found), found
