"""Truth for small histories: every order that agrees with real time is tried.

The sequential specifications are written here once more, as plainly as possible, so that a mistake
in a checker or in ``jepsen_lite.models`` does not repeat itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jepsen_lite.history import Op

Spec = Callable[[Any, Op], Iterator[Any]]
"""The states after an operation in a state: none if its answer cannot be given there. Of an
operation without an answer: all states that it may lead to, had it happened."""


def register(state: Any, op: Op) -> Iterator[Any]:
    """Any values; compare-and-set."""
    if op.f == "read":
        if not op.is_ok or op.result == state:
            yield state
    elif op.f == "write":
        yield op.value
    elif not op.is_ok or op.result == (op.value[0] == state):
        yield op.value[1] if op.value[0] == state else state


def versioned(state: Any, op: Op) -> Iterator[Any]:
    """State: (version, value). All in the life of one node."""
    version, value = state
    if op.f == "read":
        if not op.is_ok or op.result == {"value": value, "version": version, "born": 1}:
            yield state
    elif op.f == "write" or op.value["version"] == version:
        made = {"version": version + 1, "born": 1}
        if not op.is_ok or op.result == made:
            yield version + 1, op.value if op.f == "write" else op.value["value"]
    elif not op.is_ok or op.result is None:
        yield state


def counter(state: Any, op: Op) -> Iterator[Any]:
    """Additions."""
    if op.f == "add":
        yield state + op.value
    elif not op.is_ok or op.result == state:
        yield state


def growing_set(state: Any, op: Op) -> Iterator[Any]:
    """A set that nothing leaves, as a sorted tuple."""
    if op.f == "add":
        yield tuple(sorted({*state, op.value}))
    elif not op.is_ok or tuple(sorted(op.result)) == state:
        yield state


def queue(state: Any, op: Op) -> Iterator[Any]:
    """First in, first out."""
    if op.f == "enqueue":
        yield (*state, op.value)
    elif not op.is_ok or op.result == (state[0] if state else None):
        yield state[1:]


def lists(state: Any, op: Op) -> Iterator[Any]:
    """Transactions on lists: a tuple of (key, elements)."""
    now = dict(state)
    for f, key, value in op.result if op.is_ok else op.value:
        held = now.get(key, ())
        if f == "append":
            now[key] = (*held, value)
        elif op.is_ok and tuple(value or ()) != held:
            return
    yield tuple(sorted(now.items()))


def sequence(state: Any, op: Op) -> Iterator[Any]:
    """Numbers that grow, with gaps."""
    if op.is_ok and op.result > state:
        yield op.result


def ids(state: Any, op: Op) -> Iterator[Any]:
    """Ids that never repeat."""
    if op.is_ok and op.result not in state:
        yield (*state, op.result)


def fenced(state: Any, op: Op) -> Iterator[Any]:
    """A lock and the resource it guards: (greatest token granted, present token or 0)."""
    greatest, present = state
    if op.f == "acquire" and op.is_ok and op.result > greatest:
        yield op.result, op.result
    elif op.f == "release":
        yield greatest, 0 if op.value == present else present
    elif op.f == "write" and (op.result is not True or op.value == present):
        yield state


def bank(state: Any, op: Op) -> Iterator[Any]:
    """Accounts: a tuple of (name, balance)."""
    now = dict(state)
    if op.f == "transfer":
        source, target, amount = op.value
        if now[source] >= amount:
            now[source] -= amount
            now[target] += amount
            yield tuple(sorted(now.items()))
    elif not op.is_ok or op.result == now:
        yield state


def membership(state: Any, op: Op) -> Iterator[Any]:
    """State: (version, pairs of member and role). What is so already is no change."""
    version, pairs = state
    roles = dict(pairs)
    if op.f == "read":
        if not op.is_ok or op.result == {"version": version, "members": roles}:
            yield state
        return
    member = str(op.value)
    if op.f == "remove":
        roles.pop(member, None)
    elif op.f == "promote":
        roles[member] = "participant"
    else:
        roles.setdefault(member, "observer")
    after = tuple(sorted(roles.items()))
    yield state if after == pairs else (version + 1, after)


def is_legal(ops: list[Op], initial: Any, spec: Spec) -> bool:
    """Whether some order explains all answers. Exponential: for ten operations at most."""
    some = [op for op in ops if op.may_have_happened]
    dead_ends: set[tuple[frozenset[int], Any]] = set()

    def reaches_end(left: list[Op], state: Any) -> bool:
        if not any(op.is_ok for op in left):
            return True
        key = (frozenset(op.id for op in left), state)
        if key in dead_ends:
            return False
        first_end = min(op.end_ns for op in left)
        for op in left:
            if op.invoke_ns <= first_end:
                rest = [other for other in left if other is not op]
                if any(reaches_end(rest, following) for following in spec(state, op)):
                    return True
        dead_ends.add(key)
        return False

    return reaches_end(some, initial)
