"""A node's store on a simulated disk: the same logic as on a directory, with crashes to order.

``SimDisk`` outlives the process. ``crash`` plays the end of the process (what the kernel has been
given survives) or of the machine (what was not synced does not): the log keeps its durable commits,
and a tree that was written since it was last synced is *lost*: opening it is an error of the code
under test, as LMDB may abort on such a file.
"""

from __future__ import annotations

from collections.abc import Callable

from coord.model.errors import CorruptionError, StorageError
from coord.raft.invariants import require
from coord.raft.types import Incarnation, SnapshotMeta
from coord.store.kv import Environment, ReadTxn
from coord.store.log_records import Identity
from coord.store.memory_kv import Image, MemoryEnvironment, pack_image, unpack_image
from coord.store.raft_log import RaftLog, format_records
from coord.store.snapshot_file import open_sealed, seal_snapshot
from coord.store.snapshot_store import SnapshotStore
from coord.store.space import SpaceGuard
from coord.store.state_machine import StateMachine
from coord.store.store import MemberStore, StoreOptions
from coord.store.tree_facts import TreeFacts, check_facts, read_facts
from coord.store.tree_keeper import TreeKeeper
from coord.store.trust import FileIdentity
from coord.store.worker import InlineWorker


class _TreeFile:
    """One generation on the disk. ``image`` is None once its content was lost; ``synced``: it
    would survive the loss of power."""

    def __init__(self, inode: int, image: Image) -> None:
        self.device = 1
        self.inode = inode
        self.image: Image | None = image
        self.synced = True
        self.env: MemoryEnvironment | None = None

    def end_process(self) -> None:
        """What the kernel was given stays."""
        if self.env is not None:
            self.image = self.env.image()
            self.synced = self.synced_in(self.env)
            self.env = None

    def synced_in(self, env: MemoryEnvironment) -> bool:
        """Nothing was committed since the last sync."""
        return env.image() is env.durable_image() and (self.synced or env.was_synced)

    def lose_power(self) -> None:
        """What was not synced is not there any more, or half of it."""
        if not self.synced:
            self.image = None


class SimDisk:
    """A machine's disk: survives its processes.

    ``sync_log=False``: commits of the log wait for ``sync``, and a crash may keep any prefix of
    those that waited; else a commit is durable when it returns.
    """

    def __init__(self, *, sync_log: bool = True) -> None:
        self._sync_log = sync_log
        self.log_image: Image | None = None
        """None: there has never been a log here."""
        self.trees: dict[int, _TreeFile] = {}
        self.kept: dict[bytes, tuple[SnapshotMeta, bytes]] = {}
        """Verified snapshots by checksum."""
        self.parts: dict[bytes, bytes] = {}
        """Snapshots written or arriving, not verified."""
        self.unsynced: set[bytes] = set()
        """Checksums of snapshots with bytes that the loss of power would take."""
        self.free_bytes = 1 << 40
        self.reserve = _Reserve(self)
        self.shelf_error: StorageError | None = None
        """Raised by whatever writes a snapshot while it is set: an injected disk fault."""
        self.boot = 1
        self.tells_boots = True
        """Its machine can tell one boot from the next."""
        self._inodes = 0
        self._log_env: MemoryEnvironment | None = None

    # --- for the simulator ----------------------------------------------------------------------

    def sync(self) -> None:
        """Everything the log has committed becomes durable."""
        if self._log_env is not None:
            self._log_env.sync()

    @property
    def pending_commits(self) -> int:
        """Commits of the log that a crash may lose (with ``sync_log=False``)."""
        return 0 if self._log_env is None else len(self._log_env.pending_images())

    def crash(self, *, power: bool = False, keep_pending: int = 0) -> None:
        """The process ends (or the machine, with ``power``) without closing anything. Of the
        log's commits that were not durable, the first ``keep_pending`` stay."""
        if self._log_env is not None:
            images = [self._log_env.durable_image(), *self._log_env.pending_images()]
            self.log_image = images[keep_pending]
            self._log_env = None
        for tree in self.trees.values():
            tree.end_process()
            if power:
                tree.lose_power()
        if power:
            self.parts.clear()
            for checksum in self.unsynced & self.kept.keys():
                meta, data = self.kept[checksum]
                self.kept[checksum] = meta, data[: len(data) // 2]
            self.unsynced.clear()
            self.boot += 1

    def fail_log(self, error: OSError | None, *, stays: bool = False) -> None:
        """The next commit of the log fails; ``stays``: and is on the disk nevertheless. None: it
        does not, after all."""
        if self._log_env is not None:
            self._log_env.commit_error, self._log_env.failed_commit_stays = error, stays

    def fail_tree(self, error: StorageError | None) -> None:
        """Every commit of the open trees fails from now on; None: no more."""
        for tree in self.trees.values():
            if tree.env is not None:
                tree.env.commit_error = error

    def replace_trees(self, *, device: int) -> None:
        """While no process used it, somebody copied the data directory, from ``device`` if that is
        another disk: the trees are other files than were written, and whether whole is unknown."""
        for tree in self.trees.values():
            tree.device, tree.inode, tree.image = device, self.next_inode(), None

    def remove_trees(self) -> None:
        """While no process used it, somebody removed the trees."""
        self.trees.clear()

    def wipe(self) -> None:
        """Somebody removed the data directory while no process used it."""
        self.log_image = None
        self.trees.clear()
        self.kept.clear()
        self.parts.clear()
        self.unsynced.clear()
        self.reserve.give_up()

    # --- for the store --------------------------------------------------------------------------

    def open_log(self, fresh: Callable[[], Identity]) -> MemoryEnvironment:
        """The log environment; made for a new identity if there is none."""
        assert self._log_env is None, "the disk is used by a process that has not crashed"
        if self.log_image is None:
            new = MemoryEnvironment()
            meta = new.table("meta")
            with new.write() as txn:
                for key, value in format_records(fresh()):
                    txn.put(key, value, db=meta)
                txn.commit()
            self.log_image = new.image()
        self._log_env = MemoryEnvironment.from_image(
            self.log_image, sync=self._sync_log, keep_pending=not self._sync_log
        )
        return self._log_env

    def close(self) -> None:
        """The process has ended in good order: nothing it wrote is lost."""
        self.sync()
        self.crash()

    def next_inode(self) -> int:
        """Number of a new file."""
        self._inodes += 1
        return self._inodes


class MemoryTrees:
    """``TreeHome`` on a simulated disk."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk

    def identity(self, generation: int) -> FileIdentity | None:
        """Device and number of the file."""
        tree = self._disk.trees.get(generation)
        return None if tree is None else FileIdentity(tree.device, tree.inode)

    def newest(self) -> int:
        """The greatest generation on the disk."""
        return max(self._disk.trees, default=0)

    def open(self, generation: int) -> Environment:
        """Open it. A lost tree must never get this far."""
        tree = self._disk.trees[generation]
        require(
            tree.image is not None,
            "only-trusted-trees-are-opened",
            f"generation {generation} is not what was written, or was not synced when power failed",
        )
        assert tree.image is not None
        tree.env = MemoryEnvironment.from_image(tree.image, sync=False)
        return tree.env

    def make_empty(self, generation: int) -> None:
        """Make an environment without tables."""
        self._make(generation, {})

    def make_from(self, generation: int, snapshot: SnapshotMeta) -> None:
        """Make an environment from a kept snapshot. Raises CorruptionError."""
        _, data = self._disk.kept[snapshot.checksum]
        image, _, _ = open_sealed("snapshot", data)
        self._make(generation, unpack_image(image))

    def _make(self, generation: int, image: Image) -> None:
        assert generation not in self._disk.trees, "a generation is built once"
        self._disk.trees[generation] = _TreeFile(self._disk.next_inode(), image)

    def drop_others(self, generation: int) -> None:
        """Remove other generations."""
        for other in [number for number in self._disk.trees if number != generation]:
            del self._disk.trees[other]


class MemoryShelf:
    """``Shelf`` on a simulated disk."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk

    def kept(self) -> tuple[SnapshotMeta, ...]:
        """Verified snapshots, newest first."""
        metas = (meta for meta, _ in self._disk.kept.values())
        return tuple(sorted(metas, key=lambda meta: meta.index, reverse=True))

    def read(self, checksum: bytes, offset: int, size: int) -> bytes | None:
        """A piece of a kept snapshot."""
        found = self._disk.kept.get(checksum)
        return None if found is None else found[1][offset : offset + size]

    def write(self, env: Environment, txn: ReadTxn) -> SnapshotMeta:
        """Pack what the transaction sees."""
        assert isinstance(env, MemoryEnvironment)
        self._check_disk()
        facts = read_facts(env, txn)
        data = seal_snapshot(pack_image(env.image_of(txn)), facts)
        meta = _meta_of(data)
        self._disk.parts[meta.checksum] = data
        return meta

    def arrived(self, checksum: bytes) -> int:
        """Bytes that have arrived."""
        return len(self._disk.parts.get(checksum, b""))

    def append(self, checksum: bytes, data: bytes) -> None:
        """Add to an arriving snapshot."""
        self._check_disk()
        self._disk.unsynced.add(checksum)
        if self._disk.free_bytes < len(data):
            raise StorageError("snapshot: No space left on device")
        self._disk.parts = {checksum: self._disk.parts.get(checksum, b"") + data}

    def sync(self, checksum: bytes) -> None:
        """What has arrived survives the loss of power, once it is kept."""
        self._check_disk()
        self._disk.unsynced.discard(checksum)

    def _check_disk(self) -> None:
        if self._disk.shelf_error is not None:
            raise self._disk.shelf_error

    def verify(self, meta: SnapshotMeta) -> TreeFacts:
        """Checksum, facts and digest, as the child process does for a file."""
        data = self._disk.parts[meta.checksum]
        image, facts, _ = open_sealed("snapshot", data)
        if _meta_of(data) != meta:
            raise CorruptionError("snapshot: is not the one that was announced")
        check_facts(MemoryEnvironment.from_image(unpack_image(image)), facts)
        return facts

    def keep(self, meta: SnapshotMeta) -> None:
        """It counts from now on."""
        self._disk.kept[meta.checksum] = (meta, self._disk.parts.pop(meta.checksum))

    def discard(self, checksum: bytes) -> None:
        """Remove one that is not kept."""
        self._disk.parts.pop(checksum, None)

    def drop(self, meta: SnapshotMeta) -> None:
        """Remove a kept one."""
        del self._disk.kept[meta.checksum]


class _Reserve:
    """Space held back on a simulated disk."""

    size = 64 * 1024 * 1024

    def __init__(self, disk: SimDisk) -> None:
        self.held = False
        self._disk = disk

    def make(self) -> None:
        """Take it from what is free."""
        if not self.held and self._disk.free_bytes >= self.size:
            self._disk.free_bytes -= self.size
            self.held = True

    def give_up(self) -> None:
        """Return it."""
        if self.held:
            self._disk.free_bytes += self.size
            self.held = False


def _meta_of(data: bytes) -> SnapshotMeta:
    _, facts, checksum = open_sealed("snapshot", data)
    return SnapshotMeta(facts.index, facts.term, facts.membership, checksum, len(data))


def open_memory_store(disk: SimDisk, options: StoreOptions) -> MemberStore:
    """Open a node's store on a simulated disk, as ``open_member_store`` does on a directory.
    Long work runs at once; only its answers come through ``post``."""

    def fresh() -> Identity:
        number = 1 + int.from_bytes(options.random_bytes(7), "big")
        return Identity(options.node_id, Incarnation(number))

    env = disk.open_log(fresh)
    log = RaftLog(env)
    assert log.identity.node_id == options.node_id, "the disk belongs to another node"
    shelf = MemoryShelf(disk)
    keeper = TreeKeeper(
        MemoryTrees(disk),
        shelf,
        log,
        f"boot {disk.boot}" if disk.tells_boots else "",
        lambda tree: StateMachine(tree, options.limits),
        # The simulator's checkers say more about a log that has lost entries than a refusal.
        refuses_lost_entries=False,
    )
    space = SpaceGuard(
        lambda: disk.free_bytes,
        disk.reserve,
        log.written_bytes,
        lambda: keeper.machine.replicated_bytes,
        options.quota_bytes,
    )
    return MemberStore(
        log,
        keeper,
        SnapshotStore(shelf, keeper, log, options.snapshots),
        space,
        InlineWorker,
        disk.close,
    )


MemoryMemberStore = MemberStore
"""What ``open_memory_store`` returns: there is one store class, over two homes."""
