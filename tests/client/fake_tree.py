"""The tree of the fake service: a dict, applied to one request at a time. No sessions, no wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from coord.model import requests as rq
from coord.model.acl import Acl
from coord.model.errors import (
    OK,
    BadVersionError,
    CompareError,
    CoordError,
    GuardError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    TransactionError,
)
from coord.model.events import Change, ChangeKind
from coord.model.paths import join, name_of, parent_of, sequence_suffix
from coord.model.znode import CreateMode, Stat

NOT_TRIED = -2


@dataclass
class FakeNode:
    """A node and what its Stat is made of."""

    data: bytes
    acl: tuple[Acl, ...]
    czxid: int
    owner: int
    mzxid: int = 0
    pzxid: int = 0
    version: int = 0
    aversion: int = 0
    created: int = 0
    children: set[str] = field(default_factory=set)

    def stat(self) -> bytes:
        """The packed Stat."""
        return Stat(
            self.czxid, self.mzxid, 0, 0, self.version, 2 * self.created - len(self.children),
            self.aversion, self.owner, len(self.data), len(self.children), self.pzxid,
        ).pack()  # fmt: skip


class FakeTree:
    """Nodes by path. ``is_open`` tells whether a session is."""

    def __init__(self, is_open: Callable[[int], bool]) -> None:
        self.nodes: dict[str, FakeNode] = {"/": FakeNode(b"", (), 0, 0)}
        self._is_open = is_open

    def get(self, path: str) -> FakeNode:
        """Raises NoNodeError."""
        node = self.nodes.get(path)
        if node is None:
            raise NoNodeError(f"node {path} does not exist")
        return node

    def subtree(self, path: str, *, recursive: bool) -> list[tuple[str, FakeNode]]:
        """The node, then what is below it."""
        found = [(path, self.get(path))]
        for name in sorted(self.nodes[path].children):
            child = join(path, name)
            if recursive:
                found += self.subtree(child, recursive=True)
            else:
                found.append((child, self.nodes[child]))
        return found

    def apply(
        self, request: rq.Write, session: int, revision: int
    ) -> tuple[tuple[object, ...], list[Change]]:
        """(body, changes). Raises the error that is the result; nothing has changed then."""
        if isinstance(request, rq.Multi):
            return self._multi(request, session, revision)
        return self._one(request, session, revision)

    def _multi(
        self, request: rq.Multi, session: int, revision: int
    ) -> tuple[tuple[object, ...], list[Change]]:
        saved = {path: _copy(node) for path, node in self.nodes.items()}
        bodies: list[tuple[object, ...]] = []
        changes: list[Change] = []
        for position, operation in enumerate(request.operations):
            assert not isinstance(operation, rq.Refuse), "only the ZooKeeper front door makes one"
            try:
                body, changed = self._one(operation, session, revision)
            except CoordError as error:
                self.nodes = saved
                rest = len(request.operations) - position - 1
                codes = (OK,) * position + (error.code,) + (NOT_TRIED,) * rest
                raise TransactionError(f"operation {position}: {error}", codes) from error
            bodies.append((OK, *body))
            changes += changed
        return tuple(bodies), changes

    def _one(
        self, request: rq.Operation, session: int, revision: int
    ) -> tuple[tuple[object, ...], list[Change]]:
        match request:
            case rq.Create():
                return self._create(request, session, revision)
            case rq.Delete(path, version):
                node = self._versioned(path, version)
                if node.children:
                    raise NotEmptyError(f"node {path} has children")
                return (), [self.remove(path, revision)]
            case rq.Set(path, data, version):
                node = self._versioned(path, version)
                before = node.stat(), node.data
                node.data, node.mzxid, node.version = data, revision, node.version + 1
                change = Change(ChangeKind.DATA, path, revision, node.stat(), data, *before)
                return (node.stat(),), [change]
            case rq.SetAcl(path, acl, version):
                node = self.get(path)
                assert not isinstance(acl, str)
                node.acl, node.aversion = acl, node.aversion + 1
                return (node.stat(),), []
            case rq.Check(path, version):
                self._versioned(path, version)
            case rq.Compare():
                self._compare(request)
            case rq.Guard(path, token):
                found = self.nodes.get(path)
                if found is None or found.mzxid != token or not self._is_open(found.owner):
                    raise GuardError(f"{path} is not the grant {token}")
        return (), []

    def _versioned(self, path: str, version: int) -> FakeNode:
        node = self.get(path)
        if version not in {-1, node.version}:
            raise BadVersionError(f"node {path} has version {node.version}, not {version}")
        return node

    def _create(
        self, request: rq.Create, session: int, revision: int
    ) -> tuple[tuple[object, ...], list[Change]]:
        mode = CreateMode(request.mode)
        parent = self.get(parent_of(request.path))
        path = request.path
        if mode.is_sequential:
            path += sequence_suffix(parent.created)
        if path in self.nodes:
            raise NodeExistsError(f"node {path} exists")
        if parent.owner:
            raise NoChildrenForEphemeralsError(f"the parent of {path} is ephemeral")
        owner = session if mode.is_ephemeral else 0
        assert not isinstance(request.acl, str)
        node = FakeNode(request.data, request.acl, revision, owner, revision, revision)
        self.nodes[path] = node
        parent.children.add(name_of(path))
        parent.created += 1
        parent.pzxid = revision
        change = Change(ChangeKind.CREATED, path, revision, node.stat(), request.data, None, None)
        return (path, node.stat()), [change]

    def remove(self, path: str, revision: int) -> Change:
        """Delete a node, whatever else holds."""
        node = self.nodes.pop(path)
        parent = self.nodes[parent_of(path)]
        parent.children.discard(name_of(path))
        parent.pzxid = revision
        return Change(ChangeKind.DELETED, path, revision, None, None, node.stat(), node.data)

    def _compare(self, request: rq.Compare) -> None:
        node = self.nodes.get(request.path)
        if request.field == "exists":
            actual: object = node is not None
        elif node is None:
            raise CompareError(f"node {request.path} does not exist")
        else:
            fields = {
                "value": node.data, "version": node.version, "mzxid": node.mzxid,
                "czxid": node.czxid, "children": len(node.children),
            }  # fmt: skip
            actual = fields[request.field]
        operand = request.operand
        holds = {
            "=": lambda: actual == operand,
            "!=": lambda: actual != operand,
            "<": lambda: actual < operand,  # type: ignore[operator]  # same type by protocol
            ">": lambda: actual > operand,  # type: ignore[operator]
        }[request.relation]()
        if not holds:
            raise CompareError(f"{request.field} of {request.path} is {actual!r}")


def _copy(node: FakeNode) -> FakeNode:
    return FakeNode(**{**vars(node), "children": set(node.children)})
