"""The key-value seam on LMDB.

Transactions hand out py-lmdb's C methods as instance attributes: a ``get`` through the seam is one
C call. An environment is created in a temporary directory and renamed into place, because LMDB
itself makes the first two pages without syncing either them or the directory: a crash could leave
a file that LMDB refuses, or an empty one that it would silently initialise again.

Never fork with an environment open (LMDB's locks do not survive it): children are spawned.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import lmdb
import lmdb.verify

from coord.model.errors import CorruptionError, StorageError
from coord.model.limits import MAP_BYTES, MIB
from coord.store.commit_floor import CommitFloor
from coord.store.kv import ReadTxn, Table, WriteTxn

DATA_FILE: Final = "data.mdb"
_LIB_VERSION: Final = 0
"""LMDB 0.9 files. py-lmdb 3 also bundles LMDB 1.0, whose files 0.9 cannot read."""
_TABLES_MAX: Final = 32
_READERS_MAX: Final = 256
GROW_BYTES: Final = 4 * MIB
"""By how much a log's file grows at a time."""
_META_PAGES: Final = 2
_SPARE_TXNS: Final = 4
DAMAGE: Final[tuple[type[Exception], ...]] = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.CursorFullError,
    lmdb.PageFullError,
    lmdb.BadValsizeError,
    lmdb.NotFoundError,
    lmdb.BadTxnError,
    lmdb.BadDbiError,
)
"""What LMDB raises when it meets a page that is not what it wrote. The last four would else be
answers to mistakes of ours."""
_verify: Final[Callable[[str], list[str]]] = lmdb.verify.verify


class LmdbReadTxn:
    """A reader. ``get`` is py-lmdb's bound C method."""

    __slots__ = ("_name", "_txn", "get")

    get: Callable[[bytes, None, Any], bytes | None]

    def __init__(self, txn: lmdb.Transaction[bytes], name: str) -> None:
        self._txn = txn
        self._name = name
        self.get = txn.get

    def scan(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Records with start <= key < stop, ascending."""
        with self._txn.cursor(cast("Any", db)) as cursor:
            if not (cursor.set_range(start) if start else cursor.first()):
                return
            if start and cursor.key() < start:
                raise _out_of_order(self._name, start, cursor.key())
            last = b""
            for record in cursor.iternext():
                key = record[0]
                if stop is not None and key >= stop:
                    return
                if key <= last:
                    raise _out_of_order(self._name, last, key)
                last = key
                yield record

    def scan_back(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Records with start <= key < stop, descending."""
        if stop == b"":
            return
        with self._txn.cursor(cast("Any", db)) as cursor:
            beyond = stop is not None and cursor.set_range(stop)
            if not (cursor.prev() if beyond else cursor.last()):
                return
            last = stop
            for record in cursor.iterprev():
                key = record[0]
                if key < start:
                    return
                if last is not None and key >= last:
                    raise _out_of_order(self._name, key, last)
                last = key
                yield record

    def scan_keys(self, db: Table, start: bytes, stop: bytes | None = None) -> Iterator[bytes]:
        """Keys with start <= key < stop, ascending; values are not touched."""
        with self._txn.cursor(cast("Any", db)) as cursor:
            if not (cursor.set_range(start) if start else cursor.first()):
                return
            if start and cursor.key() < start:
                raise _out_of_order(self._name, start, cursor.key())
            last = b""
            for key in cursor.iternext(values=False):
                if stop is not None and key >= stop:
                    return
                if key <= last:
                    raise _out_of_order(self._name, last, key)
                last = key
                yield key

    def count(self, db: Table) -> int:
        """Number of records in the table."""
        return self._txn.stat(cast("Any", db))["entries"]

    def close(self) -> None:
        """End the transaction."""
        self._txn.abort()

    def renew(self, env: lmdb.Environment) -> None:
        """Let go of the pinned state and pin the newest one (py-lmdb keeps aborted readers for
        reuse, so this is cheap)."""
        self._txn.abort()
        self._txn = env.begin()
        self.get = self._txn.get

    @property
    def handle(self) -> lmdb.Transaction[bytes]:
        """py-lmdb's transaction, for the copy of the environment it pins."""
        return self._txn

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _out_of_order(name: str, before: bytes, after: bytes) -> CorruptionError:
    """Where pages have changed places a walk along them may go in a circle, for ever."""
    return CorruptionError(f"{name}: key {after.hex()} comes behind {before.hex()}")


class LmdbWriteTxn(LmdbReadTxn):
    """The writer. ``put`` and ``delete`` are py-lmdb's bound C methods."""

    __slots__ = ("_env", "delete", "put")

    put: Callable[..., Any]
    delete: Callable[..., Any]

    def __init__(self, txn: lmdb.Transaction[bytes], env: LmdbEnvironment) -> None:
        super().__init__(txn, env.name)
        self._env = env
        self.put = txn.put
        self.delete = txn.delete

    def commit(self) -> None:
        """Commit; durable when the environment syncs every commit. Raises StorageError,
        CorruptionError."""
        try:
            self._txn.commit()
        except DAMAGE as error:
            raise CorruptionError(f"{self._env.name}: commit failed: {error}") from error
        except lmdb.Error as error:
            raise StorageError(f"{self._env.name}: commit failed: {error}") from error
        self._env.committed()

    def abort(self) -> None:
        """Drop the changes; harmless after ``commit``."""
        self._txn.abort()


class LmdbEnvironment:
    """Tables in ``directory/data.mdb``. Make it with ``open_environment``."""

    failures: tuple[type[Exception], ...] = (lmdb.Error,)
    damage: tuple[type[Exception], ...] = DAMAGE

    def __init__(self, env: lmdb.Environment, file: Path, floor: CommitFloor | None = None) -> None:
        """``floor``: knows the newest durable commit, where every commit is durable.

        Raises CorruptionError if the file holds an older one.
        """
        self.name = str(file)
        self.witness: int | None = None
        self._env = env
        self._floor = floor
        if floor is not None:
            newest = env.info()["last_txnid"]
            if newest < floor.number:
                raise CorruptionError(
                    f"{file}: its newest commit is {newest}, but {floor.number} was durable: what"
                    " was written last is gone"
                )
            if newest == floor.number:
                self.witness = floor.witness or None
        self._readonly = env.flags()["readonly"]
        self._tables: dict[str, Any] = {}
        self._page_bytes: int = env.stat()["psize"]

    def table(self, name: str) -> Table:
        """Handle of a table, made if missing. Raises StorageError."""
        handle = self._tables.get(name)
        if handle is None:
            try:
                handle = self._env.open_db(name.encode(), create=not self._readonly)
            except lmdb.NotFoundError as error:
                raise CorruptionError(f"{self.name}: table {name} is missing") from error
            except DAMAGE as error:
                raise CorruptionError(f"{self.name}: table {name}: {error}") from error
            except lmdb.Error as error:
                raise StorageError(f"{self.name}: table {name}: {error}") from error
            self._tables[name] = handle
        return cast("Table", handle)

    def read(self) -> ReadTxn:
        """Begin reading. Raises StorageError."""
        try:
            return LmdbReadTxn(self._env.begin(), self.name)
        except lmdb.Error as error:
            raise StorageError(f"{self.name}: cannot read: {error}") from error

    def write(self) -> WriteTxn:
        """Begin writing; waits for another writer. Raises StorageError."""
        try:
            return LmdbWriteTxn(self._env.begin(write=True), self)
        except lmdb.Error as error:
            raise StorageError(f"{self.name}: cannot write: {error}") from error

    def committed(self) -> None:
        """A transaction was committed. One that changed nothing is not on the disk: its own number
        would be more than the file will ever show."""
        if self._floor is not None:
            self._floor.reached(self._env.info()["last_txnid"], self.witness or 0)

    def refresh(self, txn: ReadTxn) -> ReadTxn:
        """Move a reader to the newest committed state."""
        assert isinstance(txn, LmdbReadTxn)
        txn.renew(self._env)
        return txn

    def sync(self) -> None:
        """Flush everything committed to the disk. Raises StorageError."""
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise StorageError(f"{self.name}: sync failed: {error}") from error

    def grow_ahead(self) -> None:
        """Keep GROW_BYTES / 2 of written zeros behind the last page in use.

        A commit into blocks that exist and were written needs no file system metadata; one that
        lengthens the file waits for its journal, which costs several times as much. LMDB looks at
        neither the length of the file nor what lies behind its last page. Without space nothing
        is done: the next commit will say so, if it needs any.
        """
        info = self._env.info()
        used = (info["last_pgno"] + 1) * self._page_bytes
        file = Path(self.name)
        length = file.stat().st_size
        if length - used >= GROW_BYTES // 2:
            return
        try:
            with file.open("r+b") as handle:
                handle.seek(length)
                handle.write(bytes(GROW_BYTES))
                handle.flush()
                os.fdatasync(handle.fileno())
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageError(f"{self.name}: cannot grow: {error.strerror}") from error

    def used_bytes(self) -> int:
        """Bytes of all pages in use by tables opened so far."""
        page = 0
        pages = 0
        with self._env.begin() as txn:
            for handle in self._tables.values():
                stat = txn.stat(handle)
                page = stat["psize"]
                pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return page * pages

    def copy_to(self, fd: int, txn: ReadTxn) -> None:
        """Write a compacted copy of the state that ``txn`` pins to a file descriptor, without
        holding the interpreter's lock. Raises StorageError."""
        assert isinstance(txn, LmdbReadTxn)
        try:
            self._env.copyfd(fd, compact=True, txn=txn.handle)
        except DAMAGE as error:
            raise CorruptionError(f"{self.name}: copy failed: {error}") from error
        except lmdb.Error as error:
            raise StorageError(f"{self.name}: copy failed: {error}") from error

    def close(self) -> None:
        """Close; all transactions must have ended."""
        self._tables.clear()
        self._env.close()
        if self._floor is not None:
            self._floor.close()


def structural_problems(file: Path) -> list[str]:
    """What is wrong with an LMDB file's pages, found without handing it to LMDB (which may abort
    the process on damage). Reads every page in Python: for child processes. Raises
    CorruptionError if it is no LMDB file at all."""
    try:
        return _verify(str(file))
    except (lmdb.verify.VerifyError, OSError) as error:
        raise CorruptionError(f"{file}: {error}") from error


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable (a rename is not before this)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(file: Path) -> None:
    """Make a file's content durable."""
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def environment_exists(directory: Path) -> bool:
    """An environment was made there once; it may be damaged."""
    return directory.is_dir()


def create_environment(
    directory: Path,
    *,
    map_bytes: int = MAP_BYTES,
    meta: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Make an environment at ``directory`` that holds the records ``meta`` in a table of that
    name, so that a crash at any point leaves either nothing there or all of it. Raises
    StorageError."""
    fresh = directory.with_name(directory.name + ".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    try:
        fresh.mkdir(parents=True)
        env = _open(fresh, sync=True, readonly=False, map_bytes=map_bytes)
        table = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            for key, value in meta:
                txn.put(key, value, db=table)
        env.close()
        sync_file(fresh / DATA_FILE)
        sync_directory(fresh)
        fresh.rename(directory)
        sync_directory(directory.parent)
    except (lmdb.Error, OSError) as error:
        raise StorageError(f"{directory}: cannot create: {error}") from error


def open_environment(
    directory: Path,
    *,
    sync: bool,
    map_bytes: int = MAP_BYTES,
) -> LmdbEnvironment:
    """Open an environment that ``create_environment`` made.

    ``sync=False``: commits survive the process, not the machine. Raises CorruptionError if its
    file is missing, empty or not LMDB's; StorageError for other failures of the disk.
    """
    file = directory / DATA_FILE
    try:
        size = file.stat().st_size
    except FileNotFoundError as error:
        raise CorruptionError(f"{file}: missing, though its directory exists") from error
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror}") from error
    if size < _META_PAGES * 4096:
        # LMDB would take it for a new file: in a directory that had one, that is lost data.
        raise CorruptionError(f"{file}: {size} bytes are less than the two pages of an empty file")
    try:
        env = _open(directory, sync=sync, readonly=False, map_bytes=map_bytes)
    except DAMAGE as error:
        raise CorruptionError(f"{file}: not a readable LMDB 0.9 file: {error}") from error
    except lmdb.Error as error:
        raise StorageError(f"{file}: cannot open: {error}") from error
    try:
        return LmdbEnvironment(env, file, CommitFloor(directory) if sync else None)
    except BaseException:
        env.close()
        raise


def open_reader(directory: Path, *, live: bool) -> LmdbEnvironment:
    """Open an environment only to read it. ``live``: another process uses it; else the newest
    commit must be the one that was durable last. Raises CorruptionError, StorageError."""
    file = directory / DATA_FILE
    if not file.exists():
        raise CorruptionError(f"{file}: missing, though its directory exists")
    try:
        env = _open(directory, sync=True, readonly=True, map_bytes=MAP_BYTES, lock=live)
    except DAMAGE as error:
        raise CorruptionError(f"{file}: not a readable LMDB 0.9 file: {error}") from error
    except lmdb.Error as error:
        raise StorageError(f"{file}: cannot open: {error}") from error
    try:
        if live:
            env.reader_check()  # a reader that was killed would pin its pages for good
        return LmdbEnvironment(env, file, None if live else CommitFloor(directory))
    except BaseException:
        env.close()
        raise


def damage_of(error: BaseException) -> CorruptionError | None:
    """What ``error`` says about a file, if it says that a file is damaged."""
    if isinstance(error, CorruptionError):
        return error
    if isinstance(error, struct.error):
        return CorruptionError(f"a record is shorter than it says: {error}")
    return CorruptionError(f"LMDB: {error}") if isinstance(error, DAMAGE) else None


def open_image(file: Path) -> LmdbEnvironment:
    """Open a file that nobody writes (a snapshot), read-only and without a lock file. Check its
    structure first. Raises CorruptionError."""
    try:
        env = _open(file, sync=True, readonly=True, map_bytes=MAP_BYTES, lock=False, subdir=False)
    except lmdb.Error as error:
        raise CorruptionError(f"{file}: not a readable LMDB 0.9 file: {error}") from error
    return LmdbEnvironment(env, file)


def _open(
    path: Path,
    *,
    sync: bool,
    readonly: bool,
    map_bytes: int,
    lock: bool = True,
    subdir: bool = True,
) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        subdir=subdir,
        map_size=map_bytes,
        max_dbs=_TABLES_MAX,
        max_readers=_READERS_MAX,
        max_spare_txns=_SPARE_TXNS,
        readonly=readonly,
        create=not readonly,
        metasync=sync,
        sync=sync,
        lock=lock,
        readahead=False,
        meminit=False,
        lib_version=_LIB_VERSION,
    )
