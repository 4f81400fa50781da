"""Stable names of what a run found: the same finding has the same name in every run.

An invariant, a checker's rule and the demand of progress name themselves. Anything else (an
assertion of the product without a name, an exception) is known by its type and its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PROGRESS: Final = "progress"
"""Name of the demand that a healed cluster serves, ends what is over, and converges."""
_NAMED: Final = (
    re.compile(r"InvariantViolation: ([a-z-]+):"),
    re.compile(r"([a-z_]+/[A-Za-z0-9-]+): "),
)
_STUCK: Final = re.compile(r"Stuck: ")
_CRASH: Final = re.compile(r"(\w+)")


def names_in(problems: Iterable[str]) -> tuple[str, ...]:
    """Names among the problems of a run, in their order, each once."""
    found: dict[str, None] = {}
    for problem in problems:
        for pattern in _NAMED:
            match = pattern.match(problem)
            if match is not None:
                found[match[1]] = None
        if _STUCK.match(problem):
            found[PROGRESS] = None
    return tuple(found)


def signature(problems: list[str]) -> str:
    """What a failed run failed of, in one word: its first name, or else the type of its first
    problem and where it was raised; "" if it held."""
    if not problems:
        return ""
    names = names_in(problems)
    if names:
        return names[0]
    kind = _CRASH.match(problems[0])
    places = [problem for problem in problems if problem.startswith("at ")]
    return " ".join((kind[1] if kind else "?", *places[-1:]))
