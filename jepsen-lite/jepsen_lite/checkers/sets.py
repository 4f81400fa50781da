"""A set that grows: every read must show a possible moment of it. O(n log n + elements read).

Reads order themselves: each must hold all that smaller ones hold. An add takes effect just before
the first read that shows it. If that order agrees with real time, the history is linearizable;
otherwise an element is lost, a read stale, or an order reversed.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from jepsen_lite.checkers.intervals import Placed, backwards
from jepsen_lite.history import History, Op
from jepsen_lite.models import frozen
from jepsen_lite.verdict import Judgement, under

NEVER_SEEN: Final = 1 << 62


def check(history: History) -> Judgement:
    """Whether each key's reads show one growing set."""
    judgement = Judgement("set")
    checked = reads_seen = 0
    for key, ops in history.by_key().items():
        adds = [op for op in ops if op.f == "add"]
        reads = [op for op in ops if op.f == "read" and op.is_ok]
        checked += len(adds) + len(reads)
        reads_seen += len(reads)
        _check_key(judgement, key, adds, reads)
    if not reads_seen:
        judgement.cannot_say("nobody read the set")
    judgement.figures = {"operations": checked, "reads": reads_seen}
    return judgement


def _check_key(
    judgement: Judgement, key: str | int | None, adds: list[Op], reads: list[Op]
) -> None:
    added: dict[Hashable, list[Op]] = {}
    for op in adds:
        added.setdefault(frozen(op.value), []).append(op)
    before = judgement.found
    shown_at = _laid_out(judgement, key, added, reads)
    if judgement.found > before:
        return
    placed = []
    for element, ops in added.items():
        if len(ops) > 1:
            judgement.cannot_say(f"{under(key)}{element!r:.60} is added more than once")
            return
        place = shown_at.get(element, NEVER_SEEN)
        if ops[0].is_ok or place != NEVER_SEEN:
            placed.append(Placed(2 * place - 1, ops[0]))
    sizes = {op.id: len(op.result) for op in reads}
    ranks = {size: rank for rank, size in enumerate(sorted(set(sizes.values())), 1)}
    placed += [Placed(2 * ranks[sizes[op.id]], op) for op in reads]
    for later, earlier in backwards(placed):
        _report(judgement, key, later.op, earlier.op)


def _laid_out(
    judgement: Judgement,
    key: str | int | None,
    added: dict[Hashable, list[Op]],
    reads: list[Op],
) -> dict[Hashable, int]:
    """Element → rank of the first read that shows it, reads being ranked by their size."""
    shown_at: dict[Hashable, int] = {}
    held: set[Hashable] = set()
    rank, before = 0, None
    for op in sorted(reads, key=lambda op: len(op.result)):
        elements = [frozen(item) for item in op.result]
        found = set(elements)
        if len(found) < len(elements):
            judgement.add("duplicate", f"{under(key)}{op} holds an element twice", op.id)
        if not held <= found:
            assert before is not None
            missing = next(iter(held - found))
            sentence = f"{under(key)}{op} lacks {missing!r:.60}, {before} has it and is no newer"
            judgement.add("torn", sentence, op.id, before.id)
        rank += len(found) > len(held) or before is None
        for element in found - held:
            shown_at[element] = rank
            _check_added(judgement, key, op, element, added.get(element))
        held |= found
        before = op
    return shown_at


def _check_added(
    judgement: Judgement, key: str | int | None, read: Op, element: Hashable, adds: list[Op] | None
) -> None:
    if adds is None:
        sentence = f"{under(key)}{read} shows {element!r:.60}, which nobody added"
        judgement.add("phantom", sentence, read.id)
    elif not any(op.may_have_happened for op in adds):
        sentence = f"{under(key)}{read} shows what {adds[0]} added, which failed"
        judgement.add("aborted", sentence, read.id, adds[0].id)


def _report(judgement: Judgement, key: str | int | None, later: Op, earlier: Op) -> None:
    if later.f == "add":
        rule, what = "future", f"{earlier} shows {later.value!r:.60} or came after it"
        if earlier.f == "add":
            rule, what = "reversed", f"{earlier} was seen only after it"
        sentence = f"{under(key)}{later} began after {earlier.f} #{earlier.id} was over, but {what}"
    elif earlier.f == "add":
        rule = "lost"
        sentence = f"{under(key)}{later} lacks {earlier.value!r:.60}, though {earlier} was over"
    else:
        rule = "stale"
        sentence = f"{under(key)}{later} shows less than {earlier}, which was over before it"
    judgement.add(rule, sentence, later.id, earlier.id)
