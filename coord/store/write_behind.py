"""Write-behind for the tree: commits gather in memory and are folded into the engine together.

The tree on disk may lag behind what was applied, because the log holds every entry behind the
tree's applied index: after a crash they are applied once more. So one transaction of the engine
serves some four thousand entries instead of thirty, and a record that changes often is sealed and
written once. A fold is one transaction, the applied index included: what is on disk is always the
state after some entry. A failed fold changes nothing here or there and may be tried again.

A fold writes what was committed when it began, in steps, and commits go on between them: whoever
waits for a commit waits for one step, not for thousands of records.

Layers of a table, newest first: ``fresh`` (the open write transaction), ``dirty`` (committed, not
folded), the engine, of which ``clean`` remembers what was folded lately. Records of most tables are
sealed (``schema.seal``) when they are folded; the layers hold them with room for the checksum.
Whoever reads through ``get`` and ``scan`` sees sealed records; hot paths look into the layers
themselves.

One thread. Views are live: they show what was committed last. ``folded`` gives the engine, whose
transactions are stable, to whatever must outlive the next commit or runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from struct import Struct
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast
from zlib import crc32

from coord.model.errors import CorruptionError, StorageError
from coord.model.limits import MIB
from coord.store.digest import FACTOR
from coord.store.kv import Environment, Table, WriteTxn
from coord.store.schema import CRC_BYTES, REMEMBERED, SEALED_BY_WRITER, seal

if TYPE_CHECKING:
    from coord.store.state import State

FOLD_CHANGES: Final = 16_384
"""Changed records, counted anew by each commit, that make a fold due: so many that in most loads
only samples of the digest do, every 4,096 entries. Fewer would write more: a fold rewrites every
page it touches, and a thousand random records touch most pages of a small tree."""
FOLD_BYTES: Final = 16 * MIB
"""The same for their bytes. As much again may gather while a fold is under way."""

CLEAN_RECORDS_MAX: Final = 16_384
"""Folded records that a table remembers; past it all are forgotten."""
CLEAN_BYTES_MAX: Final = 16 * MIB
STEP_RECORDS: Final = 128
"""Records written in one step of a fold, in half a millisecond."""

Layer = dict[bytes, bytes | None]
"""Key to record; None: deleted."""
Changed = list[tuple[bytes, bytes | None]]
Steps = Generator[None, None, None]
Finish = Callable[[WriteTxn, int, int], Callable[[], None]]
"""Called at the end of a fold with what it adds to digest and size of the replicated records;
returns what to do once the fold is committed."""
Frozen = list[tuple["BehindTable", Changed]]
"""What a fold writes."""

_CRC: Final = Struct(">I")
_crc_of: Final = _CRC.unpack_from
_pack_crc: Final = _CRC.pack


class BehindTable:
    """Handle of one table. The layers are the same objects as long as the environment lives."""

    __slots__ = (
        "base",
        "clean",
        "clean_bytes",
        "dirty",
        "fresh",
        "is_lazy",
        "is_remembered",
        "name",
    )

    def __init__(self, name: str, base: Table) -> None:
        self.name = name
        self.base = base
        self.is_lazy = name not in SEALED_BY_WRITER
        self.is_remembered = name in REMEMBERED
        self.dirty: Layer = {}
        self.fresh: Layer = {}
        self.clean: dict[bytes, bytes] = {}
        """Invariant: what it holds is what the engine holds, but for the checksum."""
        self.clean_bytes = 0
        """Of the records in ``clean``."""

    def settle(self, folded: Changed) -> None:
        """These records are in the engine now; what has changed since stays dirty."""
        clean, dirty = self.clean, self.dirty
        for key, record in folded:
            if dirty[key] is record:
                del dirty[key]
        if self.is_remembered:
            for key, record in folded:
                self.clean_bytes -= len(clean.pop(key, b""))
                if record is not None:
                    clean[key] = record
                    self.clean_bytes += len(record)
            if len(clean) > CLEAN_RECORDS_MAX or self.clean_bytes > CLEAN_BYTES_MAX:
                clean.clear()
                self.clean_bytes = 0

    def shown(self, key: bytes, record: bytes | None) -> bytes | None:
        """A record of a layer as readers get it: sealed."""
        if record is None or not self.is_lazy:
            return record
        return seal(key, record[CRC_BYTES:])

    def changed(self, start: bytes, stop: bytes | None, *layers: Layer) -> Layer:
        """What the layers hold in a range, as readers get it; a later layer hides an earlier."""
        return {
            key: self.shown(key, record)
            for layer in layers
            for key, record in layer.items()
            if start <= key and (stop is None or key < stop)
        }


class WriteBehind:
    """An ``Environment`` in front of another, which only this object writes."""

    def __init__(self, engine: Environment) -> None:
        self.name = engine.name
        self.failures = engine.failures
        self.damage = engine.damage
        self.witness: int | None = None
        self.head: State | None = None
        """What the newest commit stands at; None before the first."""
        self.freeze: Callable[[], Finish] = lambda: _nothing
        """The state machine's part of a fold: called as one begins, and what it returns at its
        end."""
        self.folds = 0
        self._engine = engine
        self._tables: dict[str, BehindTable] = {}
        self._changes = 0
        self._bytes = 0
        self._txn = engine.read()
        self.engine_get: Any = self._txn.get
        self._is_closed = False
        self._steps: Steps | None = None
        """The fold under way."""
        self._frozen_changes = 0
        self._frozen_bytes = 0
        """What it writes, by the measures of ``is_fold_due``."""
        self._has_failed = False
        """The last fold has."""

    # --- Environment ----------------------------------------------------------------------------

    def table(self, name: str) -> Table:
        """Handle of a table, made if missing. Raises StorageError."""
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = BehindTable(name, self._engine.table(name))
            self._renew()
        return cast("Table", found)

    def read(self) -> LiveView:
        """A live view of what was committed."""
        return LiveView(self)

    def write(self) -> BehindWriter:
        """Begin a write transaction; nothing of it is seen before its commit."""
        return BehindWriter(self)

    def refresh(self, txn: Any) -> LiveView:
        """Views are live: nothing to do."""
        view: LiveView = txn
        return view

    def sync(self) -> None:
        """Make what was folded durable. Raises StorageError."""
        assert not self.has_pending, "fold first"
        self._engine.sync()

    def grow_ahead(self) -> None:
        """Nobody waits for this file."""

    def used_bytes(self) -> int:
        """Bytes of what was folded."""
        return self._engine.used_bytes()

    def close(self) -> None:
        """Close without folding: what is not folded is in the log. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self.drop_fold()
            self._txn.close()
            self._engine.close()

    # --- folding --------------------------------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        """Something was committed and is not folded."""
        return self._changes > 0 or self._steps is not None

    @property
    def is_folding(self) -> bool:
        """A fold is under way."""
        return self._steps is not None

    def is_fold_due(self) -> bool:
        """Enough has gathered, and nothing may be committed before a fold of it has begun; or the
        last fold has failed, and nothing before one has succeeded."""
        return self._changes >= FOLD_CHANGES or self._bytes >= FOLD_BYTES or self._has_failed

    def begin_fold(self) -> None:
        """Begin to write what was committed until now."""
        assert self._steps is None, "one fold at a time"
        frozen = [(table, list(table.dirty.items())) for table in self._tables.values()]
        self._frozen_changes, self._changes = self._changes, 0
        self._frozen_bytes, self._bytes = self._bytes, 0
        self._steps = self._fold(frozen, self.freeze())

    def fold_step(self) -> None:
        """One step of the fold under way. After the last nothing of it is pending.

        Raises StorageError, CorruptionError: then nothing has changed, and none is under way.
        """
        assert self._steps is not None, "a fold has begun"
        try:
            next(self._steps)
        except StopIteration:
            self._steps, self._has_failed = None, False
        except BaseException as error:
            self.drop_fold()
            self._has_failed = True
            if isinstance(error, self.damage):
                raise CorruptionError(f"{self.name}: {error}") from error
            if isinstance(error, self.failures):
                raise StorageError(f"{self.name}: cannot be written: {error}") from error
            raise

    def drop_fold(self) -> None:
        """End the fold under way, if there is one, as if it had not begun."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None
            self._changes += self._frozen_changes
            self._bytes += self._frozen_bytes

    def fold(self) -> None:
        """Write everything that was committed, at once. Raises as ``fold_step`` does."""
        self._end_fold()
        self.begin_fold()
        self._end_fold()

    def _end_fold(self) -> None:
        while self._steps is not None:
            self.fold_step()

    def _fold(self, frozen: Frozen, finish: Finish) -> Steps:
        adopt = yield from self._write(frozen, finish)
        for table, changed in frozen:
            table.settle(changed)
        self.folds += 1
        self._renew()
        adopt()

    def _write(self, frozen: Frozen, finish: Finish) -> Generator[None, None, Callable[[], None]]:
        digest = size = 0
        with self._engine.write() as txn:
            for table, changed in frozen:
                write = _fold_sealing if table.is_lazy else _fold_as_is
                for at in range(0, len(changed), STEP_RECORDS):
                    terms = write(txn, table.base, changed[at : at + STEP_RECORDS])
                    digest += terms[0]
                    size += terms[1]
                    yield
            adopt = finish(txn, digest, size)
            txn.commit()
        return adopt

    def folded(self) -> Environment:
        """The engine, holding everything that was committed. Raises as ``fold`` does."""
        if self.has_pending:
            self.fold()
        return self._engine

    def _renew(self) -> None:
        self._txn = self._engine.refresh(self._txn)
        self.engine_get = self._txn.get

    # --- for views and the writer ---------------------------------------------------------------

    def get(self, key: bytes, _default: None, db: Table, /) -> bytes | None:
        """The committed record, sealed."""
        table = cast("BehindTable", db)
        if key in table.dirty:
            return table.shown(key, table.dirty[key])
        record: bytes | None = self.engine_get(key, None, table.base)
        return record

    def scan(
        self, table: BehindTable, start: bytes, stop: bytes | None, *layers: Layer
    ) -> Iterator[tuple[bytes, bytes]]:
        """Records of the range, ascending: the engine's under those of ``layers``."""
        changed = table.changed(start, stop, *layers)
        base = self._txn.scan(table.base, start, stop)
        return _merged(base, sorted(changed.items()), descending=False) if changed else base

    def scan_back(
        self, table: BehindTable, start: bytes, stop: bytes | None, *layers: Layer
    ) -> Iterator[tuple[bytes, bytes]]:
        """The same, descending."""
        changed = table.changed(start, stop, *layers)
        base = self._txn.scan_back(table.base, start, stop)
        if not changed:
            return base
        return _merged(base, sorted(changed.items(), reverse=True), descending=True)

    def count(self, table: BehindTable, *layers: Layer) -> int:
        """Number of records in the table."""
        total = self._txn.count(table.base)
        for key, record in table.changed(b"", None, *layers).items():
            total += (record is not None) - (self.engine_get(key, None, table.base) is not None)
        return total

    def commit(self) -> None:
        """What the writer left in ``fresh`` is committed, and ``head`` with it."""
        self._changes += 1
        for table in self._tables.values():
            fresh = table.fresh
            if fresh:
                self._changes += len(fresh)
                self._bytes += sum(map(len, filter(None, fresh.values())))
                table.dirty.update(fresh)
                fresh.clear()

    def abort(self) -> None:
        """Drop what is in ``fresh``."""
        for table in self._tables.values():
            table.fresh.clear()


def _nothing(_txn: WriteTxn, _digest: int, _size: int) -> Callable[[], None]:
    """Before there is a state machine."""
    return lambda: None


def _fold_as_is(txn: WriteTxn, base: Table, changed: Changed) -> tuple[int, int]:
    put, delete = txn.put, txn.delete
    for key, record in changed:
        if record is None:
            delete(key, db=base)
        else:
            put(key, record, db=base)
    return 0, 0


def _fold_sealing(txn: WriteTxn, base: Table, changed: Changed) -> tuple[int, int]:
    """Seal and write; returns what that adds to digest (any integer, mod 2⁶⁴) and size."""
    put, delete, get = txn.put, txn.delete, txn.get
    digest = size = 0
    for key, record in changed:
        old = get(key, None, base)
        if old is not None:
            crc = _crc_of(old)[0]
            digest -= (crc + FACTOR) * crc
            size -= len(old) + len(key)
            if record is None:
                delete(key, db=base)
        if record is not None:
            body = record[CRC_BYTES:]
            crc = crc32(body, crc32(key))
            put(key, _pack_crc(crc) + body, db=base)
            digest += (crc + FACTOR) * crc
            size += len(record) + len(key)
    return digest, size


def _merged(
    base: Iterator[tuple[bytes, bytes]],
    changed: list[tuple[bytes, bytes | None]],
    *,
    descending: bool,
) -> Iterator[tuple[bytes, bytes]]:
    """``base`` with ``changed`` laid over it; both in the same order."""
    at = 0
    for found in base:
        key = found[0]
        while at < len(changed) and (changed[at][0] > key if descending else changed[at][0] < key):
            name, record = changed[at]
            at += 1
            if record is not None:
                yield name, record
        if at < len(changed) and changed[at][0] == key:
            record = changed[at][1]
            at += 1
            if record is not None:
                yield key, record
        else:
            yield found
    for name, record in changed[at:]:
        if record is not None:
            yield name, record


class LiveView:
    """Reads what was committed last."""

    __slots__ = ("env",)

    def __init__(self, env: WriteBehind) -> None:
        self.env = env

    def get(self, key: bytes, default: None, db: Table, /) -> bytes | None:
        """The committed record, sealed."""
        return self.env.get(key, default, db)

    @staticmethod
    def layers(table: BehindTable) -> tuple[Layer, ...]:
        """What lies over the engine here, oldest first."""
        return (table.dirty,)

    def scan(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Records with start <= key < stop, ascending."""
        table = cast("BehindTable", db)
        return self.env.scan(table, start, stop, *self.layers(table))

    def scan_back(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """The same, descending."""
        table = cast("BehindTable", db)
        return self.env.scan_back(table, start, stop, *self.layers(table))

    def scan_keys(self, db: Table, start: bytes, stop: bytes | None = None) -> Iterator[bytes]:
        """Keys of the same records as ``scan``."""
        return (key for key, _ in self.scan(db, start, stop))

    def count(self, db: Table) -> int:
        """Number of records in the table."""
        table = cast("BehindTable", db)
        return self.env.count(table, *self.layers(table))

    def close(self) -> None:
        """Nothing is pinned."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BehindWriter(LiveView):
    """The one write transaction. Its changes lie in ``fresh`` of the tables."""

    __slots__ = ()

    @staticmethod
    def layers(table: BehindTable) -> tuple[Layer, ...]:
        """Its own changes on top."""
        return (table.dirty, table.fresh)

    def get(self, key: bytes, default: None, db: Table, /) -> bytes | None:
        """The record as this transaction sees it, sealed."""
        table = cast("BehindTable", db)
        if key in table.fresh:
            return table.shown(key, table.fresh[key])
        return self.env.get(key, default, db)

    def put(self, key: bytes, value: bytes, *, db: Table) -> object:
        """Store ``value`` under ``key``; its first bytes are room for the checksum where the
        table's records are sealed by the fold."""
        cast("BehindTable", db).fresh[key] = value
        return True

    def delete(self, key: bytes, *, db: Table) -> bool:
        """Remove ``key``; False if there was none."""
        existed = self.get(key, None, db) is not None
        cast("BehindTable", db).fresh[key] = None
        return existed

    def commit(self) -> None:
        """Make the changes visible; a fold makes them survive the process."""
        self.env.commit()

    def abort(self) -> None:
        """Drop the changes; harmless after ``commit``."""
        self.env.abort()

    def close(self) -> None:
        """As ``abort``."""
        self.env.abort()
