"""Quotas on subtrees, kept where ZooKeeper's tools look for them.

A subtree /p is limited while the node /zookeeper/quota/p/zookeeper_limits exists; its neighbour
zookeeper_stats holds what there is, counted when it is created and kept up to date, without
version, revision or event, by every write below /p. Of nested quotas the innermost counts. The text
of both nodes:

    count=COUNT,bytes=BYTES=;byteHardLimit=BYTES;countHardLimit=COUNT

−1 or missing: no limit. Past a hard limit a write is refused; past the others it is only reported.
Nodes below /zookeeper count against nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from zlib import crc32

from coord.model.errors import QuotaExceededError
from coord.model.limits import INLINE_DATA_BYTES_MAX
from coord.model.paths import QUOTA
from coord.store.kv import ReadTxn, WriteTxn
from coord.store.schema import CRC_BYTES, HASH_BYTES, PathKeys, Tables, children_range, verify
from coord.store.znode_record import PATH_AT, Node, is_at

if TYPE_CHECKING:
    from coord.store.tree import Tree

_HOME: Final = QUOTA.encode()
_SYSTEM: Final = b"/zookeeper"
_LIMITS: Final = b"zookeeper_limits"
_STATS: Final = b"zookeeper_stats"
_UNITS: Final = (("count", "countHardLimit"), ("bytes", "byteHardLimit"))
_NUMBER: Final = re.compile(
    rb"(?:^|[,;])(count|bytes|countHardLimit|byteHardLimit)=(-?[0-9]{1,18})(?==?(?:[,;]|\Z))"
)

_counted: Final = struct.Struct(">I52xii19xH").unpack_from
"""Of a node's record: checksum, data length, child count, path length."""

_Child = tuple[bytes, int, int]
"""Key, data length, child count."""
Numbers = dict[str, int]
"""What a limits or stats node says; a missing number counts as −1."""


def check_room(tree: Tree, raw: bytes, nodes: int, size: int) -> None:
    """A write to the node ``raw`` would add ``nodes`` nodes and ``size`` bytes.

    Like ZooKeeper's, a hard limit that is passed already refuses every change of its number but
    deletes. Raises QuotaExceededError.
    """
    root = _quota_of(tree.limited, raw)
    if root is None:
        return
    limits, stats = _read(tree, root, _LIMITS), _read(tree, root, _STATS)
    if limits is None or stats is None:
        return
    for (unit, hard), change in zip(_UNITS, (nodes, size), strict=True):
        is_hard = limits.get(hard, -1) > -1
        limit = limits.get(hard if is_hard else unit, -1)
        after = stats.get(unit, -1) + change
        if not change or limit < 0 or after <= limit:
            continue
        path = root.decode()
        message = f"{path} would hold {unit}={after}, its {'hard' if is_hard else 'soft'} "
        message += f"limit is {limit}"
        tree.over_quota[path] = message
        if is_hard:
            raise QuotaExceededError(message)


def charge(tree: Tree, raw: bytes, nodes: int, size: int) -> None:
    """The node ``raw`` came, went or was written: its subtree holds that much more."""
    root = _quota_of(tree.limited, raw)
    stats = None if root is None else _read(tree, root, _STATS)
    if root is None or stats is None:
        return
    stats["count"] = stats.get("count", -1) + nodes
    stats["bytes"] = stats.get("bytes", -1) + size
    _write_stats(tree, root, stats)


def node_came(tree: Tree, raw: bytes) -> None:
    """A node was created below /zookeeper/quota: a limit takes force, or is counted against."""
    root, name = _split(raw)
    if root and name == _LIMITS:
        tree.limited |= {root}
    elif root and name == _STATS:
        nodes, size = _measure(tree, root)
        _write_stats(tree, root, {"count": nodes, "bytes": size})


def node_went(tree: Tree, raw: bytes) -> None:
    """A node was deleted below /zookeeper/quota."""
    root, name = _split(raw)
    if name == _LIMITS:
        tree.limited -= {root}


def limited_paths(txn: ReadTxn, tables: Tables, keys: PathKeys) -> frozenset[bytes]:
    """Roots of the limited subtrees in a tree as it is stored. Raises CorruptionError."""
    found: set[bytes] = set()
    waiting = [_HOME]
    while waiting:
        parent = waiting.pop()
        for key, _, children in _stored_children(txn, tables, keys, parent):
            path = parent + b"/" + key[HASH_BYTES:]
            if children:
                waiting.append(path)
            root, name = _split(path)
            if root and name == _LIMITS:
                found.add(root)
    return frozenset(found)


def _split(raw: bytes) -> tuple[bytes, bytes]:
    """(root of the subtree, name) of a node below /zookeeper/quota."""
    home, _, name = raw.rpartition(b"/")
    return home[len(_HOME) :], name


def _quota_of(limited: frozenset[bytes], raw: bytes) -> bytes | None:
    """The innermost limited subtree that a node lies in."""
    if raw.startswith(_SYSTEM) and raw[len(_SYSTEM) :][:1] in (b"", b"/"):
        return None
    end = len(raw)
    while end > 0:
        if raw[:end] in limited:
            return raw[:end]
        end = raw.rfind(b"/", 0, end)
    return None


def _find(tree: Tree, root: bytes, name: bytes) -> tuple[bytes, bytes | None]:
    """(key, record) of the limits or stats node of a subtree."""
    raw = _HOME + root + b"/" + name
    key = tree.keys.key(raw)
    record = tree.nodes.load(key)
    return key, record if record is not None and is_at(record, raw) else None


def _read(tree: Tree, root: bytes, name: bytes) -> Numbers | None:
    """None without the node; what does not read as numbers is left out."""
    _, record = _find(tree, root, name)
    if record is None:
        return None
    node = Node.of(record)
    if node.data_length > INLINE_DATA_BYTES_MAX:
        return {}
    return {key.decode(): int(value) for key, value in _NUMBER.findall(record[node.data_at :])}


def _write_stats(tree: Tree, root: bytes, stats: Numbers) -> None:
    key, record = _find(tree, root, _STATS)
    assert record is not None, "it was read a moment ago"
    text = f"count={stats['count']},bytes={stats['bytes']}"
    others = [f";{hard}={stats[hard]}" for hard in sorted(stats) if hard.endswith("HardLimit")]
    tree.amend(key, record, (text + ("=" if others else "") + "".join(others)).encode())


def _measure(tree: Tree, root: bytes) -> tuple[int, int]:
    """(nodes, bytes of data) of a subtree as the batch sees it."""
    record = tree.nodes.load(tree.keys.key(root))
    if record is None or not is_at(record, root):
        return 0, 0
    count, size, waiting = 1, Node.of(record).data_length, [root]
    while waiting:
        parent = waiting.pop()
        for key, length, children in _stored_children(tree.txn, tree.tables, tree.keys, parent):
            count += 1
            size += length
            if children:
                waiting.append(parent + b"/" + key[HASH_BYTES:])
    return count, size


def _stored_children(
    txn: ReadTxn | WriteTxn, tables: Tables, keys: PathKeys, parent: bytes
) -> Iterator[_Child]:
    """A node's children. Raises CorruptionError. Counting a subtree holds up every member: this
    is as short as it can be."""
    stem = parent + b"/"
    expected = len(stem) - HASH_BYTES
    for key, record in txn.scan(tables.nodes, *children_range(keys.prefix(parent))):
        crc, size, children, length = _counted(record)
        if crc32(record[CRC_BYTES:], crc32(key)) != crc:
            verify("nodes", key, record)
        if length == expected + len(key) and record.startswith(stem, PATH_AT):
            yield key, size, children
