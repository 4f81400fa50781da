"""Leader: what enters the log, and how much of it may be uncommitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft.types import EntryKind, Index, LogSlice

if TYPE_CHECKING:
    from coord.raft.state import Raft
    from coord.raft.types import Membership


def propose(raft: Raft, payloads: list[bytes]) -> Index | None:
    """Append a run of commands; the index of the first, or None if that cannot be done now.

    Refused while handing over leadership (dissertation §3.10) and while too much is uncommitted.
    """
    assert payloads, "an empty proposal"
    if not raft.is_leader or raft.transferee:
        return None
    if raft.uncommitted_bytes >= raft.config.max_uncommitted_bytes:
        return None
    return _append(raft, EntryKind.NORMAL, payloads)


def append_opening(raft: Raft) -> None:
    """The empty entry that lets a new leader learn what is committed (§8)."""
    _append(raft, EntryKind.NOOP, [b""])


def append_configuration(raft: Raft, membership: Membership) -> Index:
    """A configuration, in force from here on."""
    return _append(raft, EntryKind.CONFIG, [membership.encode()])


def _append(raft: Raft, kind: EntryKind, payloads: list[bytes]) -> Index:
    assert raft.is_leader
    first = Index(raft.log.last + 1)
    run = LogSlice(first, raft.term, kind, payloads)
    size = raft.append(run)
    raft.uncommitted.append((raft.log.last, size))
    raft.uncommitted_bytes += size
    raft.must_replicate = True
    return first


def release(raft: Raft) -> None:
    """The commit index moved: proposals up to it no longer count against the bound."""
    queue = raft.uncommitted
    commit = raft.log.commit
    while queue and queue[0][0] <= commit:
        raft.uncommitted_bytes -= queue.popleft()[1]
