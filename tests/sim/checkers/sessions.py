"""Sessions end when they may, clients are told the truth, ephemerals live as their sessions."""

from __future__ import annotations

from tests.sim.history import Committed, History
from tests.sim.model import CLOSE_SESSION, EXPIRE_SESSION, Answer, Model

SESSION_ENDS = (CLOSE_SESSION, EXPIRE_SESSION)

DRIFT_ALLOWANCE_PPM = 2_000
"""Clocks that differ by up to this much are within the contract."""


def check(history: History) -> list[str]:
    """Everything wrong with how sessions ended."""
    model = Model()
    problems: list[str] = []
    for entry in history.log:
        answer = model.apply(entry.index, entry.kind, entry.payload)
        if answer is not None and answer.kind == EXPIRE_SESSION and answer.executed:
            problems += _check_not_early(history, entry, answer)
        if answer is not None and answer.kind in SESSION_ENDS:
            problems += _check_owners(model, entry)
    for life in history.sessions.values():
        if life.told_expired_us < 0:
            continue
        ended = model.ended.get(life.session)
        if ended is None:
            problems.append(f"sessions/E5: {life.session} told expired, the log never ended it")
        elif history.applied_us[ended] > life.told_expired_us:
            problems.append(
                f"sessions/E5: {life.session} told expired before entry {ended} applied"
            )
    return problems


def _check_not_early(history: History, entry: Committed, answer: Answer) -> list[str]:
    """Not before the last confirmed contact plus the whole timeout."""
    life = history.sessions.get(answer.session)
    if life is None:
        return []
    applied_us = history.applied_us[entry.index]
    if applied_us < life.hold_until_us:
        held = f"its client held on until {life.hold_until_us} us"
        return [
            f"sessions/E3: {answer.session} expired by {entry.index} at {applied_us} us, {held}"
        ]
    if life.confirmed_us < 0:
        return []
    timeout_us = life.timeout_ms * 1_000
    due_us = life.confirmed_us + timeout_us - timeout_us * DRIFT_ALLOWANCE_PPM // 1_000_000
    if applied_us >= due_us:
        return []
    confirmed = f"confirmed at {life.confirmed_us} us with {life.timeout_ms} ms"
    return [
        f"sessions/E3: {answer.session} expired by {entry.index} at {applied_us} us, {confirmed}"
    ]


def _check_owners(model: Model, entry: Committed) -> list[str]:
    """Every ephemeral's owner is open (the model's own rule; here against its own mistakes)."""
    return [
        f"sessions/E1: entry {entry.index}: ephemeral {path} outlives session {node.owner}"
        for path, node in model.nodes.items()
        if node.owner and node.owner not in model.sessions
    ]
