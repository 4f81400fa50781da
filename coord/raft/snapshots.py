"""Sending a snapshot to a follower the log no longer reaches, and receiving one (Raft §7).

Stop and wait, chunk by chunk: the follower's answer names the offset it wants next, so that a
transfer broken off, by either side and across restarts, resumes where it stopped as long as the
file (its checksum) is the same. The first message of a transfer asks for that offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft import electorate
from coord.raft.election import leader_is_alive
from coord.raft.follower import acknowledge
from coord.raft.invariants import require
from coord.raft.messages import InstallSnapshot, SnapshotProgress
from coord.raft.progress import ProgressState
from coord.raft.ready import SnapshotChunk
from coord.raft.types import NO_NODE, Index, SnapshotMeta

if TYPE_CHECKING:
    from coord.raft.progress import Progress
    from coord.raft.state import Raft
    from coord.raft.types import NodeId


# Leader -------------------------------------------------------------------------------------


def begin(raft: Raft, progress: Progress) -> None:
    """Entries the follower needs are compacted away. Without a snapshot, wait for one."""
    meta = raft.storage.snapshot()
    if meta is None or meta.index + 1 < raft.log.first:
        progress.become_probe()
        progress.paused = True  # until a heartbeat comes back or a snapshot appears
        return
    progress.become_snapshot(meta)
    raft.note(f"sends snapshot {meta.index} to {progress.id}")
    _send(raft, progress, 0)


def _send(raft: Raft, progress: Progress, size: int) -> None:
    meta = progress.snapshot
    assert meta is not None
    progress.snapshot_silence = 0
    progress.snapshot_whole = progress.snapshot_offset + size == meta.length
    raft.send(
        InstallSnapshot(
            progress.id,
            raft.id,
            raft.incarnation,
            raft.term,
            meta,
            progress.snapshot_offset,
            size,
            None,
        )
    )


def on_progress(raft: Raft, progress: Progress, message: SnapshotProgress) -> None:
    """The follower names the next offset it wants. At the end, wait for the installation."""
    meta = progress.snapshot
    if meta is None or meta.checksum != message.checksum or progress.snapshot_refused:
        return
    if message.failed:
        # The file may have been damaged on the way, there, or here. Have it looked at; begin anew
        # only after a pause, with whatever is the newest then.
        progress.snapshot_refused = True
        progress.snapshot_silence = 0
        raft.refused_snapshot = meta
        raft.note(f"{progress.id} refuses snapshot {meta.index}")
        return
    progress.snapshot_offset = min(message.next_offset, meta.length)
    remaining = meta.length - progress.snapshot_offset
    if remaining or not progress.snapshot_whole:
        _send(raft, progress, min(remaining, raft.config.snapshot_chunk_bytes))


def has_arrived(raft: Raft, progress: Progress) -> bool:
    """The follower holds the snapshot's state, or has come by what our log continues."""
    assert progress.snapshot is not None
    return progress.match + 1 >= min(raft.log.first, progress.snapshot.index + 1)


def tick(raft: Raft) -> None:
    """Ask again where a chunk or its answer was lost; begin again where a file was refused."""
    for progress in raft.progress.values():
        if progress.state is ProgressState.SNAPSHOT:
            progress.snapshot_silence += 1
            if progress.snapshot_refused:
                if progress.snapshot_silence >= raft.config.snapshot_pause_ticks:
                    begin(raft, progress)
            elif progress.snapshot_silence >= raft.config.snapshot_retry_ticks:
                _send(raft, progress, 0)


def unavailable(raft: Raft, peer: NodeId) -> None:
    """The driver cannot read the file being sent: start over with whatever there is."""
    progress = raft.progress.get(peer)
    if progress is not None and progress.state is ProgressState.SNAPSHOT:
        progress.become_probe()
        progress.paused = True


def available(raft: Raft) -> None:
    """A new snapshot exists: followers that waited for one need wait no longer."""
    for progress in raft.progress.values():
        if progress.state is ProgressState.PROBE and progress.next < raft.log.first:
            progress.paused = False
    raft.must_replicate = raft.is_leader


# Follower -----------------------------------------------------------------------------------


def on_install_snapshot(raft: Raft, message: InstallSnapshot) -> None:
    """A piece arrived. One that is behind our log needs no installing."""
    leader_is_alive(raft, message.frm)
    meta = message.meta
    if raft.installing is not None:
        if raft.installing.checksum == meta.checksum:
            _report(raft, meta.checksum, meta.length, failed=False)
    elif not _is_superfluous(raft, meta):
        raft.chunk = SnapshotChunk(meta, message.offset, message.data or b"", message.done)


def _is_superfluous(raft: Raft, meta: SnapshotMeta) -> bool:
    """The log holds everything the snapshot stands for: say so, and forget the snapshot."""
    log = raft.log
    if meta.index > log.commit:
        if not log.matches(meta.index, meta.term):
            return False
        log.commit_to(meta.index)  # a snapshot only ever holds what is committed
        electorate.settle(raft)
    acknowledge(raft, raft.leader, log.commit)
    return True


def take_chunk(raft: Raft) -> SnapshotChunk | None:
    """Hand out the piece that waits, if any. From the last piece on no entry may be appended
    until the driver is done with it, and before it none may have made it superfluous."""
    chunk, raft.chunk = raft.chunk, None
    if chunk is None or _is_superfluous(raft, chunk.meta):
        return None
    if chunk.done:
        raft.installing = chunk.meta
    return chunk


def chunk_stored(raft: Raft, checksum: bytes, next_offset: int) -> None:
    """The driver holds the file up to ``next_offset``: ask the leader for more."""
    meta = raft.installing
    if meta is not None and meta.checksum == checksum and next_offset < meta.length:
        raft.installing = None  # pieces are missing after all
    _report(raft, checksum, next_offset, failed=False)


def chunk_dropped(raft: Raft, checksum: bytes) -> None:
    """The driver could not take the piece just now. The leader, told nothing, offers it again; if
    it was the last one, nothing is being installed until then."""
    if raft.installing is not None and raft.installing.checksum == checksum:
        raft.installing = None


def chunk_failed(raft: Raft, checksum: bytes) -> None:
    """The driver could not store or verify the file and has dropped it."""
    chunk_dropped(raft, checksum)
    _report(raft, checksum, 0, failed=True)


def _report(raft: Raft, checksum: bytes, offset: int, *, failed: bool) -> None:
    if raft.leader in (NO_NODE, raft.id):
        return
    raft.send(
        SnapshotProgress(
            raft.leader, raft.id, raft.incarnation, raft.term, checksum, offset, failed
        )
    )


def installed(raft: Raft, meta: SnapshotMeta) -> None:
    """The driver replaced the state: the log starts after ``meta`` now."""
    require(
        meta.index > raft.log.commit and not raft.is_leader,
        "snapshot-moves-forward",
        f"installed {meta.index} over {raft.log.commit} as {raft.role.value}",
    )
    raft.installing = None
    for record in raft.outstanding:
        record.last = Index(0)
    raft.pending_ack = None
    raft.log.restore(meta.index, meta.term)
    electorate.restore(raft, meta.membership, meta.index)
    raft.membership_changed = False
    raft.note(f"installed snapshot {meta.index}")
    if raft.leader not in (NO_NODE, raft.id):
        acknowledge(raft, raft.leader, meta.index)
