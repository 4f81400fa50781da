"""Commands about sessions: open, attach, and the four ways to end.

Ending a session is one entry: all its ephemerals go with it at one revision.
"""

from __future__ import annotations

from typing import Any

import msgpack

from coord.model import commands
from coord.model.errors import OK, LimitError, SessionExpiredError, SessionMovedError
from coord.store.journal_rows import ADDRESS_CHARS_MAX
from coord.store.run import STEP_OPERATIONS, Run, Steps, obstacle
from coord.store.schema import CRC_BYTES, U64, missing, successor, unseal
from coord.store.sessions import SessionDetails, SessionFacts, SessionRow, session_key


def open_session(run: Run, timeout_ms: int, secret_hash: bytes, address: str, client: str) -> None:
    """The session's id is the entry's index. Body: (secret_hash,)."""
    index, kind = run.index, commands.OPEN_SESSION
    if run.sessions.count >= run.limits.sessions:
        run.refuse(kind, 0, 0, 0, LimitError(f"{run.sessions.count} sessions are open, the most"))
        return
    address = address[:ADDRESS_CHARS_MAX]
    attach = (index, run.wall_ms, address)
    details = SessionDetails(secret_hash, client, run.wall_ms, nonce=b"", attaches=(attach,))
    facts = SessionFacts.of(index, timeout_ms, address, details)
    row = SessionRow(facts, 1, 0, 0, (), 0, index)
    run.sessions.open(row)
    _write_row(run, row)
    run.keep(kind, index, 0, 0, (OK, None, ()))
    run.answer(kind, index, 1, 0, OK, (secret_hash,))


def attach_session(
    run: Run,
    session: int,
    nonce: bytes,
    timeout_ms: int,
    address: str,
    restart_seq: bool,
) -> None:
    """The session's generation grows by one, unless this is the last attach again.

    Body: (nonce, last_seq).
    """
    kind = commands.ATTACH_SESSION
    row = run.sessions.get(session)
    if row is None:
        run.refuse(kind, session, 0, 0, SessionExpiredError("the session has ended"))
        return
    facts = row.facts
    if facts.details.nonce != nonce:
        attach = (run.index, run.wall_ms, address[:ADDRESS_CHARS_MAX])
        row = row._replace(
            facts=facts.attached(nonce, timeout_ms, attach),
            generation=row.generation + 1,
            touched=run.index,
        )
        if restart_seq:
            row = row._replace(last_seq=0, acked=0, results=())
        run.sessions.put(row)
        _write_row(run, row)
        run.keep(kind, session, 0, 0, (OK, None, ()))
    run.answer(kind, session, row.generation, 0, OK, (nonce, row.last_seq))


def close_session(run: Run, session: int, generation: int, seq: int, acked: int) -> Steps:
    """End a session at its client's wish; sequenced like a write."""
    row = run.sessions.get(session)
    refused = obstacle(row, generation, seq, acked, run.limits.writes_in_flight)
    if refused is not None:
        run.answer(commands.CLOSE_SESSION, session, generation, seq, *refused)
        return
    assert row is not None, "an obstacle otherwise"
    row = row.finish(seq, acked, (OK, run.index, ()))
    reason = {"kind": "closed"}
    yield from _end(run, row, reason)
    run.keep(commands.CLOSE_SESSION, session, seq, acked, (OK, reason, ()))
    _forget(run, row)
    run.answer(commands.CLOSE_SESSION, session, generation, seq, OK, ())


def expire_session(run: Run, session: int, generation: int, reason: dict[str, Any]) -> Steps:
    """End a session that went silent; void if it was attached again since."""
    kind = commands.EXPIRE_SESSION
    row = run.sessions.get(session)
    if row is None:
        run.refuse(kind, session, generation, 0, SessionExpiredError("the session has ended"))
        return
    if row.generation != generation:
        run.refuse(kind, session, generation, 0, SessionMovedError("it was attached again"))
        return
    told = {"kind": "expired", **reason}
    yield from _end(run, row, told)
    run.keep(kind, session, 0, 0, (OK, told, ()))
    _forget(run, row)
    run.answer(kind, session, generation, 0, OK, ())


def end_all_sessions(run: Run) -> Steps:
    """End every session (the first entry after a restore). Body: (how many,)."""
    kind = commands.END_ALL_SESSIONS
    reason = {"kind": "all ended"}
    ids = run.sessions.open_ids()
    for done, session in enumerate(ids, 1):
        row = run.sessions.get(session)
        assert row is not None, "the session is open"
        yield from _end(run, row, reason)
        _forget(run, row)
        if not done % STEP_OPERATIONS:
            yield
    run.keep(kind, 0, 0, 0, (OK, reason, ()))
    run.answer(kind, 0, 0, 0, OK, (len(ids),))


def _write_row(run: Run, row: SessionRow) -> None:
    run.put("sessions", session_key(row.id), row.encode()[CRC_BYTES:])


def _end(run: Run, row: SessionRow, reason: dict[str, Any]) -> Steps:
    """Delete the session's ephemerals and write its post-mortem."""
    tree = run.tree
    prefix = U64.pack(row.id)
    owned: list[tuple[str, bytes]] = []
    start, stop = prefix, successor(prefix)
    for key, record in run.txn.scan(run.tables.ephemerals, start, stop):
        owned.append((unseal("ephemerals", key, record).decode(), key[len(prefix) :]))
    assert len(owned) == row.ephemerals, "every ephemeral is listed once"
    owned.sort()
    for done, (path, key) in enumerate(owned, 1):
        record_of = tree.nodes.load(key)
        if record_of is None:
            raise missing("nodes", key, f"the ephemeral node {path}")
        tree.remove(path, key, record_of)
        if not done % STEP_OPERATIONS:
            yield
    facts, details = row.facts, row.facts.details
    due_ms = run.log_ms + run.limits.results_after_end_ms
    packed: bytes = msgpack.packb(
        {
            "session": row.id,
            "reason": reason,
            "generation": row.generation,
            "secret_hash": details.secret_hash,
            "timeout_ms": facts.timeout_ms,
            "client": details.client,
            "address": facts.address,
            "attaches": details.attaches,
            "opened_revision": facts.id,
            "opened_wall_ms": details.opened_wall_ms,
            "ended_revision": run.index,
            "ended_wall_ms": run.wall_ms,
            "ended_log_ms": run.log_ms,
            "ephemerals": [path for path, _ in owned],
            "last_seq": row.last_seq,
            "acked": row.acked,
            "results": row.results,
        }
    )
    run.put("ended", session_key(row.id), packed)
    run.put("ended_order", U64.pack(due_ms) + session_key(row.id), b"")
    if run.ended_due is None:
        run.ended_due = due_ms


def _forget(run: Run, row: SessionRow) -> None:
    """The session is no longer open; after its row in the journal has been written."""
    run.drop("sessions", session_key(row.id))
    run.sessions.end(row.id)
