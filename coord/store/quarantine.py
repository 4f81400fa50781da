"""What is damaged in a data directory that no process uses, and how to put it out of the way.

Every file is examined in a child process of its own. Nothing is deleted: what is damaged is moved
to ``quarantine/<number>/``, for whoever wants to look into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coord.model.errors import CorruptionError, StorageError
from coord.raft.types import Index
from coord.store.directory_home import SNAPSHOT_SUFFIX, SNAPSHOTS, TREE_PREFIX, DirectoryTrees
from coord.store.lmdb_kv import open_reader, sync_directory
from coord.store.lock import LOCK_FILE
from coord.store.member_store import LOG
from coord.store.raft_log import RaftLog
from coord.store.schema import open_tables
from coord.store.snapshot_file import SnapshotFile
from coord.store.space import RESERVE_FILE
from coord.store.suspicion import Suspicion
from coord.store.tree_facts import TreeFacts, read_facts
from coord.store.trust import read_boot_id, why_untrusted
from coord.store.verify_files import verify_environment_in_child
from coord.store.verify_snapshot import verify_in_child

QUARANTINE: Final = "quarantine"
_STAYS: Final = frozenset({LOCK_FILE, RESERVE_FILE, QUARANTINE})


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the directory. ``problem``: "" if it is sound. ``will_rebuild``: it is not used
    as it is, but the next start can do without."""

    path: Path
    problem: str = ""
    will_rebuild: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``lost_because``: why this directory cannot be used any more, whatever is done to it; its
    node must join its peers anew. "": it can."""

    findings: tuple[Finding, ...]
    lost_because: str = ""
    cluster_id: bytes = b""
    """Whose data it is; empty if nothing sound says so."""

    @property
    def damaged(self) -> tuple[Finding, ...]:
        """Parts with a problem that only moving them away solves."""
        return tuple(f for f in self.findings if f.problem and not f.will_rebuild)


def holds_data(directory: Path) -> bool:
    """A node has lived here."""
    return any(
        found
        for pattern in (LOG, TREE_PREFIX + "*", SNAPSHOTS)
        for found in directory.glob(pattern)
    )


def _cluster_of(snapshots: list[Finding]) -> bytes:
    for finding in snapshots:
        if not finding.problem:
            file = SnapshotFile(finding.path)
            file.close()
            return file.facts.cluster_id
    return b""


class DirectoryDoctor:
    """Examines and clears one directory, whose lock its caller holds. ``on_part`` is called with
    the path of each part before it is read, which may take a while."""

    def __init__(self, directory: Path, on_part: Callable[[Path], None] = lambda _: None) -> None:
        self._directory = directory
        self._on_part = on_part

    def examine(self) -> Diagnosis:
        """Read everything. Raises StorageError if something cannot be read or checked."""
        log = self._verified("log", self._directory / LOG)
        snapshots = [self._snapshot(path) for path in self._snapshot_files()]
        if log.problem:
            return Diagnosis((log, *snapshots), log.problem, _cluster_of(snapshots))
        env = open_reader(self._directory / LOG, live=False)
        try:
            return self._beside(RaftLog(env), log, snapshots)
        finally:
            env.close()

    def _beside(self, log: RaftLog, found: Finding, snapshots: list[Finding]) -> Diagnosis:
        """With a log that is sound by itself."""
        tree = self._tree(log)
        findings = (found, *([tree] if tree is not None else []), *snapshots)
        lost = ""
        if tree is not None and not tree.problem:
            lost = self._lost_entries(log, tree.path)
        elif log.first_index() > 1 and not any(self._continues(s, log) for s in snapshots):
            what = tree.problem if tree is not None else "there is none"
            lost = (
                f"the tree cannot be used ({what}), and no snapshot continues into the log, which"
                f" starts at {log.first_index()}"
            )
        return Diagnosis(findings, lost, log.cluster_id or b"")

    def _verified(self, kind: str, place: Path) -> Finding:
        self._on_part(place)
        try:
            verify_environment_in_child(kind, place)
        except CorruptionError as error:
            return Finding(place, str(error))
        return Finding(place)

    def _tree(self, log: RaftLog) -> Finding | None:
        """The tree that the next start would open; None if there has never been one."""
        trust = log.trust
        if trust.generation == 0:
            return None
        place = self._directory / f"{TREE_PREFIX}{trust.generation}"
        identity = DirectoryTrees(self._directory, 0).identity(trust.generation)
        reason = Suspicion(self._directory).reason() or why_untrusted(
            trust, identity, read_boot_id()
        )
        if reason:
            return Finding(place, f"is built anew at the next start: {reason}", will_rebuild=True)
        return self._verified("tree", place)

    def _lost_entries(self, log: RaftLog, place: Path) -> str:
        env = open_reader(place, live=False)
        try:
            open_tables(env)
            with env.read() as txn:
                facts: TreeFacts = read_facts(env, txn)
        finally:
            env.close()
        return log.lost_since(facts.index, facts.term)

    def _snapshot_files(self) -> list[Path]:
        return sorted((self._directory / SNAPSHOTS).glob("*" + SNAPSHOT_SUFFIX))

    def _snapshot(self, path: Path) -> Finding:
        self._on_part(path)
        try:
            verify_in_child(path)
        except CorruptionError as error:
            return Finding(path, str(error))
        return Finding(path)

    @staticmethod
    def _continues(snapshot: Finding, log: RaftLog) -> bool:
        """The tree can be rebuilt from this snapshot and the log."""
        if snapshot.problem:
            return False
        file = SnapshotFile(snapshot.path)
        file.close()
        return log.term(Index(file.meta.index)) == file.meta.term

    def clear(self, diagnosis: Diagnosis) -> Path:
        """Move what is damaged away: all of it if the directory is lost, so that its node starts
        as a new one. Returns where it lies now. Raises StorageError."""
        if diagnosis.lost_because:
            # The log first, durably: one without what tells against it might be believed.
            parts = [p for p in self._directory.iterdir() if p.name not in _STAYS]
            doomed = sorted(parts, key=lambda path: path.name != LOG)
        else:
            doomed = [finding.path for finding in diagnosis.damaged]
        try:
            place = self._new_place()
            for path in doomed:
                path.rename(place / path.name)
                if path.name == LOG:
                    sync_directory(self._directory)
            for directory in (place, self._directory / SNAPSHOTS, self._directory):
                if directory.exists():
                    sync_directory(directory)
        except OSError as error:
            raise StorageError(f"{error.filename}: {error.strerror}") from error
        return place

    def _new_place(self) -> Path:
        root = self._directory / QUARANTINE
        root.mkdir(exist_ok=True)
        taken = [int(p.name) for p in root.iterdir() if p.name.isdecimal()]
        place = root / str(1 + max(taken, default=0))
        place.mkdir()
        return place
