"""An independent model of coord: replays the committed log and says what must be answered.

It imports nothing of coord. Its rules come from the documents: what an entry holds, when a write
of a session takes effect, ZooKeeper's node rules. Plain dicts; Stats are tuples of eleven numbers;
every entry costs the same however large the tree is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgpack

CREATE, DELETE, SET, SET_ACL, CHECK, MULTI = 1, 2, 5, 7, 13, 14
COMPARE, GUARD = 200, 201
OPEN_SESSION, ATTACH_SESSION, CLOSE_SESSION, EXPIRE_SESSION = 300, 301, 302, 303
REAP_NODE, RAISE_FEATURE_LEVEL, END_ALL_SESSIONS = 304, 305, 306
SEQUENCED: Final = frozenset({CREATE, DELETE, SET, SET_ACL, MULTI, CLOSE_SESSION})

OK: Final = 0
NO_NODE, BAD_VERSION, NO_CHILDREN_FOR_EPHEMERALS = -101, -103, -108
NODE_EXISTS, NOT_EMPTY, SESSION_EXPIRED, SESSION_MOVED = -110, -111, -112, -118
TRANSACTION, GUARD_FAILED, COMPARE_FAILED = -200, -201, -202
SEQUENCE_GAP, RESULT_UNKNOWN = -210, -211
NOT_TRIED: Final = -2
"""In a failed transaction: an operation after the one that failed."""

_STAMP: Final = struct.Struct(">QQ")
EPHEMERAL_MODES: Final = (1, 3)
SEQUENTIAL_MODES: Final = (2, 3, 6)
NORMAL_ENTRY: Final = 0
ANY_VERSION: Final = -1

Undo = Callable[[], object]


@dataclass(slots=True, eq=False)
class Node:
    """One node. ``made``: children ever created under it."""

    data: bytes
    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    owner: int = 0
    version: int = 0
    made: int = 0
    aversion: int = 0
    pzxid: int = 0
    names: dict[str, None] = field(default_factory=dict)

    def stat(self) -> tuple[int, ...]:
        """ZooKeeper's eleven numbers. cversion is what clients see: 2 × made − children."""
        children = len(self.names)
        return (
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            2 * self.made - children,
            self.aversion,
            self.owner,
            len(self.data),
            children,
            self.pzxid,
        )


@dataclass(slots=True, eq=False)
class Session:
    """One open session. Invariant: results are kept for seqs in (acked, last]."""

    generation: int = 1
    nonce: bytes = b""
    last_seq: int = 0
    acked: int = 0
    results: dict[int, tuple[int, tuple[Any, ...]]] = field(default_factory=dict)
    owned: dict[str, None] = field(default_factory=dict)


class Answer(NamedTuple):
    """What one entry does. ``executed``: its effect (or refusal) is this session's for ``seq``;
    false for repeats, gaps and entries of dead generations, which change nothing."""

    entry: int
    kind: int
    session: int
    seq: int
    code: int
    body: tuple[Any, ...]
    executed: bool
    arguments: tuple[Any, ...]


class _RefusedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def split(path: str) -> tuple[str, str]:
    """Parent's path and name."""
    head, _, name = path.rpartition("/")
    return head or "/", name


class TreeModel:
    """State after the entries applied so far."""

    def __init__(self) -> None:
        self.index = 0
        self.nodes: dict[str, Node] = {"/": Node(b"", 0, 0, 0, 0)}
        for path in ("/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
            self.nodes[path] = Node(b"", 0, 0, 0, 0)
            parent, name = split(path)
            self.nodes[parent].names[name] = None
        self.sessions: dict[int, Session] = {}
        self._wall_ms = 0
        self._undo: list[Undo] | None = None
        """Inside a transaction: how to take back what it did, oldest first."""
        self._handlers: Final[dict[int, Callable[..., tuple[Any, ...]]]] = {
            CREATE: self._create,
            DELETE: self._delete,
            SET: self._set,
            SET_ACL: self._set_acl,
            CHECK: self._check,
            COMPARE: self._compare,
            GUARD: self._guard,
        }

    # --- the log --------------------------------------------------------------------------------

    def apply(self, index: int, entry_kind: int, payload: bytes) -> Answer | None:
        """Apply one entry, in order. None for entries that are no command. Raises ValueError,
        KeyError or TypeError for payloads that no version of coord writes."""
        assert index == self.index + 1, f"entry {index} after {self.index}"
        self.index = index
        if entry_kind != NORMAL_ENTRY:
            return None
        if len(payload) < _STAMP.size:
            raise ValueError(f"entry {index}: no stamp")
        self._wall_ms, _ = _STAMP.unpack_from(payload)
        fields = msgpack.unpackb(payload[_STAMP.size :], use_list=False, strict_map_key=False)
        kind, session, generation, seq, acked, _who, *arguments = fields
        if kind in SEQUENCED:
            return self._sequenced(kind, session, generation, seq, acked, tuple(arguments))
        return self._service_entry(kind, session, generation, tuple(arguments))

    def _sequenced(
        self, kind: int, session: int, generation: int, seq: int, acked: int, args: tuple[Any, ...]
    ) -> Answer:
        row = self.sessions.get(session)
        executed = False
        body: tuple[Any, ...] = ()
        if row is None:
            code = SESSION_EXPIRED
        elif generation != row.generation:
            code = SESSION_MOVED
        elif seq <= row.last_seq:
            code, body = row.results.get(seq, (RESULT_UNKNOWN, ()))
        elif seq > row.last_seq + 1:
            code = SEQUENCE_GAP
        else:
            executed = True
            code, body = self._next_of(row, kind, session, seq, acked, args)
        return Answer(self.index, kind, session, seq, code, body, executed, args)

    def _next_of(
        self, row: Session, kind: int, session: int, seq: int, acked: int, args: tuple[Any, ...]
    ) -> tuple[int, tuple[Any, ...]]:
        """The session's next write."""
        row.last_seq = seq
        for old in range(row.acked + 1, min(acked, seq) + 1):
            row.results.pop(old, None)
        row.acked = max(row.acked, acked)
        if kind == CLOSE_SESSION:
            self._end_session(session)
            return OK, ()
        answer = row.results[seq] = self._attempt(kind, session, args)
        return answer

    def _service_entry(
        self, kind: int, session: int, generation: int, args: tuple[Any, ...]
    ) -> Answer:
        code, executed = OK, True
        if kind == OPEN_SESSION:
            session = self.index
            self.sessions[session] = Session()
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
        elif kind != RAISE_FEATURE_LEVEL:
            raise ValueError(f"entry {self.index}: unknown kind {kind}")
        return Answer(self.index, kind, session, 0, code, (), executed, args)

    # --- sessions -------------------------------------------------------------------------------

    def _attach(self, session: int, args: tuple[Any, ...]) -> int:
        nonce, _timeout_ms, _address, restart_seq = args
        row = self.sessions.get(session)
        if row is None:
            return SESSION_EXPIRED
        if nonce != row.nonce:
            row.nonce = nonce
            row.generation += 1
            if restart_seq:
                row.last_seq = row.acked = 0
                row.results.clear()
        return OK

    def _end_session(self, session: int) -> None:
        row = self.sessions.pop(session)
        for path in list(row.owned):
            self._remove(path)

    def _reap(self, path: str, mzxid: int, pzxid: int) -> bool:
        node = self.nodes.get(path)
        if node is None or node.names or (node.mzxid, node.pzxid) != (mzxid, pzxid):
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
            return OK, self._handlers[kind](session, *args)
        except _RefusedError as refusal:
            return refusal.code, ()

    def _multi(
        self, session: int, operations: tuple[tuple[Any, ...], ...]
    ) -> tuple[int, tuple[Any, ...]]:
        results: list[tuple[Any, ...]] = []
        undo = self._undo = []
        try:
            for kind, *args in operations:
                results.append((OK, *self._handlers[kind](session, *args)))
        except _RefusedError as refusal:
            for take_back in reversed(undo):
                take_back()
            codes = [OK] * len(results) + [refusal.code]
            codes += [NOT_TRIED] * (len(operations) - len(codes))
            return TRANSACTION, tuple((code,) for code in codes)
        finally:
            self._undo = None
        return OK, tuple(results)

    def _keep(self, node: Node) -> None:
        """The numbers and data of this node are about to change."""
        if self._undo is None:
            return
        numbers = (node.data, node.mzxid, node.mtime, node.version)
        counts = (node.made, node.aversion, node.pzxid)

        def take_back() -> None:
            node.data, node.mzxid, node.mtime, node.version = numbers
            node.made, node.aversion, node.pzxid = counts

        self._undo.append(take_back)

    def _existing(self, path: str, version: int = ANY_VERSION) -> Node:
        node = self.nodes.get(path)
        if node is None:
            raise _RefusedError(NO_NODE)
        if version not in {ANY_VERSION, node.version}:
            raise _RefusedError(BAD_VERSION)
        return node

    def _create(
        self, session: int, path: str, data: bytes, _acl: Any, mode: int, _ttl_ms: int
    ) -> tuple[Any, ...]:
        parent = self.nodes.get(split(path)[0])
        if parent is None:
            raise _RefusedError(NO_NODE)
        if mode in SEQUENTIAL_MODES:
            path = f"{path}{parent.made:010d}"
        if path in self.nodes:
            raise _RefusedError(NODE_EXISTS)
        if parent.owner:
            raise _RefusedError(NO_CHILDREN_FOR_EPHEMERALS)
        owner = session if mode in EPHEMERAL_MODES else 0
        index, now = self.index, self._wall_ms
        node = Node(data, index, index, now, now, owner, pzxid=index)
        self._keep(parent)
        parent.made += 1
        parent.pzxid = index
        self._put(path, node)
        if self._undo is not None:
            self._undo.append(lambda: self._take(path))
        return path, node.stat()

    def _put(self, path: str, node: Node) -> None:
        self.nodes[path] = node
        above, name = split(path)
        self.nodes[above].names[name] = None
        if node.owner in self.sessions:
            self.sessions[node.owner].owned[path] = None

    def _take(self, path: str) -> Node:
        node = self.nodes.pop(path)
        above, name = split(path)
        del self.nodes[above].names[name]
        if node.owner in self.sessions:
            self.sessions[node.owner].owned.pop(path, None)
        return node

    def _delete(self, _session: int, path: str, version: int) -> tuple[Any, ...]:
        node = self._existing(path, version)
        if node.names:
            raise _RefusedError(NOT_EMPTY)
        self._remove(path)
        return ()

    def _remove(self, path: str) -> None:
        parent = self.nodes[split(path)[0]]
        self._keep(parent)
        parent.pzxid = self.index
        node = self._take(path)
        if self._undo is not None:
            self._undo.append(lambda: self._put(path, node))

    def _set(self, _session: int, path: str, data: bytes, version: int) -> tuple[Any, ...]:
        node = self._existing(path, version)
        self._keep(node)
        node.data = data
        node.version += 1
        node.mzxid, node.mtime = self.index, self._wall_ms
        return (node.stat(),)

    def _set_acl(self, _session: int, path: str, _acl: Any, version: int) -> tuple[Any, ...]:
        node = self._existing(path)
        if version not in {ANY_VERSION, node.aversion}:
            raise _RefusedError(BAD_VERSION)
        self._keep(node)
        node.aversion += 1
        return (node.stat(),)

    def _check(self, _session: int, path: str, version: int) -> tuple[Any, ...]:
        self._existing(path, version)
        return ()

    def _compare(
        self, _session: int, path: str, what: str, relation: str, operand: Any
    ) -> tuple[Any, ...]:
        node = self.nodes.get(path)
        if what == "exists":
            value: Any = node is not None
        elif node is None:
            raise _RefusedError(COMPARE_FAILED)
        else:
            value = {
                "value": node.data,
                "version": node.version,
                "mzxid": node.mzxid,
                "czxid": node.czxid,
                "children": len(node.names),
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

    def read(self, kind: str, path: str) -> tuple[int, tuple[Any, ...]]:
        """(code, body) of a get, exists, children or sync of the present state."""
        node = self.nodes.get(path)
        if kind == "sync":
            return OK, (path,)
        if node is None:
            return NO_NODE, ()
        if kind == "get":
            return OK, (node.data, node.stat())
        if kind == "exists":
            return OK, (node.stat(),)
        return OK, (sorted(node.names), node.stat())
