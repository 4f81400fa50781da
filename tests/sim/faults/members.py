"""What an operator does while things go wrong: moves leadership, takes snapshots, lets machines
join, promotes, removes and replaces them, and upgrades them one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from coord.model import requests as rq
from coord.model.limits import SECRET_BYTES
from coord.node.reconfig import ACTION as RECONFIGURE
from coord.protocol.native_client import Reply
from coord.raft import RaftRefusal
from coord.raft.types import Member as Listed
from coord.raft.types import MemberRole, Membership
from coord.sim import US_PER_S
from coord.store.counts import tree_counts
from tests.sim import programs, upgrade
from tests.sim.history import Counted
from tests.sim.member import Member
from tests.sim.strike import Strike

VOTERS_LEFT_MIN: Final = 2
WIPED_AFTER_US: Final = US_PER_S
"""A machine that was removed stays up for so long, not knowing it, before somebody empties it."""


def _transfer(strike: Strike) -> None:
    """Leadership is to move, to anybody or to somebody by name."""
    ids = [0, *(member.id for member in _members(strike))]
    _ask(strike, rq.TRANSFER, {"to": strike.stream.choice(ids)})


def _snapshot(strike: Strike) -> None:
    """One node takes a snapshot now."""
    strike.cluster.operator.ask(strike.whom().id, rq.SNAPSHOT, {}, _ignore)


def _add(strike: Strike) -> None:
    """A machine that belongs to no cluster becomes a learner."""
    spare = _spare(strike)
    if spare:
        _change(strike, "add", spare)


def _promote(strike: Strike) -> None:
    """A learner is to vote."""
    learners = [m.id for m in _members(strike) if m.role is not MemberRole.VOTER]
    if learners:
        _change(strike, "promote", strike.stream.choice(learners))


def _remove(strike: Strike) -> None:
    """A member goes, the leader too if it is the one."""
    one = strike.whom().id
    voters = [m.id for m in _members(strike) if m.role is MemberRole.VOTER]
    if one not in voters or len(voters) > VOTERS_LEFT_MIN:
        _change(strike, "remove", one, lambda _reply: _retire(strike, one))


def _demote(strike: Strike) -> None:
    """The leader is to be a learner and stays connected: what no command does, and the core can."""
    leaders = [member for member in strike.cluster.running() if member.leads]
    if not leaders or leaders[0].node is None:
        return
    node = leaders[0].node
    members = node.raft.membership.members
    if sum(member.role is MemberRole.VOTER for member in members) > VOTERS_LEFT_MIN:
        wanted = (
            replace(member, role=MemberRole.LEARNER) if member.id == node.id else member
            for member in members
        )
        with suppress(RaftRefusal):
            node.raft.propose_membership(Membership(tuple(wanted)))
            node.driver.wake()


def _replace(strike: Strike) -> None:
    """One machine takes another's place, in one change."""
    one, spare = strike.whom().id, _spare(strike)
    if not spare:
        return
    arguments = {
        "action": RECONFIGURE,
        "joining": [[spare, True]],
        "leaving": [one],
        "keep": True,
    }
    _ask(strike, rq.MEMBER_CHANGE, arguments, lambda _reply: _retire(strike, one))


def _upgrade(strike: Strike) -> None:
    """One machine starts again with the next version, or all do, one after the other."""
    ids = [strike.whom().id]
    if strike.stream.randrange(2):
        ids = strike.ids()
        strike.stream.shuffle(ids)
    for turn, node in enumerate(ids):
        strike.at(turn * strike.length_us, partial(_upgrade_one, strike.cluster.members[node]))


def _upgrade_one(member: Member) -> None:
    if member.version < upgrade.NEXT_LEVEL:
        member.process.crash()
        member.version = upgrade.NEXT_LEVEL
        member.start()


def _inspect(strike: Strike) -> None:
    """Somebody looks: every question that changes nothing, to any node."""
    sessions = sorted(strike.cluster.history.sessions) or [1]
    session: dict[str, object] = {"session": strike.stream.choice(sessions)}
    first = max(1, strike.cluster.committed() - 20)
    questions: tuple[tuple[int, dict[str, object]], ...] = (
        (rq.STATUS, {}),
        (rq.DIGEST, {}),
        (rq.MEMBERS, {}),
        (rq.LOG_TAIL, {"from": first}),
        (rq.HISTORY, {"path": programs.COUNTER, "limit": 5}),
        (rq.WHY_SESSION, session),
        (rq.RESULT_OF, {**session, "seq": 1, "secret": bytes(SECRET_BYTES)}),
        (rq.SESSIONS, {}),
    )
    for op, arguments in questions:
        _ask(strike, op, arguments)


def _count(strike: Strike) -> None:
    """Somebody asks one node how much its tree holds, as `mntr` does."""
    member = strike.whom()
    if member.store is not None and member.node is not None and not member.process.paused:
        counts = tree_counts(member.store.tree)
        revision = member.store.machine.applied_index
        counted = Counted(member.id, revision, counts.nodes, counts.ephemerals)
        strike.cluster.history.counts.append(counted)


# --- parts --------------------------------------------------------------------------------------


def _ignore(_reply: Reply) -> None:
    """Whatever the answer is."""


def _members(strike: Strike) -> tuple[Listed, ...]:
    """Everybody in the newest configuration that any node knows."""
    known = [m.node.raft for m in strike.cluster.running() if m.node is not None]
    newest = max(known, key=lambda raft: raft.commit, default=None)
    return () if newest is None else newest.membership.members


def _spare(strike: Strike) -> int:
    """A machine that is no member and of no older version than any, 0 if there is none."""
    machines = strike.cluster.members
    members = {member.id for member in _members(strike)}
    newest = max((machines[node].version for node in members), default=0)
    spares = [n for n in strike.ids() if n not in members and machines[n].version >= newest]
    return strike.stream.choice(spares) if spares else 0


def _change(
    strike: Strike, action: str, node: int, then: Callable[[Reply], None] = _ignore
) -> None:
    _ask(strike, rq.MEMBER_CHANGE, {"action": action, "id": node}, then)


def _ask(
    strike: Strike,
    op: int,
    arguments: dict[str, object],
    then: Callable[[Reply], None] = _ignore,
) -> None:
    """Any node takes the request; it goes on to the leader."""
    running = [member.id for member in strike.cluster.running()]
    if running:
        strike.cluster.operator.ask(strike.stream.choice(running), op, arguments, then)


def _retire(strike: Strike, node: int) -> None:
    """Empty a machine that was removed, so that it may join again, unless it may be needed."""
    cluster = strike.cluster

    def empty() -> None:
        member = cluster.members[node]
        if all(node != one.id for one in _members(strike)) and cluster.survives_without(node):
            member.wipe()
            member.start()

    strike.at(WIPED_AFTER_US, empty)


TABLE: Final[dict[str, Callable[[Strike], None]]] = {
    "transfer": _transfer,
    "snapshot": _snapshot,
    "add": _add,
    "promote": _promote,
    "remove": _remove,
    "demote": _demote,
    "replace": _replace,
    "upgrade": _upgrade,
    "inspect": _inspect,
    "count": _count,
}
