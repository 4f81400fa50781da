"""A member's store in memory, and what of it outlives the process and the power."""

from __future__ import annotations

from typing import Any

from coord.raft.types import Index, Membership, NodeId, SnapshotMeta
from coord.raft import bootstrap_entries
from coord.store.log_records import Identity
from coord.store.memory_kv import MemoryEnvironment
from coord.store.reader import TreeReader
from coord.store.raft_log import RaftLog, format_records
from coord.store.state_machine import StateMachine


class SimDisk:
    """One data directory: images of its two environments."""

    def __init__(self, node_id: int, incarnation: int) -> None:
        self.identity = Identity(NodeId(node_id), incarnation)  # type: ignore[arg-type]
        env = MemoryEnvironment()
        table = env.table("meta")
        with env.write() as txn:
            for key, value in format_records(self.identity):
                txn.put(key, value, db=table)
            txn.commit()
        self.log = env.image()
        self.tree: Any = {}


class _NoSnapshots:
    def should_take(self) -> bool:
        return False

    def newest(self) -> SnapshotMeta | None:
        return None


class SimStore:
    """See coord.store.member_store.Store."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.log_env = MemoryEnvironment(disk.log)
        self.tree_env = MemoryEnvironment(disk.tree, sync=False)
        self.log = RaftLog(self.log_env)
        self.machine = StateMachine(self.tree_env)
        self.snapshots = _NoSnapshots()
        self.node_id = disk.identity.node_id
        self.incarnation = disk.identity.incarnation

    def reader(self) -> TreeReader:
        return TreeReader(self.tree_env)

    def is_empty(self) -> bool:
        return self.log.is_empty()

    def bootstrap(self, cluster_id: bytes, membership: Membership) -> None:
        _, run = bootstrap_entries(membership)
        self.log.bootstrap(cluster_id, run, membership)

    def writes_allowed(self) -> bool:
        return True

    def cut_limit(self) -> Index:
        return self.log.first_index()

    def distrust_tree(self) -> None:
        raise AssertionError("digest differs")

    def died(self, *, power: bool) -> None:
        """Keep what survives."""
        self.disk.log = self.log_env.durable_image()
        self.disk.tree = {} if power else self.tree_env.image()
