"""A sequence of operations as plain values: what is played, stored as a regression and reported.

A step is done by one of a few client sessions, which are numbered and opened at their first step.
Paths start with ``~`` for the directory that a play is given for itself.

Besides the operations of the wire there are steps that concern the connection itself:

- ``reattach``: drop the connection, and take the session up again on a new one
- ``reattachWrong``: the same, after an attempt with a wrong password
- ``reattachEnded``: try to take up the session that this client closed last
- ``expire``: drop the connection and wait until the session has ended for that
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tests.differential.operations import Args

ROOT: Final = "~"
SESSIONS: Final = 3

CONNECTION_STEPS: Final = frozenset({"reattach", "reattachWrong", "reattachEnded", "expire"})
WRITES: Final = frozenset(
    {"create", "create2", "createContainer", "createTTL", "delete", "setData", "setACL", "multi"}
)
"""Requests that take a place in the log when they succeed. ``close`` is one more."""


class Step(NamedTuple):
    """One operation of one session."""

    session: int
    name: str
    args: Args

    def __str__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.args.items())
        return f"s{self.session}.{self.name}({arguments})"


Sequence = tuple[Step, ...]


def expand(value: Any, root: str) -> Any:
    """The value with ``root`` for every leading ``~`` in it."""
    return _mapped(value, ROOT, root)


def contract(value: Any, root: str) -> Any:
    """The inverse of ``expand``, for what a server answers."""
    return _mapped(value, root, ROOT)


def _mapped(value: Any, old: str, new: str) -> Any:
    match value:
        case str():
            return new + value[len(old) :] if value.startswith(old) else value
        case dict():
            return {key: _mapped(each, old, new) for key, each in value.items()}
        case list() | tuple():
            return [_mapped(each, old, new) for each in value]
        case _:
            return value


def dumps(sequence: Iterable[Step]) -> str:
    """JSON, one step a line."""
    return "[\n" + ",\n".join(f" {json.dumps(step)}" for step in sequence) + "\n]\n"


def loads(text: str) -> Sequence:
    """What ``dumps`` wrote."""
    return tuple(Step(*fields) for fields in json.loads(text))
