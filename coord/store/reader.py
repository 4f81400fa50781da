"""Reads of the committed tree, on the loop thread, from one long-lived read transaction."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple
from zlib import crc32

from coord.model import acl as acls
from coord.model.acl import Acl
from coord.model.errors import CorruptionError
from coord.model.events import Change
from coord.model.paths import ROOT, join
from coord.store.history import (
    JournalReader,
    Touched,
    changes_after,
    head_of,
    history_of,
    node_before,
    touched_after,
)
from coord.store.kv import Environment, ReadTxn
from coord.store.reaping import reapable
from coord.store.retention import floor_of
from coord.store.schema import (
    CRC_BYTES,
    U64,
    PathKeys,
    children_range,
    missing,
    open_tables,
    successor,
    unseal,
    verify,
)
from coord.store.state import load_state
from coord.store.write_behind import Layer, LiveView, WriteBehind
from coord.store.znode_record import (
    BLOB,
    FLAGS_AT,
    PATH_AT,
    STAT_AT,
    STAT_END,
    TTL,
    TTL_FIELDS,
    Node,
)

_SHAPE: Final = struct.Struct(">BHH")
_shape_of: Final = _SHAPE.unpack_from
_head_of: Final = struct.Struct(">I76xBHH").unpack_from


class _Pinned(NamedTuple):
    """Where a reader that is no live view gets its records from."""

    engine_get: Any


Listing = tuple[list[str], bytes, bool]
Entry = tuple[str, bytes, bytes]


class TreeReader:
    """The tree at ``revision``, the applied index read inside the same transaction.

    Sees nothing of later batches until ``refresh``; iterators end at a refresh.
    ``floor``: history and changes of revisions above it are kept.
    ``is_restricted``: the node found last has an ACL other than the open one.
    """

    __slots__ = (
        "_base",
        "_env",
        "_get",
        "_keys",
        "_nodes",
        "_prefixes",
        "_recent",
        "_source",
        "_tables",
        "_txn",
        "floor",
        "is_restricted",
        "revision",
    )

    def __init__(self, env: Environment) -> None:
        """``env``: the tree's, or what a fold left in its engine (``pin``)."""
        self._env = env
        self._tables = open_tables(env)
        self._nodes: Any = self._tables.nodes
        self.is_restricted = False
        self._keys = PathKeys()
        self._prefixes = self._keys.cache
        self._bind(env.read())

    def refresh(self) -> None:
        """Move to the newest committed state. After every applied batch."""
        self._bind(self._env.refresh(self._txn))

    def pin(self) -> TreeReader:
        """Another reader that stays at the newest committed state; to be closed soon.

        Folds. Raises StorageError.
        """
        assert isinstance(self._env, WriteBehind), "who is pinned cannot pin"
        return TreeReader(self._env.folded())

    def close(self) -> None:
        """Let go of the transaction. Idempotent."""
        self._txn.close()

    # -- nodes ------------------------------------------------------------------------------------

    def get(self, path: str) -> tuple[bytes, bytes] | None:
        """(data, packed Stat); None if there is no such node. Raises CorruptionError.

        Hot path: the body of ``_find`` is repeated here.
        """
        raw = path.encode()
        parent, _, name = raw.rpartition(b"/")
        key = (self._prefixes.get(parent) or self._keys.prefix(parent)) + name
        record = self._recent.get(key)
        is_recent = record is not None
        if record is None:
            if key not in self._recent:
                record = self._source.engine_get(key, None, self._base)
            if record is None:
                return None
        crc, flags, acl_length, length = _head_of(record)
        if not is_recent and crc32(record[CRC_BYTES:], crc32(key)) != crc:
            verify("nodes", key, record)
        if length != len(raw) or not record.startswith(raw, PATH_AT):
            return None
        self.is_restricted = acl_length > 0
        if flags:
            return self._data(record), record[STAT_AT:STAT_END]
        return record[PATH_AT + length + acl_length :], record[STAT_AT:STAT_END]

    def stat(self, path: str) -> bytes | None:
        """Packed Stat of a node, or None."""
        record = self._find(path)
        return None if record is None else record[STAT_AT:STAT_END]

    def acl(self, path: str) -> tuple[tuple[Acl, ...], bytes] | None:
        """(ACL, packed Stat) of a node, or None."""
        record = self._find(path)
        if record is None:
            return None
        _, acl_length, length = _shape_of(record, FLAGS_AT)
        at = PATH_AT + length
        return acls.unpack(record[at : at + acl_length]), record[STAT_AT:STAT_END]

    def children(self, path: str, after: str = "", limit: int = 0) -> Listing | None:
        """(names behind ``after`` in byte order, packed Stat, whether there are more), or None.

        ``limit`` 0: all of them.
        """
        record = self._find(path)
        if record is None:
            return None
        names: list[str] = []
        more = False
        for name, _ in self._children(path, after):
            if limit and len(names) == limit:
                more = True
                break
            names.append(name)
        if not after and not more:
            _check_count(path, record, len(names))
        return names, record[STAT_AT:STAT_END], more

    def subtree(self, path: str, after: str = "", limit: int = 0) -> tuple[list[Entry], bool]:
        """(path, data, packed Stat) of a node and all below it, parents first, by name.

        ``after``: go on behind this path. ``limit`` 0: all of them. Second: whether there are more.
        """
        entries: list[Entry] = []
        for found, record in self._walk(path, after):
            if limit and len(entries) == limit:
                return entries, True
            entries.append((found, self._data(record), record[STAT_AT:STAT_END]))
        return entries, False

    def look(self, path: str, after: str, limit: int) -> tuple[list[tuple[str, bytes]], bool]:
        """As ``subtree``, without the data: (path, packed Stat) of at most ``limit`` nodes."""
        found = [
            (below, record[STAT_AT:STAT_END])
            for below, record in islice(self._walk(path, after), limit + 1)
        ]
        return found[:limit], len(found) > limit

    def count(self, path: str, after: str, limit: int) -> tuple[str, int]:
        """(path of the last one, how many) of a node and all below it behind ``after``, of which
        at most ``limit`` are looked at; fewer: there are no more."""
        found = [below for below, _ in islice(self._walk(path, after), limit)]
        return (found[-1] if found else after), len(found)

    def owners(self, session: int) -> list[str]:
        """Paths of a session's ephemeral nodes, sorted."""
        prefix = U64.pack(session)
        table = self._tables.ephemerals
        return sorted(
            unseal("ephemerals", key, record).decode()
            for key, record in self._txn.scan(table, prefix, successor(prefix))
        )

    def reapable(self, log_ms: int, limit: int) -> list[tuple[str, int, int]]:
        """(path, mzxid, pzxid) of TTL and container nodes that may be reaped at ``log_ms``."""
        return reapable(self._txn, self._tables, log_ms, limit)

    # -- the past ---------------------------------------------------------------------------------

    def history(
        self, path: str, before_revision: int | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Changes of a path, newest first; those before a revision if one is given.

        Keys: revision, kind, path, wall_ms, session, address, who, stat, data, acl (the node's
        after the change; of a deleted node what it had).
        """
        key = self._keys.key(path.encode())
        head = head_of(self._txn, self._tables, key, self._find(path))
        return history_of(self._journal(), path, head, before_revision, limit)

    def changes_after(self, revision: int, limit: int = 0) -> Iterator[Change]:
        """All changes after a revision; ends between two revisions past ``limit`` (0: none).

        Raises CompactedError at the first step if ``revision`` is below ``floor``.
        """
        return changes_after(self._journal(), revision, limit)

    def touched_after(self, revision: int, limit: int) -> Iterator[Touched]:
        """As ``changes_after``, but briefly: what changed, and what it was before."""
        return touched_after(self._journal(), revision, limit)

    def node_before(self, path: str, revision: int) -> tuple[bytes, bytes, tuple[Acl, ...]] | None:
        """(data, packed Stat, ACL) of a node before the entry ``revision`` changed it; None: it did
        not exist. Raises CompactedError."""
        return node_before(self._journal(), path, revision)

    # -- private ----------------------------------------------------------------------------------

    def _bind(self, txn: ReadTxn) -> None:
        self._txn = txn
        self._get = txn.get
        self._base: Any = self._nodes
        self._recent: Layer = {}
        if isinstance(txn, LiveView):
            self._source: Any = txn.env
            self._base, self._recent = self._nodes.base, self._nodes.dirty
            state = txn.env.head
        else:
            self._source = _Pinned(txn.get)
            state = load_state(txn, self._tables)
        assert state is not None, "the state machine has initialised the tree"
        self.revision = state.applied
        self.floor = floor_of(state.first_block)

    def _journal(self) -> JournalReader:
        return JournalReader(self._txn, self._tables, self.floor)

    def _find(self, path: str) -> bytes | None:
        raw = path.encode()
        key = self._keys.key(raw)
        record = self._recent.get(key)
        if record is None:
            if key not in self._recent:
                record = self._source.engine_get(key, None, self._base)
            if record is None:
                return None
            verify("nodes", key, record)
        _, acl_length, length = _shape_of(record, FLAGS_AT)
        self.is_restricted = acl_length > 0
        return record if length == len(raw) and record.startswith(raw, PATH_AT) else None

    def _data(self, record: bytes) -> bytes:
        flags, acl_length, length = _shape_of(record, FLAGS_AT)
        tail = record[PATH_AT + length + acl_length + (TTL_FIELDS.size if flags & TTL else 0) :]
        if not flags & BLOB:
            return tail
        blob = self._get(tail, None, self._tables.blobs)
        if blob is None:
            raise missing("blobs", tail, "a node's data")
        return unseal("blobs", tail, blob)

    def _children(self, path: str, after: str) -> Iterator[tuple[str, bytes]]:
        """(name, record) of the children behind ``after``."""
        parent = b"" if path == ROOT else path.encode()
        prefix = self._keys.prefix(parent)
        start, stop = children_range(prefix, after.encode())
        skip = len(prefix)
        stem = parent + b"/"
        expected = len(stem)
        for key, record in self._txn.scan(self._nodes, start, stop):
            crc, _, _, length = _head_of(record)
            if crc32(record[CRC_BYTES:], crc32(key)) != crc:
                verify("nodes", key, record)
            name = key[skip:]
            if length == expected + len(name) and record.startswith(stem, PATH_AT):
                yield name.decode(), record

    def _walk(self, path: str, after: str) -> Iterator[tuple[str, bytes]]:
        """The subtree in depth-first order, behind ``after``."""
        levels: list[tuple[str, Iterator[tuple[str, bytes]]]] = []
        if after:
            at = path
            for name in after[len(path) :].strip("/").split("/") if after != path else ():
                levels.append((at, self._children(at, name)))
                at = join(at, name)
            levels.append((at, self._children(at, "")))
        else:
            record = self._find(path)
            if record is None:
                return
            yield path, record
            levels.append((path, self._all_children(path, record)))
        while levels:
            parent, names = levels[-1]
            found = next(names, None)
            if found is None:
                levels.pop()
                continue
            name, record = found
            here = join(parent, name)
            yield here, record
            if Node.of(record).children:
                levels.append((here, self._all_children(here, record)))

    def _all_children(self, path: str, parent: bytes) -> Iterator[tuple[str, bytes]]:
        """All children of the node with record ``parent``."""
        found = 0
        for child in self._children(path, ""):
            yield child
            found += 1
        _check_count(path, parent, found)


def _check_count(path: str, record: bytes, found: int) -> None:
    """A listing that ends where a damaged page leads it astray has too few names."""
    expected = Node.of(record).children
    if found != expected:
        raise CorruptionError(f"nodes: {path} has {expected} children, and {found} are there")
