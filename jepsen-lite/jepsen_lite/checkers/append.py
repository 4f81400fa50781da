"""Transactions that read lists and append to them, judged as Elle does. O(n + edges).

A list that was read tells the order of all appends before it, so that who came before whom can be
drawn as a graph: *ww* (appended earlier), *wr* (read what was appended), *rw* (read before it was
appended) and *rt* (was over before the other began). If nothing else is wrong, the history is
strictly serializable exactly if the graph has no cycle. Names of rules are those of Adya's
phenomena: ``G0`` only ww, ``G1c`` also wr, ``G-single`` one rw, ``G2`` several; ``-realtime`` if
the cycle also needs rt.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from jepsen_lite.checkers.graph import Graph
from jepsen_lite.history import FOREVER, History, Op
from jepsen_lite.models import frozen
from jepsen_lite.verdict import Judgement

WW: Final = 0
WR: Final = 1
RW: Final = 2
RT: Final = 3
EDGE_NAMES: Final = ("ww", "wr", "rw", "rt")
_WORDS: Final = (
    "appended before",
    "was read by",
    "did not yet see the append of",
    "was over before the begin of",
)


@dataclass(slots=True)
class _List:
    """One key. ``longest``: the longest list read, whose order is that of the appends."""

    longest: list[Hashable] = field(default_factory=list)
    longest_by: Op | None = None
    readers: dict[int, list[Op]] = field(default_factory=dict)
    """Length read → by whom."""
    writers: dict[Hashable, Op] = field(default_factory=dict)
    appended: dict[int, list[Hashable]] = field(default_factory=dict)
    """By each transaction, in its order."""


def check(history: History) -> Judgement:
    """Whether the transactions are strictly serializable."""
    judgement = Judgement("append")
    txns = [op for op in history.ops if op.f == "txn"]
    lists: dict[Hashable, _List] = {}
    for op in txns:
        _take_appends(judgement, lists, op)
    for op in txns:
        if op.is_ok:
            _take_reads(judgement, lists, op)
    for key, key_list in lists.items():
        _check_whole(judgement, key, key_list)
    happened = _happened(lists, txns)
    if not judgement.found:
        graph = Graph([op.id for op in happened])
        for key_list in lists.values():
            _draw(graph, key_list)
        _draw_time(graph, happened)
        _report_cycles(judgement, graph, {op.id: op for op in happened})
        judgement.figures["edges"] = graph.edges
    judgement.figures["operations"] = len(txns)
    return judgement


def _parts(op: Op) -> Iterator[tuple[str, Hashable, Any]]:
    """(r or append, key, value) of each part; as answered, if it was."""
    for f, key, value in op.result if op.is_ok else op.value:
        yield f, frozen(key), value


def _take_appends(judgement: Judgement, lists: dict[Hashable, _List], op: Op) -> None:
    for f, key, value in _parts(op):
        if f == "append":
            key_list, element = lists.setdefault(key, _List()), frozen(value)
            if element in key_list.writers:
                judgement.cannot_say(f"{value!r:.60} is appended to {key!r} more than once")
            key_list.writers[element] = op
            key_list.appended.setdefault(op.id, []).append(element)


def _take_reads(judgement: Judgement, lists: dict[Hashable, _List], op: Op) -> None:
    """External reads go to the lists; those after an own part must agree with it."""
    known: dict[Hashable, list[Hashable]] = {}
    own: dict[Hashable, list[Hashable]] = {}
    for f, key, value in _parts(op):
        if f == "append":
            own.setdefault(key, []).append(frozen(value))
            continue
        read = [frozen(item) for item in value or []]
        mine = own.get(key, [])
        base = read[: len(read) - len(mine)]
        if read[len(base) :] != mine or known.get(key, base) != base:
            sentence = f"{op} read {value!r:.80} of {key!r}, against what it did or read before"
            judgement.add("internal", sentence, op.id)
        elif key not in known:
            known[key] = base
            _take_read(judgement, key, lists.setdefault(key, _List()), base, op)


def _take_read(
    judgement: Judgement, key: Hashable, key_list: _List, read: list[Hashable], op: Op
) -> None:
    shorter, longer, other = read, key_list.longest, key_list.longest_by
    if len(read) > len(longer):
        shorter, longer = longer, read
        _check_elements(judgement, key, key_list, read, op)
    if longer[: len(shorter)] != shorter:
        assert other is not None
        sentence = f"{op} and {other} read different orders of {key!r}"
        judgement.add("incompatible-order", sentence, op.id, other.id)
        return
    if len(read) > len(key_list.longest):
        key_list.longest, key_list.longest_by = read, op
    writer = key_list.writers.get(read[-1]) if read else None
    if writer is not None and writer is not op and key_list.appended[writer.id][-1] != read[-1]:
        judgement.add("G1b", f"{op} read {key!r} amid {writer}", op.id, writer.id)
    key_list.readers.setdefault(len(read), []).append(op)


def _check_elements(
    judgement: Judgement, key: Hashable, key_list: _List, read: list[Hashable], op: Op
) -> None:
    """The longest list so far: nothing twice, nothing that nobody appended or that failed."""
    if len(set(read)) < len(read):
        judgement.add("duplicate", f"{op} read an element of {key!r} twice", op.id)
    for element in read[len(key_list.longest) :]:
        writer = key_list.writers.get(element)
        if writer is None:
            judgement.add("phantom", f"{op} read {element!r} of {key!r}: never appended", op.id)
        elif not writer.may_have_happened:
            judgement.add(
                "G1a", f"{op} read what {writer} appended, which failed", op.id, writer.id
            )
        elif writer is op:
            judgement.add("internal", f"{op} read its own later append to {key!r}", op.id)


def _check_whole(judgement: Judgement, key: Hashable, key_list: _List) -> None:
    """Of each transaction that the longest list shows: all it appended, in its order."""
    shown: dict[int, list[Hashable]] = {}
    for element in key_list.longest:
        if element in key_list.writers:
            shown.setdefault(key_list.writers[element].id, []).append(element)
    for writer_id, elements in shown.items():
        if elements != key_list.appended[writer_id] and not judgement.found:
            writer, reader = key_list.writers[elements[0]], key_list.longest_by
            assert reader is not None
            sentence = f"{reader} shows {key!r} without or in another order than {writer}"
            judgement.add("torn", sentence, reader.id, writer.id)


def _happened(lists: dict[Hashable, _List], txns: list[Op]) -> list[Op]:
    """Answered transactions, and those of which something was seen."""
    seen = {
        key_list.writers[element].id
        for key_list in lists.values()
        for element in key_list.longest
        if element in key_list.writers
    }
    return [op for op in txns if op.is_ok or (op.id in seen and op.may_have_happened)]


def _draw(graph: Graph, key_list: _List) -> None:
    order = [key_list.writers[element].id for element in key_list.longest]
    for earlier, later in pairwise(order):
        graph.add(earlier, later, WW)
    for length, readers in key_list.readers.items():
        for reader in readers:
            if length:
                graph.add(order[length - 1], reader.id, WR)
            if length < len(order):
                graph.add(reader.id, order[length], RW)
    # Appends that happened and that nobody read come after everything that was read.
    there, shown = graph.members, set(key_list.longest)
    unseen = [
        writer.id
        for element, writer in key_list.writers.items()
        if element not in shown and writer.id in there
    ]
    if unseen:
        _draw_unseen(graph, key_list, order, unseen)


def _draw_unseen(graph: Graph, key_list: _List, order: list[int], unseen: list[int]) -> None:
    """They come after the last append that was read, and after everyone who read it."""
    writers = dict.fromkeys(unseen)
    readers = [reader.id for reader in key_list.readers.get(len(order), ())]
    for sources, kind in ((readers, RW), (order[-1:], WW)):
        knot = graph.knot()
        for writer in writers:
            graph.add(knot, writer, None)
        for source in sources:
            if source not in writers:
                graph.add(source, knot, kind)
                continue
            for writer in writers:  # past the knot, which would lead back to itself
                graph.add(source, writer, kind)


def _draw_time(graph: Graph, happened: list[Op]) -> None:
    """A line of knots, one for each end: an operation leads to its own, and the newest one before
    its begin leads to it."""
    ends = sorted((op for op in happened if op.end_ns < FOREVER), key=lambda op: op.end_ns)
    newest: int | None = None
    at = 0
    for op in sorted(happened, key=lambda op: op.invoke_ns):
        while at < len(ends) and ends[at].end_ns < op.invoke_ns:
            knot = graph.knot()
            graph.add(ends[at].id, knot, RT)
            if newest is not None:
                graph.add(newest, knot, None)
            newest = knot
            at += 1
        if newest is not None:
            graph.add(newest, op.id, None)


def _report_cycles(judgement: Judgement, graph: Graph, ops: dict[int, Op]) -> None:
    for members in graph.tangles():
        cycle, name = _worst_cycle(graph, members)
        steps = [(ops[node], kind) for node, kind in cycle if node in ops]
        told = ", which ".join(
            f"{_WORDS[kind]} {_next(steps, at)}" for at, (_, kind) in enumerate(steps)
        )
        judgement.add(name, f"a cycle: {steps[0][0]} {told}", *(op.id for op, _ in steps))


def _next(steps: list[tuple[Op, int]], at: int) -> Op:
    return steps[(at + 1) % len(steps)][0]


def _worst_cycle(graph: Graph, members: set[int]) -> tuple[list[tuple[int, int]], str]:
    """The cycle that breaks the weakest promise, as (node, kind of the edge that leaves it)."""
    for suffix, extra in (("", set[int]()), ("-realtime", {RT})):
        for name, kinds, single in (
            ("G0", {WW}, None),
            ("G1c", {WW, WR}, None),
            ("G-single", {WW, WR}, RW),
            ("G2", {WW, WR, RW}, None),
        ):
            cycle = graph.cycle(members, kinds | extra, single)
            if cycle:
                return cycle, name + suffix
    raise AssertionError("a tangle without a cycle")
