"""The hot loop: create, delete, set, set_acl, one entry each.

Every line here runs once per write on every member. What is rare leaves early: other commands go
back to the caller, refusals and errors to functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack

from coord.model import requests
from coord.model.commands import STAMP
from coord.model.errors import CorruptionError, RequestError
from coord.model.limits import JOURNAL_BLOCK_ENTRIES
from coord.raft.types import LogSlice
from coord.store.applied import Applied
from coord.store.retention import end_block
from coord.store.run import Run, obstacle

_BLOCK_MASK: Final = JOURNAL_BLOCK_ENTRIES - 1
_new: Final = tuple.__new__
_unstamp: Final = STAMP.unpack_from
_unpackb: Final = msgpack.unpackb


def apply_writes(run: Run, piece: LogSlice, start: int, stop: int) -> int:
    """Apply payloads start … stop − 1 of a slice; returns where it stopped: at ``stop``, or at the
    first payload that is no simple write. Raises CorruptionError for one that does not decode."""
    tree, in_flight_max = run.tree, run.limits.writes_in_flight
    operations: dict[int, Callable[..., Any]] = {
        requests.SET: tree.set,
        requests.CREATE: tree.create,
        requests.DELETE: tree.delete,
        requests.SET_ACL: tree.set_acl,
    }
    operation_of, touch = operations.get, run.sessions.touch
    answer, keep = run.batch.results.append, run.journal.rows.append
    payloads, first, newest_ms = piece.payloads, piece.first, run.log_ms
    for at in range(start, stop):
        payload = payloads[at]
        try:
            wall_ms, log_ms = _unstamp(payload)
            kind, session, generation, seq, acked, who, *arguments = _unpackb(payload[16:])
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise CorruptionError(
                f"committed entry {first + at} does not decode: {error}"
            ) from error
        operation = operation_of(kind)
        if operation is None:
            return at
        run.index = tree.index = index = first + at
        if log_ms > newest_ms:
            newest_ms = run.log_ms = log_ms
        row = touch(session) if session else None
        if session and (
            row is None
            or generation != row.generation
            or seq != row.last_seq + 1
            or len(row.results) >= in_flight_max
        ):
            refused = obstacle(row, generation, seq, acked, in_flight_max)
            if refused is not None:
                answer(Applied(index, kind, session, generation, seq, *refused))
                if not index & _BLOCK_MASK:
                    end_block(run)
                continue
        tree.wall_ms, tree.log_ms, tree.session, tree.who = wall_ms, newest_ms, session, who
        changes: list[Any] = []
        tree.row = changes
        tree.ordinal = code = 0
        detail = None
        try:
            body = operation(*arguments)
        except RequestError as error:
            code, detail = error.code, str(error)
            body = (detail,)
        if row is not None:
            row.finish(seq, acked, index, (code, index, body))
            address = row.facts.address
        else:
            address = ""
        outcome = (kind, session, seq, acked, code, detail, address, who, changes)
        keep((index, wall_ms, newest_ms, *outcome))
        answer(_new(Applied, (index, kind, session, generation, seq, code, body)))
        if not index & _BLOCK_MASK:
            end_block(run)
    return stop
