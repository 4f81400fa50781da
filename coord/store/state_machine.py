"""Applies committed entries to the tree environment: the deterministic heart of every member.

One call applies a batch in one write transaction and moves the applied index in the same one. It
reads no clock and no randomness; equal logs give equal records, results and digests, however the
log was cut into batches. A local failure is never turned into a result: it propagates, nothing of
the batch is applied, and the same batch may be tried again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import islice
from typing import Any, Final, cast

import msgpack

from coord.model.errors import MisuseError
from coord.model.limits import (
    DIGEST_SAMPLE_ENTRIES,
    DIGEST_SAMPLES_KEPT,
    JOURNAL_BLOCK_ENTRIES,
)
from coord.raft.types import EntryKind, Index, LogSlice
from coord.store.applied import AppliedBatch, ApplyLimits
from coord.store.digest import MASK
from coord.store.dispatch import apply_command
from coord.store.journal import JournalTail
from coord.store.journal_rows import block_key, block_of, body_of, changes_of, rows_of
from coord.store.kv import ReadTxn, WriteTxn
from coord.store.published_members import publish_members
from coord.store.quotas import limited_paths
from coord.store.retention import end_block, last_fold
from coord.store.run import STEP_OPERATIONS, Run, Steps
from coord.store.schema import (
    CLUSTER,
    CRC_BYTES,
    FEATURE_LEVEL,
    MEMBERSHIP,
    SAMPLES,
    STATE,
    U64,
    PathKeys,
    missing,
    open_tables,
    seal,
    unseal,
)
from coord.store.sessions import Result, SessionRow, SessionTable, session_key
from coord.store.state import State, initialise, load_state
from coord.store.write_behind import BehindTable, BehindWriter, Finish, Layer, WriteBehind
from coord.store.writes import apply_writes

_SAMPLE_MASK: Final = DIGEST_SAMPLE_ENTRIES - 1


class StateMachine:
    """The replicated state as of ``applied_index``.

    ``digests`` are samples (index, digest) at indexes ≡ 0 mod 4096, oldest first.
    ``membership`` is the packed raft Membership of the newest applied CONFIG entry, empty before.
    """

    def __init__(self, env: WriteBehind, limits: ApplyLimits | None = None) -> None:
        """Load the state, making an empty tree in an empty environment.

        Raises CorruptionError, NewerFormatError.
        """
        self._env = env
        env.freeze = self._freeze
        self._tables = open_tables(env)
        self._limits = limits or ApplyLimits()
        self._keys = PathKeys()
        self._busy = False
        self._frozen = 0
        """Index after which the fold under way began."""
        self.sessions = SessionTable()
        self.digests: deque[tuple[int, int]] = deque(maxlen=DIGEST_SAMPLES_KEPT)
        self.cluster_id = b""
        self.history_id = 0
        self.feature_level = 0
        self.membership = b""
        with env.read() as txn:
            state = load_state(txn, self._tables)
        self._state = state or initialise(env, self._tables)
        env.head = self._state
        if state is None:
            self.fold()
        with env.read() as txn:
            self._load_facts(txn)
            self._tail = self._load_tail(txn)
            self._limited = limited_paths(txn, self._tables, self._keys)
            self._load_sessions(txn)

    # -- what it stands at ------------------------------------------------------------------------

    @property
    def applied_index(self) -> int:
        """Index of the last applied entry."""
        return self._state.applied

    @property
    def applied_term(self) -> int:
        """Its term."""
        return self._state.term

    @property
    def log_ms(self) -> int:
        """Newest log time applied; never decreases."""
        return self._state.log_ms

    @property
    def digest(self) -> int:
        """Digest of the replicated records. Folds, and raises as ``fold`` does."""
        self.fold()
        return self._state.digest

    @property
    def replicated_bytes(self) -> int:
        """Key and record bytes of everything the digest covers, as of the last fold: what the
        quota counts."""
        return self._state.size

    def result_of(self, session: int, seq: int) -> Result | None:
        """(code, revision, body) of a write of an open or lately ended session, if kept."""
        if self.sessions.get(session) is not None:
            return self.sessions.results_of(session, seq)
        ended = self.ended_session(session)
        if ended is None or not ended["acked"] < seq <= ended["last_seq"]:
            return None
        result: Result = ended["results"][seq - ended["acked"] - 1]
        return result

    def ended_session(self, session: int) -> dict[str, Any] | None:
        """The post-mortem of a session that ended at most ten minutes of log time ago.

        Keys: session, reason (a dict with "kind"), generation, secret_hash, timeout_ms, client,
        address, attaches [(revision, wall_ms, address)], opened_revision, opened_wall_ms,
        ended_revision, ended_wall_ms, ended_log_ms, ephemerals (paths), last_seq, acked, results.
        """
        key = session_key(session)
        with self._env.read() as txn:
            record = txn.get(key, None, self._tables.ended)
        if record is None:
            return None
        found: dict[str, Any] = msgpack.unpackb(unseal("ended", key, record), use_list=False)
        return found

    def ended_since(self, log_ms: int, limit: int) -> list[int]:
        """Sessions that have ended since that log time, in that order, ``limit`` at most."""
        due_ms = max(0, log_ms) + self._limits.results_after_end_ms
        with self._env.read() as txn:
            found = txn.scan(self._tables.ended_order, U64.pack(due_ms))
            return [U64.unpack_from(key, U64.size)[0] for key, _ in islice(found, limit)]

    # -- changing it ------------------------------------------------------------------------------

    def adopt_cluster(self, cluster_id: bytes, history_id: int) -> None:
        """Enter the cluster's identity, before the first entry is applied.

        Raises MisuseError afterwards, or if it has another identity already.
        """
        if (self.cluster_id, self.history_id) == (cluster_id, history_id):
            return
        if self.applied_index or self.cluster_id:
            raise MisuseError("a tree that belongs to a cluster cannot be given to another")
        with self._env.write() as txn:
            run = self._run(txn)
            packed: bytes = msgpack.packb((cluster_id, history_id))
            run.put("facts", CLUSTER, packed)
            txn.commit()
        self.fold()
        self.cluster_id, self.history_id = cluster_id, history_id

    def apply(self, slices: list[LogSlice]) -> AppliedBatch:
        """Apply consecutive entries from ``applied_index`` + 1 on, however they are cut.

        Raises StorageError or one of the environment's ``failures``: nothing after the entries
        that ``applied_index`` then names was applied.
        """
        batch: AppliedBatch | None = None
        rest = slices
        while rest:
            if self.must_fold:
                self.fold()
            now, rest = cut_batch(rest)
            applied = _to_end(self.apply_steps(now))
            if batch is None:
                batch = applied
            else:
                batch.absorb(applied)
        assert batch is not None, "there is something to apply"
        return batch

    def apply_steps(self, slices: list[LogSlice]) -> Generator[None, None, AppliedBatch]:
        """``apply`` in steps of about 500 operations, so that others can be served in between.

        ``slices``: at most to the next sampled index (``cut_batch``). Nothing is visible before
        the last step. Closing the generator early applies nothing.
        """
        assert not self._busy, "batches are applied one after the other"
        assert not self._is_sample_due, "the fold that samples the digest here has begun"
        self._busy = True
        try:
            with self._env.write() as txn:
                run = self._run(txn)
                for piece in slices:
                    assert piece.first == run.index + 1, "entries are applied in order"
                    yield from self._piece(run, piece)
                run.journal.write()
                state = run.state(self._state, slices[-1].term)
                assert cut_batch(slices)[1] == [], "a sampled index ends its batch"
                facts = dict(cast("BehindTable", self._tables.facts).fresh)
                txn.commit()
            return self._adopt(run, state, facts)
        finally:
            self._busy = False

    # -- folding ----------------------------------------------------------------------------------

    @property
    def must_fold(self) -> bool:
        """No more may be applied before a fold begins: much has gathered, or a digest is sampled
        here. After one that failed: before one succeeds."""
        return self._env.is_fold_due() or self._is_sample_due

    @property
    def is_folding(self) -> bool:
        """A fold is under way; entries may be applied meanwhile."""
        return self._env.is_folding

    @property
    def folds(self) -> int:
        """Folds so far."""
        return self._env.folds

    @property
    def _is_sample_due(self) -> bool:
        applied = self._state.applied
        if applied & _SAMPLE_MASK or (self._env.is_folding and self._frozen == applied):
            return False
        return applied > (self.digests[-1][0] if self.digests else 0)

    def fold(self) -> None:
        """Write what was applied to the engine, at once.

        Raises StorageError: then what is there is as it was.
        """
        if self._env.has_pending or self._is_sample_due:
            self._env.fold()

    def fold_step(self) -> None:
        """Begin a fold, or take a step of the one under way. Raises as ``fold`` does."""
        if not self._env.is_folding:
            self._env.begin_fold()
        self._env.fold_step()

    def begin_fold(self) -> None:
        """Begin one, if anything is to be folded and none is under way."""
        if self._env.has_pending and not self._env.is_folding:
            self._env.begin_fold()

    def drop_fold(self) -> None:
        """End the fold under way, if there is one, as if it had not begun."""
        self._env.drop_fold()

    def fold_steps(self) -> Steps:
        """``fold`` in steps; entries may be applied between them."""
        self.fold_step()
        while self._env.is_folding:
            yield
            self.fold_step()

    def _freeze(self) -> Finish:
        """The state record, and a sample where one is due, go into the fold's transaction: they
        are those of the entry after which it began."""
        frozen, is_sample_due = self._state, self._is_sample_due
        self._frozen = frozen.applied
        meta = cast("BehindTable", self._tables.meta).base

        def finish(txn: WriteTxn, digest: int, size: int) -> Callable[[], None]:
            state = _with(frozen, digest, size)
            samples = list(self.digests)
            if is_sample_due:
                samples.append((state.applied, state.digest))
                packed: bytes = msgpack.packb(samples[-DIGEST_SAMPLES_KEPT:])
                txn.put(SAMPLES, seal(SAMPLES, packed), db=meta)
            txn.put(STATE, state.encode(), db=meta)

            def adopt() -> None:
                self._env.head = self._state = _with(self._state, digest, size)
                self.digests = deque(samples, maxlen=DIGEST_SAMPLES_KEPT)

            return adopt

        return finish

    def _run(self, txn: BehindWriter) -> Run:
        return Run(
            txn,
            self._tables,
            self._limits,
            self._state,
            self._tail,
            self.sessions,
            self._keys,
            self._limited,
        )

    @staticmethod
    def _piece(run: Run, piece: LogSlice) -> Steps:
        """Apply one slice."""
        if piece.kind is not EntryKind.NORMAL:
            _apply_other(run, piece)
            return
        at, count, first = 0, len(piece.payloads), piece.first
        while at < count:
            stop = min(count, at + STEP_OPERATIONS)
            at = apply_writes(run, piece, at, stop)
            if at < stop:
                yield from apply_command(run, first + at, piece.payloads[at])
                if not run.index % JOURNAL_BLOCK_ENTRIES:
                    end_block(run)
                at += 1
            elif at < count:
                yield

    def _adopt(self, run: Run, state: State, facts: Layer) -> AppliedBatch:
        """The transaction is committed: its state is the state."""
        self._state = self._env.head = state
        self._tail = run.journal.tail
        self.sessions.publish(run.sessions)
        if facts:
            self._read_facts(facts)
        self._limited = run.tree.limited
        batch = run.batch
        batch.over_quota = run.tree.over_quota
        batch.last, batch.term, batch.changes = state.applied, state.term, run.tree.changes
        return batch

    # -- loading ----------------------------------------------------------------------------------

    def _load_facts(self, txn: ReadTxn) -> None:
        found = dict(txn.scan(self._tables.facts, b""))
        for key, record in found.items():
            unseal("facts", key, record)
        self._read_facts(found)
        sampled = txn.get(SAMPLES, None, self._tables.meta)
        if sampled is not None:
            samples = msgpack.unpackb(unseal("meta", SAMPLES, sampled), use_list=False)
            self.digests.extend(samples)

    def _read_facts(self, records: Any) -> None:
        if records.get(CLUSTER):
            self.cluster_id, self.history_id = msgpack.unpackb(records[CLUSTER][CRC_BYTES:])
        if records.get(FEATURE_LEVEL):
            self.feature_level = msgpack.unpackb(records[FEATURE_LEVEL][CRC_BYTES:])
        if records.get(MEMBERSHIP):
            self.membership = records[MEMBERSHIP][CRC_BYTES:]

    def _load_tail(self, txn: ReadTxn) -> JournalTail:
        """The block that the next entry's row belongs to."""
        block = block_of(self.applied_index + 1)
        key = block_key(block)
        record = txn.get(key, None, self._tables.journal)
        return JournalTail.start(block, b"" if record is None else unseal("journal", key, record))

    def _load_sessions(self, txn: ReadTxn) -> None:
        """Rows as they were folded, ephemerals counted, and what came after the fold."""
        table = self.sessions
        for key, record in txn.scan(self._tables.sessions, b""):
            unseal("sessions", key, record)
            row = SessionRow.decode(record)
            table.rows[row.id] = row
        counts = Counter(key[: U64.size] for key, _ in txn.scan(self._tables.ephemerals, b""))
        for key, count in counts.items():
            session = U64.unpack(key)[0]
            if session not in table.rows:
                raise missing("sessions", key, "the owner of ephemeral nodes")
            table.rows[session] = table.rows[session]._replace(ephemerals=count)
        self._replay(txn)

    def _replay(self, txn: ReadTxn) -> None:
        """Recover sequence numbers and results of the writes after the last fold."""
        journal = self._tables.journal

        def spilled(key: bytes) -> bytes:
            record = txn.get(key, None, journal)
            if record is None:
                raise missing("journal", key, "part of a row")
            return unseal("journal", key, record)

        rows, unfolded = self.sessions.rows, self.sessions.unfolded
        first = block_key(block_of(last_fold(self.applied_index) + 1))
        for key, record in txn.scan(journal, first):
            if len(key) != U64.size:
                continue
            for row in rows_of(unseal("journal", key, record)):
                session = rows.get(row.session)
                if session is None or not row.seq or row.revision <= session.touched:
                    continue
                body = body_of(row, changes_of(row, spilled))
                result = (row.code, row.revision, body)
                rows[row.session] = session.finish(row.seq, row.acked, result)
                unfolded[row.session] = None


def _with(state: State, digest: int, size: int) -> State:
    """With what a fold adds."""
    return state._replace(digest=(state.digest + digest) & MASK, size=state.size + size)


def cut_batch(slices: list[LogSlice]) -> tuple[list[LogSlice], list[LogSlice]]:
    """Slices up to the next sampled index, and the rest: digests are taken between batches."""
    stop = -(-slices[0].first // DIGEST_SAMPLE_ENTRIES) * DIGEST_SAMPLE_ENTRIES
    at = next((at for at, piece in enumerate(slices) if piece.last > stop), None)
    if at is None:
        return slices, []
    piece = slices[at]
    count = stop - piece.first + 1
    now, rest = slices[:at], slices[at:]
    if count > 0:
        payloads = piece.payloads
        now.append(replace(piece, payloads=payloads[:count]))
        rest[0] = replace(piece, first=Index(stop + 1), payloads=payloads[count:])
    return now, rest


def _to_end(steps: Generator[None, None, AppliedBatch]) -> AppliedBatch:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            batch: AppliedBatch = end.value
            return batch


def _apply_other(run: Run, piece: LogSlice) -> None:
    """Entries that are no commands: a new leader's empty one, a membership."""
    for index, payload in enumerate(piece.payloads, piece.first):
        run.index = index
        if piece.kind is EntryKind.CONFIG:
            run.put("facts", MEMBERSHIP, payload)
            publish_members(run, payload)
        if not index % JOURNAL_BLOCK_ENTRIES:
            end_block(run)
