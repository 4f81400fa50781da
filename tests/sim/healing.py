"""Which majority is healed first, and what becomes of the rest meanwhile.

A cluster promises to go on whenever a majority of its voters runs and can talk. So a random one is
healed, progress is demanded of it alone, and only then do the others come back.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from coord.raft.invariants import require

if TYPE_CHECKING:
    from coord.raft.types import Membership
    from tests.sim.cluster import Cluster
    from tests.sim.member import Member


def choose_core(cluster: Cluster) -> list[int]:
    """Machines that must be able to go on by themselves, chosen by ``plan.core``; all of them if no
    smaller set is (a change of the membership may be half done, disks may have been lost)."""
    stream = random.Random(cluster.plan.core)
    order = sorted(cluster.members)
    stream.shuffle(order)
    committed = cluster.committed()
    for count in range(1, len(order)):
        chosen = [cluster.members[node] for node in order[:count]]
        if any(_can_lead(member, chosen, committed) for member in chosen):
            return sorted(order[:count])
    return sorted(order)


def _can_lead(one: Member, core: list[Member], committed: int) -> bool:
    """Those in the core can elect it: its log is complete, and in its configuration (both, if that
    is joint) a majority has no better one."""
    view = one.durable(one.key)
    if view is None or view.last_index() < committed:
        return False
    membership = view.membership
    behind = {member.key for member in core if _position(member) <= _position(one)}
    groups = [{(m.id, m.incarnation) for m in membership.voters}]
    if membership.is_joint:
        groups.append({(m.id, m.incarnation) for m in membership.outgoing})
    return one.key in groups[0] and all(len(behind & group) > len(group) // 2 for group in groups)


def _position(member: Member) -> tuple[int, int]:
    """(term, index) of the last durable entry."""
    view = member.durable(member.key)
    if view is None:
        return (0, 0)
    last, marker = view.last_index(), view.marker
    if marker is not None and marker.index == last:
        return (int(marker.term), int(last))
    return (int(view.term(last) or 0), int(last))


class Settled:
    """A leader that a healed majority follows, before the others come back. Nothing is wrong from
    then on, so nobody may depose it; unless one comes back who knows of a later term, leadership
    is being handed over, or the membership still changes."""

    def __init__(self, cluster: Cluster) -> None:
        leaders = [member for member in cluster.running() if member.leads]
        leader = max(leaders, key=_term, default=None)
        newest = max(map(_term, cluster.members.values()))
        is_calm = leader is not None and _term(leader) == newest and not _hands_over(leader)
        self._leader = leader if is_calm else None
        self._term = newest
        self._membership = _membership(self._leader)

    def check(self) -> None:
        """At the end of the run."""
        leader = self._leader
        if leader is not None and _membership(leader) == self._membership:
            require(
                leader.leads and _term(leader) == self._term,
                "healthy-leaders-stay",
                f"node {leader.id} led term {self._term} and all was well; now it is in term"
                f" {_term(leader)}",
            )


def _term(member: Member) -> int:
    """The newest term that the machine knows of."""
    if member.node is not None:
        return int(member.node.raft.term)
    view = member.durable(member.key)
    return 0 if view is None else int(view.hard_state.term)


def _hands_over(member: Member) -> bool:
    return member.node is not None and bool(member.node.raft.transferee)


def _membership(member: Member | None) -> Membership | None:
    return None if member is None or member.node is None else member.node.raft.membership


def banish(cluster: Cluster, core: list[int]) -> None:
    """The others are down, or up and unreachable for everybody."""
    stream = random.Random(cluster.plan.core + 1)
    names = [member.process.name for member in cluster.members.values()]
    names += [client.process.name for client in cluster.clients]
    for node, member in sorted(cluster.members.items()):
        if node in core:
            continue
        if stream.randrange(2):
            member.process.crash(power=bool(stream.randrange(2)))
            continue
        name = member.process.name
        for other in names:
            if other != name:
                cluster.network.cut(name, other)
                cluster.network.cut(other, name)
