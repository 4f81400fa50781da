"""An independent model of the service: replays the committed log and says what must be answered.

It imports nothing of the product. Its rules come from the documents: what an entry holds, when a
write of a session takes effect, ZooKeeper's node rules. It is small and plain on purpose: dicts,
no caching, no batching.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import msgpack

CREATE, DELETE, SET, SET_ACL, CHECK, MULTI = 1, 2, 5, 7, 13, 14
COMPARE, GUARD = 200, 201
OPEN_SESSION, ATTACH_SESSION, CLOSE_SESSION, EXPIRE_SESSION = 300, 301, 302, 303
REAP_NODE, RAISE_FEATURE_LEVEL, END_ALL_SESSIONS = 304, 305, 306
MARK = 399  # of the version after this one (tests/sim/upgrade.py)

CREATED, DELETED, DATA, CHILDREN = 1, 2, 3, 4
"""Kinds of change and of event."""

OK = 0
NO_NODE, NO_AUTH, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS = -101, -102, -103, -108
NODE_EXISTS, NOT_EMPTY, SESSION_EXPIRED, SESSION_MOVED = -110, -111, -112, -118
TRANSACTION, GUARD_FAILED, COMPARE_FAILED = -200, -201, -202
SEQUENCE_GAP, RESULT_UNKNOWN = -210, -211
NOTHING, MAY_READ, MAY_WRITE, MAY_CREATE, MAY_DELETE, MAY_ADMIN = 0, 1, 2, 4, 8, 16
"""Permissions of an ACL."""
NOT_TRIED: Final = -2
"""In a failed transaction: an operation after the one that failed."""

_STAMP: Final = struct.Struct(">QQ")
_STAT: Final = struct.Struct(">qqqqiiiqiiq")
EPHEMERAL_MODES: Final = (1, 3)
SEQUENTIAL_MODES: Final = (2, 3, 6)
NORMAL_ENTRY: Final = 0


@dataclass(slots=True)
class ModelNode:
    """One node. ``created``: children ever created under it; ``children``: how many it has."""

    data: bytes
    acl: Any
    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int = 0
    created: int = 0
    aversion: int = 0
    owner: int = 0
    pzxid: int = 0
    children: int = 0

    def stat(self) -> bytes:
        """ZooKeeper's 68 bytes. cversion is what clients see: 2 × created − children."""
        return _STAT.pack(
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            2 * self.created - self.children,
            self.aversion,
            self.owner,
            len(self.data),
            self.children,
            self.pzxid,
        )


@dataclass(slots=True)
class ModelSession:
    """One open session. Invariant: results are kept for seqs in (acked, last]."""

    generation: int
    timeout_ms: int
    nonce: bytes = b""
    epoch: int = 0
    last_seq: int = 0
    acked: int = 0
    results: dict[int, tuple[int, int, tuple[Any, ...]]] = field(default_factory=dict)
    owned: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What one entry does. ``executed``: its effect (or refusal) is this session's for ``seq``;
    false for repeats, gaps and entries of dead generations, which change nothing."""

    index: int
    kind: int
    session: int
    seq: int
    code: int
    body: tuple[Any, ...]
    executed: bool
    arguments: tuple[Any, ...] = ()
    epoch: int = 0
    """How often the session's numbers had begun anew: only a gateway that numbers for its client
    does that."""


class ModelChange(NamedTuple):
    """What one entry did to one node, in the order it did so. ``kind``: CREATED, DELETED, DATA.
    Stats and data after and before; None where the node did not exist."""

    kind: int
    path: str
    stat: bytes | None
    data: bytes | None
    prev_stat: bytes | None
    prev_data: bytes | None
    hidden: bool
    """The node's ACL keeps it from those who have proven nothing."""


class _RefusedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


Identities = tuple[tuple[str, str], ...]
"""(scheme, id) of what a caller has proven."""


def permits(acl: Any, wanted: int, who: Identities) -> bool:
    """Whether an ACL (None: everybody may do everything) grants one of the permissions."""
    return (
        acl is None
        or not wanted
        or any(
            perms & wanted and (scheme == "world" or (scheme, name) in who)
            for perms, scheme, name in acl
        )
    )


def parent_path(path: str) -> str:
    """Path of the parent; the root's is the root."""
    head = path.rsplit("/", 1)[0]
    return head or "/"


class Model:
    """State after the entries applied so far."""

    def __init__(self) -> None:
        self.index = 0
        self.nodes: dict[str, ModelNode] = {"/": _reserved()}
        for path in ("/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
            self.nodes[path] = _reserved()
        self.sessions: dict[int, ModelSession] = {}
        self.ended: dict[int, int] = {}
        """Session → index of the entry that ended it."""
        self.changes: list[ModelChange] = []
        """What the entry applied last has changed."""
        self._wall_ms = 0
        self._who: Identities = ()
        """What the writer of the present entry has proven."""

    # --- the log --------------------------------------------------------------------------------

    def apply(self, index: int, entry_kind: int, payload: bytes) -> Answer | None:
        """Apply one entry, in order. None for entries that are no command."""
        assert index == self.index + 1, f"entry {index} after {self.index}"
        self.index = index
        self.changes = []
        if entry_kind != NORMAL_ENTRY:
            return None
        self._wall_ms, _ = _STAMP.unpack_from(payload)
        fields = msgpack.unpackb(payload[_STAMP.size :], use_list=False)
        kind, session, generation, seq, acked, who, *arguments = fields
        self._who = tuple((scheme, name) for scheme, name in who or ())
        if kind in (CREATE, DELETE, SET, SET_ACL, MULTI, CLOSE_SESSION):
            return self._sequenced(kind, session, generation, seq, acked, tuple(arguments))
        return self._service_entry(kind, session, generation, tuple(arguments))

    def _sequenced(
        self, kind: int, session: int, generation: int, seq: int, acked: int, args: tuple[Any, ...]
    ) -> Answer:
        def answer(code: int, body: tuple[Any, ...] = (), *, executed: bool = False) -> Answer:
            epoch = 0 if row is None else row.epoch
            return Answer(self.index, kind, session, seq, code, body, executed, args, epoch)

        row = self.sessions.get(session)
        if row is None:
            return answer(SESSION_EXPIRED)
        if generation != row.generation:
            return answer(SESSION_MOVED)
        if seq <= row.last_seq:
            kept = row.results.get(seq)
            return answer(RESULT_UNKNOWN) if kept is None else answer(kept[1], kept[2])
        if seq > row.last_seq + 1:
            return answer(SEQUENCE_GAP)
        row.last_seq = seq
        row.acked = max(row.acked, acked)
        for old in [s for s in row.results if s <= row.acked]:
            del row.results[old]
        if kind == CLOSE_SESSION:
            self._end_session(session)
            return answer(OK, executed=True)
        code, body = self._attempt(kind, session, args)
        row.results[seq] = (self.index, code, body)
        return answer(code, body, executed=True)

    def _service_entry(
        self, kind: int, session: int, generation: int, args: tuple[Any, ...]
    ) -> Answer:
        code, executed = OK, True
        if kind == OPEN_SESSION:
            session = self.index
            self.sessions[session] = ModelSession(generation=1, timeout_ms=args[0])
        elif kind == ATTACH_SESSION:
            code = self._attach(session, args)
        elif kind == EXPIRE_SESSION:
            row = self.sessions.get(session)
            executed = row is not None and row.generation == generation
            if executed:
                self._end_session(session)
        elif kind == REAP_NODE:
            executed = self._reap(*args)
        elif kind == END_ALL_SESSIONS:
            for open_session in list(self.sessions):
                self._end_session(open_session)
        else:
            assert kind in (RAISE_FEATURE_LEVEL, MARK), f"unknown entry kind {kind}"
        return Answer(self.index, kind, session, 0, code, (), executed, args)

    # --- sessions -------------------------------------------------------------------------------

    def _attach(self, session: int, args: tuple[Any, ...]) -> int:
        nonce, timeout_ms, _address, restart_seq = args
        row = self.sessions.get(session)
        if row is None:
            return SESSION_EXPIRED
        if nonce != row.nonce:
            row.nonce = nonce
            row.generation += 1
            row.timeout_ms = timeout_ms
            if restart_seq:
                row.epoch += 1
                row.last_seq = row.acked = 0
                row.results.clear()
        return OK

    def _end_session(self, session: int) -> None:
        row = self.sessions.pop(session)
        for path in list(row.owned):
            self._remove(path)
        self.ended[session] = self.index

    def _reap(self, path: str, mzxid: int, pzxid: int) -> bool:
        node = self.nodes.get(path)
        if node is None or node.children or (node.mzxid, node.pzxid) != (mzxid, pzxid):
            return False
        self._remove(path)
        return True

    # --- the tree -------------------------------------------------------------------------------

    def _attempt(
        self, kind: int, session: int, args: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
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
        undo = _Undo(self)
        results: list[tuple[Any, ...]] = []
        for at, (kind, *args) in enumerate(operations):
            undo.remember(args[0])
            try:
                body = self._operation(kind, session, tuple(args))
            except _RefusedError as refusal:
                undo.restore()
                self.changes = []
                codes = [OK] * at + [refusal.code] + [NOT_TRIED] * (len(operations) - at - 1)
                return TRANSACTION, tuple((code,) for code in codes)
            if kind == CREATE:
                undo.created(body[0])
            results.append((OK, *body))
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
        owner = session if mode in EPHEMERAL_MODES else 0
        index, now = self.index, self._wall_ms
        node = ModelNode(data, acl, index, index, now, now, owner=owner, pzxid=index)
        self.nodes[path] = node
        parent.created += 1
        parent.children += 1
        parent.pzxid = index
        if owner:
            self.sessions[session].owned[path] = None
        self._changed(CREATED, path, node, None, None)
        return path, node.stat()

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
        parent.pzxid = self.index
        if node.owner in self.sessions:
            self.sessions[node.owner].owned.pop(path, None)

    def _set(self, _session: int, path: str, data: bytes, version: int) -> tuple[Any, ...]:
        node = self._existing(path, MAY_WRITE, version)
        prev_stat, prev_data = node.stat(), node.data
        node.data = data
        node.version += 1
        node.mzxid, node.mtime = self.index, self._wall_ms
        self._changed(DATA, path, node, prev_stat, prev_data)
        return (node.stat(),)

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
        if node is None or node.mzxid != token or node.owner not in self.sessions:
            raise _RefusedError(GUARD_FAILED)
        return ()

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

    def __init__(self, model: Model) -> None:
        self._model = model
        self._nodes: dict[str, ModelNode | None] = {}
        self._owned = {session: dict(row.owned) for session, row in model.sessions.items()}

    def remember(self, path: str) -> None:
        """An operation is about to touch this path and its parent."""
        for touched in (path, parent_path(path)):
            if touched not in self._nodes:
                node = self._model.nodes.get(touched)
                self._nodes[touched] = None if node is None else replace(node)

    def created(self, path: str) -> None:
        """A node was created, under a name that may not be the one asked for."""
        self._nodes.setdefault(path, None)

    def restore(self) -> None:
        """Nothing of it has happened."""
        for path, node in self._nodes.items():
            if node is None:
                self._model.nodes.pop(path, None)
            else:
                self._model.nodes[path] = node
        for session, owned in self._owned.items():
            self._model.sessions[session].owned = owned


def _reserved() -> ModelNode:
    """A node that always exists. Workloads do not look at its Stat."""
    return ModelNode(b"", None, 0, 0, 0, 0)
