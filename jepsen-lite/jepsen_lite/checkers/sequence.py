"""Numbers handed out: never twice, and growing in real time where they are a sequence."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise

from jepsen_lite.checkers.intervals import Placed, backwards
from jepsen_lite.history import UNKNOWN_REVISION, History, Op
from jepsen_lite.models import frozen
from jepsen_lite.verdict import Judgement


def check(history: History) -> Judgement:
    """Sequential nodes: per parent (key), numbers are unique and grow, in real time and in the
    order of revisions. Exact: such numbers are themselves a legal order."""
    judgement = Judgement("sequence")
    checked = 0
    for key, ops in history.by_key().items():
        made = [op for op in ops if op.f == "create" and op.is_ok]
        checked += len(made)
        if not all(isinstance(op.result, int) for op in made):
            raise TypeError("a number handed out is none")
        _check_unique(judgement, made, f"under {key!r}")
        for later, earlier in backwards([Placed(op.result, op) for op in made]):
            sentence = f"{later.op} began after {earlier.op} was over, and has the smaller number"
            judgement.add("order", sentence, later.op.id, earlier.op.id)
        placed = [op for op in made if op.revision != UNKNOWN_REVISION]
        placed.sort(key=lambda op: op.revision)
        for before, after in pairwise(placed):
            if after.result < before.result:
                sentence = f"{after} comes after {before} in the log, and has the smaller number"
                judgement.add("revision", sentence, after.id, before.id)
    judgement.figures = {"operations": checked}
    return judgement


def check_unique(history: History) -> Judgement:
    """Ids: no two generated alike."""
    judgement = Judgement("unique-ids")
    made = [op for op in history.ops if op.f == "generate" and op.is_ok]
    _check_unique(judgement, made, "anywhere")
    judgement.figures = {"operations": len(made)}
    return judgement


def _check_unique(judgement: Judgement, made: list[Op], where: str) -> None:
    owners: dict[Hashable, Op] = {}
    for op in made:
        other = owners.setdefault(frozen(op.result), op)
        if other is not op:
            sentence = f"{op} and {other} got the same; it must be unique {where}"
            judgement.add("duplicate", sentence, op.id, other.id)
