"""Commands that are no simple writes: transactions, sessions, reaping, the feature level."""

from __future__ import annotations

from typing import Any

import msgpack

from coord.model import commands, requests
from coord.model.errors import OK, NewerFormatError
from coord.store.multi import apply_multi
from coord.store.reaping import apply_reap
from coord.store.run import Run, Steps, obstacle
from coord.store.schema import CRC_BYTES, FEATURE_LEVEL
from coord.store.session_commands import (
    attach_session,
    close_session,
    end_all_sessions,
    expire_session,
    open_session,
)


def apply_command(run: Run, index: int, payload: bytes) -> Steps:
    """Apply one entry. Raises CorruptionError, NewerFormatError for a kind that is not known:
    a newer member may have known it, so that skipping it would make the members differ."""
    wall_ms, log_ms, fields = commands.decode(payload)
    kind, session, generation, seq, acked, who, *arguments = fields
    run.enter(index, wall_ms, log_ms, session, who)
    match kind:
        case requests.MULTI:
            yield from _transaction(run, session, generation, seq, acked, arguments[0])
        case commands.OPEN_SESSION:
            open_session(run, *arguments)
        case commands.ATTACH_SESSION:
            attach_session(run, session, *arguments)
        case commands.CLOSE_SESSION:
            yield from close_session(run, session, generation, seq, acked)
        case commands.EXPIRE_SESSION:
            yield from expire_session(run, session, generation, *arguments)
        case commands.END_ALL_SESSIONS:
            yield from end_all_sessions(run)
        case commands.REAP_NODE:
            apply_reap(run, *arguments)
        case commands.RAISE_FEATURE_LEVEL:
            _raise_feature_level(run, *arguments)
        case _:
            raise NewerFormatError(
                f"entry {index} is of kind {kind}, which this version does not know: upgrade coord"
            )


def _transaction(
    run: Run, session: int, generation: int, seq: int, acked: int, operations: list[list[Any]]
) -> Steps:
    kind = requests.MULTI
    if session:
        row = run.sessions.get(session)
        refused = obstacle(row, generation, seq, acked, run.limits.writes_in_flight)
        if refused is not None:
            run.answer(kind, session, generation, seq, *refused)
            return
    outcome = yield from apply_multi(run, operations)
    run.finish(kind, session, generation, seq, acked, outcome)


def _raise_feature_level(run: Run, level: int) -> None:
    """The level only grows. Body: (level in force,)."""
    record = run.others("facts").load(FEATURE_LEVEL)
    current = 0 if record is None else int(msgpack.unpackb(record[CRC_BYTES:]))
    if level > current:
        packed: bytes = msgpack.packb(level)
        run.put("facts", FEATURE_LEVEL, packed)
        current = level
    run.keep(commands.RAISE_FEATURE_LEVEL, 0, 0, 0, (OK, None, ()))
    run.answer(commands.RAISE_FEATURE_LEVEL, 0, 0, 0, OK, (current,))
