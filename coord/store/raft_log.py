"""The durable log: entries, hard state, appended membership, marker, trust record.

Written by one thread (``write``: one durable transaction for everything that has gathered), read by
the loop. The two share one immutable ``LogExtent``, replaced as a whole after each commit; entries
are read in a fresh transaction each time, so that no reader pins old pages.

The log starts after its *marker*: (index, term, membership) of the last entry that was cut away or
that a snapshot covers. Cutting moves the marker at once and deletes records in bounded slices, in
the transactions that follow; records below the marker are rubbish that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final
from zlib import crc32

from coord.model.errors import CorruptionError, NewerFormatError, StorageError
from coord.model.limits import KIB
from coord.raft.types import (
    HardState,
    Index,
    LogSlice,
    Membership,
    SnapshotMeta,
    Term,
)
from coord.store.kv import Environment, ReadTxn, Table, WriteTxn
from coord.store.log_extent import TAIL_BYTES, LogExtent, read_extent
from coord.store.log_records import (
    CLUSTER,
    FORMAT,
    HARD_STATE,
    IDENTITY,
    MARKER,
    MEMBERSHIP,
    TRUST,
    Identity,
    MetaRecord,
    Trust,
    decode_run,
    encode_run,
    key_of,
    split_run,
)
from coord.store.log_volume import LogVolume

LOG_FORMAT: Final = 1
"""Raised when an older version could not read the log environment."""
_ROOM_CHECK_BYTES: Final = 256 * KIB
_TRIM_RECORDS_MAX: Final = 256
"""Records deleted below the marker per transaction, so that a cut never delays a commit much."""


@dataclass(slots=True)
class LogWrite:
    """What must become durable together. Entries first cut the log from their first index on."""

    slices: list[LogSlice] = field(default_factory=list)
    hard_state: HardState | None = None
    membership: Membership | None = None
    """Newest appended configuration, if it changed."""
    cut_before: Index | None = None
    """Entries below are not needed any more: a verified snapshot covers them, and the core was
    told (``compacted``) before this is submitted, so that no read can race with the deletion."""
    install: SnapshotMeta | None = None
    """The log starts after this snapshot; it comes with ``trust`` for the tree to be built."""
    trust: Trust | None = None


class RaftLog:
    """``coord.raft.storage.Storage`` on a key-value environment, and its writer."""

    def __init__(self, env: Environment) -> None:
        """Read and check the whole log. Raises CorruptionError, NewerFormatError, StorageError."""
        self._env = env
        self._name = env.name
        self._log: Table = env.table("log")
        self._meta: Table = env.table("meta")
        self._facts: dict[bytes, bytes] = {}
        """The records of the table ``meta``, as they are or are about to be."""
        self._facts_sum: int | None = None
        self._turn = Lock()
        """Held while a transaction is written and becomes the view."""
        self._view: LogExtent
        self._may_trim: bool
        self._read_all()
        self._volume = LogVolume(self._view.first, self._view.last, env.used_bytes())
        self._snapshot: SnapshotMeta | None = None
        self._failure: BaseException | None = None
        self._room_checked_at = 0

    def _read_all(self) -> None:
        env = self._env
        try:
            with env.read() as txn:
                self._check_format(txn)
                self._identity: Identity = self._require(txn, IDENTITY)
                self._cluster_id: bytes | None = self._load(txn, CLUSTER)
                self._hard_state: HardState = self._load(txn, HARD_STATE) or HardState()
                self._membership: Membership = self._load(txn, MEMBERSHIP) or Membership()
                self._trust: Trust = self._load(txn, TRUST) or Trust()
                marker: SnapshotMeta | None = self._load(txn, MARKER)
                self._view = read_extent(self._name, txn, self._log, marker)
                self._may_trim = any(txn.scan_keys(self._log, b"", key_of(self._view.first)))
        except env.damage as error:
            raise CorruptionError(f"{self._name}: {error}") from error
        if env.witness not in {None, self._witness(self._view)}:
            raise CorruptionError(
                f"{self._name}: the log is not what its newest commit left: a page is older"
            )

    def check_vote(self) -> None:
        """Raise CorruptionError if the hard state is older than the entries: it was durable
        before any of them, so a later vote may be missing."""
        newest = self._view.terms[-1][1] if self._view.terms else Term(0)
        if self._hard_state.term < newest:
            raise CorruptionError(
                f"{self._name}: table meta, hard_state: its term {self._hard_state.term} is older"
                f" than the entries', {newest}"
            )

    def lost_since(self, applied: Index, term: Term) -> str:
        """How this log is proven to have lost entries by a sound tree that has applied one: nothing
        is applied before it is durable. "" if it is not."""
        view = self._view
        if applied < view.first or view.term(applied) == term:
            return ""
        return (
            f"{self._name}: entries that were durable are gone: {applied} of term {term} was"
            f" applied, and the log ends at {view.last} of term {view.term(view.last)}"
        )

    def _witness(self, view: LogExtent) -> int:
        """By which this log knows the state that a commit left: all facts and the last run. Not 0,
        which stands for none."""
        if self._facts_sum is None:
            self._facts_sum = crc32(b"".join(self._facts[key] for key in sorted(self._facts)))
        return crc32(view.tail, self._facts_sum) or 1

    # --- Storage: reads of the loop -------------------------------------------------------------

    def initial_state(self) -> tuple[HardState, Membership, SnapshotMeta | None]:
        """Hard state, newest appended membership, and what the log starts after."""
        return self._hard_state, self._membership, self._view.marker

    def first_index(self) -> Index:
        """First index that ``slices`` can return."""
        return self._view.first

    def last_index(self) -> Index:
        """Last durable index; the marker's for an empty log, 0 without one."""
        return self._view.last

    def term(self, index: Index) -> Term | None:
        """Term of an entry or of the marker; None if cut away or beyond the end."""
        return self._view.term(index)

    def slices(self, first: Index, last: Index, max_bytes: int) -> list[LogSlice]:
        """Entries first..last, cut at ``max_bytes`` but never empty. Neighbouring runs of one
        term and kind come as one. Raises CorruptionError."""
        view = self._view
        assert view.first <= first <= last <= view.last, (
            f"entries {first}..{last} of a log that holds {view.first}..{view.last}"
        )
        found: list[LogSlice] = []
        wanted = first
        with self._env.read() as txn:
            for run in self._runs(txn, first, last):
                if not run.first <= wanted <= run.last or run.term != view.term(wanted):
                    raise CorruptionError(f"{self._name}: table log, entry {wanted}: missing")
                part = _within(run, wanted, last)
                taken = _cut(part, max_bytes, at_least_one=not found)
                if taken is not None:
                    max_bytes -= sum(map(len, taken.payloads))
                    _join(found, taken)
                if taken is not part:
                    return found
                wanted = Index(part.last + 1)
        if wanted <= last:
            raise CorruptionError(f"{self._name}: table log, entry {wanted}: missing")
        return found

    def snapshot(self) -> SnapshotMeta | None:
        """Newest verified snapshot that can be sent to a follower."""
        return self._snapshot

    # --- facts beside the entries ---------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """Node id and incarnation of this data directory."""
        return self._identity

    @property
    def cluster_id(self) -> bytes | None:
        """The cluster this log belongs to; None before the node belongs to one."""
        return self._cluster_id

    @property
    def trust(self) -> Trust:
        """The durable trust record of the tree."""
        return self._trust

    @property
    def has_backlog(self) -> bool:
        """Records below the marker wait to be deleted by the next transactions."""
        return self._may_trim and self._failure is None

    def is_empty(self) -> bool:
        """Nothing was ever decided here: no vote, no entry, no snapshot, no cluster."""
        return self._cluster_id is None and self._hard_state == HardState() and self._view.last == 0

    def log_bytes(self) -> int:
        """Bytes of the entries after the newest snapshot (estimated for what was there at
        start)."""
        return self._volume.bytes_after(self._snapshot.index if self._snapshot else Index(0))

    def bytes_after(self, index: Index) -> int:
        """Bytes of the entries after ``index``."""
        return self._volume.bytes_after(index)

    def written_bytes(self) -> int:
        """Bytes of entries written so far: grows only, and starts anywhere."""
        return self._volume.total

    def set_snapshot(self, meta: SnapshotMeta | None) -> None:
        """The newest verified snapshot has changed."""
        self._snapshot = meta

    # --- writes: the writer thread --------------------------------------------------------------

    def write(self, batch: list[LogWrite]) -> None:
        """Make everything in ``batch`` durable in one transaction, in order.

        Raises StorageError: then nothing in the batch may be acknowledged, what the disk holds
        is unknown, and every later call fails too.
        """
        if self._failure is not None:
            raise StorageError(f"{self._name}: an earlier commit failed: {self._failure}")
        try:
            with self._turn:
                view, sizes = self._commit(batch)
                self._view = view
        except self._env.damage as error:
            self._failure = error
            raise CorruptionError(f"{self._name}: {error}") from error
        except self._env.failures as error:
            self._failure = error
            raise StorageError(f"{self._name}: {error}") from error
        except BaseException as error:
            self._failure = error
            raise
        for last, size in sizes:
            self._volume.add(last, size)
        for write in batch:
            self._remember(write)

    def make_room(self) -> None:
        """Let the file grow ahead of what is written. On the writer thread, when nobody waits. A
        failure is that of the next ``write``."""
        if self._volume.total < self._room_checked_at:
            return
        self._room_checked_at = self._volume.total + _ROOM_CHECK_BYTES
        try:
            self._env.grow_ahead()
        except StorageError as error:
            self._failure = error

    def _commit(self, batch: list[LogWrite]) -> tuple[LogExtent, list[tuple[Index, int]]]:
        view = self._view
        sizes: list[tuple[Index, int]] = []
        with self._env.write() as txn:
            put, log = txn.put, self._log
            for write in batch:
                for run in write.slices:
                    if run.first <= view.last:
                        view = self._truncate(txn, view, run.first)
                    assert run.first == view.last + 1, (
                        f"entry {run.first} does not follow {view.last}"
                    )
                    tail = b""
                    for piece in split_run(run):
                        key, value = encode_run(piece)
                        put(key, value, db=log)
                        sizes.append((piece.last, len(value)))
                        tail = value[:TAIL_BYTES]
                    view = view.appended(run, tail)
                if write.hard_state is not None:
                    self._store(txn, HARD_STATE, write.hard_state)
                if write.membership is not None:
                    self._store(txn, MEMBERSHIP, write.membership)
                if write.cut_before is not None:
                    view = self._cut(txn, view, write.cut_before)
                if write.install is not None:
                    view = self._install(txn, view, write.install)
                if write.trust is not None:
                    self._store(txn, TRUST, write.trust)
            if self._may_trim:
                self._may_trim = self._trim(txn, view.first)
            self._end(txn, view)
        return view, sizes

    def _remember(self, write: LogWrite) -> None:
        if write.hard_state is not None:
            self._hard_state = write.hard_state
        if write.membership is not None:
            self._membership = write.membership
        if write.trust is not None:
            self._trust = write.trust
        if write.install is not None and self._view.marker == write.install:
            self._membership = write.install.membership
        if write.install is not None or write.cut_before is not None:
            self._volume.cut(self._view.first, self._view.last)

    def write_trust(self, trust: Trust) -> None:
        """Make the trust record durable, here and now. Raises StorageError."""
        self._write_meta(TRUST, trust)
        self._trust = trust

    def write_cluster_id(self, cluster_id: bytes) -> None:
        """Remember which cluster this directory belongs to. As ``write_trust``."""
        assert self._cluster_id in {None, cluster_id}, "a directory never changes its cluster"
        self._write_meta(CLUSTER, cluster_id)
        self._cluster_id = cluster_id

    def bootstrap(self, cluster_id: bytes, first: LogSlice, membership: Membership) -> None:
        """Found a cluster: its id, the first term and the entry that holds the first membership,
        in one transaction. As ``write_trust``."""
        assert self.is_empty(), "only an empty directory can found a cluster"
        state = HardState(first.term)
        with self._env.write() as txn:
            key, value = encode_run(first)
            txn.put(key, value, db=self._log)
            self._store(txn, CLUSTER, cluster_id)
            self._store(txn, HARD_STATE, state)
            self._store(txn, MEMBERSHIP, membership)
            view = self._view.appended(first, value[:TAIL_BYTES])
            self._end(txn, view)
        self._cluster_id, self._hard_state, self._membership = cluster_id, state, membership
        self._view = view
        self._volume.add(first.last, len(value))

    # --- inside a write transaction -------------------------------------------------------------

    def _truncate(self, txn: WriteTxn, view: LogExtent, index: Index) -> LogExtent:
        """Drop ``index`` and everything after it; a run that straddles it keeps its prefix."""
        assert index >= view.first, "truncation below the marker"
        for key in list(txn.scan_keys(self._log, key_of(index))):
            txn.delete(key, db=self._log)
        for key, value in txn.scan_back(self._log, b"", key_of(index)):
            run = decode_run(self._name, key, value)
            if run.last >= index:
                txn.put(*encode_run(_within(run, run.first, Index(index - 1))), db=self._log)
            break
        return view.truncated(index)

    def _cut(self, txn: WriteTxn, view: LogExtent, before: Index) -> LogExtent:
        if before <= view.first:
            return view
        assert before <= view.last + 1, "cut beyond the end of the log"
        marker = self._marker_at(Index(before - 1), view)
        self._store(txn, MARKER, marker)
        self._may_trim = True
        return view.cut(marker)

    def _install(self, txn: WriteTxn, view: LogExtent, meta: SnapshotMeta) -> LogExtent:
        """The log now starts after the snapshot; it is discarded unless it holds the snapshot's
        last entry (then its tail may have been acknowledged and stays)."""
        if view.term(meta.index) == meta.term:
            return view
        if view.last > meta.index:
            view = self._truncate(txn, view, max(view.first, Index(meta.index + 1)))
        self._store(txn, MARKER, meta)
        self._store(txn, MEMBERSHIP, meta.membership)
        self._may_trim = True
        return LogExtent(Index(meta.index + 1), meta.index, (), meta)

    def _trim(self, txn: WriteTxn, first: Index) -> bool:
        """Delete some records below ``first``; True if there may be more."""
        doomed: list[bytes] = []
        previous: bytes | None = None
        for key in txn.scan_keys(self._log, b"", key_of(first + 1)):
            # A run reaches up to the next one's first entry, so the last one found is kept: it
            # may hold ``first``.
            if previous is not None:
                doomed.append(previous)
            previous = key
            if len(doomed) == _TRIM_RECORDS_MAX:
                break
        for key in doomed:
            txn.delete(key, db=self._log)
        return len(doomed) == _TRIM_RECORDS_MAX

    def _store(self, txn: WriteTxn, record: MetaRecord, value: Any) -> None:
        encoded = self._facts[record.key] = record.encode(value)
        self._facts_sum = None
        txn.put(record.key, encoded, db=self._meta)

    def _end(self, txn: WriteTxn, view: LogExtent) -> None:
        """Commit what leaves the log at ``view``."""
        before, self._env.witness = self._env.witness, self._witness(view)
        try:
            txn.commit()
        except BaseException:
            self._env.witness = before
            raise

    def _write_meta(self, record: MetaRecord, value: Any) -> None:
        try:
            with self._turn, self._env.write() as txn:
                self._store(txn, record, value)
                self._end(txn, self._view)
        except self._env.damage as error:
            raise CorruptionError(f"{self._name}: {error}") from error
        except self._env.failures as error:
            raise StorageError(f"{self._name}: {error}") from error

    def _marker_at(self, index: Index, view: LogExtent) -> SnapshotMeta:
        """Marker of a log cut after ``index``. Its membership is the snapshot's: entries between
        the two stay in the log, so whoever needs an older one finds it there."""
        assert self._snapshot is not None, "the log is cut only behind a verified snapshot"
        assert index <= self._snapshot.index, "the snapshot does not cover the cut"
        term = view.term(index)
        assert term is not None, "cut outside the log"
        return SnapshotMeta(index, term, self._snapshot.membership)

    # --- reading records ------------------------------------------------------------------------

    def _runs(self, txn: ReadTxn, first: Index, last: Index) -> Iterator[LogSlice]:
        """The runs that hold first..last, checked."""
        begin = key_of(first)
        for key, _ in txn.scan_back(self._log, b"", key_of(first + 1)):
            begin = key
            break
        for key, value in txn.scan(self._log, begin, key_of(last + 1)):
            yield decode_run(self._name, key, value)

    def _check_format(self, txn: ReadTxn) -> None:
        version = self._require(txn, FORMAT)
        if version > LOG_FORMAT:
            raise NewerFormatError(
                f"{self._name}: format {version} was written by a newer version;"
                f" this one reads up to {LOG_FORMAT}"
            )

    def _load(self, txn: ReadTxn, record: MetaRecord) -> Any:
        value = txn.get(record.key, None, self._meta)
        if value is None:
            return None
        self._facts[record.key] = value
        return record.decode(self._name, value)

    def _require(self, txn: ReadTxn, record: MetaRecord) -> Any:
        value = self._load(txn, record)
        if value is None:
            raise CorruptionError(
                f"{self._name}: table meta, {record.key.decode()}: missing; not a log of coord"
            )
        return value


def format_records(identity: Identity) -> list[tuple[bytes, bytes]]:
    """What the table ``meta`` of a new log holds."""
    return [
        (FORMAT.key, FORMAT.encode(LOG_FORMAT)),
        (IDENTITY.key, IDENTITY.encode(identity)),
    ]


def _within(run: LogSlice, first: Index, last: Index) -> LogSlice:
    begin = max(first, run.first)
    if begin == run.first and run.last <= last:
        return run
    end = min(last, run.last)
    payloads = run.payloads[begin - run.first : end - run.first + 1]
    return LogSlice(Index(begin), run.term, run.kind, payloads)


def _cut(run: LogSlice, max_bytes: int, *, at_least_one: bool) -> LogSlice | None:
    """``run`` itself if it fits, else its longest prefix that does; None if that is empty."""
    if sum(map(len, run.payloads)) <= max_bytes:
        return run
    count = 0
    for payload in run.payloads:
        max_bytes -= len(payload)
        if max_bytes < 0:
            break
        count += 1
    if not count and not at_least_one:
        return None
    count = max(count, 1)
    if count == len(run.payloads):
        return run
    return LogSlice(run.first, run.term, run.kind, run.payloads[:count])


def _join(found: list[LogSlice], run: LogSlice) -> None:
    """Append ``run``, to the last run if it continues it."""
    if found and (found[-1].term, found[-1].kind) == (run.term, run.kind):
        found[-1].payloads.extend(run.payloads)
    else:
        found.append(LogSlice(run.first, run.term, run.kind, list(run.payloads)))
