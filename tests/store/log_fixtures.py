"""Logs for the store's tests: on LMDB in a temporary directory, and in memory."""

from __future__ import annotations

from pathlib import Path

from coord.raft.types import (
    EntryKind,
    Incarnation,
    Index,
    LogSlice,
    Member,
    Membership,
    NodeId,
    SnapshotMeta,
    Term,
)
from coord.store.kv import Environment
from coord.store.lmdb_kv import create_environment, open_environment
from coord.store.log_records import Identity
from coord.store.memory_kv import MemoryEnvironment
from coord.store.raft_log import LogWrite, RaftLog, format_records

MAP_BYTES = 256 * 1024 * 1024
IDENTITY = Identity(NodeId(1), Incarnation(77))
MEMBERS = Membership((Member(NodeId(1), Incarnation(77), peer="a:1"),))
MORE_MEMBERS = Membership((*MEMBERS.members, Member(NodeId(2), Incarnation(78), peer="b:1")))
UNLIMITED = 1 << 62


def lmdb_log_env(directory: Path, *, sync: bool = False) -> Environment:
    """A new log environment on LMDB."""
    create_environment(directory, map_bytes=MAP_BYTES, meta=format_records(IDENTITY))
    return open_environment(directory, sync=sync, map_bytes=MAP_BYTES)


def memory_log_env() -> MemoryEnvironment:
    """A new log environment in memory."""
    env = MemoryEnvironment()
    meta = env.table("meta")
    with env.write() as txn:
        for key, value in format_records(IDENTITY):
            txn.put(key, value, db=meta)
        txn.commit()
    return env


def run(first: int, payloads: list[bytes], term: int = 1, kind: int = 0) -> LogSlice:
    """A run of entries."""
    return LogSlice(Index(first), Term(term), EntryKind(kind), payloads)


def snapshot(index: int, term: int = 1, membership: Membership = MEMBERS) -> SnapshotMeta:
    """What a snapshot at ``index`` would say."""
    return SnapshotMeta(Index(index), Term(term), membership, b"sha", 1_000)


def append(log: RaftLog, first: int, payloads: list[bytes], term: int = 1) -> None:
    """Write one run durably."""
    log.write([LogWrite([run(first, payloads, term)])])


def read_all(log: RaftLog) -> list[tuple[int, int, bytes]]:
    """(index, term, payload) of every entry."""
    if log.last_index() < log.first_index():
        return []
    return [
        (part.first + at, part.term, payload)
        for part in log.slices(log.first_index(), log.last_index(), UNLIMITED)
        for at, payload in enumerate(part.payloads)
    ]
