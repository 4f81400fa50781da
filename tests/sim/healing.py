"""Which majority is healed first, and what becomes of the rest meanwhile.

A cluster promises to go on whenever a majority of its voters runs and can talk. So a random one is
healed, progress is demanded of it alone, and only then do the others come back.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
