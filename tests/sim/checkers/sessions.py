"""Sessions end when they may and as soon as they must, and clients are told the truth.

Rules, by name: ``E1`` (an ephemeral is there exactly while its session is open), ``E2`` (nothing
of a session has an effect, or is served, after its end), ``E3`` (none is expired before a whole
time-out has passed since its last confirmed contact, or while its client may believe to hold),
``E4`` (a session whose client is gone ends soon after the cluster is whole), ``E5`` (who is told
*expired* is), ``E6`` (a leader expires only whom it has itself given a whole time-out).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.sim.codes import CLOSE_SESSION, EXPIRE_SESSION
from tests.sim.history import UNKNOWN_REVISION, Committed, History, Op, Outcome
from tests.sim.model import Answer, Model
from tests.sim.replay import Replay, owner_of, replay_of

SESSION_ENDS: Final = (CLOSE_SESSION, EXPIRE_SESSION)
DRIFT_ALLOWANCE_PPM: Final = 2_000
"""Clocks that differ by up to this much are within the contract."""
LATE_US: Final = 6_000_000
"""What may come on top of a time-out after healing: the grace of 2 s, and electing a leader that
starts all time-outs anew."""
STAT_IN: Final = {"create": 1, "get": 1, "set": 0, "exists": 0}
"""Where the answers of these hold the Stat of the node they name."""


def check(history: History) -> list[str]:
    """Everything wrong with how sessions lived and ended."""
    replay = replay_of(history)
    return [
        *_check_owners(history),
        *_check_shown(history, replay),
        *_check_after_end(history, replay),
        *_check_not_early(history, replay),
        *_check_in_time(history, replay),
        *_check_told(history, replay),
        *_check_terms(history, replay),
    ]


# --- ephemerals ---------------------------------------------------------------------------------


def _check_owners(history: History) -> Iterator[str]:
    """Every ephemeral's owner is open (the model's own rule; here against its own mistakes)."""
    model = Model()
    for entry in history.log:
        answer = model.apply(entry.index, entry.kind, entry.payload)
        if answer is not None and answer.kind in SESSION_ENDS:
            yield from _outliving(model, entry)


def _outliving(model: Model, entry: Committed) -> Iterator[str]:
    for path, node in model.tree.nodes.items():
        if node.owner and node.owner not in model.sessions:
            yield f"sessions/E1: entry {entry.index}: {path} outlives session {node.owner}"


def _check_shown(history: History, replay: Replay) -> Iterator[str]:
    """No answer shows an ephemeral of a session that was not open then."""
    for op in history.ops:
        stat = _stat_of(op)
        owner = owner_of(stat) if stat else 0
        if owner and not replay.is_open(owner, op.revision):
            yield f"sessions/E1: {op} shows an ephemeral of session {owner}, not open then"


def _stat_of(op: Op) -> bytes:
    at = STAT_IN.get(op.kind)
    if at is None or not _is_placed(op) or op.code != 0 or len(op.body) <= at:
        return b""
    stat: Any = op.body[at]
    return bytes(stat)


def _is_placed(op: Op) -> bool:
    return op.outcome is Outcome.OK and op.revision != UNKNOWN_REVISION


# --- ends ---------------------------------------------------------------------------------------


def _check_after_end(history: History, replay: Replay) -> Iterator[str]:
    for op in history.ops:
        ended = replay.ended.get(op.session)
        if ended is None or op.kind == "close" or not _is_placed(op) or op.code != 0:
            continue
        if op.revision >= ended:
            yield f"sessions/E2: {op} after its session ended by entry {ended}"


def _expiries(history: History, replay: Replay) -> Iterator[tuple[Committed, Answer]]:
    for entry in history.log:
        answer = replay.answers.get(entry.index)
        if answer is not None and answer.kind == EXPIRE_SESSION and answer.executed:
            yield entry, answer


def _less_drift(timeout_ms: int) -> int:
    """Microseconds of a time-out that even a fast clock needs."""
    timeout_us = timeout_ms * 1_000
    return timeout_us - timeout_us * DRIFT_ALLOWANCE_PPM // 1_000_000


def _check_not_early(history: History, replay: Replay) -> Iterator[str]:
    """Not before the last confirmed contact plus the whole timeout."""
    for entry, answer in _expiries(history, replay):
        life = history.sessions.get(answer.session)
        if life is None or not history.clocks_within_bounds:
            continue
        applied_us = history.applied_us[entry.index]
        found = f"sessions/E3: {answer.session} expired by {entry.index} at {applied_us} us"
        if applied_us < life.hold_until_us:
            yield f"{found}, its client held on until {life.hold_until_us} us"
        if life.confirmed_us < 0:
            continue
        if applied_us < life.confirmed_us + _less_drift(life.timeout_ms):
            yield f"{found}, confirmed at {life.confirmed_us} us with {life.timeout_ms} ms"


def _check_in_time(history: History, replay: Replay) -> Iterator[str]:
    """Clients that are gone, or that were never told of the session, cannot keep it."""
    for session, opened in replay.opened.items():
        life = history.sessions.get(session)
        gone_us = history.applied_us[opened] if life is None else life.gone_us
        if gone_us < 0 or history.healed_us < 0:
            continue
        timeout_ms = replay.timeouts_ms[session]
        due_us = max(gone_us, history.healed_us) + timeout_ms * 1_000 + LATE_US
        ended = replay.ended.get(session)
        ended_us = history.over_us if ended is None else history.applied_us[ended]
        if ended_us > due_us:
            end = "never" if ended is None else f"by entry {ended} at {ended_us} us"
            yield f"sessions/E4: {session} without a client since {gone_us} us ended {end}"


def _check_told(history: History, replay: Replay) -> Iterator[str]:
    for life in history.sessions.values():
        if life.told_expired_us < 0:
            continue
        ended = replay.ended.get(life.session)
        if ended is None:
            yield f"sessions/E5: {life.session} told expired, the log never ended it"
        elif history.applied_us[ended] > life.told_expired_us:
            yield f"sessions/E5: {life.session} told expired before entry {ended} applied"


def _check_terms(history: History, replay: Replay) -> Iterator[str]:
    """Who leads knows nothing of contacts before its own term: it must wait a whole time-out."""
    for entry, answer in _expiries(history, replay):
        if not history.clocks_within_bounds:
            return
        start = replay.term_starts[entry.term]
        waited_us = history.applied_us[entry.index] - history.applied_us[start]
        if waited_us < _less_drift(replay.timeouts_ms[answer.session]):
            yield (
                f"sessions/E6: {answer.session} expired by {entry.index}, {waited_us} us after"
                f" term {entry.term} began at {start}"
            )
