"""Snapshots, log cuts, reaping of TTL and container nodes: what a node does between times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coord.model import commands
from coord.model.errors import CorruptionError
from coord.store.raft_log import LogWrite

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.node.driver import Driver
    from coord.raft.types import Index, SnapshotMeta
    from coord.store.log_writer import LogWriter
    from coord.store.member_store import Store
    from coord.store.reader import TreeReader

REAP_BATCH: Final = 500
"""Nodes reaped at a time."""


class Housekeeping:
    """Runs on every node (snapshots, cuts) and on the leader (reaping)."""

    def __init__(self, driver: Driver, store: Store, log_writer: LogWriter) -> None:
        self._driver = driver
        self._store = store
        self._log_writer = log_writer
        self._reaped: set[tuple[str, int, int]] = set()
        self.has_more_to_reap = False
        """The last look found as many as it takes on: look again soon."""
        self._folds = 0
        """Of the machine, at the last look."""
        self.snapshots_taken = 0
        self.last_error: str | None = None
        self.on_snapshot_refused: Callable[[SnapshotMeta], None] = lambda _meta: None
        """Has the file looked at that a follower could not use."""

    def check(self) -> None:
        """Fold what an idle node has left in memory; take a snapshot if the log has outgrown the
        last one."""
        machine = self._store.machine
        if machine.folds == self._folds:
            machine.begin_fold()
            self._driver.wake()
        self._folds = machine.folds
        if self._store.snapshots.should_take():
            self.take_snapshot(lambda _outcome: None)

    def take_snapshot(self, on_done: Callable[[SnapshotMeta | BaseException], None]) -> bool:
        """Start one; False if one is running. ``on_done`` gets the snapshot or the reason."""

        def done(outcome: SnapshotMeta | BaseException) -> None:
            if isinstance(outcome, CorruptionError):
                # A copy of the tree that does not pass its check is a tree that would not either.
                self._driver.fail(outcome)
            elif isinstance(outcome, BaseException):
                self.last_error = str(outcome)
            elif not self._driver.stopped:
                self.snapshots_taken += 1
                self.last_error = None
                self._driver.raft.snapshot_available()
                self.cut_log()
            on_done(outcome)

        return self._store.snapshots.take(done)

    def cut_log(self) -> None:
        """Drop what a verified snapshot covers and no follower is being sent."""
        first = self._store.cut_limit()
        if first <= self._store.log.first_index():
            return
        self._driver.raft.compacted(first)  # From here on the core reads nothing below.

        def done(error: BaseException | None) -> None:
            if error is not None and not self._driver.stopped:
                # Every later write fails as well. Not even a heartbeat may leave until one does.
                self._driver.fail(error)

        self._log_writer.submit(LogWrite([], cut_before=first), done)

    def reap(self, reader: TreeReader) -> None:
        """Propose the delete of expired TTL nodes and emptied containers; apply re-checks."""
        self.has_more_to_reap = False
        if not self._driver.accepts_proposals:
            self._reaped.clear()
            return
        due = reader.reapable(self._driver.log_now_ms, REAP_BATCH)
        self.has_more_to_reap = len(due) == REAP_BATCH
        fresh = [entry for entry in due if entry not in self._reaped]
        self._reaped &= set(due)
        if fresh and self._driver.propose([commands.reap_node(*entry) for entry in fresh]):
            self._reaped.update(fresh)

    @property
    def first_index(self) -> Index:
        """First entry still in the log."""
        return self._store.log.first_index()
