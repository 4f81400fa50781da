"""The registers of a run, given to the search that does not believe the claimed order."""

from __future__ import annotations

import struct
from typing import Final

from tests.sim.checkers.wgl import FOREVER, Call, State, Verdict, check_register
from tests.sim.history import History, Op, Outcome

PREFIX: Final = "/register-"
"""Paths of registers begin with it; they hold b"0" at first."""
CALLS_MAX: Final = 400
"""Longer histories of one node are not searched."""
VERSION_AT: Final = 32
"""Where a packed Stat holds the version."""


def check(history: History) -> list[str]:
    """Registers whose linearizable history has no legal order at all."""
    problems = []
    paths = dict.fromkeys(op.args[0] for op in history.ops if op.kind == "set")
    for path in filter(lambda path: path.startswith(PREFIX), paths):
        calls = [call for op in history.ops if (call := _call(op, path)) is not None]
        if len(calls) > CALLS_MAX:
            calls = calls[:CALLS_MAX]
            end = calls[-1].invoke_us
            calls = [c if c.complete_us < end else _unsure(c) for c in calls]
            calls = [c for c in calls if c.write is not None or c.complete_us != FOREVER]
        if check_register(calls, State(0, b"0")) is Verdict.ILLEGAL:
            problems.append(
                f"registers/illegal: {path}: no legal order of its {len(calls)} operations"
            )
    return problems


def _unsure(call: Call) -> Call:
    """The call as if the history ended before its answer."""
    return call._replace(complete_us=FOREVER, seen=None, made=None)


def _version(stat: bytes) -> int:
    version: int = struct.unpack_from(">i", stat, VERSION_AT)[0]
    return version


def _call(op: Op, path: str) -> Call | None:
    if not op.args or op.args[0] != path or op.outcome is Outcome.FAIL:
        return None
    if op.kind == "get" and op.level == 0 and op.outcome is Outcome.OK:
        seen = State(_version(op.body[1]), op.body[0])
        return Call(op.invoke_us, op.complete_us, None, seen=seen)
    if op.kind != "set":
        return None
    _, value, expected = op.args
    if op.outcome is Outcome.INFO:
        return Call(op.invoke_us, FOREVER, value, expected)
    made = _version(op.body[0]) if op.code == 0 else -1
    return Call(op.invoke_us, op.complete_us, value, expected, made=made)
