"""Leader: heartbeats, which carry the commit index and the number of a read round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft.messages import Heartbeat
from coord.raft.types import Index, Term

if TYPE_CHECKING:
    from coord.raft.progress import Progress
    from coord.raft.state import Raft


def send_heartbeat(raft: Raft, progress: Progress, read_round: int) -> None:
    """The commit index is capped at what the follower matches, or it could make no use of it. It
    checks the term all the same: a wiped disk may have come back under the same id."""
    commit = Index(min(raft.log.commit, progress.match))
    commit_term = raft.log.term(commit)
    if commit_term is None:  # compacted: it will learn from what brings it up to date
        commit, commit_term = Index(0), Term(0)
    progress.commit_sent = max(progress.commit_sent, commit)
    raft.send(
        Heartbeat(
            progress.id,
            raft.id,
            raft.incarnation,
            raft.term,
            commit,
            commit_term,
            read_round,
        )
    )


def broadcast_heartbeats(raft: Raft) -> None:
    """The periodic ones: a fresh round number each time, so they retry reads as well."""
    raft.reads.round += 1
    for progress in raft.progress.values():
        send_heartbeat(raft, progress, raft.reads.round)


def announce_commit(raft: Raft, progress: Progress) -> None:
    """Tell a follower of a commit index it has not heard about; no answer wanted."""
    sent = progress.commit_sent
    if sent < raft.log.commit and sent < progress.match:
        send_heartbeat(raft, progress, 0)
