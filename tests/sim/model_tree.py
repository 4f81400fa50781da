"""The tree of the reference model: what each operation does to its nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.sim.codes import (
    BAD_VERSION,
    CHECK,
    COMPARE,
    COMPARE_FAILED,
    CREATE,
    CREATED,
    DATA,
    DELETE,
    DELETED,
    EPHEMERAL_MODES,
    GUARD,
    GUARD_FAILED,
    MAY_ADMIN,
    MAY_CREATE,
    MAY_DELETE,
    MAY_READ,
    MAY_WRITE,
    MULTI,
    NO_AUTH,
    NO_CHILDREN_FOR_EPHEMERALS,
    NO_NODE,
    NODE_EXISTS,
    NOT_EMPTY,
    NOT_TRIED,
    NOTHING,
    OK,
    QUOTA_EXCEEDED,
    SEQUENTIAL_MODES,
    SET,
    SET_ACL,
    TRANSACTION,
)
from tests.sim.model_node import (
    Identities,
    ModelChange,
    ModelNode,
    parent_path,
    permits,
    reserved,
)
from tests.sim.model_reserved import (
    CONFIG,
    QUOTA,
    READABLE,
    SYSTEM,
    charge,
    is_refused,
    published,
)


class _RefusedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Tree:
    """State after the entries applied so far, but for the sessions' own."""

    def __init__(self) -> None:
        self.nodes: dict[str, ModelNode] = {
            "/": reserved(1),
            SYSTEM: reserved(2),
            CONFIG: reserved(0, READABLE),
            QUOTA: reserved(0),
        }
        self.owned: dict[int, dict[str, None]] = {}
        """Open session → paths of its ephemerals, in the order of their creation."""
        self.changes: list[ModelChange] = []
        """What the entry applied last has changed."""
        self._index = 0
        self._wall_ms = 0
        self._who: Identities = ()
        """What the writer of the present entry has proven."""
        self._undo: _Undo | None = None

    def begin(self, index: int) -> None:
        """The next entry."""
        self._index = index
        self.changes = []

    def stamp(self, wall_ms: int, who: Identities) -> None:
        """When the present entry was proposed, and by whom."""
        self._wall_ms, self._who = wall_ms, who

    # --- sessions -------------------------------------------------------------------------------

    def open_session(self, session: int) -> None:
        """It may own nodes now."""
        self.owned[session] = {}

    def end_session(self, session: int) -> None:
        """What it owns goes with it."""
        for path in list(self.owned[session]):
            self._remove(path)
        del self.owned[session]

    # --- what the service keeps for itself ------------------------------------------------------

    def publish(self, membership: bytes) -> None:
        """A membership was applied: it is told if it reads otherwise than before."""
        lines, node = published(membership), self.nodes[CONFIG]
        if node.data.rpartition(b"version=")[0] != lines:
            data = lines + b"version=%x" % self._index if lines else b""
            self._wall_ms = 0
            self._write(CONFIG, node, data)

    def amend(self, path: str, data: bytes) -> None:
        """The service's own data, which changes without a trace."""
        if self._undo is not None:
            self._undo.keep(path)
        self.nodes[path].data = data

    # --- writes ---------------------------------------------------------------------------------

    def attempt(
        self, kind: int, session: int, args: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
        """Carry out one write: (code, body). A refused one changes nothing."""
        try:
            if kind == MULTI:
                return self._multi(session, args[0])
            return OK, self._operation(kind, session, args)
        except _RefusedError as refusal:
            return refusal.code, ()

    def _operation(self, kind: int, session: int, args: tuple[Any, ...]) -> tuple[Any, ...]:
        handlers: dict[int, Callable[..., tuple[Any, ...]]] = {
            CREATE: self._create,
            DELETE: self._delete,
            SET: self._set,
            SET_ACL: self._set_acl,
            CHECK: self._check,
            COMPARE: self._compare,
            GUARD: self._guard,
        }
        return handlers[kind](session, *args)

    def _multi(
        self, session: int, operations: tuple[tuple[Any, ...], ...]
    ) -> tuple[int, tuple[Any, ...]]:
        undo = self._undo = _Undo(self)
        results: list[tuple[Any, ...]] = []
        for at, (kind, *args) in enumerate(operations):
            undo.remember(args[0])
            try:
                body = self._operation(kind, session, tuple(args))
            except _RefusedError as refusal:
                undo.restore()
                self.changes = []
                self._undo = None
                codes = [OK] * at + [refusal.code] + [NOT_TRIED] * (len(operations) - at - 1)
                return TRANSACTION, tuple((code,) for code in codes)
            if kind == CREATE:
                undo.created(body[0])
            results.append((OK, *body))
        self._undo = None
        return OK, tuple(results)

    def _existing(self, path: str, wanted: int, version: int = -1) -> ModelNode:
        node = self.nodes.get(path)
        if node is None:
            raise _RefusedError(NO_NODE)
        if not permits(node.acl, wanted, self._who):
            raise _RefusedError(NO_AUTH)
        if version not in (-1, node.version):
            raise _RefusedError(BAD_VERSION)
        return node

    def _create(
        self, session: int, path: str, data: bytes, acl: Any, mode: int, _ttl_ms: int
    ) -> tuple[Any, ...]:
        parent = self._existing(parent_path(path), MAY_CREATE)
        if mode in SEQUENTIAL_MODES:
            path = f"{path}{parent.created:010d}"
        if path in self.nodes:
            raise _RefusedError(NODE_EXISTS)
        if parent.owner:
            raise _RefusedError(NO_CHILDREN_FOR_EPHEMERALS)
        if is_refused(self, path, 1, len(data)):
            raise _RefusedError(QUOTA_EXCEEDED)
        owner = session if mode in EPHEMERAL_MODES else 0
        index, now = self._index, self._wall_ms
        node = ModelNode(data, acl, index, index, now, now, owner=owner, pzxid=index)
        self.nodes[path] = node
        parent.created += 1
        parent.children += 1
        parent.pzxid = index
        if owner:
            self.owned[session][path] = None
        self._changed(CREATED, path, node, None, None)
        stat = node.stat()
        charge(self, path, 1, len(data))
        return path, stat

    def _delete(self, _session: int, path: str, version: int) -> tuple[Any, ...]:
        self._existing(parent_path(path), MAY_DELETE)
        node = self._existing(path, NOTHING, version)
        if node.children:
            raise _RefusedError(NOT_EMPTY)
        self._remove(path)
        return ()

    def _remove(self, path: str) -> None:
        node = self.nodes.pop(path)
        self._changed(DELETED, path, node, node.stat(), node.data)
        parent = self.nodes[parent_path(path)]
        parent.children -= 1
        parent.pzxid = self._index
        self.owned.get(node.owner, {}).pop(path, None)
        charge(self, path, -1, -len(node.data))

    def _set(self, _session: int, path: str, data: bytes, version: int) -> tuple[Any, ...]:
        node = self._existing(path, MAY_WRITE)
        more = len(data) - len(node.data)
        if is_refused(self, path, 0, more):
            raise _RefusedError(QUOTA_EXCEEDED)
        if version not in (-1, node.version):
            raise _RefusedError(BAD_VERSION)
        self._write(path, node, data)
        charge(self, path, 0, more)
        return (node.stat(),)

    def _write(self, path: str, node: ModelNode, data: bytes) -> None:
        prev_stat, prev_data = node.stat(), node.data
        node.data = data
        node.version += 1
        node.mzxid, node.mtime = self._index, self._wall_ms
        self._changed(DATA, path, node, prev_stat, prev_data)

    def _changed(
        self,
        kind: int,
        path: str,
        node: ModelNode,
        prev_stat: bytes | None,
        prev_data: bytes | None,
    ) -> None:
        stat, data = (None, None) if kind == DELETED else (node.stat(), node.data)
        hidden = not permits(node.acl, MAY_READ, ())
        self.changes.append(ModelChange(kind, path, stat, data, prev_stat, prev_data, hidden))

    def _set_acl(self, _session: int, path: str, acl: Any, version: int) -> tuple[Any, ...]:
        node = self._existing(path, MAY_ADMIN)
        if version not in (-1, node.aversion):
            raise _RefusedError(BAD_VERSION)
        node.acl = acl
        node.aversion += 1
        return (node.stat(),)

    def _check(self, _session: int, path: str, version: int) -> tuple[Any, ...]:
        self._existing(path, MAY_READ, version)
        return ()

    def _compare(
        self, _session: int, path: str, what: str, relation: str, operand: Any
    ) -> tuple[Any, ...]:
        node = self.nodes.get(path)
        if what == "exists" and (node is None or permits(node.acl, MAY_READ, self._who)):
            value: Any = node is not None
        elif node is None:
            raise _RefusedError(COMPARE_FAILED)
        elif not permits(node.acl, MAY_READ, self._who):
            raise _RefusedError(NO_AUTH)
        else:
            value = {
                "value": node.data,
                "version": node.version,
                "mzxid": node.mzxid,
                "czxid": node.czxid,
                "children": node.children,
            }[what]
        holds = {
            "=": value == operand,
            "!=": value != operand,
            "<": value < operand,
            ">": value > operand,
        }[relation]
        if not holds:
            raise _RefusedError(COMPARE_FAILED)
        return ()

    def _guard(self, _session: int, path: str, token: int) -> tuple[Any, ...]:
        node = self.nodes.get(path)
        if node is None or node.mzxid != token or node.owner not in self.owned:
            raise _RefusedError(GUARD_FAILED)
        return ()

    def reap(self, path: str, mzxid: int, pzxid: int) -> bool:
        """Remove an empty node unless it has changed since; whether it was removed."""
        node = self.nodes.get(path)
        if node is None or node.children or (node.mzxid, node.pzxid) != (mzxid, pzxid):
            return False
        self._remove(path)
        return True

    # --- reads ----------------------------------------------------------------------------------

    def read(
        self, kind: str, path: str, *page: Any, who: Identities = ()
    ) -> tuple[int, tuple[Any, ...]]:
        """(code, body) of a read of the present state. ``page``: (after, limit) of a listing."""
        node = self.nodes.get(path)
        if kind == "sync":
            return OK, (path,)
        if node is None:
            return NO_NODE, ()
        if not permits(node.acl, MAY_READ, who):
            return NO_AUTH, ()
        if kind == "get":
            return OK, (node.data, node.stat())
        if kind == "exists":
            return OK, (node.stat(),)
        assert kind == "children", kind
        prefix = "/" if path == "/" else f"{path}/"
        names = sorted(
            p[len(prefix) :]
            for p in self.nodes
            if p != "/" and p.startswith(prefix) and "/" not in p[len(prefix) :]
        )
        if not page:
            return OK, (names, node.stat())
        after, limit = page
        behind = [name for name in names if name > after]
        return OK, (behind[:limit], node.stat(), len(behind) > limit)


class _Undo:
    """What a transaction touches, as it was before."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._nodes: dict[str, ModelNode | None] = {}
        self._owned = {session: dict(paths) for session, paths in tree.owned.items()}

    def remember(self, path: str) -> None:
        """An operation is about to touch this path and its parent."""
        for touched in (path, parent_path(path)):
            if touched not in self._nodes:
                node = self._tree.nodes.get(touched)
                self._nodes[touched] = None if node is None else replace(node)

    def keep(self, path: str) -> None:
        """The service is about to change this node by itself."""
        if path not in self._nodes:
            self._nodes[path] = replace(self._tree.nodes[path])

    def created(self, path: str) -> None:
        """A node was created, under a name that may not be the one asked for."""
        self._nodes.setdefault(path, None)

    def restore(self) -> None:
        """Nothing of it has happened."""
        for path, node in self._nodes.items():
            if node is None:
                self._tree.nodes.pop(path, None)
            else:
                self._tree.nodes[path] = node
        self._tree.owned = self._owned
