"""Helpers for tests of the state machine: a log to append to, failing disks, whole contents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from coord.model import commands, requests
from coord.model.acl import OPEN, Acl, Identity
from coord.model.commands import STAMP
from coord.model.errors import StorageError
from coord.model.znode import CreateMode, Stat
from coord.raft.types import EntryKind, Index, LogSlice, Term
from coord.store.applied import Applied, AppliedBatch, ApplyLimits
from coord.store.kv import Environment, Table, WriteTxn
from coord.store.lmdb_kv import create_environment, open_environment
from coord.store.memory_kv import MemoryEnvironment
from coord.store.reader import TreeReader
from coord.store.schema import GRAVE_BLOB, GRAVE_NODE, U64, Tables, open_tables
from coord.store.state_machine import StateMachine
from coord.store.write_behind import WriteBehind
from coord.store.znode_record import BLOB, CONTAINER, TTL, Node

MAP_BYTES = 64 * 1024 * 1024
Entry = tuple[EntryKind, bytes]


def slices_of(first: int, entries: list[Entry]) -> list[LogSlice]:
    """Entries as runs of one kind."""
    slices: list[LogSlice] = []
    for index, (kind, payload) in enumerate(entries, first):
        if slices and slices[-1].kind is kind:
            slices[-1].payloads.append(payload)
        else:
            slices.append(LogSlice(Index(index), Term(1), kind, [payload]))
    return slices


def contents(env: Environment) -> dict[str, dict[bytes, bytes]]:
    """Every record of every table, as a fold leaves them."""
    if isinstance(env, WriteBehind):
        env = env.folded()
    tables = open_tables(env)
    with env.read() as txn:
        return {
            name: dict(txn.scan(table, b""))
            for name, table in zip(Tables._fields, tables, strict=True)
        }


def check_structure(env: Environment) -> None:
    """Tables that refer to each other agree: no blob, tombstone or index entry is left over or
    missing."""
    tables = contents(env)
    nodes = {key: (Node.of(record), record) for key, record in tables["nodes"].items()}
    blobs = {record[node.data_at :] for node, record in nodes.values() if node.flags & BLOB}
    graves = [(grave[8:9], grave[9:], grave[:8]) for grave in tables["graves"]]
    buried = [key for what, key, _ in graves if what == GRAVE_BLOB]
    assert sorted(tables["blobs"]) == sorted([*blobs, *buried])
    tombstones = {key: revision for what, key, revision in graves if what == GRAVE_NODE}
    assert {key: record[4:] for key, record in tables["gone"].items()} == tombstones
    assert not tombstones.keys() & nodes.keys()
    owned = {U64.pack(node.owner) + key for key, (node, _) in nodes.items() if node.owner}
    assert tables["ephemerals"].keys() == owned
    assert {key[:8] for key in owned} <= tables["sessions"].keys()
    assert {key[8:] for key in tables["ended_order"]} == tables["ended"].keys()
    assert not tables["ended"].keys() & tables["sessions"].keys()
    waiting = {key for key, (node, _) in nodes.items() if node.flags & (TTL | CONTAINER)}
    assert {key[8:] for key in tables["reap"]} <= waiting


class _FailingTxn:
    """A writer that fails at the ``left``-th put or delete, or at the commit behind the last."""

    def __init__(self, env: FailingEnvironment, txn: WriteTxn) -> None:
        self._env = env
        self._txn = txn
        self.get = txn.get

    def __getattr__(self, name: str) -> Any:
        return getattr(self._txn, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._txn.abort()

    def put(self, key: bytes, value: bytes, *, db: Table) -> object:
        """Store, or fail."""
        self._env.step()
        return self._txn.put(key, value, db=db)

    def delete(self, key: bytes, *, db: Table) -> bool:
        """Delete, or fail."""
        self._env.step()
        return self._txn.delete(key, db=db)

    def commit(self) -> None:
        """Commit, or fail."""
        if self._env.left is not None:
            self._env.left = 0
            self._env.step()
        self._txn.commit()


class FailingEnvironment:
    """An environment whose writes fail once ``left`` more of them have succeeded."""

    def __init__(self, inner: Environment) -> None:
        self.inner = inner
        self.left: int | None = None
        self.failures = inner.failures
        self.damage = inner.damage
        self.witness: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self) -> Any:
        """The write transaction."""
        return _FailingTxn(self, self.inner.write())

    def step(self) -> None:
        """Count one write. Raises StorageError when none is left."""
        if self.left is None:
            return
        if not self.left:
            raise StorageError("the disk failed")
        self.left -= 1


class Log:
    """A log that is applied as it is written; assertions read its ``machine`` and ``reader``."""

    def __init__(self, env: Environment, limits: ApplyLimits | None = None) -> None:
        self.engine = env
        self.env = WriteBehind(env)
        self.limits = limits
        self.machine = StateMachine(self.env, limits)
        self.reader = TreeReader(self.env)
        self.now_ms = 0
        self.seqs: dict[int, int] = {}

    def apply_all(self, *entries: bytes, kind: EntryKind = EntryKind.NORMAL) -> AppliedBatch:
        """Apply commands as one batch."""
        stamp = STAMP.pack(1_000_000 + self.now_ms, self.now_ms)
        payloads = [stamp + one if kind is EntryKind.NORMAL else one for one in entries]
        first = Index(self.machine.applied_index + 1)
        batch = self.machine.apply([LogSlice(first, Term(1), kind, payloads)])
        self.reader.refresh()
        return batch

    def apply(self, command: bytes) -> Applied:
        """Apply one command."""
        return self.apply_all(command).results[0]

    def skip_to(self, index: int) -> None:
        """Apply empty entries up to an index."""
        count = index - self.machine.applied_index
        if count > 0:
            self.apply_all(*[b""] * count, kind=EntryKind.NOOP)

    def open_session(self, address: str = "10.0.0.1:5") -> int:
        """A new session's id."""
        opened = self.apply(commands.open_session(10_000, b"hash", address, "test"))
        assert opened.code == 0
        self.seqs[opened.session] = 0
        return opened.session

    def command(
        self, session: int, request: requests.Write, who: tuple[Identity, ...] | None = None
    ) -> bytes:
        """The session's next write, everything before acknowledged; unsequenced without one."""
        if not session:
            return commands.encode_write(request, 0, 0, 0, 0, who)
        row = self.machine.sessions.get(session)
        generation = 1 if row is None else row.generation
        self.seqs[session] += 1
        seq = self.seqs[session]
        return commands.encode_write(request, session, generation, seq, seq - 1, who)

    def write(
        self,
        request: requests.Write,
        session: int = 0,
        who: tuple[Identity, ...] | None = None,
    ) -> Applied:
        """Apply the session's next write."""
        return self.apply(self.command(session, request, who))

    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        mode: CreateMode = CreateMode.PERSISTENT,
        acl: tuple[Acl, ...] = OPEN,
        ttl_ms: int = 0,
        session: int = 0,
        who: tuple[Identity, ...] | None = None,
    ) -> Applied:
        """Apply a create."""
        return self.write(requests.Create(path, data, acl, int(mode), ttl_ms), session, who)

    def set(self, path: str, data: bytes, version: int = -1, session: int = 0) -> Applied:
        """Apply a set."""
        return self.write(requests.Set(path, data, version), session)

    def delete(self, path: str, version: int = -1, session: int = 0) -> Applied:
        """Apply a delete."""
        return self.write(requests.Delete(path, version), session)

    def multi(self, *operations: requests.Operation, session: int = 0) -> Applied:
        """Apply a transaction."""
        return self.write(requests.Multi(operations), session)

    def close(self, session: int) -> Applied:
        """Close a session."""
        self.seqs[session] += 1
        seq = self.seqs[session]
        row = self.machine.sessions.get(session)
        return self.apply(
            commands.close_session(session, row.generation if row else 1, seq, seq - 1)
        )

    def stat(self, path: str) -> Stat:
        """The Stat of a node that exists."""
        raw = self.reader.stat(path)
        assert raw is not None, f"{path} exists"
        return Stat.unpack(raw)

    def reopen(self) -> None:
        """Load machine and reader again from what a fold leaves."""
        self.machine.fold()
        self.reader.close()
        self.env = WriteBehind(self.engine)
        self.machine = StateMachine(self.env, self.limits)
        self.reader = TreeReader(self.env)


def make_lmdb(directory: Path) -> Environment:
    """An empty LMDB environment."""
    create_environment(directory, map_bytes=MAP_BYTES)
    return open_environment(directory, sync=False, map_bytes=MAP_BYTES)


def make_memory(directory: Path) -> Environment:
    """An empty environment in memory."""
    del directory
    return MemoryEnvironment()


@pytest.fixture
def log() -> Iterator[Log]:
    """A log over an empty environment in memory."""
    env = MemoryEnvironment()
    made = Log(env)
    yield made
    made.reader.close()
    env.close()
