"""Counters and sequential nodes add up: no increment is lost and none happens twice."""

from __future__ import annotations

from collections.abc import Iterator

from tests.sim.codes import RESULT_UNKNOWN
from tests.sim.history import FINAL_READER, History, Op, Outcome
from tests.sim.replay import replay_of


def check(history: History) -> list[str]:
    """Whatever the final reads show: the value of a counter, the children of a sequence."""
    problems = [
        *_check_repeats(history),
        *_check_forgotten(history),
        *_check_fates(history),
    ]
    for op in history.ops:
        if op.client != FINAL_READER or op.outcome is not Outcome.OK or op.code != 0:
            continue
        if op.kind == "get":
            problems += check_counter(history, op.args[0], int(op.body[0]))
        elif op.kind == "children":
            problems += check_sequence(history, op.args[0], list(op.body[0]))
    return problems


def _check_repeats(history: History) -> Iterator[str]:
    """A write sent again, elsewhere or later, has the first answer and no second effect."""
    for again in history.repeats:
        op = again.op
        if again.code == RESULT_UNKNOWN:
            yield f"exactly_once/forgotten: the answer to {op} was never acknowledged"
        elif (again.code, again.revision, again.body) != (op.code, op.revision, op.body):
            told = f"code {again.code} revision {again.revision} {again.body!r:.120}"
            yield f"exactly_once/repeat: {op}, sent again, was told {told}"


def _check_forgotten(history: History) -> Iterator[str]:
    """What is not answered is not acknowledged, so the answer is there when it is sent again."""
    for op in history.ops:
        if op.seq and op.code == RESULT_UNKNOWN:
            yield f"exactly_once/forgotten: the answer to {op} was never acknowledged"


def _check_fates(history: History) -> Iterator[str]:
    """Who asks after a write is told its answer, or that it never happened, if it never does."""
    if not history.fates:
        return
    done = {
        (answer.session, answer.seq): answer
        for answer in replay_of(history).answers.values()
        if answer.executed and answer.seq
    }
    for fate in history.fates:
        answer = done.get((fate.session, fate.seq))
        if fate.outcome == "not applied" and answer is not None:
            yield f"exactly_once/fate: {fate}, applied by entry {answer.index}"
        elif fate.outcome == "applied" and (
            answer is None or (answer.index, answer.code) != (fate.revision, fate.code)
        ):
            yield f"exactly_once/fate: {fate}, the model says {answer}"


def check_counter(history: History, path: str, final: int) -> list[str]:
    """The final value lies between acknowledged and possible increments.

    Increments are sets of ``path`` to (value read) + 1 with the version read; so each success
    adds exactly one.
    """
    sets = [op for op in history.ops if op.kind == "set" and op.args[0] == path]
    acknowledged = sum(op.outcome is Outcome.OK and op.code == 0 for op in sets)
    unknown = sum(op.outcome is Outcome.INFO for op in sets)
    problems = []
    if final < acknowledged:
        problems.append(
            f"exactly_once/lost: {path}: {final} < {acknowledged} acknowledged increments"
        )
    if final > acknowledged + unknown:
        problems.append(f"exactly_once/twice: {path}: {final} > {acknowledged} + {unknown} unknown")
    problems += _check_distinct(path, sets)
    return problems


def _check_distinct(path: str, sets: list[Op]) -> list[str]:
    """No two acknowledged increments wrote the same value."""
    writers: dict[bytes, Op] = {}
    problems = []
    for op in sets:
        if op.outcome is not Outcome.OK or op.code != 0:
            continue
        value = op.args[1]
        if value in writers:
            problems.append(
                f"exactly_once/overwritten: {op} and {writers[value]} both wrote {value!r}"
            )
        writers[value] = op
    return problems


def check_sequence(history: History, parent: str, names: list[str]) -> list[str]:
    """Sequential children: one for each acknowledged create, unique, in real-time order."""
    creates = [
        op for op in history.ops if op.kind == "create" and op.args[0].rpartition("/")[0] == parent
    ]
    done = [op for op in creates if op.outcome is Outcome.OK and op.code == 0]
    unknown = sum(op.outcome is Outcome.INFO for op in creates)
    problems = []
    made: dict[str, Op] = {}
    for op in done:
        name = str(op.body[0]).rpartition("/")[2]
        if name in made:
            problems.append(f"exactly_once/same-name: {op} and {made[name]} both made {name}")
        made[name] = op
    missing = sorted(set(made) - set(names))
    extra = len(set(names) - set(made))
    if missing:
        problems.append(f"exactly_once/lost: {parent}: acknowledged and missing: {missing[:5]}")
    if extra > unknown:
        problems.append(
            f"exactly_once/twice: {parent}: {extra} nodes nobody was told of, {unknown} unknown"
        )
    problems += _check_suffix_order(parent, done)
    return problems


def _check_suffix_order(parent: str, done: list[Op]) -> list[str]:
    """A create that completed before another was invoked has the smaller suffix."""
    problems = []
    by_end = sorted(done, key=lambda op: op.complete_us)
    highest, at = -1, 0
    for op in sorted(done, key=lambda op: op.invoke_us):
        while by_end[at].complete_us < op.invoke_us:
            highest = max(highest, _suffix(by_end[at]))
            at += 1
        if _suffix(op) <= highest:
            problems.append(
                f"exactly_once/order: {op} has a suffix below an earlier one, {highest}"
            )
    return problems


def _suffix(op: Op) -> int:
    return int(str(op.body[0])[-10:])
