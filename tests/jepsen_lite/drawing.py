"""Random small histories: an honest service answers, then perhaps one answer is falsified.

Times are few, so that operations often begin when others end. Some operations are left without an
answer, whether they happened or not; some failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from jepsen_lite.history import NEVER, History, Op, Outcome
from tests.jepsen_lite import brute

UNANSWERED = 0.12
FAILED = 0.08
FALSIFIED = 0.7


@dataclass(frozen=True, slots=True)
class Subject:
    """One model as it is drawn and tried.

    ``ask(random, number)``: (f, key, value). ``serve(state, op)``: (state, result) of an honest
    service. ``falsify(random, op)``: another result. ``is_exact``: the checker finds every illegal
    history, too; otherwise it may only never accuse a legal one. ``checker``: its name.
    """

    checker: str
    model: str
    initial: Any
    ask: Callable[[Random, int], tuple[str, Any, Any]]
    serve: Callable[[Any, Op], tuple[Any, Any]]
    falsify: Callable[[Random, Op], Any]
    spec: brute.Spec
    is_exact: bool = True
    unanswered: float = UNANSWERED
    meta: tuple[tuple[str, Any], ...] = ()


def draw(subject: Subject, random: Random, operations: int, *, honest: bool = False) -> History:
    """A history of at most ``operations`` operations."""
    history = History(model=subject.model, meta=dict(subject.meta))
    state = subject.initial
    ops = []
    for number, (begin, point, end) in enumerate(_times(random, operations)):
        f, key, value = subject.ask(random, number)
        ops.append((point, Op(f"p{number}", f, key, value, begin, end, Outcome.OK)))
    for _, op in sorted(ops, key=lambda pair: pair[0]):
        dice = random.random()
        if dice < FAILED:
            op.outcome = Outcome.FAIL
            continue
        if dice < FAILED + subject.unanswered:
            op.outcome, op.complete_ns = Outcome.INFO, NEVER
            if random.random() < 0.5:
                continue
        state, result = subject.serve(state, op)
        op.result = result if op.is_ok else None
    for _, op in sorted(ops, key=lambda pair: pair[1].invoke_ns):
        history.add(op)
    if not honest and random.random() < FALSIFIED:
        _falsify(subject, random, history)
    return history


def _times(random: Random, operations: int) -> Iterator[tuple[int, float, int]]:
    span = random.randint(2, 2 * operations)
    for _ in range(random.randint(1, operations)):
        begin, end = sorted((random.randint(0, span), random.randint(0, span)))
        if random.random() < 0.5:
            end = min(end, begin + 2)
        yield begin, begin + (end - begin) * random.random(), end


def _falsify(subject: Subject, random: Random, history: History) -> None:
    """Another answer for one operation, or other times."""
    answered = [op for op in history.ops if op.is_ok]
    if not answered:
        return
    op = random.choice(answered)
    if random.random() < 0.3:
        shift = random.randint(-4, 4)
        op.invoke_ns = max(0, op.invoke_ns + shift)
        op.complete_ns = max(op.invoke_ns, op.complete_ns + shift)
    else:
        op.result = subject.falsify(random, op)


# --- what each model asks and answers ------------------------------------------------------------


def _served(spec: brute.Spec, state: Any, op: Op) -> tuple[Any, Any]:
    """The state after an operation whose answer does not matter."""
    asked = replace(op, outcome=Outcome.INFO)
    return next(spec(state, asked), state), None


def _ask_distinct(random: Random, number: int) -> tuple[str, Any, Any]:
    is_read = random.random() < 0.55
    return ("read", "x", None) if is_read else ("write", "x", number + 1)


def _serve_register(state: Any, op: Op) -> tuple[Any, Any]:
    following, _ = _served(brute.register, state, op)
    return following, {"read": state, "write": None}.get(op.f, following == _new(op, state))


def _new(op: Op, state: Any) -> Any:
    return op.value[1] if op.f == "cas" and op.value[0] == state else object()


def _ask_cas(random: Random, number: int) -> tuple[str, Any, Any]:
    values = [None, 1, 2]
    f = random.choice(["read", "write", "cas"])
    value = {"write": random.choice(values[1:]), "cas": random.choices(values, k=2)}.get(f)
    return f, "x", value


def _serve_cas(state: Any, op: Op) -> tuple[Any, Any]:
    if op.f == "cas":
        is_equal = op.value[0] == state
        return (op.value[1] if is_equal else state), is_equal
    return (op.value if op.f == "write" else state), (state if op.f == "read" else None)


def _falsify_cas(random: Random, op: Op) -> Any:
    return not op.result if op.f == "cas" else random.choice([None, 1, 2])


def _ask_versions(random: Random, number: int) -> tuple[str, Any, Any]:
    f = random.choice(["read", "write", "cas"])
    value: Any = number + 1
    if f == "cas":
        value = {"value": value, "version": random.randint(0, 3)}
    return f, "x", None if f == "read" else value


def _serve_versions(state: Any, op: Op) -> tuple[Any, Any]:
    following, _ = _served(brute.versioned, state, op)
    if op.f == "read":
        return state, {"value": state[1], "version": state[0], "born": 1}
    if following == state:
        return state, None
    return following, {"version": following[0], "born": 1}


def _falsify_versions(random: Random, op: Op) -> Any:
    if op.result is None:
        return {"version": op.value["version"] + 1, "born": 1}
    if op.f == "cas" and random.random() < 0.5:
        return None
    return {**op.result, "version": random.randint(0, 4)}


def _ask_add(random: Random, number: int) -> tuple[str, Any, Any]:
    return ("read", "x", None) if random.random() < 0.45 else ("add", "x", 1)


def _ask_delta(random: Random, number: int) -> tuple[str, Any, Any]:
    f, key, value = _ask_add(random, number)
    return f, key, value and random.choice([-2, -1, 1, 3])


def _serve_counter(state: Any, op: Op) -> tuple[Any, Any]:
    return (state + op.value, None) if op.f == "add" else (state, state)


def _falsify_counter(random: Random, op: Op) -> Any:
    return random.randint(0, 4) if op.f == "read" else None


def _ask_element(random: Random, number: int) -> tuple[str, Any, Any]:
    return ("read", "x", None) if random.random() < 0.45 else ("add", "x", number)


def _serve_set(state: Any, op: Op) -> tuple[Any, Any]:
    return ((*state, op.value), None) if op.f == "add" else (state, list(state))


def _falsify_set(random: Random, op: Op) -> Any:
    if op.f != "read":
        return None
    return [element for element in range(8) if random.random() < 0.3]


def _ask_queue(random: Random, number: int) -> tuple[str, Any, Any]:
    return ("dequeue", "x", None) if random.random() < 0.5 else ("enqueue", "x", number + 1)


def _serve_queue(state: Any, op: Op) -> tuple[Any, Any]:
    if op.f == "enqueue":
        return (*state, op.value), None
    return state[1:], state[0] if state else None


def _falsify_queue(random: Random, op: Op) -> Any:
    return random.choice([None, 1, 2, 3, 4, 5, 6]) if op.f == "dequeue" else None


def _ask_lists(random: Random, number: int) -> tuple[str, Any, Any]:
    parts: list[list[Any]] = []
    for place in range(random.randint(1, 3)):
        key = random.choice(["x", "y"])
        is_read = random.random() < 0.5
        parts.append(["r", key, None] if is_read else ["append", key, 10 * number + place])
    return "txn", None, parts


def _serve_lists(state: Any, op: Op) -> tuple[Any, Any]:
    now = dict(state)
    answer: list[list[Any]] = []
    for f, key, value in op.value:
        held = now.get(key, ())
        if f == "append":
            now[key] = (*held, value)
        answer.append([f, key, value if f == "append" else list(held)])
    return tuple(sorted(now.items())), answer


def _falsify_lists(random: Random, op: Op) -> Any:
    answer = [list(part) for part in op.result]
    reads = [part for part in answer if part[0] == "r"]
    if reads:
        read = random.choice(reads)
        read[2] = read[2][:-1] if read[2] and random.random() < 0.7 else read[2][::-1]
    return answer


def _ask_create(random: Random, number: int) -> tuple[str, Any, Any]:
    return "create", "/s", None


def _serve_sequence(state: Any, op: Op) -> tuple[Any, Any]:
    return state + 1, state + 1


def _falsify_sequence(random: Random, op: Op) -> Any:
    return random.randint(1, 9)


def _ask_id(random: Random, number: int) -> tuple[str, Any, Any]:
    return "generate", None, None


def _serve_ids(state: Any, op: Op) -> tuple[Any, Any]:
    return (*state, len(state)), len(state)


def _ask_lock(random: Random, number: int) -> tuple[str, Any, Any]:
    f = random.choice(["acquire", "write", "write", "release"])
    return f, "lock", None if f == "acquire" else random.randint(1, 4)


def _serve_lock(state: Any, op: Op) -> tuple[Any, Any]:
    greatest, present = state
    if op.f == "acquire":
        return (greatest + 1, greatest + 1), greatest + 1
    if op.f == "release":
        return (greatest, 0 if op.value == present else present), None
    return state, op.value == present


def _falsify_lock(random: Random, op: Op) -> Any:
    return {"acquire": random.randint(1, 4), "write": True}.get(op.f)


ACCOUNTS = (("a", 2), ("b", 2))


def _ask_bank(random: Random, number: int) -> tuple[str, Any, Any]:
    if random.random() < 0.5:
        return "read", None, None
    return "transfer", None, [*random.sample(["a", "b"], 2), random.randint(1, 2)]


def _serve_bank(state: Any, op: Op) -> tuple[Any, Any]:
    following, _ = _served(brute.bank, state, op)
    return following, dict(state) if op.f == "read" else None


def _falsify_bank(random: Random, op: Op) -> Any:
    return {"a": random.randint(0, 4), "b": random.randint(0, 4)} if op.f == "read" else None


MEMBERS = (("0", "participant"), ("1", "participant"))


def _ask_members(random: Random, number: int) -> tuple[str, Any, Any]:
    f = random.choice(["read", "read", "read", "remove", "add", "promote"])
    return f, None, None if f == "read" else random.randint(1, 2)


def _serve_members(state: Any, op: Op) -> tuple[Any, Any]:
    following, _ = _served(brute.membership, state, op)
    version, roles = state
    return following, {"version": version, "members": dict(roles)} if op.f == "read" else None


def _falsify_members(random: Random, op: Op) -> Any:
    if op.f != "read":
        return None
    roles = [None, "participant", "observer"]
    drawn = {"0": "participant", "1": random.choice(roles), "2": random.choice(roles)}
    members = {member: role for member, role in drawn.items() if role}
    return {"version": op.result["version"] + random.randint(-1, 1), "members": members}


SUBJECTS: dict[str, Subject] = {
    "register": Subject(
        "zones", "register", None, _ask_distinct, _serve_cas, _falsify_counter, brute.register
    ),
    "cas-register": Subject(
        "linearizability", "cas-register", None, _ask_cas, _serve_cas, _falsify_cas, brute.register
    ),
    "versions": Subject(
        "versions",
        "versions",
        (0, None),
        _ask_versions,
        _serve_versions,
        _falsify_versions,
        brute.versioned,
        unanswered=0,
    ),
    "versions-unanswered": Subject(
        "versions",
        "versions",
        (0, None),
        _ask_versions,
        _serve_versions,
        _falsify_versions,
        brute.versioned,
        is_exact=False,
    ),
    "counter": Subject(
        "counter", "counter", 0, _ask_add, _serve_counter, _falsify_counter, brute.counter
    ),
    "counter-deltas": Subject(
        "counter",
        "counter",
        0,
        _ask_delta,
        _serve_counter,
        _falsify_counter,
        brute.counter,
        is_exact=False,
    ),
    "set": Subject("set", "set", (), _ask_element, _serve_set, _falsify_set, brute.growing_set),
    "queue": Subject(
        "queue", "queue", (), _ask_queue, _serve_queue, _falsify_queue, brute.queue, unanswered=0
    ),
    "queue-unanswered": Subject(
        "queue", "queue", (), _ask_queue, _serve_queue, _falsify_queue, brute.queue, is_exact=False
    ),
    "append": Subject(
        "append", "append", (), _ask_lists, _serve_lists, _falsify_lists, brute.lists
    ),
    "sequence": Subject(
        "sequence", "sequence", 0, _ask_create, _serve_sequence, _falsify_sequence, brute.sequence
    ),
    "unique-ids": Subject(
        "unique-ids", "unique-ids", (), _ask_id, _serve_ids, _falsify_sequence, brute.ids
    ),
    "lock": Subject(
        "fencing",
        "lock",
        (0, 0),
        _ask_lock,
        _serve_lock,
        _falsify_lock,
        brute.fenced,
        is_exact=False,
        meta=(("guard", "current"),),
    ),
    "membership": Subject(
        "members",
        "membership",
        (0, MEMBERS),
        _ask_members,
        _serve_members,
        _falsify_members,
        brute.membership,
        is_exact=False,
    ),
    "bank": Subject(
        "bank",
        "bank",
        ACCOUNTS,
        _ask_bank,
        _serve_bank,
        _falsify_bank,
        brute.bank,
        is_exact=False,
        meta=(("total", 4),),
    ),
    **{
        f"search-{name}": Subject(
            "linearizability",
            name,
            initial,
            ask,
            serve,
            falsify,
            spec,
        )
        for name, initial, ask, serve, falsify, spec in (
            ("register", None, _ask_distinct, _serve_cas, _falsify_counter, brute.register),
            ("counter", 0, _ask_delta, _serve_counter, _falsify_counter, brute.counter),
            ("set", (), _ask_element, _serve_set, _falsify_set, brute.growing_set),
            ("queue", (), _ask_queue, _serve_queue, _falsify_queue, brute.queue),
        )
    },
}
"""Every model that can be tried out in full, by name."""
