"""Everything durable of one node, behind one object.

``coord.store.member_store`` opens it on a data directory, ``coord.store.memory_store`` on a
simulated disk: the same logic over two homes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from coord.model.limits import MAP_BYTES, SPACE_RESERVE_BYTES
from coord.raft import bootstrap_entries
from coord.raft.types import Incarnation, Index, Membership, NodeId
from coord.store.applied import ApplyLimits
from coord.store.log_writer import LogWriter
from coord.store.raft_log import RaftLog
from coord.store.reader import TreeReader
from coord.store.snapshot_store import SnapshotPolicy, SnapshotStore
from coord.store.space import SpaceGuard
from coord.store.state_machine import StateMachine
from coord.store.tree_keeper import TreeKeeper
from coord.store.worker import Worker
from coord.store.write_behind import WriteBehind

_WORKER_WAIT_S: Final = 1.0
"""How long a clean stop waits for a snapshot being copied, before leaving it behind."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Whose store it is, and everything about it that can be set."""

    node_id: NodeId
    random_bytes: Callable[[int], bytes]
    """Makes the incarnation of a new directory."""
    limits: ApplyLimits = field(default_factory=ApplyLimits)
    snapshots: SnapshotPolicy = field(default_factory=SnapshotPolicy)
    reserve_bytes: int = SPACE_RESERVE_BYTES
    quota_bytes: int = MAP_BYTES // 2
    """Replicated bytes above which user writes are refused."""
    map_bytes: int = MAP_BYTES
    """Size of each environment's sparse map: what it can never outgrow."""
    allow_remote_file_system: bool = False


class MemberStore:
    """One node's log, tree and snapshots."""

    def __init__(
        self,
        log: RaftLog,
        keeper: TreeKeeper,
        snapshots: SnapshotStore,
        space: SpaceGuard,
        make_worker: Callable[[Callable[[Callable[[], None]], object]], Worker],
        on_close: Callable[[], None],
    ) -> None:
        self.log: Final = log
        self.snapshots: Final = snapshots
        self.space: Final = space
        self._keeper = keeper
        self._make_worker = make_worker
        self._worker: Worker | None = None
        self._on_close = on_close
        self._closed = False

    def attach(self, post: Callable[[Callable[[], None]], object], log_writer: LogWriter) -> None:
        """Connect to the running node: ``post`` runs a call on its loop, from any thread. Before
        the first snapshot is taken or received."""
        self._worker = self._make_worker(post)
        self.snapshots.attach(self._worker, log_writer)

    @property
    def node_id(self) -> NodeId:
        """The member whose directory this is."""
        return self.log.identity.node_id

    @property
    def incarnation(self) -> Incarnation:
        """Random identity of this directory: a wiped disk comes back as somebody else."""
        return self.log.identity.incarnation

    @property
    def cluster_id(self) -> bytes | None:
        """The cluster this node belongs to; None before it belongs to one."""
        return self.log.cluster_id

    @property
    def machine(self) -> StateMachine:
        """The tree; another object after an installation."""
        return self._keeper.machine

    @property
    def tree(self) -> WriteBehind:
        """The tree's environment; another object after an installation."""
        return self._keeper.env

    @property
    def rebuilt_because(self) -> str:
        """Why the tree was rebuilt when this store was opened; "" if it was not."""
        return self._keeper.rebuilt_because

    def reader(self) -> TreeReader:
        """A reader of the committed tree. After an installation, make another."""
        return TreeReader(self._keeper.env)

    def is_empty(self) -> bool:
        """Never part of a cluster: may found one, or join one."""
        return self.log.is_empty()

    def bootstrap(self, cluster_id: bytes, membership: Membership) -> None:
        """Found the cluster, durably: term 1 and the entry (1, 1) that holds the first
        membership; every founder writes the same. Raises StorageError."""
        _, first = bootstrap_entries(membership)
        self.log.bootstrap(cluster_id, first, membership)
        self._keeper.join(cluster_id)

    def join(self, cluster_id: bytes) -> None:
        """Belong to a cluster that exists, durably; its leader sends the rest. Raises
        StorageError."""
        self._keeper.join(cluster_id)

    def cut_limit(self) -> Index:
        """The log may be cut before this entry (see SnapshotStore.cut_limit)."""
        return self.snapshots.cut_limit()

    def writes_allowed(self) -> bool:
        """User writes may be taken: there is disk space and quota. Cheap."""
        return self.space.writes_allowed()

    def distrust_tree(self) -> None:
        """The tree is wrong: the next start builds it anew. Raises StorageError."""
        self._keeper.distrust()

    def wait_worker(self, timeout_s: float) -> bool:
        """Wait for copying or checking that is under way; False if it still runs."""
        return self._worker is None or self._worker.wait(timeout_s)

    def close(self, *, clean: bool) -> None:
        """Release everything; the log writer must have been closed. ``clean``: sync the tree and
        record that, so that it is trusted after a reboot too. Raises StorageError."""
        if self._closed:
            return
        self._closed = True
        idle = self.wait_worker(_WORKER_WAIT_S)
        self._keeper.close(clean=clean, keep_open=not idle)
        self._on_close()
