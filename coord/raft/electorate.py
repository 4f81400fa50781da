"""Who decides: the configuration in force, ready for counting, and the ones it may fall back to.

A configuration takes effect when it is appended, not when it commits (Raft §6), so truncation can
bring an older one back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft.invariants import require
from coord.raft.progress import Progress
from coord.raft.quorum import Verdict, agreed, joint_verdict
from coord.raft.types import NO_NODE, EntryKind, Incarnation, Index, Membership, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coord.raft.log import RaftLog
    from coord.raft.state import Raft
    from coord.raft.storage import Storage
    from coord.raft.types import LogSlice


class Electorate:
    """A Membership prepared for counting. Immutable; a new one is made for each configuration."""

    __slots__ = ("incoming", "index", "members", "membership", "outgoing", "voters")

    def __init__(self, membership: Membership, index: Index) -> None:
        self.membership = membership
        self.index = index
        """Of the CONFIG entry; committed once the commit index reaches it."""
        self.members: dict[NodeId, Incarnation] = {
            m.id: m.incarnation for m in (*membership.outgoing, *membership.members)
        }
        """Everybody who receives the log: of an id being replaced, the new incarnation."""
        self.incoming: list[NodeId] = [m.id for m in membership.voters]
        self.outgoing: list[NodeId] = [
            m.id if self.members[m.id] == m.incarnation else NO_NODE for m in membership.outgoing
        ]
        """NO_NODE stands for a voter whose disk is gone: it counts in the total, and never
        agrees to anything. Its id may belong to its replacement, which must not speak for it."""
        self.voters: list[NodeId] = sorted({*self.incoming, *self.outgoing} - {NO_NODE})
        """Of either configuration."""

    def lists(self, node: NodeId, incarnation: Incarnation) -> bool:
        """This data directory, not merely this id, is a member."""
        return self.members.get(node) == incarnation

    def is_voter(self, node: NodeId, incarnation: Incarnation) -> bool:
        """This data directory may vote, be counted and campaign."""
        return node in self.voters and self.lists(node, incarnation)

    def agreed(self, value_of: Callable[[NodeId], int]) -> int:
        """The highest value that a majority (while joint: of each configuration) reaches."""
        first = agreed([value_of(node) for node in self.incoming])
        if not self.outgoing:
            return first
        return min(first, agreed([value_of(node) if node else 0 for node in self.outgoing]))

    def verdict(self, votes: Mapping[NodeId, bool]) -> Verdict:
        """Outcome of an election."""
        return joint_verdict(self.incoming, self.outgoing, votes)


def adopt(raft: Raft, run: LogSlice) -> None:
    """A run of CONFIG entries was appended: the last one is in force from now on."""
    assert run.kind is EntryKind.CONFIG
    raft.configurations += _decode(run)
    _changed(raft)


def roll_back(raft: Raft, index: Index) -> None:
    """Entries from ``index`` on were truncated, configurations among them."""
    if raft.electorate.index < index:
        return
    while len(raft.configurations) > 1 and raft.configurations[-1].index >= index:
        raft.configurations.pop()
    require(
        raft.configurations[-1].index < index,
        "configuration-to-fall-back-to",
        f"{raft.configurations[-1].index} is truncated from {index} on and nothing is left",
    )
    _changed(raft)


def settle(raft: Raft) -> None:
    """The commit index moved: configurations superseded at or below it cannot come back."""
    known = raft.configurations
    while len(known) > 1 and known[1].index <= raft.log.commit:
        del known[0]


def restore(raft: Raft, membership: Membership, index: Index) -> None:
    """An installed snapshot carries the configuration."""
    raft.configurations = [Electorate(membership, index)]
    _changed(raft)


def _changed(raft: Raft) -> None:
    raft.electorate = raft.configurations[-1]
    raft.membership_changed = True
    raft.note(f"configuration {raft.electorate.index}")
    if raft.is_leader:
        sync_progress(raft, raft.electorate.index)


def sync_progress(raft: Raft, following: Index) -> None:
    """Leader: one Progress per other member of the configuration in force, new ones probing from
    ``following``, an entry they surely lack.

    A known id keeps its progress only if the incarnation is the same: a wiped disk starts at 0.
    """
    known = raft.progress
    raft.progress = {}
    for node, incarnation in raft.electorate.members.items():
        if node == raft.id:
            continue
        progress = known.get(node)
        if progress is None or progress.incarnation != incarnation:
            progress = Progress(node, incarnation, following, raft.now)
        raft.progress[node] = progress
    raft.must_replicate = True


def recover(log: RaftLog, storage: Storage) -> list[Electorate]:
    """The configuration as of the applied index and every later one in the log, in order.

    Uncommitted ones are in force as well but may yet be truncated, so both are needed.
    """
    _, newest, marker = storage.initial_state()
    found = _scan(storage, Index(log.applied + 1), log.last)
    if not found:
        return [Electorate(newest, log.applied)]
    require(
        found[-1].membership == newest,
        "configuration-survives-restart",
        f"the log's newest is {found[-1].membership}, recovered was {newest}",
    )
    before = _scan(storage, log.first, log.applied)
    if before:
        return [before[-1], *found]
    return [Electorate(marker.membership, marker.index), *found] if marker else found


def _scan(storage: Storage, first: Index, last: Index) -> list[Electorate]:
    found: list[Electorate] = []
    while first <= last:
        for run in storage.slices(first, last, _SCAN_BYTES):
            if run.kind is EntryKind.CONFIG:
                found += _decode(run)
            first = Index(run.last + 1)
    return found


def _decode(run: LogSlice) -> list[Electorate]:
    return [
        Electorate(Membership.decode(payload), Index(run.first + offset))
        for offset, payload in enumerate(run.payloads)
    ]


_SCAN_BYTES = 1 << 20
