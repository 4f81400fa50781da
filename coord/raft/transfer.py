"""Leader: hand the office to a chosen voter (dissertation §3.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft.membership import RaftRefusal
from coord.raft.messages import TimeoutNow
from coord.raft.types import NO_NODE, NodeId

if TYPE_CHECKING:
    from coord.raft.progress import Progress
    from coord.raft.state import Raft


def begin(raft: Raft, target: NodeId) -> None:
    """Stop taking proposals and bring the target up to date. Raises RaftRefusal."""
    if not raft.is_leader:
        raise RaftRefusal("not_leader")
    if raft.transferee:
        raise RaftRefusal("transferring")
    if target == raft.id or target not in raft.electorate.incoming:
        raise RaftRefusal("not_another_voter")
    raft.transferee = target
    raft.transfer_elapsed = 0
    raft.note(f"transfers to {target}")
    continue_to(raft, raft.progress[target])


def continue_to(raft: Raft, progress: Progress) -> None:
    """The target moved: once it has everything, it may campaign."""
    if progress.match == raft.log.last:
        raft.send(TimeoutNow(progress.id, raft.id, raft.incarnation, raft.term))
    else:
        raft.must_replicate = True


def tick(raft: Raft) -> None:
    """Give up after an election timeout: writes must not be blocked by a target that is gone."""
    if raft.transferee == NO_NODE:
        return
    raft.transfer_elapsed += 1
    if raft.transfer_elapsed >= raft.config.election_ticks_min:
        raft.note(f"gives up the transfer to {raft.transferee}")
        raft.transferee = NO_NODE
