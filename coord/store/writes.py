"""The hot loop: create, delete, set, set_acl, one entry each.

Every line here runs once per write on every member. What is rare leaves early: other commands go
back to the caller, refusals and errors to functions of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import msgpack

from coord.model import requests
from coord.model.commands import STAMP
from coord.model.errors import OK, CorruptionError, RequestError
from coord.model.limits import JOURNAL_BLOCK_ENTRIES
from coord.raft.types import LogSlice
from coord.store.applied import Applied
from coord.store.journal_rows import ROW_HEAD, pack_extra
from coord.store.retention import end_block
from coord.store.run import Outcome, Run, obstacle
from coord.store.sessions import NOBODY, SessionRow

_BLOCK_MASK: Final = JOURNAL_BLOCK_ENTRIES - 1
SET: Final = requests.SET
_ROW_BYTES: Final = ROW_HEAD.size
_pack_row: Final = ROW_HEAD.pack
_join: Final = b"".join
_new: Final = tuple.__new__
_unpackb: Final = msgpack.unpackb


def apply_writes(run: Run, piece: LogSlice, start: int, stop: int) -> int:
    """Apply payloads start … stop − 1 of a slice; returns where it stopped: at ``stop``, or at the
    first payload that is no simple write. Raises CorruptionError for one that does not decode."""
    tree, sessions, most = run.tree, run.sessions, run.limits.writes_in_flight
    operations: dict[int, Callable[..., tuple[Any, ...]]] = {
        SET: tree.set,
        requests.CREATE: tree.create,
        requests.DELETE: tree.delete,
        requests.SET_ACL: tree.set_acl,
    }
    set_data, live, rows, row_of = tree.set, sessions.live, sessions.rows, sessions.get
    answer, keep = run.batch.results.append, run.journal.rows.append
    payloads, first, stamp, kept_stamp = piece.payloads, piece.first, b"", b""
    changes: list[bytes] = []
    tree.row = changes
    for at in range(start, stop):
        payload = payloads[at]
        try:
            fields = _unpackb(payload[16:])
            kind, session, seq, acked, who = fields[0], fields[1], fields[3], fields[4], fields[5]
            if payload[:16] != stamp:
                stamp = payload[:16]
                kept_stamp = _enter_stamp(run, stamp)
        except (ValueError, TypeError, IndexError, struct.error, msgpack.UnpackException) as error:
            message = f"committed entry {first + at} does not decode: {error}"
            raise CorruptionError(message) from error
        if kind not in operations:
            return at
        run.index = tree.index = index = first + at
        tree.index_packed = packed = index.to_bytes(8, "big")
        facts, current, last, known, results, ephemerals, _ = (
            live.get(session) or rows.get(session) or NOBODY
        )
        tree.session, tree.who = session, who
        if fields[2] != current or seq != last + 1 or seq - known > most:
            _apply_unusual(run, fields, operations[kind])
            tree.row = changes
            continue
        detail, code = None, 0
        try:
            if kind == SET:
                body: tuple[Any, ...] = set_data(fields[6], fields[7], fields[8])
            else:
                body = operations[kind](*fields[6:])
                ephemerals = (row_of(session) or NOBODY).ephemerals
            change = changes.pop()
        except RequestError as error:
            code, detail, change = error.code, str(error), b""
            body = (detail,)
        if acked > known:
            acked = min(acked, last)
            results = results[acked - known :]
        else:
            acked = known
        result = (code, index, body)
        live[session] = _new(
            SessionRow, (facts, current, seq, acked, (*results, result), ephemerals, index)
        )
        address = facts.address.encode()
        extra = b"" if who is None and not code else pack_extra(who, detail)
        sizes = len(address), len(extra)
        length = _ROW_BYTES + sizes[0] + sizes[1] + len(change)
        head = _pack_row(length, packed, kept_stamp, kind, code, session, seq, acked, 0, *sizes)
        keep(_join((head, address, extra, change)))
        answer(_new(Applied, (index, kind, session, current, seq, code, body)))
        if not index & _BLOCK_MASK:
            end_block(run)
    return stop


def _apply_unusual(run: Run, fields: list[Any], operation: Callable[..., tuple[Any, ...]]) -> None:
    """A write that is not simply the session's next: refused, repeated, or not sequenced."""
    kind, session, generation, seq, acked, _, *arguments = fields
    run.tree.row = []
    refused = None
    if session:
        row = run.sessions.get(session)
        refused = obstacle(row, generation, seq, acked, run.limits.writes_in_flight)
    if refused is not None:
        run.answer(kind, session, generation, seq, *refused)
    else:
        outcome: Outcome
        try:
            outcome = (OK, None, operation(*arguments))
        except RequestError as error:
            outcome = (error.code, str(error), (str(error),))
        run.finish(kind, session, generation, seq, acked, outcome)
    if not run.index & _BLOCK_MASK:
        end_block(run)


def _enter_stamp(run: Run, stamp: bytes) -> bytes:
    """Entries from here on carry this stamp; returns the one that applies: log_ms never
    decreases."""
    wall_ms, log_ms = STAMP.unpack(stamp)
    run.wall_ms = run.tree.wall_ms = wall_ms
    run.tree.wall_packed = stamp[:8]
    run.log_ms = run.tree.log_ms = max(run.log_ms, log_ms)
    return STAMP.pack(wall_ms, run.log_ms)
