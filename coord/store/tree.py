"""Create, delete, set and set_acl on the tree, inside one write transaction.

Checks come in ZooKeeper's order (which error wins when several apply): each operation says it.
All time comes from the entry's stamps; nothing here reads a clock.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

from coord.model.acl import ADMIN, CREATE, DELETE, WRITE, identities_of_address, permits
from coord.model.errors import (
    BadArgumentsError,
    BadVersionError,
    LimitError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    TooLargeError,
)
from coord.model.events import Change, ChangeKind
from coord.model.limits import (
    DATA_BYTES_MAX,
    INLINE_DATA_BYTES_MAX,
    NAME_BYTES_MAX,
    PATH_BYTES_MAX,
    TTL_MS_MAX,
)
from coord.model.paths import QUOTA, RESERVED, ROOT, sequence_suffix
from coord.model.znode import STAT_BYTES, CreateMode
from coord.store import quotas
from coord.store.journal_rows import CHANGE_HEAD, pack_change
from coord.store.records import Records
from coord.store.schema import (
    CRC_BYTES,
    GRAVE_BLOB,
    GRAVE_NODE,
    NO_CRC,
    U64,
    PathKeys,
    Tables,
    blob_key,
    missing,
)
from coord.store.sessions import SessionBatch
from coord.store.write_behind import BehindWriter
from coord.store.znode_record import (
    BLOB,
    CHILDREN,
    CHILDREN_AT,
    CONTAINER,
    FLAGS_AT,
    INT32_MAX,
    NODE,
    PATH_AT,
    REWRITTEN,
    STAMPED,
    STAT_AT,
    STAT_END,
    TTL,
    TTL_FIELDS,
    WRITTEN,
    Node,
    acl_of,
    children_created,
    is_at,
    pack_acl,
    packed_acl_of,
    wrap32,
)

CREATED: Final = int(ChangeKind.CREATED)
DELETED: Final = int(ChangeKind.DELETED)
DATA: Final = int(ChangeKind.DATA)
ACL: Final = int(ChangeKind.ACL)

_UNDELETABLE: Final = frozenset((ROOT, *RESERVED))
_QUOTAS: Final = QUOTA.encode() + b"/"
_PROTECTED_ROOT: Final = b"/"
_new: Final = tuple.__new__
_unpack_written: Final = WRITTEN.unpack_from
_pack_rewritten: Final = REWRITTEN.pack
_pack_change_head: Final = CHANGE_HEAD.pack
_join: Final = b"".join
_pack_stamped: Final = STAMPED.pack
_unpack_children: Final = CHILDREN.unpack_from
_pack_children: Final = CHILDREN.pack


_SHAPE: Final = struct.Struct(">BHH")


class _Mode(NamedTuple):
    ephemeral: bool
    sequential: bool
    flags: int


_MODES: Final = {
    int(mode): _Mode(
        mode.is_ephemeral,
        mode.is_sequential,
        TTL if mode.has_ttl else CONTAINER if mode is CreateMode.CONTAINER else 0,
    )
    for mode in CreateMode
}


class Tree:
    """The tree as one batch of commands sees and changes it.

    The caller sets the entry's ``index``, stamps, ``session`` and ``who`` before each command.
    ``changes`` collects what watchers are told of the whole batch, ``row`` what history keeps of
    the current entry. ``limited``: paths with a quota; ``over_quota``: by path, what passed one.
    """

    __slots__ = (
        "_blob",
        "_load",
        "_prefixes",
        "_store",
        "blobs",
        "changes",
        "counted",
        "ephemerals",
        "ephemerals_max",
        "gone",
        "graves",
        "index",
        "index_packed",
        "keys",
        "limited",
        "log_ms",
        "nodes",
        "over_quota",
        "reap",
        "row",
        "session",
        "sessions",
        "tables",
        "txn",
        "wall_ms",
        "wall_packed",
        "who",
    )

    def __init__(
        self,
        txn: BehindWriter,
        tables: Tables,
        keys: PathKeys,
        sessions: SessionBatch,
        ephemerals_max: int,
        limited: frozenset[bytes],
    ) -> None:
        self.txn = txn
        self.tables = tables
        self.limited = limited
        self.over_quota: dict[str, str] = {}
        self.keys = keys
        self.sessions = sessions
        self.ephemerals_max = ephemerals_max
        self.nodes = Records(txn, tables.nodes)
        self.blobs = Records(txn, tables.blobs)
        self.ephemerals = Records(txn, tables.ephemerals)
        self.reap = Records(txn, tables.reap)
        self.gone = Records(txn, tables.gone)
        self.graves = Records(txn, tables.graves)
        self._load, self._store = self.nodes.load, self.nodes.store
        self._prefixes = keys.cache
        self.index = 0
        self.index_packed = bytes(8)
        self.wall_ms = 0
        self.wall_packed = bytes(8)
        """``index`` and ``wall_ms`` as records hold them."""
        self.log_ms = 0
        self.session = 0
        self.who: list[Any] | None = None
        self.changes: list[Change] = []
        self.row: list[bytes] = []
        self._blob = (0, 0)
        self.counted: list[tuple[int, int]] | None = None

    # -- operations, as coord.model.requests has their arguments and results ------------------

    def set(self, path: str, data: bytes, version: int) -> tuple[bytes]:
        """−101, WRITE −102, −125, −103. Hot path: nothing is called that need not be."""
        raw = path.encode()
        parent, _, name = raw.rpartition(b"/")
        key = (self._prefixes.get(parent) or self.keys.prefix(parent)) + name
        record = self._load(key)
        if record is None:
            raise NoNodeError(path)
        czxid, ctime, current, kept, counts, changed, flags, acl_length, path_length = (
            _unpack_written(record)
        )
        if path_length != len(raw) or not record.startswith(raw, PATH_AT):
            raise NoNodeError(path)
        acl = b""
        if acl_length:
            self.require(path, record, WRITE)
            acl = packed_acl_of(record)
        length, index = len(data), self.index
        if self.limited:
            quotas.check_room(self, raw, 0, length - Node.of(record).data_length)
        if version not in (-1, current):
            raise BadVersionError(f"{path} has version {current}, not {version}")
        current = current + 1 if current < INT32_MAX else -INT32_MAX - 1
        packed = self.index_packed
        stamped = _pack_rewritten(
            czxid, packed, ctime, self.wall_packed, current, kept, length, counts, packed
        )
        if flags or length > INLINE_DATA_BYTES_MAX:
            return self._set_special(path, key, record, stamped, data)
        if self.limited:
            quotas.charge(self, raw, 0, length - Node.of(record).data_length)
        end = PATH_AT + path_length + acl_length
        new = stamped + record[FLAGS_AT:end] + data
        self._store(key, new)
        before, after = record[STAT_AT:], new[STAT_AT:]
        stat = after[:STAT_BYTES]
        head = _pack_change_head(DATA, changed, len(before), len(after))
        self.row.append(_join((head, before, after)))
        self.changes.append(
            _new(Change, (DATA, path, index, stat, data, before[:STAT_BYTES], record[end:], acl))
        )
        return (stat,)

    def create(self, path: str, data: bytes, acl: Any, mode: int, ttl_ms: int) -> tuple[str, bytes]:
        """−8, ACL −114, parent −101, CREATE on it −102, final path −8, −110, −108, −125, limit."""
        form = _MODES.get(mode)
        if form is None or (form.ephemeral and not self.session):
            raise BadArgumentsError(f"a node cannot be created with mode {mode} here")
        if form.flags & TTL and not 0 < ttl_ms <= TTL_MS_MAX:
            raise BadArgumentsError(f"time to live must be 1 to {TTL_MS_MAX} ms, not {ttl_ms}")
        length = len(data)
        if length > DATA_BYTES_MAX:
            raise TooLargeError(f"{length} bytes for {path}; at most {DATA_BYTES_MAX} are allowed")
        acl_packed = pack_acl(acl)
        if path == ROOT and not form.sequential:
            raise NodeExistsError(path)
        raw = path.encode()
        cut = raw.rfind(b"/")
        parent = raw[:cut]
        parent_key = self.keys.key(parent) if parent else self.keys.key(_PROTECTED_ROOT)
        parent_record = self._parent(parent_key, parent, CREATE, path)
        cversion, aversion, owner, parent_length, children, _ = _unpack_children(
            parent_record, CHILDREN_AT
        )
        if form.sequential:
            path += sequence_suffix(children_created(cversion, children))
            raw = path.encode()
        key = self._free_key(parent, raw, cut, path)
        if owner:
            raise NoChildrenForEphemeralsError(f"{path}: its parent is ephemeral")
        if self.limited:
            quotas.check_room(self, raw, 1, length)
        session = self._claim(key, raw) if form.ephemeral else 0
        index = self.index
        counts = _pack_children(
            wrap32(cversion + 1), aversion, owner, parent_length, children + 1, index
        )
        self._store_parent(parent_key, parent_record, counts, children, children + 1)
        stamped = _pack_stamped(
            0, index, index, self.wall_ms, self.wall_ms, 0, 0, 0, session, length, 0, index, index
        )
        self._insert(key, path, raw, stamped, form.flags, acl_packed, ttl_ms, data)
        return path, stamped[STAT_AT:STAT_END]

    def delete(self, path: str, version: int) -> tuple[()]:
        """Reserved −8, parent −101, DELETE on the parent −102, −101, −103, −111."""
        if path in _UNDELETABLE:
            raise BadArgumentsError(f"{path} cannot be deleted")
        raw = path.encode()
        parent = raw[: raw.rfind(b"/")]
        parent_key = self.keys.key(parent) if parent else self.keys.key(_PROTECTED_ROOT)
        self._parent(parent_key, parent, DELETE, path)
        key, record = self.find(path)
        node = Node.of(record)
        if version not in (-1, node.version):
            raise BadVersionError(f"{path} has version {node.version}, not {version}")
        if node.children:
            raise NotEmptyError(f"{path} has {node.children} children")
        self.remove(path, key, record)
        return ()

    def set_acl(self, path: str, acl: Any, version: int) -> tuple[bytes]:
        """ACL −114, −101, ADMIN −102, aversion −103."""
        packed = pack_acl(acl)
        key, record = self.find(path)
        node = Node.of(record)
        self.require(path, record, ADMIN)
        if version not in (-1, node.aversion):
            raise BadVersionError(f"the ACL of {path} has version {node.aversion}, not {version}")
        fields = node._replace(
            aversion=wrap32(node.aversion + 1), changed=self.index, acl_length=len(packed)
        )
        head = NODE.pack(*fields) + record[PATH_AT : node.acl_at]
        new = head + packed + record[node.ttl_at :]
        self._store(key, new)
        self.row.append(pack_change(ACL, node.changed, record, new))
        stat, data = new[STAT_AT:STAT_END], self.data_of(record, node)
        self.changes.append(
            Change(ACL, path, self.index, stat, data, record[STAT_AT:STAT_END], data, packed)
        )
        return (stat,)

    # -- building blocks, also used by conditions, session ends and the reaper ------------------

    def find(self, path: str) -> tuple[bytes, bytes]:
        """(key, record) of an existing node. Raises NoNodeError."""
        raw = path.encode()
        key = self.keys.key(raw)
        record = self._load(key)
        if record is None or not is_at(record, raw):
            raise NoNodeError(path)
        return key, record

    def data_of(self, record: bytes, node: Node) -> bytes:
        """The node's data, wherever it lies."""
        tail = record[node.data_at :]
        if not node.flags & BLOB:
            return tail
        blob = self.blobs.load(tail)
        if blob is None:
            raise missing("blobs", tail, "a node's data")
        return blob[CRC_BYTES:]

    def remove(self, path: str, key: bytes, record: bytes) -> None:
        """Delete a childless node: the node, its parent's counts, its index entries."""
        node = Node.of(record)
        assert node.children == 0, f"{path} has children"
        raw = path.encode()
        parent = raw[: raw.rfind(b"/")]
        parent_key = self.keys.key(parent or _PROTECTED_ROOT)
        parent_record = self._load(parent_key)
        if parent_record is None:
            raise missing("nodes", parent_key, f"the parent of {path}")
        cversion, aversion, owner, length, children, _ = _unpack_children(
            parent_record, CHILDREN_AT
        )
        counts = _pack_children(
            wrap32(cversion + 1), aversion, owner, length, children - 1, self.index
        )
        self._store_parent(parent_key, parent_record, counts, children, children - 1)
        self._store(key, None)
        data = self.data_of(record, node)
        if node.flags:
            self._unlist(key, record, node)
            self._bury_blob(record, node)
        if node.owner:
            self._release(node.owner, key)
        self._put_new(self.gone, key, U64.pack(self.index))
        self._put_new(self.graves, U64.pack(self.index) + GRAVE_NODE + key, b"")
        self.row.append(pack_change(DELETED, node.changed, record, b""))
        old_stat, acl = record[STAT_AT:STAT_END], record[node.acl_at : node.ttl_at]
        self.changes.append(
            _new(Change, (DELETED, path, self.index, None, None, old_stat, data, acl))
        )
        if raw.startswith(_QUOTAS):
            quotas.node_went(self, raw)
        elif self.limited:
            quotas.charge(self, raw, -1, -node.data_length)

    def amend(self, key: bytes, record: bytes, data: bytes) -> None:
        """Replace a node's data by what lies in the record, leaving no trace: Stat (but for the
        length), history and watchers know nothing of it."""
        node = Node.of(record)
        self._bury_blob(record, node)
        fields = node._replace(data_length=len(data), flags=node.flags & ~BLOB)
        self._store(key, NODE.pack(*fields) + record[PATH_AT : node.data_at] + data)

    def require(self, path: str, record: bytes, wanted: int) -> None:
        """Raises NoAuthError unless the caller holds one of the ``wanted`` permissions.

        The command names what the caller has proven; its address is that of its session.
        """
        who = tuple((scheme, name) for scheme, name in self.who or ())
        row = self.sessions.get(self.session)
        if row is not None:
            who += identities_of_address(row.address)
        if not permits(acl_of(record), wanted, who):
            raise NoAuthError(f"the ACL of {path} does not allow this")

    def due_of(self, record: bytes, node: Node) -> int | None:
        """The log_ms from which the reaper may delete the node; None: never while it is so."""
        if node.children:
            return None
        if node.flags & CONTAINER:
            return 0 if children_created(node.cversion, node.children) else None
        if node.flags & TTL:
            ttl_ms, touched = TTL_FIELDS.unpack_from(record, node.ttl_at)
            due: int = ttl_ms + touched
            return due
        return None

    # -- private ----------------------------------------------------------------------------------

    def _parent(self, key: bytes, parent: bytes, wanted: int, path: str) -> bytes:
        record = self._load(key)
        if record is None or not is_at(record, parent or _PROTECTED_ROOT):
            raise NoNodeError(f"the parent of {path} does not exist")
        if record[FLAGS_AT + 1] or record[FLAGS_AT + 2]:
            self.require((parent or _PROTECTED_ROOT).decode(), record, wanted)
        return record

    def _free_key(self, parent: bytes, raw: bytes, cut: int, path: str) -> bytes:
        name = raw[cut + 1 :]
        if not 0 < len(name) <= NAME_BYTES_MAX or len(raw) > PATH_BYTES_MAX:
            raise BadArgumentsError(f"{path} is too long a name, or none")
        key = self.keys.prefix(parent) + name
        record = self._load(key)
        if record is not None:
            if is_at(record, raw):
                raise NodeExistsError(path)
            raise BadArgumentsError(f"{path} cannot be stored: its key collides with another's")
        return key

    def _store_parent(
        self, key: bytes, record: bytes, counts: bytes, before: int, after: int
    ) -> None:
        new = record[:CHILDREN_AT] + counts + record[STAT_END:]
        self._store(key, new)
        if record[FLAGS_AT] & (TTL | CONTAINER) and not (before and after):
            node = Node.of(record)
            self._unlist(key, record, node)
            self._list(key, new)

    def _insert(
        self,
        key: bytes,
        path: str,
        raw: bytes,
        stamped: bytes,
        flags: int,
        acl: bytes,
        ttl_ms: int,
        data: bytes,
    ) -> None:
        tail = data
        if len(data) > INLINE_DATA_BYTES_MAX:
            flags |= BLOB
            tail = self._bear_blob(data)
        extra = TTL_FIELDS.pack(ttl_ms, self.log_ms) if flags & TTL else b""
        shape = _SHAPE.pack(flags, len(acl), len(raw))
        record = stamped + shape + raw + acl + extra + tail
        self._store(key, record)
        if flags & TTL:
            self._list(key, record)
        previous = 0
        tombstone = self.gone.load(key)
        if tombstone is not None:
            previous = U64.unpack_from(tombstone, CRC_BYTES)[0]
            self.gone.store(key, None)
            grave = U64.pack(previous) + GRAVE_NODE + key
            self.graves.store(grave, None)
        stat = stamped[STAT_AT:STAT_END]
        self.row.append(pack_change(CREATED, previous, b"", record))
        self.changes.append(_new(Change, (CREATED, path, self.index, stat, data, None, None, acl)))
        if raw.startswith(_QUOTAS):
            quotas.node_came(self, raw)
        elif self.limited:
            quotas.charge(self, raw, 1, len(data))

    def _set_special(
        self, path: str, key: bytes, record: bytes, stamped: bytes, data: bytes
    ) -> tuple[bytes]:
        """``set`` where data lies or will lie apart, or a time to live starts again."""
        length = len(data)
        if length > DATA_BYTES_MAX:
            raise TooLargeError(f"{length} bytes for {path}; at most {DATA_BYTES_MAX} are allowed")
        node = Node.of(record)
        old = self.data_of(record, node)
        if self.limited:
            quotas.charge(self, path.encode(), 0, length - node.data_length)
        self._unlist(key, record, node)
        self._bury_blob(record, node)
        flags, tail = node.flags & ~BLOB, data
        if length > INLINE_DATA_BYTES_MAX:
            flags |= BLOB
            tail = self._bear_blob(data)
        middle = record[FLAGS_AT + 1 : node.ttl_at]
        if flags & TTL:
            ttl_ms, _ = TTL_FIELDS.unpack_from(record, node.ttl_at)
            middle += TTL_FIELDS.pack(ttl_ms, self.log_ms)
        new = stamped + flags.to_bytes(1, "big") + middle + tail
        self._store(key, new)
        self._list(key, new)
        self.row.append(pack_change(DATA, node.changed, record, new))
        stat = new[STAT_AT:STAT_END]
        acl = record[node.acl_at : node.ttl_at]
        self.changes.append(
            Change(DATA, path, self.index, stat, data, record[STAT_AT:STAT_END], old, acl)
        )
        return (stat,)

    def _bear_blob(self, data: bytes) -> bytes:
        """Store data apart; returns its key."""
        index, ordinal = self._blob
        self._blob = (self.index, ordinal + 1 if index == self.index else 0)
        key = blob_key(*self._blob)
        self._put_new(self.blobs, key, data)
        return key

    def _bury_blob(self, record: bytes, node: Node) -> None:
        """Superseded data stays readable until history has passed this entry."""
        if node.flags & BLOB:
            key = record[node.data_at :]
            self._put_new(self.graves, U64.pack(self.index) + GRAVE_BLOB + key, b"")

    def _list(self, key: bytes, record: bytes) -> None:
        """Enter a node into the reaper's index if it waits to be reaped."""
        node = Node.of(record)
        due = self.due_of(record, node)
        if due is not None:
            path = record[PATH_AT : node.acl_at]
            self._put_new(self.reap, U64.pack(due) + key, path)

    def _unlist(self, key: bytes, record: bytes, node: Node) -> None:
        due = self.due_of(record, node)
        if due is not None:
            entry = U64.pack(due) + key
            self.reap.store(entry, None)

    def _claim(self, key: bytes, raw: bytes) -> int:
        """Make the new node an ephemeral of the current session."""
        session = self.session
        row = self.sessions.get(session)
        assert row is not None, "an ephemeral's session is open"
        if row.ephemerals >= self.ephemerals_max:
            raise LimitError(f"session {session:#x} has {row.ephemerals} ephemeral nodes, the most")
        self._count(session, 1)
        self._put_new(self.ephemerals, U64.pack(session) + key, raw)
        return session

    def _release(self, session: int, key: bytes) -> None:
        entry = U64.pack(session) + key
        self.ephemerals.store(entry, None)
        self._count(session, -1)

    def _count(self, session: int, change: int) -> None:
        self.sessions.count_ephemerals(session, change)
        if self.counted is not None:
            self.counted.append((session, change))

    @staticmethod
    def _put_new(records: Records, key: bytes, body: bytes) -> None:
        records.store(key, NO_CRC + body)
