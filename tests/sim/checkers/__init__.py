"""Judges of a run. Each takes a history and returns what is wrong with it, as sentences.

- ``witness``: the order the service claims is a legal one (replay against the independent model,
  then a sweep over real time). Passing it proves linearizability.
- ``exactly_once``: counters and sequential nodes add up.
- ``sessions``: nobody expired early, nobody told so falsely, ephemerals live as their sessions.
- ``registers``: a search (``wgl``) for a legal order that does not believe the claimed one.
- ``counts``: a node that counts its tree counts right.

A sentence begins with ``checker/rule: ``, both names stable: what is broken on purpose counts as
found by the name of a rule, never by an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.sim.checkers import counts, exactly_once, fencing, registers, sessions, watches, witness
from tests.sim.history import History

Checker = Callable[[History], list[str]]

CHECKERS: Final[tuple[tuple[str, Checker], ...]] = (
    ("clients", lambda history: history.breaches),
    ("witness", witness.check),
    ("exactly_once", exactly_once.check),
    ("sessions", sessions.check),
    ("registers", registers.check),
    ("watches", watches.check),
    ("fencing", fencing.check),
    ("counts", counts.check),
)


def judge(history: History) -> list[str]:
    """What all checkers find wrong with a history.

    A log that is none is all there is to say: nothing can be replayed.
    """
    broken = witness.check_log(history.log)
    if broken:
        return [*history.breaches, *broken]
    return [problem for _, check in CHECKERS for problem in check(history)]
