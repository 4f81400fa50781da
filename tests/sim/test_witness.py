"""The witness checker accepts legal histories and names what is wrong with each illegal one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.sim.checkers import witness
from tests.sim.codes import SET
from tests.sim.handmade import Handmade, entry
from tests.sim.history import Op, Outcome, SessionLife


def _legal() -> Handmade:
    made = Handmade()
    made.open_session()
    made.create("/r", b"0")
    made.set("/r", b"1", 0)
    made.get("/r")
    made.set("/r", b"refused", 0)
    made.set("/r", b"2", 1)
    made.get("/r")
    made.get("/missing")
    return made


def _of_kind(made: Handmade, kind: str) -> list[Op]:
    return [op for op in made.history.ops if op.kind == kind]


def test_a_legal_history_passes() -> None:
    """Writes, refused writes and reads in the claimed order raise nothing."""
    assert witness.check(_legal().history) == []


def test_the_tree_that_the_log_makes_passes() -> None:
    """What nodes hold in the end, down to those that the service keeps for itself."""
    made = _legal()
    made.history.final_tree = {p: (n.data, n.stat()) for p, n in made.model.tree.nodes.items()}

    assert witness.check(made.history) == []


def test_an_unknown_outcome_may_have_happened_or_not() -> None:
    """An unanswered write is legal with its entry in the log and without it."""
    made = _legal()
    _of_kind(made, "set")[-1].outcome = Outcome.INFO
    made.history.ops.append(Op("c9", made.session, 99, "set", ("/r", b"?", -1)))

    assert witness.check(made.history) == []


def _lose_acknowledged(made: Handmade) -> None:
    made.history.log.pop()
    del made.history.ops[-2:]  # the reads that saw it


def _stale_read(made: Handmade) -> None:
    early, late = _of_kind(made, "get")[:2]
    late.revision, late.code, late.body = early.revision, early.code, early.body


def _wrong_value(made: Handmade) -> None:
    op = _of_kind(made, "get")[0]
    op.body = (b"never written", *op.body[1:])


def _wrong_stat(made: Handmade) -> None:
    op = _of_kind(made, "get")[0]
    op.body = (op.body[0], bytes(68))


def _found_missing(made: Handmade) -> None:
    op = _of_kind(made, "get")[2]
    op.code, op.body = 0, (b"", bytes(68))


def _applied_twice(made: Handmade) -> None:
    """A retried set that took effect under two sequence numbers of the log."""
    made.history.log.append(
        entry(made.model.index + 1, (SET, made.session, 1, made.seq + 1, 0, None, "/r", b"2", -1))
    )


def _wrong_revision(made: Handmade) -> None:
    _of_kind(made, "set")[0].revision += 1


def _accepted_stale_version(made: Handmade) -> None:
    op = _of_kind(made, "set")[1]
    assert op.code != 0
    op.code, op.body = 0, _of_kind(made, "set")[0].body


def _garbled(made: Handmade) -> None:
    op = _of_kind(made, "set")[0]
    op.args = ("/r", b"what the client meant", 0)


def _phantom(made: Handmade) -> None:
    op = _of_kind(made, "set")[2]
    op.outcome = Outcome.FAIL


def _reordered_in_real_time(made: Handmade) -> None:
    """The second set completes before the first is invoked, yet comes later in the log."""
    first, second = _of_kind(made, "set")[0], _of_kind(made, "set")[2]
    first.invoke_us, first.complete_us = second.complete_us + 10, second.complete_us + 20


def _future_read(made: Handmade) -> None:
    _of_kind(made, "get")[-1].revision += 10


def _hole_in_log(made: Handmade) -> None:
    del made.history.log[2]


def _falling_term(made: Handmade) -> None:
    made.history.log[1] = replace(made.history.log[1], term=5)


def _state_differs(made: Handmade) -> None:
    node = made.model.tree.nodes["/r"]
    made.history.final_tree = {"/r": (node.data, bytes(68))}


def _state_has_more(made: Handmade) -> None:
    node = made.model.tree.nodes["/r"]
    kept = (node.data, node.stat())
    made.history.final_tree = {"/r": kept, "/orphan": kept}


def _session_goes_back(made: Handmade) -> None:
    """The same session reads an older revision after a newer one."""
    early, late = _of_kind(made, "get")[:2]
    for op in made.history.ops:
        op.session = made.session
    late.level = 1
    late.revision, late.code, late.body = early.revision, early.code, early.body


def _asked_for_the_other_way_round(made: Handmade) -> None:
    """What was sent again was sent in another order."""
    ops = made.history.ops
    first, second = _of_kind(made, "set")[:2]
    one, two = ops.index(first), ops.index(second)
    ops[one], ops[two] = second, first
    first.sent_again = second.sent_again = True


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_lose_acknowledged, "lost"),
        (_stale_read, "stale"),
        (_wrong_value, "read"),
        (_wrong_stat, "read"),
        (_found_missing, "read"),
        (_applied_twice, "unasked"),
        (_wrong_revision, "revision"),
        (_accepted_stale_version, "answer"),
        (_garbled, "garbled"),
        (_phantom, "phantom"),
        (_reordered_in_real_time, "stale"),
        (_future_read, "future"),
        (_hole_in_log, "log"),
        (_falling_term, "log"),
        (_session_goes_back, "session-order"),
        (_asked_for_the_other_way_round, "client-order"),
        (_state_differs, "state"),
        (_state_has_more, "state"),
    ],
)
def test_an_illegal_history_is_named(spoil: Callable[[Handmade], None], problem: str) -> None:
    """Each way to be wrong is found and called by its name."""
    made = _legal()

    spoil(made)

    assert any(found.startswith(f"witness/{problem}: ") for found in witness.check(made.history))


def test_a_write_of_a_dead_generation_has_no_effect() -> None:
    """The model itself ignores duplicates, gaps, old generations and ended sessions."""
    made = _legal()
    session, index = made.session, made.model.index
    for seq, generation in ((made.seq, 1), (made.seq + 5, 1), (made.seq + 1, 0)):
        index += 1
        fields = (SET, session, generation, seq, 0, None, "/r", b"no", -1)
        answer = made.model.apply(index, 0, entry(index, fields).payload)
        assert answer is not None
        assert not answer.executed

    assert made.model.tree.nodes["/r"].data == b"2"


def _unnumbered() -> Handmade:
    """A client of ZooKeeper's: three sets, the second one's answer was lost."""
    made = Handmade()
    session = made.open_session()
    made.history.sessions[session] = SessionLife(session, 10_000, is_numbered=False)
    made.create("/r", b"0")
    for value in (b"1", b"2", b"3"):
        made.set("/r", value)
    for op in made.history.ops:
        op.seq = 0
    made.history.ops[2].outcome = Outcome.INFO
    made.history.ops[2].revision = 0
    return made


def test_writes_without_numbers_are_found_by_their_place() -> None:
    """Where the answer was lost, by what was asked for; it need not have happened."""
    made = _unnumbered()
    assert witness.check(made.history) == []
    made.history.ops.insert(
        2, Op("c1", made.session, 0, "set", ("/r", b"never came", -1), invoke_us=1)
    )

    assert witness.check(made.history) == []


def _asked_for_by_nobody(made: Handmade) -> None:
    del made.history.ops[2]


def _another_was_asked_for(made: Handmade) -> None:
    made.history.ops[2].args = ("/r", b"other", -1)


def _place_of_another(made: Handmade) -> None:
    made.history.ops[1].revision += 1


def _place_of_nobody(made: Handmade) -> None:
    made.history.ops[1].revision = 1


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_asked_for_by_nobody, "unasked"),
        (_another_was_asked_for, "unasked"),
        (_place_of_another, "garbled"),
        (_place_of_nobody, "lost"),
    ],
)
def test_false_writes_without_numbers_are_named(
    spoil: Callable[[Handmade], None], problem: str
) -> None:
    """Lost, garbled or invented."""
    made = _unnumbered()

    spoil(made)

    assert any(found.startswith(f"witness/{problem}: ") for found in witness.check(made.history))
