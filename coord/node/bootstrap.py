"""How an empty node comes to belong to a cluster.

The rule (design, section 4): a cluster is founded only when *all* its initial members can be
reached and all are empty; one that has seen the cluster vetoes a second founding.

Every founder decides by itself, from the hellos of the others, and all come to the same result
because nothing in it is chosen: the first membership is the configured one with each founder's
incarnation filled in, and the cluster id is a hash of that membership. Two foundings with
different data directories are therefore two clusters whose members refuse each other, and a
founder that crashed before it had written anything recognises, when it comes back with the same
incarnation, the cluster that the others founded with it. An empty directory that the cluster does
not know (a wiped disk, a node to add) joins: it waits until the leader makes it a learner.

``decide`` is pure; ``Bootstrapper`` collects the hellos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgpack

from coord.node.peer_hello import Hello
from coord.raft.types import Member, MemberRole, Membership, NodeId

CLUSTER_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class InitialMember:
    """One founder as configured; addresses are "host:port" as the others should dial them."""

    id: NodeId
    peer: str
    client: str = ""
    http: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet. ``alarm``: waiting alone will not help, somebody must act."""

    reason: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Start the cluster with this first membership."""

    cluster_id: bytes
    membership: Membership


@dataclass(frozen=True, slots=True)
class Join:
    """The cluster exists: wait for its leader as somebody it does not know yet."""

    cluster_id: bytes


Decision = Wait | Found | Join


def digest_of(initial: Sequence[InitialMember]) -> bytes:
    """Fingerprint of the configured members: founders with different ones must not found."""
    plain = [(m.id, m.peer, m.client, m.http) for m in sorted(initial, key=lambda m: m.id)]
    return hashlib.blake2b(msgpack.packb(plain), digest_size=CLUSTER_ID_BYTES).digest()


def cluster_id_of(founders: Membership) -> bytes:
    """The id of the cluster that starts with this membership."""
    return hashlib.blake2b(founders.encode(), digest_size=CLUSTER_ID_BYTES).digest()


def decide(
    own: Hello, initial: Sequence[InitialMember], hellos: Mapping[NodeId, Hello]
) -> Decision:
    """What an empty node does, given the hellos of the peers whose links are up."""
    assert own.empty, "only an empty node may be given a cluster"
    seen = {peer: hello for peer, hello in hellos.items() if hello.cluster_id}
    if seen:
        return _follow(own, seen)
    others = [member.id for member in initial if member.id != own.node_id]
    if len(others) == len(initial):
        return Wait(f"node {own.node_id} is not an initial member: it waits for one to answer")
    missing = [peer for peer in others if peer not in hellos]
    if missing:
        return Wait(f"waiting for node {_listed(missing)}: founding needs all initial members")
    differing = [peer for peer in others if hellos[peer].initial != own.initial]
    if differing:
        reason = f"node {_listed(differing)} is configured with other initial members"
        return Wait(f"{reason}: make cluster.initial the same everywhere", alarm=True)
    return _found({own.node_id: own, **hellos}, initial)


def _found(founders: Mapping[NodeId, Hello], initial: Sequence[InitialMember]) -> Found:
    members = tuple(
        Member(
            member.id,
            founders[member.id].incarnation,
            MemberRole.VOTER,
            member.peer,
            member.client,
            member.http,
        )
        for member in sorted(initial, key=lambda member: member.id)
    )
    membership = Membership(members)
    return Found(cluster_id_of(membership), membership)


def _follow(own: Hello, seen: Mapping[NodeId, Hello]) -> Decision:
    """Peers have a cluster: it was founded with this very directory, or it is to be joined."""
    ids = {hello.cluster_id for hello in seen.values()}
    if len(ids) > 1:
        named = ", ".join(f"node {peer} {seen[peer].cluster_id.hex()}" for peer in sorted(seen))
        return Wait(f"the peers belong to different clusters ({named})", alarm=True)
    (cluster_id,) = ids
    for hello in seen.values():
        founders = hello.membership
        if cluster_id_of(founders) == cluster_id and own.is_listed_in(founders):
            return Found(cluster_id, founders)
    return Join(cluster_id)


def _listed(peers: Sequence[NodeId]) -> str:
    return ", ".join(map(str, sorted(peers)))


class Bootstrapper:
    """Hears the hellos on behalf of an empty node until it has its cluster (a PeerHandler).

    ``on_decided`` is called once, with Found or Join, from within the call that completed the
    picture; ``on_waiting`` whenever the reason to wait changes.
    """

    def __init__(
        self,
        own: Hello,
        initial: Sequence[InitialMember],
        on_decided: Callable[[Found | Join], None],
        on_waiting: Callable[[Wait], None],
    ) -> None:
        self._own = own
        self._initial = tuple(initial)
        self._on_decided = on_decided
        self._on_waiting = on_waiting
        self._hellos: dict[NodeId, Hello] = {}
        self._waiting: Wait | None = None
        self._decided = False

    def start(self) -> None:
        """Decide at once if nobody else is needed (a cluster of one)."""
        self._consider()

    def on_link_up(self, peer: NodeId, hello: dict[str, Any]) -> None:
        """A peer has introduced itself, or has something new to say."""
        self._hellos[peer] = Hello(**hello)
        self._consider()

    def on_link_lost(self, peer: NodeId) -> None:
        """What a lost peer said no longer counts: it may come back as somebody else."""
        self._hellos.pop(peer, None)
        self._consider()

    def on_messages(self, peer: NodeId, incarnation: int, messages: list[Any]) -> None:
        """Nothing can be taken before there is a cluster; senders repeat themselves."""

    def _consider(self) -> None:
        if self._decided:
            return
        decision = decide(self._own, self._initial, self._hellos)
        if isinstance(decision, Wait):
            if decision != self._waiting:
                self._waiting = decision
                self._on_waiting(decision)
            return
        self._decided = True
        self._on_decided(decision)


def hello_after(own: Hello, decision: Found | Join) -> Hello:
    """How the node introduces itself once decided."""
    if isinstance(decision, Join):
        return replace(own, cluster_id=decision.cluster_id)
    return replace(own, cluster_id=decision.cluster_id, membership=decision.membership, empty=False)
