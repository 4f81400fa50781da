"""Trees and snapshots in a data directory.

    tree-<generation>/data.mdb         the tree; at most one generation in use
    snapshots/<index>-<term>.snapshot  verified snapshots
    snapshots/<sha256>.part            written or arriving, not verified
    snapshots/draft                    being copied

Whatever is named ``*.new``, ``draft`` or belongs to another generation is a leftover of a crash.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from coord.model.errors import CoordError, CorruptionError, StorageError
from coord.raft.types import SnapshotMeta
from coord.store.kv import Environment, ReadTxn
from coord.store.lmdb_kv import (
    DATA_FILE,
    LmdbEnvironment,
    create_environment,
    open_environment,
    sync_directory,
    sync_file,
)
from coord.store.snapshot_file import SnapshotFile, write_descriptor
from coord.store.tree_facts import TreeFacts, read_facts
from coord.store.trust import FileIdentity

TREE_PREFIX: Final = "tree-"
SNAPSHOTS: Final = "snapshots"
SNAPSHOT_SUFFIX: Final = ".snapshot"
_PART_SUFFIX: Final = ".part"
_DRAFT: Final = "draft"


class DirectoryTrees:
    """``TreeHome`` in a directory."""

    def __init__(self, directory: Path, map_bytes: int) -> None:
        self._directory = directory
        self._map_bytes = map_bytes

    def identity(self, generation: int) -> FileIdentity | None:
        """Device and inode of the data file."""
        try:
            found = (self._place(generation) / DATA_FILE).stat()
        except FileNotFoundError:
            return None
        return FileIdentity(found.st_dev, found.st_ino)

    def newest(self) -> int:
        """The greatest generation in the directory."""
        return max(self._generations(), default=0)

    def open(self, generation: int) -> Environment:
        """Open it without a sync per commit."""
        return open_environment(self._place(generation), sync=False, map_bytes=self._map_bytes)

    def make_empty(self, generation: int) -> None:
        """Make an environment without tables."""
        create_environment(self._place(generation), map_bytes=self._map_bytes)

    def make_from(self, generation: int, snapshot: SnapshotMeta) -> None:
        """Copy a snapshot's image; it gets its name once it is whole and durable."""
        place = self._place(generation)
        fresh = place.with_name(place.name + ".new")
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            with (fresh / DATA_FILE).open("wb") as file:
                source = SnapshotFile(snapshot_path(self._directory / SNAPSHOTS, snapshot))
                try:
                    source.copy_image(file.fileno())
                finally:
                    source.close()
                os.fsync(file.fileno())
            sync_directory(fresh)
            fresh.rename(place)
            sync_directory(self._directory)
        except OSError as error:
            raise StorageError(f"{place}: cannot be built: {error}") from error

    def drop_others(self, generation: int) -> None:
        """Remove other generations and what was never finished."""
        for path in self._directory.glob(TREE_PREFIX + "*"):
            if path != self._place(generation):
                shutil.rmtree(path, ignore_errors=True)

    def _place(self, generation: int) -> Path:
        return self._directory / f"{TREE_PREFIX}{generation}"

    def _generations(self) -> list[int]:
        numbers = (p.name.removeprefix(TREE_PREFIX) for p in self._directory.glob("tree-*"))
        return [int(number) for number in numbers if number.isdecimal()]


class DirectoryShelf:
    """``Shelf`` in a directory. ``check``: verifies a file, in a child process; raises
    CorruptionError."""

    def __init__(self, directory: Path, check: Callable[[Path], None]) -> None:
        self._directory = directory / SNAPSHOTS
        self._check = check
        self._files: dict[bytes, SnapshotFile] = {}
        self._kept: tuple[SnapshotMeta, ...] = ()
        """Newest first. Replaced as a whole: the worker thread keeps, the loop reads."""
        try:
            self._directory.mkdir(exist_ok=True)
            self._load()
        except OSError as error:
            raise StorageError(f"{self._directory}: {error}") from error

    def _load(self) -> None:
        (self._directory / _DRAFT).unlink(missing_ok=True)
        for path in self._directory.glob("*" + SNAPSHOT_SUFFIX):
            # A kept snapshot that cannot be read (rot, a newer format) is of no use to anybody;
            # it stays for whoever looks into it, and the others serve.
            with suppress(CoordError):
                self._add(SnapshotFile(path))

    def _add(self, file: SnapshotFile) -> None:
        self._files = {**self._files, file.checksum: file}
        metas = (known.meta for known in self._files.values())
        self._kept = tuple(sorted(metas, key=lambda meta: meta.index, reverse=True))

    def kept(self) -> tuple[SnapshotMeta, ...]:
        """Verified snapshots, newest first."""
        return self._kept

    def read(self, checksum: bytes, offset: int, size: int) -> bytes | None:
        """A piece of a kept snapshot; None if it is gone or cannot be read."""
        file = self._files.get(checksum)
        if file is None:
            return None
        with suppress(StorageError):
            return file.read(offset, size)
        return None

    def write(self, env: Environment, txn: ReadTxn) -> SnapshotMeta:
        """Copy the state, describe it, make it durable, name it by its checksum."""
        assert isinstance(env, LmdbEnvironment)
        draft = self._directory / _DRAFT
        facts = read_facts(env, txn)
        try:
            with draft.open("wb") as file:
                env.copy_to(file.fileno(), txn)
            write_descriptor(draft, facts)
            written = SnapshotFile(draft)
            written.close()
            draft.rename(self._part(written.checksum))
        except OSError as error:
            raise StorageError(f"{draft}: {error}") from error
        return written.meta

    def arrived(self, checksum: bytes) -> int:
        """Size of the part file."""
        try:
            return self._part(checksum).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, checksum: bytes, data: bytes) -> None:
        """Add to the part file; other part files are transfers that were given up."""
        part = self._part(checksum)
        try:
            if not part.exists():
                for other in self._directory.glob("*" + _PART_SUFFIX):
                    other.unlink()
            with part.open("ab") as file:
                file.write(data)
        except OSError as error:
            raise StorageError(f"{part}: {error.strerror}") from error

    def sync(self, checksum: bytes) -> None:
        """Flush the part file."""
        try:
            sync_file(self._part(checksum))
        except OSError as error:
            raise StorageError(f"{self._part(checksum)}: {error.strerror}") from error

    def verify(self, meta: SnapshotMeta) -> TreeFacts:
        """Check the part file in a child, then that it is the one announced."""
        part = self._part(meta.checksum)
        self._check(part)
        file = SnapshotFile(part)
        file.close()
        if file.meta != meta:
            raise CorruptionError(f"{part}: is not the snapshot that was announced")
        return file.facts

    def keep(self, meta: SnapshotMeta) -> None:
        """Give the part file its final name."""
        path = snapshot_path(self._directory, meta)
        try:
            self._part(meta.checksum).rename(path)
            sync_directory(self._directory)
        except OSError as error:
            raise StorageError(f"{path}: {error}") from error
        self._forget(lambda known: known.path == path)
        self._add(SnapshotFile(path))

    def discard(self, checksum: bytes) -> None:
        """Remove a part file."""
        self._part(checksum).unlink(missing_ok=True)

    def drop(self, meta: SnapshotMeta) -> None:
        """Remove a kept snapshot."""
        self._forget(lambda known: known.checksum == meta.checksum)
        snapshot_path(self._directory, meta).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        self._forget(lambda _: True)

    def _forget(self, chosen: Callable[[SnapshotFile], bool]) -> None:
        gone = [file for file in self._files.values() if chosen(file)]
        checksums = {file.checksum for file in gone}
        self._kept = tuple(m for m in self._kept if m.checksum not in checksums)
        self._files = {c: f for c, f in self._files.items() if c not in checksums}
        for file in gone:
            file.close()

    def _part(self, checksum: bytes) -> Path:
        return self._directory / (checksum.hex() + _PART_SUFFIX)


def snapshot_path(directory: Path, meta: SnapshotMeta) -> Path:
    """Where a kept snapshot lies. ``directory``: that of the snapshots."""
    return directory / f"{meta.index:016d}-{meta.term}{SNAPSHOT_SUFFIX}"
