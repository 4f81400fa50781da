"""Is there *any* legal order? Wing and Gong's search with Lowe's memory, for one register.

An independent cross-check that does not believe the revisions in replies. The register is one
node: its state is (version, value). The search walks the history as a linked list of calls and
returns; what is linearized is a bit mask relative to the oldest operation not yet linearized, so
that the memory of visited states stays small. Worst case exponential: a step limit makes the
answer "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

STEPS_MAX: Final = 200_000
FOREVER: Final = 1 << 62
ANY_VERSION: Final = -1


class Verdict(Enum):
    """Linearizable, certainly not, or undecided within the step limit."""

    LINEARIZABLE = "linearizable"
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


class State(NamedTuple):
    """The register: its version counts writes."""

    version: int
    value: bytes


class Call(NamedTuple):
    """One operation on the register.

    ``write``: the value written, None for a read. ``expected``: version demanded by a write.
    ``seen``: the state a read returned; for a write that answered, the version it made, or −1
    if it was refused because of its version. ``complete_us``: FOREVER if nobody knows whether
    it happened.
    """

    invoke_us: int
    complete_us: int
    write: bytes | None
    expected: int = ANY_VERSION
    seen: State | None = None
    made: int | None = None


def step(state: State, call: Call) -> State | None:
    """The state after ``call``, None if its answer is impossible in ``state``."""
    if call.write is None:
        return state if call.seen == state else None
    accepted = call.expected in (ANY_VERSION, state.version)
    if call.complete_us != FOREVER:
        if accepted != (call.made != -1):
            return None
        if accepted and call.made != state.version + 1:
            return None
    return State(state.version + 1, call.write) if accepted else state


@dataclass(slots=True, eq=False)
class _Node:
    """A call or a return in the linked list. ``partner``: a call's return, None on returns."""

    at: int
    partner: _Node | None = None
    before: _Node | None = None
    after: _Node | None = None


def check_register(calls: list[Call], initial: State, steps_max: int = STEPS_MAX) -> Verdict:
    """Whether some order of the calls is legal and respects real time."""
    calls = sorted(calls, key=lambda call: call.invoke_us)
    required = sum(call.complete_us != FOREVER for call in calls)
    head = _linked(calls)
    state, done, done_required = initial, 0, 0
    seen: set[tuple[int, int, State]] = set()
    undo: list[tuple[_Node, State]] = []
    node = head.after
    for _ in range(steps_max):
        if done_required == required:
            return Verdict.LINEARIZABLE
        if node is not None and node.partner is not None:
            following = step(state, calls[node.at])
            key = _key(done | 1 << node.at, following)
            if following is not None and key not in seen:
                seen.add(key)
                undo.append((node, state))
                state, done = following, done | 1 << node.at
                done_required += calls[node.at].complete_us != FOREVER
                _lift(node)
                node = head.after
            else:
                node = node.after
            continue
        # A return that cannot be passed, or the end: the last choice was wrong.
        if not undo:
            return Verdict.ILLEGAL
        node, state = undo.pop()
        done &= ~(1 << node.at)
        done_required -= calls[node.at].complete_us != FOREVER
        _put_back(node)
        node = node.after
    return Verdict.UNKNOWN


def _key(done: int, state: State | None) -> tuple[int, int, State]:
    """What is linearized, as (how many lead, mask of the rest): small for long histories."""
    leading = (~done & (done + 1)).bit_length() - 1
    return leading, done >> leading, state or State(-1, b"")


def _linked(calls: list[Call]) -> _Node:
    """Calls and returns by time. A return at the time of a call comes after it: closed
    intervals. Calls that never returned have their return at the end."""
    events: list[tuple[int, int, _Node]] = []
    for at, call in enumerate(calls):
        returned = _Node(at)
        events.append((call.invoke_us, 0, _Node(at, partner=returned)))
        events.append((call.complete_us, 1, returned))
    events.sort(key=lambda event: event[:2])
    head = last = _Node(-1)
    for _, _, node in events:
        last.after, node.before = node, last
        last = node
    return head


def _unlink(node: _Node) -> None:
    assert node.before is not None
    node.before.after = node.after
    if node.after is not None:
        node.after.before = node.before


def _relink(node: _Node) -> None:
    assert node.before is not None
    node.before.after = node
    if node.after is not None:
        node.after.before = node


def _lift(node: _Node) -> None:
    """Take a call and its return out of the list."""
    assert node.partner is not None
    _unlink(node)
    _unlink(node.partner)


def _put_back(node: _Node) -> None:
    """Inverse of ``_lift``, in reverse order."""
    assert node.partner is not None
    _relink(node.partner)
    _relink(node)
