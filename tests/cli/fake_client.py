"""A client library over a dict: what the commands need of ``coord_client.Client``, no network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

from coord.cli.context import Target
from coord.model import paths
from coord.model.acl import OPEN, Acl
from coord.model.errors import (
    BadVersionError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    TransactionError,
)
from coord.model.requests import Operation
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode, Stat
from coord_client.values import Created, Node, WatchBatch


class FakeTransaction:
    """Records operations; fails as the test says."""

    def __init__(self, failure: TransactionError | None) -> None:
        self.operations: list[Operation] = []
        self._failure = failure

    def add(self, operation: Operation) -> Self:
        """Collect one."""
        self.operations.append(operation)
        return self

    async def commit(self) -> list[None]:
        """One empty result for each operation."""
        if self._failure is not None:
            raise self._failure
        return [None] * len(self.operations)


class FakeStream:
    """A watch stream of prepared batches."""

    def __init__(self, batches: Iterable[WatchBatch]) -> None:
        self._batches = iter(batches)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_details: object) -> None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        try:
            return next(self._batches)
        except StopIteration:
            raise StopAsyncIteration from None


class FakeClient:
    """Nodes in a dict of path → (data, version)."""

    def __init__(self, nodes: dict[str, bytes] | None = None) -> None:
        self.nodes = {"/": (b"", 0)} | {path: (data, 0) for path, data in (nodes or {}).items()}
        self.acls: dict[str, tuple[tuple[Acl, ...], int]] = {}
        self.levels: list[ReadLevel] = []
        self.batches: list[WatchBatch] = []
        self.watched: list[tuple[str, bool, bool]] = []
        self.records: list[dict[str, Any]] = []
        self.story: dict[str, Any] = {}
        self.transactions: list[FakeTransaction] = []
        self.transaction_failure: TransactionError | None = None
        self.targets: list[Target] = []

    @asynccontextmanager
    async def open(self, target: Target) -> AsyncIterator[FakeClient]:
        """In place of ``coord_client.connect``."""
        self.targets.append(target)
        yield self

    def _stat(self, path: str) -> Stat:
        data, version = self.nodes[path]
        below = sum(paths.parent_of(other) == path != other for other in self.nodes)
        return Stat(5, 6 + version, 1_000, 2_000, version, 0, 0, 0, len(data), below, 6)

    def _need(self, path: str) -> None:
        if path not in self.nodes:
            raise NoNodeError(f"{path} does not exist")

    async def get(self, path: str, *, level: ReadLevel = ReadLevel.LINEARIZABLE) -> Node:
        """As the client's."""
        self.levels.append(level)
        self._need(path)
        return Node(path, self.nodes[path][0], self._stat(path), 9)

    async def exists(self, path: str, *, level: ReadLevel) -> Stat | None:
        """As the client's."""
        self.levels.append(level)
        return self._stat(path) if path in self.nodes else None

    async def children(self, path: str, *, level: ReadLevel) -> list[str]:
        """As the client's."""
        self.levels.append(level)
        self._need(path)
        found = [other for other in self.nodes if paths.parent_of(other) == path != other]
        return sorted(map(paths.name_of, found))

    async def set(self, path: str, data: bytes, *, version: int = -1) -> Stat:
        """As the client's."""
        self._need(path)
        current = self.nodes[path][1]
        if version not in {-1, current}:
            raise BadVersionError(f"{path} has version {current}, not {version}")
        self.nodes[path] = (data, current + 1)
        return self._stat(path)

    async def put(self, path: str, data: bytes) -> Stat:
        """As the client's."""
        if path in self.nodes:
            return await self.set(path, data)
        self.nodes[path] = (data, 0)
        return self._stat(path)

    async def create(
        self,
        path: str,
        data: bytes,
        *,
        mode: CreateMode = CreateMode.PERSISTENT,
        make_parents: bool = False,
        ttl_s: float | None = None,
    ) -> Created:
        """As the client's; a sequential name always ends in number 7."""
        del ttl_s
        name = path + paths.sequence_suffix(7) if mode.is_sequential else path
        if name in self.nodes:
            raise NodeExistsError(f"{name} exists")
        parent = paths.parent_of(name)
        if make_parents and parent not in self.nodes:
            self.nodes[parent] = (b"", 0)
        self._need(parent)
        self.nodes[name] = (data, 0)
        return Created(name, self._stat(name))

    async def delete(self, path: str, *, version: int = -1, recursive: bool = False) -> None:
        """As the client's."""
        del version
        self._need(path)
        below = [other for other in self.nodes if other.startswith(f"{path}/")]
        if below and not recursive:
            raise NotEmptyError(f"{path} has children")
        for gone in [*below, path]:
            del self.nodes[gone]

    async def get_acl(self, path: str, *, level: ReadLevel) -> tuple[tuple[Acl, ...], Stat]:
        """As the client's."""
        self.levels.append(level)
        self._need(path)
        entries, aversion = self.acls.get(path, (OPEN, 0))
        return entries, self._stat(path)._replace(aversion=aversion)

    async def set_acl(self, path: str, acl: tuple[Acl, ...], *, version: int) -> Stat:
        """As the client's."""
        self._need(path)
        _, current = self.acls.get(path, (OPEN, 0))
        if version not in {-1, current}:
            raise BadVersionError(f"the ACL of {path} has version {current}, not {version}")
        self.acls[path] = (acl, current + 1)
        return self._stat(path)._replace(aversion=current + 1)

    async def sync(self, path: str) -> int:
        """As the client's."""
        del path
        return 9

    def transaction(self) -> FakeTransaction:
        """As the client's."""
        self.transactions.append(FakeTransaction(self.transaction_failure))
        return self.transactions[-1]

    def watch(self, path: str, *, recursive: bool, values: bool) -> FakeStream:
        """As the client's, over ``batches``."""
        self.watched.append((path, recursive, values))
        return FakeStream(self.batches)

    async def history(self, path: str, *, before: int | None, limit: int) -> list[dict[str, Any]]:
        """As the client's, over ``records``."""
        del path
        found = [r for r in self.records if before is None or r["revision"] < before]
        return found[:limit]

    async def why_session(self, session: int) -> dict[str, Any]:
        """As the client's."""
        del session
        return self.story
