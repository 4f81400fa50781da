"""The in-memory twin of the LMDB environment, for tests and for the simulator.

A copy-on-write tree of depth two: a table is a tuple of leaves, a commit copies the leaves it
touched. So a reader is one reference to a root, a crash image is one reference to a root, and
losing commits means going back to an older root.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final, Self, cast

import msgpack

from coord.model.errors import CorruptionError, StorageError
from coord.store.kv import KEY_BYTES_MAX, ReadTxn, Table

_LEAF_RECORDS_MAX: Final = 128
_RECORD_OVERHEAD_BYTES: Final = 16
"""What a record costs besides key and value, roughly as in LMDB (node header, pointer, slack)."""


class _Leaf:
    """Up to 128 records. Invariant: ``keys`` is sorted and holds exactly the keys of ``values``;
    never changed once the transaction ``owner`` has committed."""

    __slots__ = ("keys", "owner", "values")

    def __init__(self, keys: list[bytes], values: dict[bytes, bytes], owner: object) -> None:
        self.keys = keys
        self.values = values
        self.owner = owner


class _Tree:
    """One table's records.

    Invariants: ``lows[0] == b""``; leaf i holds the keys in [lows[i], lows[i + 1]); ``leaves`` is
    never empty; ``count`` and ``size`` are the sums over all records.
    """

    __slots__ = ("count", "leaves", "lows", "mutations", "size")

    def __init__(
        self, lows: list[bytes], leaves: list[_Leaf], count: int = 0, size: int = 0
    ) -> None:
        self.lows = lows
        self.leaves = leaves
        self.count = count
        self.size = size
        self.mutations = 0

    def copy(self) -> _Tree:
        return _Tree(self.lows.copy(), self.leaves.copy(), self.count, self.size)

    def get(self, key: bytes) -> bytes | None:
        return self.leaves[bisect_right(self.lows, key) - 1].values.get(key)

    def _own(self, key: bytes, owner: object) -> tuple[int, _Leaf]:
        at = bisect_right(self.lows, key) - 1
        leaf = self.leaves[at]
        if leaf.owner is not owner:
            leaf = self.leaves[at] = _Leaf(leaf.keys.copy(), leaf.values.copy(), owner)
        return at, leaf

    def put(self, key: bytes, value: bytes, owner: object) -> None:
        at, leaf = self._own(key, owner)
        old = leaf.values.get(key)
        leaf.values[key] = value
        self.mutations += 1
        if old is not None:
            self.size += len(value) - len(old)
            return
        insort(leaf.keys, key)
        self.count += 1
        self.size += len(key) + len(value) + _RECORD_OVERHEAD_BYTES
        if len(leaf.keys) > _LEAF_RECORDS_MAX:
            self._split(at, leaf, owner)

    def _split(self, at: int, leaf: _Leaf, owner: object) -> None:
        middle = len(leaf.keys) // 2
        right = leaf.keys[middle:]
        del leaf.keys[middle:]
        values = {key: leaf.values.pop(key) for key in right}
        self.lows.insert(at + 1, right[0])
        self.leaves.insert(at + 1, _Leaf(right, values, owner))

    def delete(self, key: bytes, owner: object) -> bool:
        if self.get(key) is None:
            return False
        at, leaf = self._own(key, owner)
        value = leaf.values.pop(key)
        del leaf.keys[bisect_left(leaf.keys, key)]
        self.mutations += 1
        self.count -= 1
        self.size -= len(key) + len(value) + _RECORD_OVERHEAD_BYTES
        if not leaf.keys and len(self.leaves) > 1:
            del self.leaves[at]
            del self.lows[at]
            self.lows[0] = b""
        return True

    def scan(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        began = self.mutations
        at = bisect_right(self.lows, start) - 1
        low = bisect_left(self.leaves[at].keys, start)
        while at < len(self.leaves):
            leaf = self.leaves[at]
            high = len(leaf.keys) if stop is None else bisect_left(leaf.keys, stop)
            for key in leaf.keys[low:high]:
                yield key, leaf.values[key]
                assert self.mutations == began, "table changed while a scan of it was open"
            if high < len(leaf.keys):
                return
            at, low = at + 1, 0

    def scan_back(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        began = self.mutations
        at = len(self.leaves) - 1 if stop is None else bisect_right(self.lows, stop) - 1
        while at >= 0:
            leaf = self.leaves[at]
            low = bisect_left(leaf.keys, start)
            high = len(leaf.keys) if stop is None else bisect_left(leaf.keys, stop)
            for key in reversed(leaf.keys[low:high]):
                yield key, leaf.values[key]
                assert self.mutations == began, "table changed while a scan of it was open"
            if low > 0:
                return
            at -= 1


def _empty() -> _Tree:
    return _Tree([b""], [_Leaf([], {}, None)])


Image = Mapping[str, _Tree]
"""A whole committed state: shared, never changed."""


def pack_image(image: Image) -> bytes:
    """The image as bytes: what a file of the LMDB twin is to that one."""
    packed: bytes = msgpack.packb(
        {name: list(image[name].scan(b"", None)) for name in sorted(image)}
    )
    return packed


def unpack_image(data: bytes) -> Image:
    """Inverse of ``pack_image``. Raises CorruptionError."""
    try:
        tables = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptionError(f"not an image of an environment: {error}") from error
    image: dict[str, _Tree] = {}
    for name, records in tables.items():
        tree = image[name] = _empty()
        for key, value in records:
            tree.put(key, value, None)
    return image


class MemoryReadTxn:
    """A reader: one root."""

    __slots__ = ("_root",)

    def __init__(self, root: Image) -> None:
        self._root: Image | None = root

    def _tree(self, db: Table) -> _Tree:
        assert self._root is not None, "the transaction has ended"
        return self._root.get(cast("str", db)) or _empty()

    def get(self, key: bytes, default: None, db: Table, /) -> bytes | None:
        """The value of ``key``, or None."""
        del default
        _check_key(key)
        return self._tree(db).get(key)

    def scan(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Records with start <= key < stop, ascending."""
        return self._tree(db).scan(start, stop)

    def scan_back(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Records with start <= key < stop, descending."""
        return self._tree(db).scan_back(start, stop)

    def scan_keys(self, db: Table, start: bytes, stop: bytes | None = None) -> Iterator[bytes]:
        """Keys with start <= key < stop, ascending."""
        return (key for key, _ in self.scan(db, start, stop))

    def count(self, db: Table) -> int:
        """Number of records in the table."""
        return self._tree(db).count

    def close(self) -> None:
        """End the transaction."""
        self._root = None

    @property
    def root(self) -> Image:
        """The state it sees."""
        assert self._root is not None, "the transaction has ended"
        return self._root

    def move_to(self, root: Image) -> None:
        """Read another state from now on."""
        self._root = root

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class MemoryWriteTxn(MemoryReadTxn):
    """The writer: a private root whose touched leaves are its own copies."""

    __slots__ = ("_drafts", "_env")

    def __init__(self, env: MemoryEnvironment, root: Image) -> None:
        super().__init__(root)
        self._env = env
        self._drafts: dict[str, _Tree] = {}

    def _tree(self, db: Table) -> _Tree:
        draft = self._drafts.get(cast("str", db))
        return draft if draft is not None else super()._tree(db)

    def _draft(self, db: Table) -> _Tree:
        name = cast("str", db)
        draft = self._drafts.get(name)
        if draft is None:
            assert self._root is not None, "the transaction has ended"
            assert name in self._root, f"table {name!r} was not opened"
            draft = self._drafts[name] = self._root[name].copy()
        return draft

    def scan(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """As a reader's, over the draft: the scan notices when it is written to."""
        return self._draft(db).scan(start, stop)

    def scan_back(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """As a reader's, over the draft."""
        return self._draft(db).scan_back(start, stop)

    def put(self, key: bytes, value: bytes, *, db: Table) -> object:
        """Store ``value`` under ``key``."""
        _check_key(key)
        assert isinstance(value, bytes), f"value is {type(value).__name__}, not bytes"
        self._env.before_put(key, value)
        self._draft(db).put(key, value, self)
        return True

    def delete(self, key: bytes, *, db: Table) -> bool:
        """Remove ``key``; False if there was none."""
        _check_key(key)
        return self._draft(db).delete(key, self)

    def commit(self) -> None:
        """Publish the changes in one step."""
        assert self._root is not None, "the transaction has ended"
        root = {**self._root, **self._drafts} if self._drafts else self._root
        self._end()
        self._env.publish(root)

    def abort(self) -> None:
        """Drop the changes."""
        if self._root is not None:
            self._end()
            self._env.publish(None)

    def close(self) -> None:
        """Abort unless committed."""
        self.abort()

    def _end(self) -> None:
        self._root = None
        self._drafts = {}


def _check_key(key: bytes) -> None:
    assert isinstance(key, bytes), f"key is {type(key).__name__}, not bytes"
    assert 0 < len(key) <= KEY_BYTES_MAX, f"key of {len(key)} bytes"


class MemoryEnvironment:
    """Tables in memory, with what a disk would still hold after the power fails.

    ``sync=True``: a commit is durable when it returns, as in LMDB's default mode.
    ``sync=False``: commits wait for ``sync()``; with ``keep_pending`` each is remembered, so that
    a crash may keep any prefix of them.

    Invariant: durable ≤ pending[0] ≤ … ≤ pending[-1] = committed, in commit order.
    """

    failures: tuple[type[Exception], ...] = ()
    damage: tuple[type[Exception], ...] = ()
    witness: int | None = None

    def __init__(
        self, image: Image | None = None, *, sync: bool = True, keep_pending: bool = False
    ) -> None:
        self.name = "memory"
        self._committed: Image = image if image is not None else {}
        self._durable: Image = self._committed
        self._pending: list[Image] = []
        self._syncs = sync
        self._keeps_pending = keep_pending
        self._writing = False
        self._closed = False
        self.was_synced = False
        """``sync`` was called at least once."""
        self.commit_error: BaseException | None = None
        """Raised, once, by the next commit: an injected disk fault. A StorageError is raised by
        every commit until it is taken away."""
        self.failed_commit_stays = False
        """The commit that fails is on the disk nevertheless: nobody can tell after an error."""
        self.put_error: BaseException | None = None
        """Raised, once, by the next put: an injected full map."""

    @classmethod
    def from_image(
        cls, image: Image, *, sync: bool = True, keep_pending: bool = False
    ) -> MemoryEnvironment:
        """An environment that starts from what another one held."""
        return cls(image, sync=sync, keep_pending=keep_pending)

    def table(self, name: str) -> Table:
        """Handle of a table, made if missing."""
        if name not in self._committed:
            assert not self._writing, "open tables before the write transaction"
            self._committed = {**self._committed, name: _empty()}
            if self._syncs:
                self._durable = self._committed
        return cast("Table", name)

    def read(self) -> ReadTxn:
        """Begin reading the newest committed state."""
        assert not self._closed, "the environment is closed"
        return MemoryReadTxn(self._committed)

    def write(self) -> MemoryWriteTxn:
        """Begin the write transaction; a second one is a mistake of the caller."""
        assert not self._closed, "the environment is closed"
        assert not self._writing, "two write transactions at once"
        self._writing = True
        return MemoryWriteTxn(self, self._committed)

    def refresh(self, txn: ReadTxn) -> ReadTxn:
        """Move a reader to the newest committed state."""
        assert isinstance(txn, MemoryReadTxn)
        txn.move_to(self._committed)
        return txn

    def sync(self) -> None:
        """Make every commit so far durable."""
        self._durable = self._committed
        self.was_synced = True
        self._pending.clear()

    def grow_ahead(self) -> None:
        """Memory needs no room made."""

    def used_bytes(self) -> int:
        """Bytes of all records, with a small overhead each."""
        return sum(tree.size for tree in self._committed.values())

    def close(self) -> None:
        """No transaction may begin from now on."""
        self._closed = True

    def image(self) -> Image:
        """The newest committed state: what survives the end of the process."""
        return self._committed

    def image_of(self, txn: ReadTxn) -> Image:
        """The state that a reader of this environment sees."""
        assert isinstance(txn, MemoryReadTxn)
        return txn.root

    def durable_image(self) -> Image:
        """The newest synced state: what certainly survives the loss of power."""
        return self._durable

    def pending_images(self) -> list[Image]:
        """The states of commits that were not synced, oldest first (with ``keep_pending``)."""
        return list(self._pending)

    def publish(self, root: Image | None) -> None:
        """End the write transaction; None: it was aborted. For MemoryWriteTxn."""
        self._writing = False
        if root is None:
            return
        error = self.commit_error
        if isinstance(error, StorageError):
            raise error
        if error is not None and not self.failed_commit_stays:
            self.commit_error = None
            raise StorageError(f"commit failed: {error}") from error
        self._committed = root
        if self._syncs:
            self._durable = root
        elif self._keeps_pending:
            self._pending.append(root)
        if error is not None:
            self.commit_error = None
            raise StorageError(f"commit failed: {error}") from error

    def before_put(self, key: bytes, value: bytes) -> None:
        """Hook of MemoryWriteTxn.put: raises the injected fault, once."""
        del key, value
        if self.put_error is not None:
            error, self.put_error = self.put_error, None
            raise error
