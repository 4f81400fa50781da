"""Sequential specifications: what a thing may answer when it is asked one question at a time.

The search for a legal order (``checkers/linearizability.py``) walks through their states. States
and steps are plain hashable values; nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

from jepsen_lite.history import Json, Op

IMPOSSIBLE: Final = object()
"""In place of a state: the answer cannot be given here."""


class Step(NamedTuple):
    """An operation as a model wants it. ``known``: its result is ``result``; otherwise it may be
    anything, or it may never have happened."""

    f: str
    value: Any
    result: Any
    known: bool


def frozen(value: Json) -> Hashable:
    """A JSON value as a hashable one; values that differ in JSON differ: true is not 1."""
    if isinstance(value, list):
        return ("list", *map(frozen, value))
    if isinstance(value, dict):
        return ("map", *sorted((name, frozen(item)) for name, item in value.items()))
    if isinstance(value, bool):
        return ("bool", value)
    scalar: Hashable = value
    return scalar


_FALSE: Final = frozen(False)


class Model(NamedTuple):
    """``step(state, step)``: the state after it, or IMPOSSIBLE. An operation whose result is not
    known gets the state if it had an effect; IMPOSSIBLE if it can have had none.

    ``reads``: operations without any effect; unanswered, they say nothing.
    """

    name: str
    initial: Hashable
    step: Callable[[Any, Step], Any]
    fs: frozenset[str]
    reads: frozenset[str] = frozenset({"read"})

    def steps(self, ops: list[Op]) -> list[tuple[Op, Step]]:
        """The operations that this model has something to say about."""
        return [
            (op, Step(op.f, frozen(op.value), frozen(op.result), op.is_ok))
            for op in ops
            if op.f in self.fs and op.may_have_happened and (op.is_ok or op.f not in self.reads)
        ]


def _register(state: Hashable, step: Step) -> Any:
    if step.f == "read":
        return state if step.result == state else IMPOSSIBLE
    if step.f == "write":
        return step.value
    _, old, new = step.value
    if not step.known or step.result != _FALSE:
        return new if state == old else IMPOSSIBLE
    return state if state != old else IMPOSSIBLE


def _counter(state: int, step: Step) -> Any:
    if step.f == "add":
        return state + step.value
    return state if step.result == state else IMPOSSIBLE


def _set(state: frozenset[Hashable], step: Step) -> Any:
    if step.f == "add":
        return state | {step.value}
    elements = step.result[1:]
    return state if len(elements) == len(state) and state == set(elements) else IMPOSSIBLE


def _queue(state: tuple[Hashable, ...], step: Step) -> Any:
    if step.f == "enqueue":
        return (*state, step.value)
    if not step.known:
        return state[1:] if state else IMPOSSIBLE
    if step.result is None:
        return IMPOSSIBLE if state else state
    return state[1:] if state and state[0] == step.result else IMPOSSIBLE


MODELS: Final[dict[str, Model]] = {
    model.name: model
    for model in (
        Model("register", None, _register, frozenset({"read", "write"})),
        Model("cas-register", None, _register, frozenset({"read", "write", "cas"})),
        Model("counter", 0, _counter, frozenset({"read", "add"})),
        Model("set", frozenset(), _set, frozenset({"read", "add"})),
        Model("queue", (), _queue, frozenset({"enqueue", "dequeue"}), frozenset()),
    )
}
