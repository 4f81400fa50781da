"""Judges of histories, by name, and which of them judge which model.

Each takes a history and returns a ``Judgement``. None of them believes more than it must: all but
``order`` look only at what clients saw. Their words for operations are in ``docs/jepsen-lite.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from jepsen_lite import collection
from jepsen_lite.checkers import (
    append,
    bank,
    counter,
    fencing,
    linearizability,
    members,
    once,
    order,
    queue,
    sequence,
    sessions,
    sets,
    versions,
    watches,
    zones,
)
from jepsen_lite.history import History
from jepsen_lite.verdict import Judgement


class Checker(NamedTuple):
    """``about``: what a pass means, in one sentence."""

    about: str
    check: Callable[[History], Judgement]


CHECKERS: Final[dict[str, Checker]] = {
    "append": Checker("the transactions are strictly serializable", append.check),
    "bank": Checker("every read of the accounts adds up", bank.check),
    "counter": Checker("every increment counted once, and reads show it", counter.check),
    "fencing": Checker("tokens only grow, and old ones no longer write", fencing.check),
    "linearizability": Checker(
        "a search found a legal order of all operations of each key", linearizability.check
    ),
    "members": Checker(
        "lists of members have one order and change one voter at a time", members.check
    ),
    "once": Checker("repeated requests had one effect and one result", once.check),
    "order": Checker(
        "the committed log explains every answer, in an order that agrees with time", order.check
    ),
    "queue": Checker("values came out once, in the order in which they went in", queue.check),
    "sequence": Checker("numbers are unique and grow", sequence.check),
    "sessions": Checker(
        "sessions ended neither early nor late, and clients were told the truth", sessions.check
    ),
    "set": Checker("nothing added was lost, and reads never went back", sets.check),
    "unique-ids": Checker("no id was handed out twice", sequence.check_unique),
    "versions": Checker(
        "every version has one maker, and versions agree with time", versions.check
    ),
    "watches": Checker(
        "watches told every change once, in order, and before newer answers", watches.check
    ),
    "zones": Checker("no read was stale, none showed what was never written", zones.check),
}

MODELS: Final[dict[str, tuple[str, ...]]] = {
    "append": ("append",),
    "bank": ("bank",),
    "cas-register": ("linearizability",),
    "counter": ("counter",),
    "election": ("fencing",),
    "lock": ("fencing",),
    "membership": ("members",),
    "once": ("once",),
    "order": (),
    "queue": ("queue",),
    "register": ("zones", "linearizability"),
    "sequence": ("sequence",),
    "session": ("sessions",),
    "set": ("set",),
    "unique-ids": ("unique-ids",),
    "versions": ("versions",),
    "watch": ("watches",),
}
"""Model of a history → who judges it; ``order`` joins them where the history holds a log."""

MALFORMED: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a checker meets in histories that do not keep to their model's words."""


def names_for(history: History) -> tuple[str, ...]:
    """Who judges a history. Raises KeyError for an unknown model."""
    names = MODELS[history.model]
    return (*names, "order") if history.log else names


def judge(history: History, names: Iterable[str]) -> list[Judgement]:
    """What each of these checkers has to say.

    A history that does not keep to the words of its model is *unknown*, with the reason.
    """
    judgements = []
    for name in names:
        try:
            with collection.paused():
                judgement = CHECKERS[name].check(history)
        except MALFORMED as error:
            judgement = Judgement(name)
            what = f"{type(error).__name__}: {error}"
            judgement.cannot_say(f"the history is not one of model {history.model!r} ({what})")
        if judgement.figures.get("operations") == 0:
            judgement.cannot_say("there is nothing in the history that it could judge")
        if history.is_cut_short:
            judgement.cannot_say("the file ends within a line: its end is missing")
        judgements.append(judgement)
    return judgements
