"""Where trees and snapshots live: two small interfaces, on a directory and in memory.

What a crash may leave behind is decided here: everything that counts appears under its final name
in one step, after it has been made durable.
"""

from __future__ import annotations

from typing import Protocol

from coord.raft.types import SnapshotMeta
from coord.store.kv import Environment, ReadTxn
from coord.store.tree_facts import TreeFacts
from coord.store.trust import FileIdentity


class TreeHome(Protocol):
    """The generations of the tree. A generation is built once, under a number never used."""

    def identity(self, generation: int) -> FileIdentity | None:
        """Which file holds this generation; None if there is none."""
        ...

    def newest(self) -> int:
        """The greatest generation of which anything exists; 0 if none does."""
        ...

    def open(self, generation: int) -> Environment:
        """Open a trusted generation for reading and writing, without syncing every commit.
        Raises CorruptionError, StorageError."""
        ...

    def make_empty(self, generation: int) -> None:
        """Make an environment without tables. Raises StorageError."""
        ...

    def make_from(self, generation: int, snapshot: SnapshotMeta) -> None:
        """Make an environment from a kept snapshot, durably. Raises CorruptionError if its
        checksum is wrong, StorageError."""
        ...

    def drop_others(self, generation: int) -> None:
        """Remove every other generation."""
        ...


class Shelf(Protocol):
    """Snapshots: kept ones, which are verified, and arriving ones, which are not.

    ``write``, ``sync``, ``verify`` and ``keep`` may take seconds; they run on a worker thread, the
    rest on the loop.
    """

    def kept(self) -> tuple[SnapshotMeta, ...]:
        """Verified snapshots, newest first."""
        ...

    def read(self, checksum: bytes, offset: int, size: int) -> bytes | None:
        """A piece of a kept snapshot; None if it is not here (any more)."""
        ...

    def write(self, env: Environment, txn: ReadTxn) -> SnapshotMeta:
        """Write the state that ``txn`` sees as a snapshot that is durable and not verified.
        Raises StorageError."""
        ...

    def arrived(self, checksum: bytes) -> int:
        """Bytes present of the arriving snapshot with that checksum."""
        ...

    def append(self, checksum: bytes, data: bytes) -> None:
        """Add to an arriving snapshot; any other one that was arriving is dropped. Raises
        StorageError."""
        ...

    def sync(self, checksum: bytes) -> None:
        """Make an arrived snapshot durable. Raises StorageError."""
        ...

    def verify(self, meta: SnapshotMeta) -> TreeFacts:
        """Check a snapshot that was written or has arrived, and that it is what ``meta`` says.
        Raises CorruptionError."""
        ...

    def keep(self, meta: SnapshotMeta) -> None:
        """Let a verified snapshot count from now on, durably. Raises StorageError."""
        ...

    def discard(self, checksum: bytes) -> None:
        """Remove a snapshot that is not kept."""
        ...

    def drop(self, meta: SnapshotMeta) -> None:
        """Remove a kept snapshot."""
        ...
