"""What the core reads back of what it asked to be made durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from coord.raft.types import HardState, Index, LogSlice, Membership, SnapshotMeta, Term


class Storage(Protocol):
    """Synchronous reads of the durable log. Writes go through ``Ready``.

    Indexes below ``first_index`` are compacted. All reads see every write reported by
    ``persisted``; they may or may not see later ones.
    """

    def initial_state(self) -> tuple[HardState, Membership, SnapshotMeta | None]:
        """Hard state, newest appended membership, marker of the snapshot the log starts after."""
        ...

    def first_index(self) -> Index:
        """First index that ``slices`` can return (marker index + 1 for an empty log)."""
        ...

    def last_index(self) -> Index:
        """Last durable index (marker index for an empty log, else 0)."""
        ...

    def term(self, index: Index) -> Term | None:
        """Term of an entry, or of the snapshot marker; None if compacted or beyond the end."""
        ...

    def slices(self, first: Index, last: Index, max_bytes: int) -> list[LogSlice]:
        """Entries first..last inclusive, cut at ``max_bytes`` but never empty. Raises
        CorruptionError (from the implementation) if a checksum fails; the core does not catch."""
        ...

    def snapshot(self) -> SnapshotMeta | None:
        """Newest verified snapshot that can be sent to a follower, or None."""
        ...
