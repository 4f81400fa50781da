"""From what each node says to what is wrong and what to do: pure, so that every case is a test.

A node's own answer is a map; :meth:`NodeView.of` is the only place that knows its keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coord.cli.ask import Answer
from coord.cli.output import listed


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as a node's configuration lists it."""

    id: int
    voter: bool
    client: str
    peer: str
    reachable: bool
    """From the node that answered, on the peer port."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node's answer; ``id`` is 0 and ``error`` says why where there was none."""

    address: str
    id: int = 0
    role: str = ""
    leader: int = 0
    term: int = 0
    commit: int = 0
    applied: int = 0
    sessions: int = 0
    connections: int = 0
    watches: int = 0
    version: str = ""
    uptime_ms: int = 0
    cluster: str = ""
    waiting: str = ""
    """Why it belongs to no cluster yet; empty if it does."""
    members: tuple[MemberView, ...] = ()
    alarms: tuple[str, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, answer: Answer) -> NodeView:
        """Read an answer; a key that this version does not know is ignored, a missing one is 0."""
        if answer.body is None:
            return cls(answer.address, error=answer.error)
        fields = answer.body[0]
        members = tuple(_member(one) for one in fields.get("members", ()))
        return cls(
            address=answer.address,
            id=int(fields.get("node", 0)),
            role=str(fields.get("role", "")),
            leader=int(fields.get("leader") or 0),
            term=int(fields.get("term", 0)),
            commit=int(fields.get("commit", 0)),
            applied=int(fields.get("applied", 0)),
            sessions=int(fields.get("sessions", 0)),
            connections=int(fields.get("connections", 0)),
            watches=int(fields.get("watches", 0)),
            version=str(fields.get("version", "")),
            uptime_ms=int(fields.get("uptime_ms", 0)),
            cluster=_text(fields.get("cluster", "")),
            waiting="" if members else str(fields.get("why_no_leader") or ""),
            members=members,
            alarms=tuple(_alarms(fields)),
        )

    @property
    def is_up(self) -> bool:
        """It answered."""
        return not self.error


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _member(fields: dict[str, Any]) -> MemberView:
    return MemberView(
        int(fields["id"]),
        str(fields.get("role", "voter")).lower() == "voter",
        str(fields.get("client", "")),
        str(fields.get("peer", "")),
        bool(fields.get("reachable", True)),
    )


def _alarms(fields: dict[str, Any]) -> list[str]:
    """What a node knows to be wrong with itself."""
    found = []
    if fields.get("digest_alarm"):
        found.append("its contents disagree with the other replicas")
    if not fields.get("writes_allowed", True):
        found.append("it refuses writes: free disk space or the quota is used up")
    if fields.get("last_snapshot_error"):
        found.append(f"its last snapshot failed: {fields['last_snapshot_error']}")
    return found


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``healthy``: a leader is known and every member is up. ``serving``: writes can succeed."""

    serving: bool
    healthy: bool
    leader: int
    headline: str
    reasons: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def members_of(views: Sequence[NodeView]) -> tuple[MemberView, ...]:
    """The configuration as the node that has applied most knows it."""
    known = [view for view in views if view.is_up and view.members]
    return max(known, key=lambda view: (view.applied, view.term)).members if known else ()


def diagnose(views: Sequence[NodeView]) -> Diagnosis:
    """What the answers mean together."""
    up = [view for view in views if view.is_up]
    if not up:
        return _nobody(views)
    clusters = {view.cluster for view in up if view.cluster}
    if len(clusters) > 1:
        return _several_clusters(up)
    leader = _leader(up)
    members = members_of(views)
    voters = [member.id for member in members if member.voter]
    up_ids = {view.id for view in up}
    down = [member.id for member in members if member.id not in up_ids]
    if leader:
        return _led(up, leader, voters, down)
    waiting = [view for view in up if view.waiting]
    if waiting and not voters:
        return _waiting(waiting)
    return _leaderless(up, voters, up_ids)


def _leader(up: Sequence[NodeView]) -> int:
    """The leader of the newest term that any reachable node knows, if that term has one."""
    newest = max(view.term for view in up)
    return next((view.leader for view in up if view.term == newest and view.leader), 0)


def _nobody(views: Sequence[NodeView]) -> Diagnosis:
    return Diagnosis(
        serving=False,
        healthy=False,
        leader=0,
        headline="no node answers",
        reasons=tuple(f"{view.address}: {view.error}" for view in views),
        advice=(
            "start the nodes, or name them with --hosts or COORD_HOSTS",
            "a local cluster is one command: coord dev",
        ),
    )


def _several_clusters(up: Sequence[NodeView]) -> Diagnosis:
    return Diagnosis(
        serving=False,
        healthy=False,
        leader=0,
        headline="these addresses belong to different clusters",
        reasons=tuple(f"{view.address} is of cluster {view.cluster}" for view in up),
        advice=("name the nodes of one cluster with --hosts or COORD_HOSTS",),
    )


def _led(
    up: Sequence[NodeView], leader: int, voters: Sequence[int], down: Sequence[int]
) -> Diagnosis:
    reasons = [f"node {view.id}: {alarm}" for view in up for alarm in view.alarms]
    advice = ["read that node's log; `coord digest` compares the replicas"] if reasons else []
    headline = f"healthy, led by node {leader}"
    if reasons:
        headline = f"serving, led by node {leader}, with alarms"
    if down:
        headline = f"serving, led by node {leader}, with members missing"
        reasons.append(f"{_nodes(down)} cannot be reached from here")
        if len(set(down) & set(voters)) >= (len(voters) - 1) // 2:
            reasons.append("one more lost voter stops the cluster")
        advice.append(f"start {_nodes(down)}, or replace for good with `coord member`")
    return Diagnosis(
        serving=True,
        healthy=not reasons,
        leader=leader,
        headline=headline,
        reasons=tuple(reasons),
        advice=tuple(advice),
    )


def _waiting(waiting: Sequence[NodeView]) -> Diagnosis:
    return Diagnosis(
        serving=False,
        healthy=False,
        leader=0,
        headline="the cluster has not been founded yet",
        reasons=tuple(f"node {view.id} waits: {view.waiting}" for view in waiting),
        advice=("a new cluster starts once all its first members are up and empty",),
    )


_MEANWHILE: Final = (
    "nothing acknowledged is lost meanwhile, and reads at level stale still work here"
)


def _leaderless(up: Sequence[NodeView], voters: Sequence[int], up_ids: set[int]) -> Diagnosis:
    needed = len(voters) // 2 + 1
    voting = sorted(up_ids & set(voters))
    missing = sorted(set(voters) - up_ids)
    if len(voting) < needed:
        headline = f"no leader: {len(voting)} of {len(voters)} voters reachable, {needed} needed"
        return Diagnosis(
            serving=False,
            healthy=False,
            leader=0,
            headline=headline,
            reasons=(f"{_nodes(missing)} cannot be reached from here",),
            advice=(f"start any {needed - len(voting)} of {_nodes(missing)}", _MEANWHILE),
        )
    cut = _cut_links(up, voting)
    if cut:
        return Diagnosis(
            serving=False,
            healthy=False,
            leader=0,
            headline="no leader: the voters cannot reach each other",
            reasons=tuple(cut),
            advice=("check the peer port (client port + 100 by default) between these hosts",),
        )
    return Diagnosis(
        serving=False,
        healthy=False,
        leader=0,
        headline="no leader at this moment: an election is under way",
        reasons=(f"{_nodes(voting)} are up, which is enough",),
        advice=("ask again in a second; if it stays so, read the nodes' logs",),
    )


def _cut_links(up: Sequence[NodeView], voting: Sequence[int]) -> list[str]:
    """Voters that answer us and have no link to each other."""
    cut = []
    for view in up:
        silent = [m.id for m in view.members if m.id in voting and not m.reachable]
        if silent and view.id in voting:
            cut.append(f"node {view.id} has no link to {_nodes(silent)}")
    return cut


def _nodes(ids: Sequence[int]) -> str:
    return f"node{'' if len(ids) == 1 else 's'} {listed(ids)}"
