"""The key-value seam: ordered byte tables, snapshot-isolated readers, one atomic writer.

The store's logic stands on these protocols. ``LmdbEnvironment`` keeps the tables in a file,
``MemoryEnvironment`` keeps them in memory for tests and for the simulator, which may lose commits
that were not synced. The same tests run over both.

The signatures are py-lmdb's, so that the LMDB twin can hand out the C methods themselves: a lookup
through the seam costs what a lookup in py-lmdb costs.

Rules:

1. A key is 1 to 511 bytes long; values may be empty.
2. There is at most one write transaction; a second ``write()`` waits (LMDB) or fails (memory).
3. Do not write to a table while a scan of it in the same transaction is open: finish it first.
4. Open a table before the transactions that use it begin: an older one does not know it.
5. A transaction belongs to one thread at a time; the writer to the thread that began it.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Protocol, Self

KEY_BYTES_MAX: Final = 511
"""LMDB's limit for version 0.9 files."""


class Table(Protocol):
    """Handle of one table, got from ``Environment.table``; means something to its environment
    only."""


class ReadTxn(Protocol):
    """One consistent state of the environment; sees nothing committed after it began.

    Reads may raise what ``Environment.failures`` names besides StorageError: they are the
    engine's own methods.
    """

    def get(self, key: bytes, default: None, db: Table, /) -> bytes | None:
        """The value of ``key``, or None. Positional, as py-lmdb's C method takes it."""
        ...

    def scan(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Records with start <= key < stop (None: to the end), ascending. Stopping early is
        safe."""
        ...

    def scan_back(
        self, db: Table, start: bytes, stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """The same records as ``scan``, descending."""
        ...

    def scan_keys(self, db: Table, start: bytes, stop: bytes | None = None) -> Iterator[bytes]:
        """Keys of the same records as ``scan``; values are not touched."""
        ...

    def count(self, db: Table) -> int:
        """Number of records in the table."""
        ...

    def close(self) -> None:
        """Release the state that this transaction pins. Idempotent."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; a write transaction that was not committed is aborted."""
        ...


class WriteTxn(ReadTxn, Protocol):
    """The writer: sees its own changes; nobody else does before ``commit``."""

    def put(self, key: bytes, value: bytes, *, db: Table) -> object:
        """Store ``value`` under ``key``."""
        ...

    def delete(self, key: bytes, *, db: Table) -> bool:
        """Remove ``key``; False if there was none."""
        ...

    def commit(self) -> None:
        """Make the changes visible; durable too if the environment syncs every commit.

        Raises StorageError: whether the changes survive is then unknown, and the process must
        end without acknowledging anything (a failed fsync must not be retried).
        """
        ...

    def abort(self) -> None:
        """Drop the changes. Idempotent, harmless after ``commit``."""
        ...


class Environment(Protocol):
    """A set of tables with one writer and any number of readers."""

    name: str
    """What messages about damage call it: the path of the file."""
    failures: tuple[type[Exception], ...]
    """What reads, ``put`` and ``delete`` may raise besides StorageError: the engine's own
    errors."""
    damage: tuple[type[Exception], ...]
    """Those of them which mean that the file is not what was written to it."""
    witness: int | None
    """32 bits, not 0, by which the owner knows a committed state. Set before a commit; found again
    when the environment is next opened if they are those of its newest commit. None: not known."""

    def table(self, name: str) -> Table:
        """Handle of a table, made if missing. Before the transactions that use it."""
        ...

    def read(self) -> ReadTxn:
        """Begin reading the newest committed state."""
        ...

    def write(self) -> WriteTxn:
        """Begin the write transaction."""
        ...

    def refresh(self, txn: ReadTxn) -> ReadTxn:
        """Move a long-lived reader to the newest committed state; returns the reader to use from
        now on. Scans and bound methods taken from it before are void."""
        ...

    def sync(self) -> None:
        """Make everything committed so far durable. Raises StorageError."""
        ...

    def grow_ahead(self) -> None:
        """Give the file zeroed room for the commits to come, so that syncing one need not wait
        for the file system's journal. On the writer's thread, between transactions."""
        ...

    def used_bytes(self) -> int:
        """Bytes that records and their index pages take, free pages not counted."""
        ...

    def close(self) -> None:
        """Close; all transactions must have ended. Idempotent."""
        ...
