"""Paths that are cut, in one direction or both, between some and not others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coord.sim import host_name
from tests.sim.strike import Cut, Strike, both_ways


def cut(strike: Strike, pairs: Cut) -> None:
    """Cut these directions, and heal them in time."""
    network = strike.cluster.network

    def heal() -> None:
        for frm, to in pairs:
            network.heal(frm, to)

    for frm, to in pairs:
        network.cut(frm, to)
    strike.later(heal)


def _isolate(strike: Strike) -> None:
    """One node from all others; its clients can still reach it."""
    one = strike.whom().id
    cut(strike, both_ways([one], strike.others(one)))


def _one_way(strike: Strike) -> None:
    """One node hears nobody, or nobody hears it."""
    one = strike.whom().id
    pairs = both_ways([one], strike.others(one))
    cut(strike, pairs[strike.stream.randrange(2) :: 2])


def _halves(strike: Strike) -> None:
    ids = strike.ids()
    strike.stream.shuffle(ids)
    middle = len(ids) // 2
    cut(strike, both_ways(ids[:middle], ids[middle:]))


def _break(strike: Strike) -> None:
    """Reset all streams between two nodes."""
    one = strike.whom().id
    two = strike.stream.choice(strike.others(one))
    strike.cluster.network.break_streams(host_name(one), host_name(two))


TABLE: Final[dict[str, Callable[[Strike], None]]] = {
    "isolate": _isolate,
    "one-way": _one_way,
    "halves": _halves,
    "break": _break,
}
