"""The smaller checkers: counters, sequences, and the search that believes nobody."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from tests.sim.checkers import exactly_once, wgl
from tests.sim.checkers.wgl import ANY_VERSION, FOREVER, Call, State, Verdict
from tests.sim.codes import RESULT_UNKNOWN
from tests.sim.handmade import Handmade
from tests.sim.history import Fate, History, Op, Outcome, Repeat

# --- exactly once -------------------------------------------------------------------------------


def _increments(outcomes: list[Outcome]) -> History:
    ops = [
        Op(f"c{at}", 1, at + 1, "set", ("/c", b"%d" % (at + 1), at), outcome=outcome)
        for at, outcome in enumerate(outcomes)
    ]
    return History(ops=ops)


def test_a_counter_may_count_what_nobody_knows() -> None:
    """The final value may or may not include increments whose answer was lost."""
    history = _increments([Outcome.OK, Outcome.INFO, Outcome.OK])

    assert exactly_once.check_counter(history, "/c", 2) == []
    assert exactly_once.check_counter(history, "/c", 3) == []


@pytest.mark.parametrize(
    ("final", "problem"), [(1, "exactly_once/lost: "), (4, "exactly_once/twice: ")]
)
def test_a_wrong_counter_is_found(final: int, problem: str) -> None:
    """Fewer than acknowledged is loss, more than possible is repetition."""
    history = _increments([Outcome.OK, Outcome.INFO, Outcome.OK])

    assert any(p.startswith(problem) for p in exactly_once.check_counter(history, "/c", final))


def test_two_increments_to_one_value_are_found() -> None:
    """Two acknowledged sets to the same count mean that one overwrote the other."""
    history = _increments([Outcome.OK, Outcome.OK])
    history.ops[1].args = history.ops[0].args

    assert any(
        p.startswith("exactly_once/overwritten: ")
        for p in exactly_once.check_counter(history, "/c", 2)
    )


def _sequence() -> Handmade:
    made = Handmade()
    made.open_session()
    made.create("/q")
    for _ in range(3):
        made.create("/q/n", mode=2)
    return made


def test_a_sequence_that_adds_up_passes() -> None:
    """One node for each acknowledged create, in order."""
    made = _sequence()
    names = [p.rpartition("/")[2] for p in made.model.tree.nodes if p.startswith("/q/")]

    assert exactly_once.check_sequence(made.history, "/q", names) == []


def test_broken_sequences_are_found() -> None:
    """A missing node, a node too many, a reused suffix and a suffix out of order."""
    made = _sequence()
    names = [p.rpartition("/")[2] for p in made.model.tree.nodes if p.startswith("/q/")]
    creates = [op for op in made.history.ops if op.args[0] == "/q/n"]

    def problems(listed: list[str]) -> str:
        return " ".join(exactly_once.check_sequence(made.history, "/q", listed))

    assert "exactly_once/lost: " in problems(names[1:])
    assert "exactly_once/twice: " in problems([*names, "n0000000009"])
    creates[1].body, creates[2].body = creates[2].body, creates[1].body
    assert "exactly_once/order: " in problems(names)
    creates[1].body = creates[2].body
    assert "exactly_once/same-name: " in problems(names)


# --- the search ---------------------------------------------------------------------------------

START = State(0, b"0")


def _write(
    start: int, end: int, value: bytes, made: int | None, expected: int = ANY_VERSION
) -> Call:
    return Call(start, end, value, expected, None, made)


def _read(start: int, end: int, version: int, value: bytes) -> Call:
    return Call(start, end, None, ANY_VERSION, State(version, value))


@pytest.mark.parametrize(
    ("calls", "verdict"),
    [
        ([_write(0, 1, b"1", 1), _read(2, 3, 1, b"1")], Verdict.LINEARIZABLE),
        ([_write(0, 5, b"1", 1), _read(1, 2, 0, b"0")], Verdict.LINEARIZABLE),
        ([_write(0, 1, b"1", 1), _read(2, 3, 0, b"0")], Verdict.ILLEGAL),
        ([_write(0, FOREVER, b"1", None), _read(2, 3, 1, b"1")], Verdict.LINEARIZABLE),
        ([_write(0, FOREVER, b"1", None), _read(2, 3, 0, b"0")], Verdict.LINEARIZABLE),
        (
            [_write(0, FOREVER, b"1", None), _read(2, 3, 1, b"1"), _read(4, 5, 0, b"0")],
            Verdict.ILLEGAL,
        ),
        ([_write(0, 1, b"1", 1, 0), _write(2, 3, b"2", 2, 0)], Verdict.ILLEGAL),
        ([_write(0, 1, b"1", 1, 0), _write(2, 3, b"2", -1, 0)], Verdict.LINEARIZABLE),
        ([_write(0, 1, b"1", 1), _write(0, 1, b"2", 1)], Verdict.ILLEGAL),
        ([_read(0, 1, 1, b"1"), _write(2, 3, b"1", 1)], Verdict.ILLEGAL),
    ],
)
def test_the_search_judges_small_histories(calls: list[Call], verdict: Verdict) -> None:
    """Known verdicts on histories that fit on one line."""
    assert wgl.check_register(calls, START) is verdict


def _brute_force(calls: list[Call]) -> bool:
    """Try every order of every subset that holds all answered calls."""
    unsure = [call for call in calls if call.complete_us == FOREVER]
    sure = [call for call in calls if call.complete_us != FOREVER]
    for size in range(len(unsure) + 1):
        for chosen in itertools.combinations(unsure, size):
            for order in itertools.permutations((*sure, *chosen)):
                if _is_legal(order):
                    return True
    return False


def _is_legal(order: tuple[Call, ...]) -> bool:
    state: State | None = START
    for at, call in enumerate(order):
        if any(later.complete_us < call.invoke_us for later in order[at + 1 :]):
            return False
        state = wgl.step(state, call) if state is not None else None
    return state is not None


def _random_calls(stream: random.Random) -> list[Call]:
    calls = []
    for _ in range(stream.randrange(1, 6)):
        start = stream.randrange(8)
        end = FOREVER if stream.random() < 0.2 else start + stream.randrange(6)
        value = b"%d" % stream.randrange(2)
        if stream.random() < 0.5:
            state = State(stream.randrange(3), value)
            calls.append(Call(start, end, None, ANY_VERSION, state))
        else:
            expected = stream.choice((ANY_VERSION, 0, 1))
            made = None if end == FOREVER else stream.choice((-1, 1, 1, 2))
            calls.append(Call(start, end, value, expected, None, made))
    return [call for call in calls if call.write is not None or call.complete_us != FOREVER]


def test_the_search_agrees_with_brute_force() -> None:
    """On 3,000 random histories of up to five calls the verdict is that of trying everything."""
    stream = random.Random(1)
    verdicts = set()
    for _ in range(3_000):
        calls = _random_calls(stream)
        wanted = Verdict.LINEARIZABLE if _brute_force(calls) else Verdict.ILLEGAL
        verdicts.add(wanted)

        assert wgl.check_register(calls, START) is wanted, calls
    assert len(verdicts) == 2


def test_the_search_gives_up_in_time() -> None:
    """Past its step limit the search says that it does not know."""
    calls = [_write(0, FOREVER, b"%d" % at, None) for at in range(20)]
    calls.append(_read(1, 2, 99, b"99"))

    assert wgl.check_register(calls, START, steps_max=1_000) is Verdict.UNKNOWN


# --- writes sent again ----------------------------------------------------------------------------


def _sent_again() -> tuple[History, Repeat]:
    op = Op("c1", 1, 1, "set", ("/c", b"1", -1), outcome=Outcome.OK, revision=7, body=(b"stat",))
    again = Repeat(op, 0, 7, (b"stat",))
    return History(ops=[op], repeats=[again]), again


def test_a_repeat_with_the_first_answer_passes() -> None:
    """Whoever sends a write again hears what it heard before."""
    history, _ = _sent_again()

    assert exactly_once.check(history) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"revision": 8}, "repeat"),
        ({"code": -103}, "repeat"),
        ({"body": (b"other",)}, "repeat"),
        ({"code": RESULT_UNKNOWN}, "forgotten"),
    ],
)
def test_a_repeat_with_another_answer_is_named(change: dict[str, Any], rule: str) -> None:
    """A second effect, another verdict, or an answer forgotten before its time."""
    history, again = _sent_again()
    for name, value in change.items():
        setattr(again, name, value)

    (problem,) = exactly_once.check(history)
    assert problem.startswith(f"exactly_once/{rule}: ")


def test_an_answer_that_was_forgotten_is_named() -> None:
    """The client library, too, acknowledges only what it has been answered."""
    made = Handmade()
    made.open_session()
    made.create("/r").code = RESULT_UNKNOWN

    (problem,) = exactly_once.check(made.history)
    assert problem.startswith("exactly_once/forgotten: ")


# --- what became of a write -----------------------------------------------------------------------


def _asked_after(outcome: str, seq: int, revision: int = 0) -> list[str]:
    """What is wrong with such an answer about the writes of a session: two, and it has ended."""
    made = Handmade()
    session = made.open_session()
    made.create("/r", b"0")
    made.set("/r", b"1")
    made.expire_session()
    made.history.fates.append(Fate(session, seq, outcome, 0, revision, ()))
    return exactly_once.check(made.history)


@pytest.mark.parametrize(
    ("outcome", "seq", "revision"),
    [("applied", 2, 3), ("not applied", 3, 0), ("unknown", 2, 0), ("not yet", 2, 0)],
)
def test_the_fate_of_a_write_is_told(outcome: str, seq: int, revision: int) -> None:
    """Its own revision; that it never happened; or nothing certain."""
    assert _asked_after(outcome, seq, revision) == []


@pytest.mark.parametrize(
    ("outcome", "seq", "revision"),
    [("applied", 2, 2), ("applied", 3, 4), ("not applied", 2, 0)],
)
def test_a_false_fate_is_named(outcome: str, seq: int, revision: int) -> None:
    """Another write's result; one that never happened; one that did."""
    (problem,) = _asked_after(outcome, seq, revision)

    assert problem.startswith("exactly_once/fate: ")
