"""Opens a node's store on its data directory.

lock                  held while a process uses the directory
suspect               why what lies here is not to be trusted, if it is not
reserve               disk space to be given up in need
log/data.mdb          the log environment: every commit durable
tree-<generation>/    the tree environment
snapshots/            see ``directory_home``
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from coord.model.errors import CorruptionError, ForeignDataError, StorageError
from coord.raft.types import Incarnation
from coord.store.directory_home import SNAPSHOTS, TREE_PREFIX, DirectoryShelf, DirectoryTrees
from coord.store.file_system import require_local
from coord.store.kv import Environment
from coord.store.lmdb_kv import (
    create_environment,
    environment_exists,
    open_environment,
    sync_directory,
)
from coord.store.lock import DirectoryLock
from coord.store.log_records import Identity
from coord.store.raft_log import RaftLog, format_records
from coord.store.snapshot_store import SnapshotStore
from coord.store.space import ReserveFile, SpaceGuard, free_bytes_of
from coord.store.state_machine import StateMachine
from coord.store.store import MemberStore, StoreOptions
from coord.store.suspicion import Suspicion
from coord.store.tree_keeper import TreeKeeper
from coord.store.trust import read_boot_id
from coord.store.verify_files import verify_log_in_child
from coord.store.verify_snapshot import verify_in_child
from coord.store.worker import ThreadWorker

__all__ = ["MemberStore", "Store", "StoreOptions", "open_member_store"]

Store = MemberStore
"""What the node sees; the same class on a directory and on a simulated disk."""

LOG: Final = "log"
_INCARNATION_BYTES: Final = 7
"""Fits a signed 64-bit integer; two directories collide once in 2⁵⁶."""


def open_member_store(
    directory: Path,
    options: StoreOptions,
    *,
    free_bytes: Callable[[], int] | None = None,
    boot_id: str | None = None,
    check_snapshot: Callable[[Path], None] = verify_in_child,
    check_log: Callable[[Path], None] = verify_log_in_child,
) -> MemberStore:
    """Open the directory, making what is missing in a new one, and rebuild the tree if it cannot
    be trusted. May take as long as copying the tree does.

    If something is held against the directory (``suspicion``), a child process examines the log
    before it is opened, and the tree is built anew.

    Replaceable in tests: ``free_bytes`` of the file system, ``boot_id`` of the machine,
    ``check_snapshot``, ``check_log``.

    Raises DirectoryInUseError; ForeignDataError if it is another node's; NewerFormatError;
    CorruptionError, which names file, table and key; StorageError for everything else.
    """
    _make_directory(directory)
    if not options.allow_remote_file_system:
        require_local(directory)
    lock = DirectoryLock(directory)
    closers: list[Callable[[], None]] = [lock.release]
    try:
        suspicion = Suspicion(directory)
        doubt = suspicion.reason()
        if doubt and environment_exists(directory / LOG):
            check_log(directory / LOG)
        reserve = ReserveFile(directory, options.reserve_bytes)
        env = _open_log(directory, options)
        closers.append(env.close)
        log = RaftLog(env)
        log.check_vote()
        if log.identity.node_id != options.node_id:
            raise ForeignDataError(
                f"{directory}: holds the data of node {log.identity.node_id},"
                f" not of {options.node_id}"
            )
        shelf = DirectoryShelf(directory, check_snapshot)
        closers.append(shelf.close)
        keeper = TreeKeeper(
            DirectoryTrees(directory, options.map_bytes),
            shelf,
            log,
            read_boot_id() if boot_id is None else boot_id,
            lambda tree: StateMachine(tree, options.limits),
            doubt=doubt,
        )
        suspicion.clear()
    except BaseException:
        _run_backwards(closers)
        raise
    space = SpaceGuard(
        free_bytes or free_bytes_of(directory),
        reserve,
        log.written_bytes,
        lambda: keeper.machine.replicated_bytes,
        options.quota_bytes,
    )
    return MemberStore(
        log,
        keeper,
        SnapshotStore(shelf, keeper, log, options.snapshots),
        space,
        ThreadWorker,
        lambda: _run_backwards(closers),
    )


def _make_directory(directory: Path) -> None:
    """Make the directory, durably: what is durable in it is lost if its own name is."""
    if environment_exists(directory / LOG):
        return
    made = [place for place in directory.parents if not place.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Also that of a directory which exists: whoever made it may have been stopped right here.
        for place in (directory, *made):
            # One that may be passed and not read cannot be synced by us.
            with suppress(PermissionError):
                sync_directory(place.parent)
    except OSError as error:
        raise StorageError(f"{directory}: {error.strerror}") from error


def _open_log(directory: Path, options: StoreOptions) -> Environment:
    place = directory / LOG
    if not environment_exists(place):
        if any(directory.glob(TREE_PREFIX + "[0-9]*")) or (directory / SNAPSHOTS).exists():
            # Its votes and entries are gone, so this member's word is no longer what it was.
            raise CorruptionError(f"{place}: missing, though the directory was in use")
        number = 1 + int.from_bytes(options.random_bytes(_INCARNATION_BYTES), "big")
        identity = Identity(options.node_id, Incarnation(number))
        create_environment(place, map_bytes=options.map_bytes, meta=format_records(identity))
    return open_environment(place, sync=True, map_bytes=options.map_bytes)


def _run_backwards(closers: list[Callable[[], None]]) -> None:
    while closers:
        closers.pop()()
