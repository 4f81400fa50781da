"""Takes snapshots, sends and receives them, installs one in place of the tree.

A snapshot counts only once it has been verified (``Shelf.verify``: in a child process). Only then
may the log be cut. The last two are kept, and any that is being sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from coord.model.errors import CoordError, CorruptionError, ForeignDataError, StorageError
from coord.model.limits import LOG_ENTRIES_KEPT_MIN, SNAPSHOT_LOG_BYTES_MIN
from coord.raft.types import Index, SnapshotMeta
from coord.store.kv import Environment
from coord.store.log_writer import LogWriter
from coord.store.raft_log import LogWrite, RaftLog
from coord.store.tree_home import Shelf
from coord.store.tree_keeper import TreeKeeper
from coord.store.worker import Worker

KEPT: Final = 2
_CHECKSUM_BYTES: Final = 32

OnTaken = Callable[[SnapshotMeta | BaseException], None]
OnInstalled = Callable[[BaseException | None], None]


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """When to take one and how much log to keep."""

    log_bytes_min: int = SNAPSHOT_LOG_BYTES_MIN
    """Take one when the log has grown by more than this and by more than the tree's size."""
    log_entries_kept: int = LOG_ENTRIES_KEPT_MIN
    """A follower this many entries behind still catches up from the log."""
    log_behind_transfer_bytes_max: int = 4 << 30
    """The log behind a snapshot being sent is kept up to this size."""


class SnapshotStore:
    """Verified snapshots of this node. All methods run on the loop."""

    def __init__(
        self, shelf: Shelf, keeper: TreeKeeper, log: RaftLog, policy: SnapshotPolicy
    ) -> None:
        self._shelf = shelf
        self._keeper = keeper
        self._log = log
        self._policy = policy
        self._worker: Worker | None = None
        self._log_writer: LogWriter | None = None
        self._busy = False
        self._retry_at_bytes = 0
        self._sent: set[bytes] = set()
        """Checksums of snapshots read from since one was last taken: they are being sent."""
        self._sent_before: set[bytes] = set()
        """The same, of the round before: they stay until the next one is taken."""
        self._waiting: Callable[[], None] | None = None
        self._kept: tuple[SnapshotMeta, ...] = ()
        """What the loop goes by. The shelf may be a step ahead, on the worker thread."""
        self._note_kept()

    def attach(self, worker: Worker, log_writer: LogWriter) -> None:
        """Give it what long work and log transactions go through; before ``take``."""
        self._worker = worker
        self._log_writer = log_writer

    @property
    def is_busy(self) -> bool:
        """One is being taken or installed."""
        return self._busy

    def newest(self) -> SnapshotMeta | None:
        """The newest verified snapshot."""
        return self._kept[0] if self._kept else None

    # --- taking ---------------------------------------------------------------------------------

    def should_take(self) -> bool:
        """The log has outgrown the last snapshot."""
        grown = self._log.log_bytes()
        if self._busy or grown <= max(self._policy.log_bytes_min, self._retry_at_bytes):
            return False
        return grown > self._keeper.env.used_bytes()

    def take(self, on_done: OnTaken) -> bool:
        """Snapshot what is committed now. False if one is being taken or installed.

        Copying runs on a worker thread under a read transaction, the check in a child process;
        ``on_done`` gets the verified snapshot, or the reason why there is none.
        """
        if self._busy:
            return False
        try:
            env = self._keeper.env.folded()
        except StorageError as error:
            on_done(error)
            return True
        self._busy = True
        shelf, newest = self._shelf, self.newest()
        txn = env.read()

        def job() -> SnapshotMeta:
            with txn:
                meta = shelf.write(env, txn)
            try:
                if newest is None or meta.index > newest.index:
                    shelf.verify(meta)
                    shelf.keep(meta)
                    return meta
            except CorruptionError:
                shelf.discard(meta.checksum)
                raise
            shelf.discard(meta.checksum)
            return newest

        def done(outcome: SnapshotMeta | CoordError) -> None:
            if isinstance(outcome, CoordError):
                # Try again when the log has grown once more, not at every look.
                self._retry_at_bytes = self._log.log_bytes() + self._policy.log_bytes_min
            else:
                self._retry_at_bytes = 0
                self._prune()
            self._finish()
            on_done(outcome)

        self._run(job, done)
        return True

    def _prune(self) -> None:
        """Keep the last two, and what somebody still reads."""
        self._sent_before, self._sent = self._sent, set()
        for meta in self._shelf.kept()[KEPT:]:
            if meta.checksum not in self._sent_before:
                self._shelf.drop(meta)
        self._note_kept()

    def _note_kept(self) -> None:
        # One that arrived and was not installed before a crash is ahead of this node: it neither
        # covers this node's log nor is this node's to send.
        applied = self._keeper.machine.applied_index
        self._kept = tuple(meta for meta in self._shelf.kept() if meta.index <= applied)
        self._log.set_snapshot(self.newest())

    def kept(self) -> tuple[SnapshotMeta, ...]:
        """Every verified snapshot, newest first."""
        return self._kept

    def drop_damaged(self, meta: SnapshotMeta) -> None:
        """This one is no longer what it was when it was verified. Nobody is sent it any more."""
        self._shelf.drop(meta)
        self._note_kept()

    def cut_limit(self) -> Index:
        """The log may be cut before this entry: what the *older* of the last two snapshots
        covers (so that both can rebuild the tree), less the entries always kept, less what
        follows a snapshot being sent."""
        kept = self._kept
        first = self._log.first_index()
        if not kept:
            return first
        limit = min(
            kept[:KEPT][-1].index + 1,
            self._log.last_index() - self._policy.log_entries_kept + 1,
        )
        for meta in kept:
            if meta.checksum in self._sent or meta.checksum in self._sent_before:
                behind = self._log.bytes_after(meta.index)
                if behind <= self._policy.log_behind_transfer_bytes_max:
                    limit = min(limit, meta.index + 1)
        return max(first, Index(limit))

    # --- sending and receiving ------------------------------------------------------------------

    def read_chunk(self, checksum: bytes, offset: int, size: int) -> bytes | None:
        """A piece of a verified snapshot; None if it is gone."""
        data = self._shelf.read(checksum, offset, size)
        if data is not None:
            self._sent.add(checksum)
        return data

    def receive_chunk(self, meta: SnapshotMeta, offset: int, data: bytes) -> int:
        """Store a piece; returns the offset wanted next (``meta.length``: complete).

        A piece that does not continue what is here is ignored, so that a transfer resumes where
        it stopped, across restarts too. Raises CorruptionError, StorageError.
        """
        if len(meta.checksum) != _CHECKSUM_BYTES or not 0 <= offset <= meta.length:
            raise CorruptionError("a snapshot was announced with impossible facts")
        if any(kept.checksum == meta.checksum for kept in self._shelf.kept()):
            return meta.length
        present = self._shelf.arrived(meta.checksum)
        if present > meta.length:
            self._shelf.discard(meta.checksum)
            return 0
        if data and offset == present and offset + len(data) <= meta.length:
            self._shelf.append(meta.checksum, data)
            present += len(data)
        return present

    # --- installing -----------------------------------------------------------------------------

    def install(self, meta: SnapshotMeta, on_done: OnInstalled) -> None:
        """Replace log and tree by a snapshot that has arrived whole.

        (1) verify it and make it durable; (2) one log transaction: marker, the log discarded
        unless it holds the snapshot's last entry, the next tree generation, dirty; (3) build and
        open that generation. A start after a crash finds what (2) recorded and goes on with (3).

        Until ``on_done`` no entry may be written. It gets None; a CorruptionError if the file is
        bad (then nothing has changed, and it was dropped); any other error is fatal. The old tree
        stays open until ``on_done`` has returned.
        """
        if self._busy:
            self._waiting = lambda: self.install(meta, on_done)
            return
        self._busy = True
        _Installation(self, meta, on_done).begin()

    def _finish(self) -> None:
        self._busy = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()

    def _run(
        self,
        job: Callable[[], SnapshotMeta],
        done: Callable[[SnapshotMeta | CoordError], None],
    ) -> None:
        assert self._worker is not None, "attach comes first"
        self._worker.run(job, done)

    # --- what an installation needs -------------------------------------------------------------

    def verify_arrived(self, meta: SnapshotMeta) -> SnapshotMeta:
        """Step 1, on the worker thread. Raises CorruptionError, ForeignDataError, StorageError."""
        shelf = self._shelf
        if any(kept.checksum == meta.checksum for kept in shelf.kept()):
            return meta
        try:
            shelf.sync(meta.checksum)
            facts = shelf.verify(meta)
        except CorruptionError:
            shelf.discard(meta.checksum)
            raise
        if self._log.cluster_id not in {None, facts.cluster_id}:
            shelf.discard(meta.checksum)
            raise ForeignDataError("the snapshot that arrived belongs to another cluster")
        shelf.keep(meta)
        return meta

    def submit(self, write: LogWrite, on_done: Callable[[BaseException | None], None]) -> None:
        """Write the log through the node's one writer."""
        assert self._log_writer is not None, "attach comes first"
        self._log_writer.submit(write, on_done)

    @property
    def keeper(self) -> TreeKeeper:
        """The tree to be replaced."""
        return self._keeper

    def run(
        self,
        job: Callable[[], SnapshotMeta],
        done: Callable[[SnapshotMeta | CoordError], None],
    ) -> None:
        """Run a step of an installation on the worker."""
        self._run(job, done)

    def installed(self) -> None:
        """The tree is the snapshot's now."""
        self._prune()
        self._finish()

    def not_installed(self) -> None:
        """The snapshot was refused."""
        self._finish()


class _Installation:
    """One run of the three steps, as a chain of callbacks."""

    def __init__(self, store: SnapshotStore, meta: SnapshotMeta, on_done: OnInstalled) -> None:
        self._store = store
        self._meta = meta
        self._on_done = on_done
        self._generation = store.keeper.generation + 1

    def begin(self) -> None:
        self._store.run(lambda: self._store.verify_arrived(self._meta), self._verified)

    def _verified(self, outcome: SnapshotMeta | CoordError) -> None:
        if isinstance(outcome, CoordError):
            self._store.not_installed()
            self._on_done(outcome)
            return
        trust = self._store.keeper.announced(self._generation)
        self._store.submit(LogWrite(install=self._meta, trust=trust), self._recorded)

    def _recorded(self, error: BaseException | None) -> None:
        if error is not None:
            self._on_done(error)
            return
        self._store.run(self._build, self._built)

    def _build(self) -> SnapshotMeta:
        self._store.keeper.build(self._generation, self._meta)
        return self._meta

    def _built(self, outcome: SnapshotMeta | CoordError) -> None:
        if isinstance(outcome, CoordError):
            # The log has already been replaced: from here on there is no way back.
            self._on_done(StorageError(f"the verified snapshot cannot be installed: {outcome}"))
            return
        trust = self._store.keeper.completed(self._generation)
        self._store.submit(LogWrite(trust=trust), self._named)

    def _named(self, error: BaseException | None) -> None:
        if error is not None:
            self._on_done(error)
            return
        try:
            old: Environment = self._store.keeper.replace()
        except CoordError as failure:
            self._on_done(StorageError(f"the installed tree cannot be opened: {failure}"))
            return
        self._store.installed()
        self._on_done(None)
        old.close()
        self._store.keeper.forget_old()
