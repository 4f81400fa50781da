"""Registers with versions: each answer names its place in the chain of writes. O(n log n).

A node's version counts its writes, so there is no order to search for. The chain is laid out (one
maker and one value for each version, no gaps that unanswered writes could not fill), then compared
with real time. Exact for nodes that live as long as the history if at most one write was not
answered; more leave open who made a version that nobody saw. Of nodes that are deleted and made
again, ``born`` orders the lives, and reads that saw no node are not judged.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any, Final

from jepsen_lite.checkers.intervals import Placed, newest_before, oldest_after
from jepsen_lite.history import History, Json, Op
from jepsen_lite.models import frozen
from jepsen_lite.verdict import Judgement, under

MAKERS: Final = ("write", "cas", "create")
Version = tuple[int, int]
"""(born, version): the order of states."""


@dataclass(slots=True)
class _Chain:
    """One key's states. ``guesses``: writes that were not answered and whose value nobody saw."""

    key: str | int | None
    makers: dict[Version, Op] = field(default_factory=dict)
    values: dict[Version, tuple[Hashable, Op]] = field(default_factory=dict)
    reads: list[tuple[Version, Op]] = field(default_factory=list)
    refused: list[Op] = field(default_factory=list)
    guesses: list[Op] = field(default_factory=list)
    was_created: bool = False
    """Within the history: before that there was no node to have a version."""
    was_deleted: bool = False


def check(history: History) -> Judgement:
    """Whether each key's chain is one, and agrees with real time."""
    judgement = Judgement("versions")
    checked = 0
    for key, ops in history.by_key().items():
        some = [op for op in ops if op.f in {"read", *MAKERS} and op.may_have_happened]
        checked += len(some)
        chain = _laid_out(judgement, key, some)
        chain.was_created = any(op.f == "create" for op in some)
        chain.was_deleted = any(op.f == "delete" and op.may_have_happened for op in ops)
        _name_guesses(judgement, chain)
        _check_initial(judgement, chain, frozen(history.meta.get("initial")))
        if not judgement.found:
            _check_gaps(judgement, chain)
            _check_real_time(judgement, chain)
    judgement.figures = {"operations": checked}
    return judgement


def _version(result: Json) -> Version | None:
    """The state that an answer names; None if it names none."""
    if result is None:
        return None
    born, version = result.get("born", 0), result["version"]
    if not isinstance(born, int) or not isinstance(version, int):
        raise TypeError(f"{version!r:.40} born {born!r:.40} is no version")
    return born, version


def _laid_out(judgement: Judgement, key: str | int | None, ops: list[Op]) -> _Chain:
    chain = _Chain(key)
    for op in ops:
        version = _version(op.result) if op.is_ok else None
        if op.f == "read":
            if version is not None:
                _see(judgement, chain, version, frozen(op.result.get("value")), op)
                chain.reads.append((version, op))
        elif not op.is_ok:
            chain.guesses.append(op)
        elif version is not None:
            _make(judgement, chain, version, op)
        elif op.f == "cas":
            chain.refused.append(op)
    return chain


def _make(judgement: Judgement, chain: _Chain, version: Version, op: Op) -> None:
    value = op.value
    if op.f == "cas":
        value = op.value.get("value")
        wanted = op.value.get("version") + 1
    else:
        wanted = 0 if op.f == "create" else max(version[1], 1)
    if version[1] != wanted:
        judgement.add("wrong-version", f"{under(chain.key)}{op} cannot make {version[1]}", op.id)
    if version in chain.makers:
        other = chain.makers[version]
        sentence = f"{under(chain.key)}{op} and {other} both made version {version[1]}"
        judgement.add("lost-update", f"{sentence}: one of them is lost", op.id, other.id)
        return
    chain.makers[version] = op
    _see(judgement, chain, version, frozen(value), op)


def _see(judgement: Judgement, chain: _Chain, version: Version, value: Hashable, op: Op) -> None:
    held, other = chain.values.setdefault(version, (value, op))
    if held != value:
        sentence = f"{under(chain.key)}{op} and {other} differ in what version {version[1]} holds"
        judgement.add("two-values", sentence, op.id, other.id)


def _check_initial(judgement: Judgement, chain: _Chain, initial: Hashable) -> None:
    """Version 0 of the first life, which the run prepared itself, holds ``meta["initial"]``."""
    first = min(chain.values, default=(0, 1))
    if first[1] == 0 and first not in chain.makers:
        value, op = chain.values[first]
        if value != initial:
            judgement.add("phantom", f"{under(chain.key)}{op} shows another version 0", op.id)


def _name_guesses(judgement: Judgement, chain: _Chain) -> None:
    """An unanswered write whose value was seen did happen, and made that version."""
    open_values: dict[Hashable, Op] = {}
    for op in chain.guesses:
        value = frozen(op.value.get("value") if op.f == "cas" else op.value)
        if value in open_values:
            judgement.cannot_say(f"{under(chain.key)}{value!r:.60} is written more than once")
        open_values[value] = op
    for version, (value, seen_by) in chain.values.items():
        maker = open_values.get(value)
        is_first = version[1] == 0 and (maker is None or maker.f != "create")
        if version in chain.makers or is_first:
            continue
        if maker is None or maker not in chain.guesses:
            sentence = f"{under(chain.key)}{seen_by} shows version {version[1]}: nobody made it"
            judgement.add("phantom", sentence, seen_by.id)
            continue
        if maker.f == "cas" and maker.value.get("version") + 1 != version[1]:
            judgement.add("wrong-version", f"{under(chain.key)}{maker} made {version[1]}", maker.id)
        chain.guesses.remove(maker)
        chain.makers[version] = maker


def _check_gaps(judgement: Judgement, chain: _Chain) -> None:
    """Versions that nobody knows of were made by unanswered writes, each of which can have made
    one that came after everything over before it began."""
    tops: dict[int, int] = {}
    for born, version in chain.values:
        tops[born] = max(tops.get(born, 0), version)
    gaps = [
        (born, version)
        for born in sorted(tops)
        for version in range(1, tops[born])
        if (born, version) not in chain.values
    ]
    if not gaps:
        return
    newest = newest_before(_placed(chain), chain.guesses)
    is_forced = len(chain.guesses) == len(gaps) == 1
    floors = {op.id: before.place if before else (-1, 0, 0) for op, before in newest}
    writes = sorted((op for op in chain.guesses if op.f == "write"), key=lambda op: floors[op.id])
    compared = [op for op in chain.guesses if op.f == "cas"]
    used = 0
    for gap in gaps:
        fitting = [
            op
            for op in compared
            if op.value.get("version") + 1 == gap[1] and floors[op.id] < (*gap, 0)
        ]
        if fitting:
            maker = fitting[0]
            compared.remove(maker)
        elif used < len(writes) and floors[writes[used].id] < (*gap, 0):
            maker = writes[used]
            used += 1
        else:
            sentence = f"{under(chain.key)}version {gap[1]} was made by no operation"
            judgement.add("gap", sentence, chain.values[max(chain.values)][1].id)
            continue
        chain.guesses.remove(maker)
        if is_forced:
            chain.makers[gap] = maker


def _placed(chain: _Chain) -> list[Placed]:
    """Every operation with its place: a write before the reads of what it wrote."""
    return [Placed((*version, 0), op) for version, op in chain.makers.items()] + [
        Placed((*version, 1), op) for version, op in chain.reads
    ]


def _check_real_time(judgement: Judgement, chain: _Chain) -> None:
    placed = _placed(chain)
    places = {one.op.id: one.place for one in placed}
    for op, before in newest_before(placed, [one.op for one in placed]):
        if before is not None and places[op.id] < before.place:
            sentence = f"{under(chain.key)}{op} began after {before.op} was over, and is older"
            judgement.add("stale", sentence, op.id, before.op.id)
    if not judgement.found and not chain.was_deleted:
        _check_refused(judgement, chain, placed)


def _check_refused(judgement: Judgement, chain: _Chain, placed: list[Placed]) -> None:
    """A compare that failed did so at a version other than the expected one. Each takes the
    first place left to it: after what was over before, refusals included."""
    after = oldest_after(placed, chain.refused)
    top = max(chain.values, default=(0, 0))
    first = min(chain.values, default=top)[0]
    over = [(one.op.end_ns, one.place) for one in placed]
    heapify(over)
    newest: Any = None if chain.was_created else (first, 0, 0)
    for op in sorted(chain.refused, key=lambda op: op.invoke_ns):
        while over and over[0][0] < op.invoke_ns:
            place = heappop(over)[1]
            newest = place if newest is None else max(newest, place)
        if newest is None:
            continue  # perhaps there was no node yet
        born, low, _ = newest
        expected = op.value.get("version")
        if low == expected:
            low += 1
        if (born, low) > _highest(chain, op, top, after[op.id]):
            sentence = f"{under(chain.key)}{op} was refused, though the version was as expected"
            judgement.add("refused", sentence, op.id)
        else:
            heappush(over, (op.end_ns, (born, low, 1)))


def _highest(chain: _Chain, op: Op, top: Version, following: Placed | None) -> Version:
    """The newest state that ``op`` can have met."""
    if following is not None:
        born, version, is_read = following.place
        return (born, version if is_read else version - 1)
    for guess in chain.guesses:
        is_next = guess.f == "write" or (guess.f == "cas" and guess.value["version"] == top[1])
        if is_next and guess.invoke_ns <= op.end_ns:
            return (top[0], top[1] + 1)
    return top
