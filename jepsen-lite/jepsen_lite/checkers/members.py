"""Memberships: every list has one version, lists change one voter at a time, and never go back.

A read's answer is ``{"version": n, "members": {id: role}}``; versions count the lists. Rules, by
name: ``two-lists`` (of one version), ``backwards`` (against real time), ``leap`` (two voters came
or went in one step: two majorities need not overlap), ``nobody`` (a list without a voter),
``forgotten`` (a change that was in force is not, though nobody asked for the contrary).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from jepsen_lite.checkers.intervals import Placed, backwards
from jepsen_lite.history import History, Json, Op
from jepsen_lite.verdict import Judgement

VOTER: Final = "participant"
_CONTRARY: Final = {"remove": ("add", "promote"), "add": ("remove",), "promote": ("remove",)}


def check(history: History) -> Judgement:
    """Whether the lists that clients read can be the steps of one membership."""
    judgement = Judgement("members")
    told = [op for op in history.ops if op.f == "read" and op.is_ok]
    changes = [op for op in history.ops if op.f in _CONTRARY and op.may_have_happened]
    lists = _by_version(judgement, told)
    for op in lists.values():
        if not _voters(op):
            judgement.add("nobody", f"{op} shows no voter at all", op.id)
    _check_steps(judgement, lists)
    for later, earlier in backwards([Placed(op.result["version"], op) for op in told]):
        sentence = f"{later.op} began after {earlier.op} was over, and shows an older list"
        judgement.add("backwards", sentence, later.op.id, earlier.op.id)
    for change in changes:
        if change.is_ok:
            _check_kept(judgement, change, told, changes)
    judgement.figures = {"operations": len(told) + len(changes), "lists": len(lists)}
    return judgement


def _members(op: Op) -> dict[str, Json]:
    members: dict[str, Json] = op.result["members"]
    return members


def _voters(op: Op) -> set[str]:
    return {member for member, role in _members(op).items() if role == VOTER}


def _by_version(judgement: Judgement, told: Iterable[Op]) -> dict[int, Op]:
    """One read of each version."""
    lists: dict[int, Op] = {}
    for op in told:
        other = lists.setdefault(op.result["version"], op)
        if _members(op) != _members(other):
            judgement.add(
                "two-lists", f"{op} and {other} differ and have one version", op.id, other.id
            )
    return lists


def _check_steps(judgement: Judgement, lists: dict[int, Op]) -> None:
    for version, op in lists.items():
        before = lists.get(version - 1)
        if before is not None and len(_voters(before) ^ _voters(op)) > 1:
            sentence = f"between {before} and {op} more than one voter has changed"
            judgement.add("leap", sentence, op.id, before.id)


def _check_kept(judgement: Judgement, change: Op, told: list[Op], changes: list[Op]) -> None:
    """Reads after ``change`` show it, until somebody may have asked for the contrary."""
    contrary = [
        op
        for op in changes
        if op.f in _CONTRARY[change.f]
        and op.value == change.value
        and op.end_ns >= change.invoke_ns
    ]
    undone_from_ns = min((op.invoke_ns for op in contrary), default=None)
    for op in told:
        if op.invoke_ns <= change.end_ns:
            continue
        if undone_from_ns is not None and op.end_ns >= undone_from_ns:
            continue
        if (str(change.value) in _members(op)) == (change.f == "remove"):
            judgement.add("forgotten", f"{op} does not show {change}", op.id, change.id)
