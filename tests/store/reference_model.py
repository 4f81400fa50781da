"""What the tree, its sessions and its history should be: plain dicts, no regard to speed.

Written from the rules (ZooKeeper's Stat and order of errors, exactly-once sequencing), not from the
implementation: it imports nothing of ``coord.store``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack

from coord.model import commands, requests
from coord.model.errors import (
    BadArgumentsError,
    BadVersionError,
    CompareError,
    GuardError,
    InvalidAclError,
    LimitError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    QuotaExceededError,
    RequestError,
    ResultUnknownError,
    SequenceGapError,
    SessionExpiredError,
    SessionMovedError,
    TransactionError,
)
from coord.model.events import Change, ChangeKind
from coord.model.znode import CreateMode, Stat

Body = tuple[Any, ...]
OPEN_ACL = ((31, "world", "anyone"),)
IP_HOSTS = {"10.0.0.0/24": ("10.0.0.1",), "10.9.0.0/16": ()}
"""Networks that tests name, and the hosts of theirs that lie in them."""
PERMISSIONS = {"read": 1, "write": 2, "create": 4, "delete": 8, "admin": 16}


@dataclass
class ModelNode:
    """One node. ``created`` counts the children it ever had."""

    data: bytes
    acl: tuple[tuple[int, str, str], ...] = OPEN_ACL
    owner: int = 0
    ttl_ms: int = 0
    container: bool = False
    czxid: int = 0
    mzxid: int = 0
    pzxid: int = 0
    ctime_ms: int = 0
    mtime_ms: int = 0
    written_log_ms: int = 0
    version: int = 0
    aversion: int = 0
    created: int = 0
    children: set[str] = field(default_factory=set)

    def stat(self) -> bytes:
        """The packed Stat."""
        return Stat(
            self.czxid,
            self.mzxid,
            self.ctime_ms,
            self.mtime_ms,
            self.version,
            2 * self.created - len(self.children),
            self.aversion,
            self.owner,
            len(self.data),
            len(self.children),
            self.pzxid,
        ).pack()


@dataclass
class ModelSession:
    """One session; ``results`` by seq."""

    id: int
    timeout_ms: int
    address: str
    generation: int = 1
    nonce: bytes = b""
    last_seq: int = 0
    acked: int = 0
    results: dict[int, tuple[int, int, Body]] = field(default_factory=dict)
    ended_log_ms: int = 0
    ended_revision: int = 0


def parent_of(path: str) -> str:
    """The parent's path."""
    return path.rpartition("/")[0] or "/"


class ReferenceModel:
    """Applies commands one by one. ``changes``: everything that ever happened, in order, with the
    session that did it and the ACL."""

    def __init__(self, history_entries: int, results_after_end_ms: int, in_flight: int) -> None:
        self.history_entries = history_entries
        self.results_after_end_ms = results_after_end_ms
        self.in_flight = in_flight
        self.nodes = {
            "/": ModelNode(b"", children={"zookeeper"}),
            "/zookeeper": ModelNode(b"", children={"config", "quota"}),
            "/zookeeper/config": ModelNode(b"", acl=((1, "world", "anyone"),)),
            "/zookeeper/quota": ModelNode(b""),
        }
        self.sessions: dict[int, ModelSession] = {}
        self.ended: dict[int, ModelSession] = {}
        self.changes: list[tuple[Change, int]] = []
        self.index = 0
        self.wall_ms = 0
        self.log_ms = 0
        self.floor = 0
        self.session = 0
        self.who: tuple[tuple[str, str], ...] = ()

    # -- entries ----------------------------------------------------------------------------------

    def skip(self) -> None:
        """An entry that is no command."""
        self.index += 1
        self._index_ended()

    def configure(self, index_hex: str, servers: str) -> None:
        """A membership of ``servers``, as ZooKeeper writes them; none: their addresses are not
        known."""
        self.skip()
        node = self.nodes["/zookeeper/config"]
        if node.data.decode().partition("version=")[0] == servers:
            return
        before = copy.copy(node)
        node.data = f"{servers}version={index_hex}".encode() if servers else b""
        node.version, node.mzxid, node.mtime_ms = node.version + 1, self.index, 0
        self.session = 0
        self._changed(ChangeKind.DATA, "/zookeeper/config", node, before)

    def apply(self, payload: bytes) -> tuple[int, int, int, int, int, Body]:
        """(kind, session, generation, seq, code, body) of the next command."""
        self.index += 1
        self.wall_ms, log_ms, fields = commands.decode(payload)
        self.log_ms = max(self.log_ms, log_ms)
        kind, session, generation, seq, acked, who, *arguments = fields
        self.session, self.who = session, tuple((a, b) for a, b in who or ())
        handlers: dict[int, Callable[..., tuple[int, int, int, int, Body]]] = {
            commands.OPEN_SESSION: self._open,
            commands.ATTACH_SESSION: self._attach,
            commands.EXPIRE_SESSION: self._expire,
            commands.END_ALL_SESSIONS: self._end_all,
            commands.REAP_NODE: self._reap,
        }
        outcome: tuple[int, int, int, int, Body]
        if kind in handlers:
            outcome = handlers[kind](session, generation, *arguments)
        else:
            code, body = self._sequenced(kind, session, generation, seq, acked, arguments)
            outcome = (session, generation, seq, code, body)
        self._index_ended()
        return (kind, *outcome)

    def _index_ended(self) -> None:
        if self.index % 64:
            return
        fold = self.index // 1024 * 1024
        self.floor = max(self.floor, min(fold, self.index - self.history_entries) // 64 * 64)
        for session in list(self.ended.values()):
            if session.ended_log_ms + self.results_after_end_ms <= self.log_ms:
                del self.ended[session.id]

    def _sequenced(
        self, kind: int, session: int, generation: int, seq: int, acked: int, arguments: list[Any]
    ) -> tuple[int, Body]:
        row = self.sessions.get(session)
        if row is None:
            return SessionExpiredError.code, ()
        if row.generation != generation:
            return SessionMovedError.code, ()
        if seq <= row.last_seq:
            kept = row.results.get(seq)
            return (ResultUnknownError.code, ()) if kept is None else (kept[0], kept[2])
        if seq > row.last_seq + 1:
            return SequenceGapError.code, ()
        known = min(max(row.acked, acked), row.last_seq)
        if row.last_seq - known >= self.in_flight:
            return LimitError.code, ()
        if kind == commands.CLOSE_SESSION:
            code, body = 0, ()
        elif kind == requests.MULTI:
            code, body = self._multi(arguments[0])
        else:
            code, body = self._attempt(kind, arguments)
        row.acked, row.last_seq = known, seq
        row.results = {n: r for n, r in row.results.items() if n > known}
        row.results[seq] = (code, self.index, body)
        if kind == commands.CLOSE_SESSION:
            self._end(row)
        return code, body

    def _attempt(self, kind: int, arguments: list[Any]) -> tuple[int, Body]:
        try:
            return 0, self._operations()[kind](*arguments)
        except RequestError as error:
            return error.code, ()

    def _operations(self) -> dict[int, Callable[..., Body]]:
        return {
            requests.CREATE: self.create,
            requests.DELETE: self.delete,
            requests.SET: self.write,
            requests.SET_ACL: self.set_acl,
            requests.CHECK: self.check,
            requests.COMPARE: self.compare,
            requests.GUARD: self.guard,
        }

    def _multi(self, operations: list[list[Any]]) -> tuple[int, Body]:
        nodes, changes = copy.deepcopy(self.nodes), len(self.changes)
        bodies: list[Body] = []
        for kind, *arguments in operations:
            code, body = self._attempt(kind, arguments)
            if code:
                self.nodes = nodes
                del self.changes[changes:]
                left = len(operations) - len(bodies) - 1
                return TransactionError.code, ((0,) * len(bodies) + (code,) + (-2,) * left,)
            bodies.append((0, *body))
        return 0, tuple(bodies)

    # -- sessions ---------------------------------------------------------------------------------

    def _open(
        self, _: int, __: int, timeout_ms: int, secret: bytes, address: str, client: str
    ) -> tuple[int, int, int, int, Body]:
        del client
        self.sessions[self.index] = ModelSession(self.index, timeout_ms, address)
        return self.index, 1, 0, 0, (secret,)

    def _attach(
        self, session: int, _: int, nonce: bytes, timeout_ms: int, address: str, restart: bool
    ) -> tuple[int, int, int, int, Body]:
        row = self.sessions.get(session)
        if row is None:
            return session, 0, 0, SessionExpiredError.code, ()
        if row.nonce != nonce:
            row.nonce, row.timeout_ms, row.address = nonce, timeout_ms, address
            row.generation += 1
            if restart:
                row.last_seq = row.acked = 0
                row.results = {}
        return session, row.generation, 0, 0, (nonce, row.last_seq)

    def _expire(
        self, session: int, generation: int, _: dict[str, Any]
    ) -> tuple[int, int, int, int, Body]:
        row = self.sessions.get(session)
        if row is None:
            return session, generation, 0, SessionExpiredError.code, ()
        if row.generation != generation:
            return session, generation, 0, SessionMovedError.code, ()
        self._end(row)
        return session, generation, 0, 0, ()

    def _end_all(self, _: int, __: int) -> tuple[int, int, int, int, Body]:
        rows = sorted(self.sessions.values(), key=lambda row: row.id)
        for row in rows:
            self._end(row)
        return 0, 0, 0, 0, (len(rows),)

    def _end(self, row: ModelSession) -> None:
        for path in self.owned(row.id):
            self._remove(path)
        row.ended_log_ms, row.ended_revision = self.log_ms, self.index
        self.ended[row.id] = self.sessions.pop(row.id)

    def owned(self, session: int) -> list[str]:
        """Paths of a session's ephemerals."""
        return sorted(path for path, node in self.nodes.items() if node.owner == session)

    # -- operations -------------------------------------------------------------------------------

    def create(self, path: str, data: bytes, acl: Any, mode: int, ttl_ms: int) -> Body:
        """Create a node."""
        kind = CreateMode(mode)
        if kind.has_ttl and ttl_ms <= 0:
            raise BadArgumentsError
        entries = self._acl(acl)
        parent = self.nodes.get(parent_of(path))
        if parent is None:
            raise NoNodeError
        self._require(parent, "create")
        if kind.is_sequential:
            path += f"{parent.created:010d}"
        if path in self.nodes:
            raise NodeExistsError
        if parent.owner:
            raise NoChildrenForEphemeralsError
        self._require_room(path, 1, len(data))
        node = self.nodes[path] = ModelNode(
            data,
            entries,
            owner=self.session if kind.is_ephemeral else 0,
            ttl_ms=ttl_ms if kind.has_ttl else 0,
            container=kind is CreateMode.CONTAINER,
            czxid=self.index,
            mzxid=self.index,
            pzxid=self.index,
            ctime_ms=self.wall_ms,
            mtime_ms=self.wall_ms,
            written_log_ms=self.log_ms,
        )
        parent.created += 1
        parent.children.add(path.rpartition("/")[2])
        parent.pzxid = self.index
        self._changed(ChangeKind.CREATED, path, node, None)
        body = path, node.stat()
        if path.endswith("/zookeeper_stats"):
            root = path.removeprefix("/zookeeper/quota").removesuffix("/zookeeper_stats")
            below = [n for p, n in self.nodes.items() if p == root or p.startswith(root + "/")]
            self._count(path, len(below), sum(len(n.data) for n in below), {})
        else:
            self._charge(path, 1, len(data))
        return body

    def delete(self, path: str, version: int) -> Body:
        """Delete a node."""
        if path in ("/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
            raise BadArgumentsError
        parent = self.nodes.get(parent_of(path))
        if parent is None:
            raise NoNodeError
        self._require(parent, "delete")
        node = self._find(path)
        self._match(version, node.version)
        if node.children:
            raise NotEmptyError
        self._remove(path)
        return ()

    def _remove(self, path: str) -> None:
        node = self.nodes.pop(path)
        parent = self.nodes[parent_of(path)]
        parent.children.remove(path.rpartition("/")[2])
        parent.pzxid = self.index
        self._changed(ChangeKind.DELETED, path, None, node)
        self._charge(path, -1, -len(node.data))

    def write(self, path: str, data: bytes, version: int) -> Body:
        """Replace a node's data."""
        node = self._find(path)
        self._require(node, "write")
        added = len(data) - len(node.data)
        self._require_room(path, 0, added)
        self._match(version, node.version)
        self._charge(path, 0, added)
        before = copy.copy(node)
        node.data, node.version, node.mzxid = data, node.version + 1, self.index
        node.mtime_ms, node.written_log_ms = self.wall_ms, self.log_ms
        self._changed(ChangeKind.DATA, path, node, before)
        return (node.stat(),)

    def set_acl(self, path: str, acl: Any, version: int) -> Body:
        """Replace a node's ACL."""
        entries = self._acl(acl)
        node = self._find(path)
        self._require(node, "admin")
        self._match(version, node.aversion)
        before = copy.copy(node)
        node.acl, node.aversion = entries, node.aversion + 1
        self._changed(ChangeKind.ACL, path, node, before)
        return (node.stat(),)

    # -- quotas -----------------------------------------------------------------------------------

    def _quota_of(self, path: str) -> str:
        """Where the innermost quota over a path is kept; empty: there is none."""
        if path == "/zookeeper" or path.startswith("/zookeeper/"):
            return ""
        while path != "/":
            home = f"/zookeeper/quota{path}"
            if f"{home}/zookeeper_limits" in self.nodes:
                return home
            path = parent_of(path)
        return ""

    def _numbers(self, path: str) -> dict[str, int] | None:
        node = self.nodes.get(path)
        if node is None:
            return None
        pairs = (pair.split("=") for pair in re.split("[,;]", node.data.decode()) if "=" in pair)
        return {pair[0]: int(pair[1]) for pair in pairs}

    def _require_room(self, path: str, nodes: int, size: int) -> None:
        home = self._quota_of(path)
        limits = self._numbers(f"{home}/zookeeper_limits") if home else None
        stats = self._numbers(f"{home}/zookeeper_stats") if home else None
        if limits is None or stats is None:
            return
        for unit, hard, added in (
            ("count", "countHardLimit", nodes),
            ("bytes", "byteHardLimit", size),
        ):
            limit = limits.get(hard, -1)
            if added and limit >= 0 and stats.get(unit, -1) + added > limit:
                raise QuotaExceededError

    def _charge(self, path: str, nodes: int, size: int) -> None:
        home = self._quota_of(path)
        stats = self._numbers(f"{home}/zookeeper_stats") if home else None
        if stats is not None:
            count, total = stats.get("count", -1) + nodes, stats.get("bytes", -1) + size
            self._count(f"{home}/zookeeper_stats", count, total, stats)

    def _count(self, path: str, count: int, size: int, stats: dict[str, int]) -> None:
        others = "".join(f";{k}={v}" for k, v in sorted(stats.items()) if k.endswith("HardLimit"))
        text = f"count={count},bytes={size}{'=' if others else ''}{others}"
        self.nodes[path].data = text.encode()

    # -- conditions -------------------------------------------------------------------------------

    def check(self, path: str, version: int) -> Body:
        """The node has this version."""
        node = self._find(path)
        self._require(node, "read")
        self._match(version, node.version)
        return ()

    def compare(self, path: str, name: str, relation: str, operand: Any) -> Body:
        """A field of the node stands in relation to the operand."""
        node = self.nodes.get(path)
        if node is not None:
            self._require(node, "read")
        if name == "exists":
            actual: Any = node is not None
        elif node is None:
            raise CompareError
        else:
            actual = {
                "value": node.data,
                "version": node.version,
                "mzxid": node.mzxid,
                "czxid": node.czxid,
                "children": len(node.children),
            }[name]
        holds = {
            "=": actual == operand,
            "!=": actual != operand,
            "<": actual < operand,
            ">": actual > operand,
        }[relation]
        if not holds:
            raise CompareError
        return ()

    def guard(self, path: str, token: int) -> Body:
        """The holder record is the one of this token."""
        node = self.nodes.get(path)
        if node is None or node.mzxid != token or node.owner not in self.sessions:
            raise GuardError
        return ()

    def reapable(self, log_ms: int) -> set[str]:
        """Paths that the reaper may delete at ``log_ms``."""
        return {
            path
            for path, node in self.nodes.items()
            if not node.children
            and (
                (node.container and node.created > 0)
                or (node.ttl_ms and node.written_log_ms + node.ttl_ms <= log_ms)
            )
        }

    def _reap(
        self, _: int, __: int, path: str, mzxid: int, pzxid: int
    ) -> tuple[int, int, int, int, Body]:
        node = self.nodes.get(path)
        if node is None:
            return 0, 0, 0, NoNodeError.code, ()
        if path not in self.reapable(self.log_ms) or (node.mzxid, node.pzxid) != (mzxid, pzxid):
            return 0, 0, 0, BadVersionError.code, ()
        self._remove(path)
        return 0, 0, 0, 0, ()

    # -- helpers ----------------------------------------------------------------------------------

    def _find(self, path: str) -> ModelNode:
        node = self.nodes.get(path)
        if node is None:
            raise NoNodeError
        return node

    @staticmethod
    def _match(wanted: int, actual: int) -> None:
        if wanted not in (-1, actual):
            raise BadVersionError

    @staticmethod
    def _acl(acl: Any) -> tuple[tuple[int, str, str], ...]:
        if not acl:
            raise InvalidAclError
        return tuple(dict.fromkeys((perms, scheme, name) for perms, scheme, name in acl))

    @staticmethod
    def _packed_acl(node: ModelNode | None) -> bytes:
        assert node is not None, "a change is of a node that is or was"
        packed: bytes = b"" if node.acl == OPEN_ACL else msgpack.packb(node.acl)
        return packed

    def _require(self, node: ModelNode, wanted: str) -> None:
        row = self.sessions.get(self.session)
        host = "" if row is None else row.address.rpartition(":")[0]
        if ("super", "") not in self.who and not any(
            perms & PERMISSIONS[wanted]
            and (
                scheme == "world"
                or (scheme, name) in self.who
                or (scheme == "ip" and host in IP_HOSTS[name])
            )
            for perms, scheme, name in node.acl
        ):
            raise NoAuthError

    def _changed(
        self, kind: ChangeKind, path: str, new: ModelNode | None, old: ModelNode | None
    ) -> None:
        change = Change(
            int(kind),
            path,
            self.index,
            None if new is None else new.stat(),
            None if new is None else new.data,
            None if old is None else old.stat(),
            None if old is None else old.data,
            self._packed_acl(new or old),
        )
        self.changes.append((change, self.session))
