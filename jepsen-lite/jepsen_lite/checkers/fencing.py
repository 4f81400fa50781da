"""Locks and leaderships: tokens grow with each grant, and writes guarded by them never go back.

That two do not *believe* to hold at the same time is not promised under pauses and wrong clocks,
so ``alone`` is checked only if the history says ``"exclusive": true``. If it says ``"guard":
"current"``, the resource must refuse a token as soon as a greater one was granted or its holder
has released it; otherwise only as soon as it has seen a greater one. Where the resource says its
``total`` at the end, each accepted write was an increment. ``claim``: what a holder believes, which
must be true unless clocks were wrong. O(n log n).
"""

from __future__ import annotations

from jepsen_lite.checkers.intervals import Placed, backwards, newest_before
from jepsen_lite.history import FOREVER, History, Op
from jepsen_lite.verdict import Judgement, under


def check(history: History) -> Judgement:
    """Whether each lock's tokens and guarded writes are in order."""
    judgement = Judgement("fencing")
    checked = 0
    clocks_were_right = not any(fault.name.startswith("clock") for fault in history.faults)
    for key, ops in history.by_key().items():
        grants = [op for op in ops if op.f == "acquire" and op.is_ok and op.result is not None]
        accepted = [op for op in ops if op.f == "write" and op.is_ok and op.result is True]
        checked += len(grants) + len(accepted)
        _check_grants(judgement, key, grants)
        _check_accepted(judgement, key, ops, grants, accepted)
        if clocks_were_right:
            _check_claims(judgement, key, ops, grants)
        _check_totals(judgement, key, ops, len(accepted))
        if history.meta.get("guard") == "current":
            _check_current(judgement, key, ops, grants, accepted)
        if history.meta.get("exclusive"):
            _check_alone(judgement, key, ops, grants)
    judgement.figures = {"operations": checked}
    return judgement


def _check_grants(judgement: Judgement, key: str | int | None, grants: list[Op]) -> None:
    owners: dict[int, Op] = {}
    for op in grants:
        other = owners.setdefault(op.result, op)
        if other is not op:
            sentence = f"{under(key)}{op} and {other} were granted by the same token"
            judgement.add("token-twice", sentence, op.id, other.id)
    for later, earlier in backwards([Placed(op.result, op) for op in grants]):
        sentence = f"{under(key)}{later.op} was asked for after {earlier.op}, by a smaller token"
        judgement.add("token-order", sentence, later.op.id, earlier.op.id)


def _check_accepted(
    judgement: Judgement,
    key: str | int | None,
    ops: list[Op],
    grants: list[Op],
    accepted: list[Op],
) -> None:
    """Accepted writes: by tokens that were granted, and never going back."""
    granted = {op.result: op for op in grants}
    is_open = any(op.f == "acquire" and op.may_have_happened and not op.is_ok for op in ops)
    for op in accepted:
        grant = granted.get(op.value)
        if grant is None and not is_open:
            sentence = f"{under(key)}{op} was accepted by a token that nobody was granted"
            judgement.add("forged", sentence, op.id)
        elif grant is not None and op.end_ns < grant.invoke_ns:
            sentence = f"{under(key)}{op} was accepted before {grant} was asked for"
            judgement.add("forged", sentence, op.id, grant.id)
    for later, earlier in backwards([Placed(op.value, op) for op in accepted]):
        sentence = f"{under(key)}{later.op} was accepted after {earlier.op} by a greater token"
        judgement.add("guard", sentence, later.op.id, earlier.op.id)


def _check_claims(
    judgement: Judgement, key: str | int | None, ops: list[Op], grants: list[Op]
) -> None:
    """Whoever believes to hold does: nobody else has been told of a grant since."""
    claims = [op for op in ops if op.f == "claim" and op.is_ok and op.result is True]
    for op, grant in newest_before([Placed(op.result, op) for op in grants], claims):
        if grant is not None and op.value < grant.place:
            sentence = f"{under(key)}{op} was believed after {grant.op} had taken over"
            judgement.add("belief", sentence, op.id, grant.op.id)


def _check_totals(
    judgement: Judgement, key: str | int | None, ops: list[Op], accepted: int
) -> None:
    """Each accepted write was an increment: none is lost if nobody wrote beside the holder."""
    for op in ops:
        if op.f == "total" and op.is_ok and op.result != accepted:
            sentence = f"{under(key)}{op}, but {accepted} increments were accepted"
            judgement.add("lost-update", sentence, op.id)


def _check_current(
    judgement: Judgement,
    key: str | int | None,
    ops: list[Op],
    grants: list[Op],
    accepted: list[Op],
) -> None:
    newest = newest_before([Placed(op.result, op) for op in grants], accepted)
    granted_ns = {op.result: op.end_ns for op in grants}
    released = {
        op.value: op
        for op in ops
        if op.f == "release" and op.is_ok and granted_ns.get(op.value, FOREVER) < op.invoke_ns
    }
    for op, grant in newest:
        if grant is not None and op.value < grant.place:
            sentence = f"{under(key)}{op} was accepted after {grant.op} had taken over"
            judgement.add("deposed", sentence, op.id, grant.op.id)
        release = released.get(op.value)
        if release is not None and release.end_ns < op.invoke_ns:
            sentence = f"{under(key)}{op} was accepted after {release} had given it up"
            judgement.add("released", sentence, op.id, release.id)


def _check_alone(
    judgement: Judgement, key: str | int | None, ops: list[Op], grants: list[Op]
) -> None:
    """Nobody is told of a grant between another's grant and the begin of its release."""
    released = {op.value: op.invoke_ns for op in ops if op.f == "release"}
    holds = sorted(
        ((op.end_ns, released.get(op.result, op.end_ns), op) for op in grants),
        key=lambda hold: hold[0],
    )
    longest: tuple[int, int, Op] | None = None
    for hold in holds:
        if longest is not None and hold[0] < longest[1]:
            sentence = f"{under(key)}{hold[2]} was granted while {longest[2]} still held"
            judgement.add("alone", sentence, hold[2].id, longest[2].id)
        if longest is None or hold[1] > longest[1]:
            longest = hold
