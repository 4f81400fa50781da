"""Who is dialled and who may talk: members, candidates, and nobody else."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest

from coord.model.errors import ProtocolError
from coord.node import peer_hello
from coord.node.peer_hello import Hello
from coord.node.roster import Roster, Standing
from coord.raft.types import Incarnation, Member, MemberRole, Membership, NodeId

CLUSTER = b"c" * 16


def member(node: int, incarnation: int = 0, role: MemberRole = MemberRole.VOTER) -> Member:
    """A member; its incarnation is 10 × its id unless told."""
    return Member(NodeId(node), Incarnation(incarnation or node * 10), role, f"h{node}:2281")


def membership(*nodes: int) -> Membership:
    """Voters with those ids."""
    return Membership(tuple(member(node) for node in nodes))


def hello(node: int, incarnation: int = 0, **changes: object) -> Hello:
    """A node of the cluster introduces itself."""
    plain = Hello(NodeId(node), Incarnation(incarnation or node * 10), bytes(8), cluster_id=CLUSTER)
    return replace(plain, **changes)  # type: ignore[arg-type]  # names are the fields' own


def roster(*nodes: int, own: int = 1) -> Roster:
    """Node ``own``'s view of those members at index 10."""
    made = Roster(NodeId(own), {NodeId(2): "c2:1", NodeId(3): "c3:1"}, {})
    made.set_members(membership(*nodes), 10)
    return made


def test_members_are_dialled_where_the_membership_says() -> None:
    """Everybody but oneself; the old voters too while a change is joint."""
    made = roster(1, 2, 3)
    made.set_members(Membership(membership(1, 2).members, membership(1, 4).members), 11)

    assert made.targets() == {2: "h2:2281", 4: "h4:2281"}


def test_a_node_without_membership_dials_its_configured_peers() -> None:
    """It is to found a cluster or to join one."""
    assert roster().targets() == {2: "c2:1", 3: "c3:1"}


def test_a_configured_dial_address_wins() -> None:
    """NAT and fault proxies: the membership's address is not used."""
    made = Roster(NodeId(1), {}, {NodeId(2): "proxy:9"})
    made.set_members(membership(1, 2), 1)

    assert made.targets() == {2: "proxy:9"}


def test_a_listed_incarnation_is_a_member() -> None:
    """Voters and learners alike."""
    made = roster(1, 2, 3)
    made.set_members(Membership((*membership(1, 2).members, member(3, 30, MemberRole.LEARNER))), 11)

    assert made.judge(hello(1), hello(2)).standing is Standing.MEMBER
    assert made.judge(hello(1), hello(3)).standing is Standing.MEMBER


def test_an_old_voter_is_a_member_while_the_change_is_joint() -> None:
    """Its vote is still needed."""
    made = roster(1, 2, 3)
    made.set_members(Membership(membership(1, 2).members, membership(1, 3).members), 11)

    assert made.judge(hello(1), hello(3)).standing is Standing.MEMBER


@pytest.mark.parametrize(
    ("peer", "complaint"),
    [
        (hello(4), "not a member"),
        (hello(2, 99), "replaced"),
        (hello(2, cluster_id=b"d" * 16), "belongs to cluster"),
        (hello(2, protocol=9, protocol_min=8), "protocol"),
        (hello(2, to=NodeId(3)), "node 3 was dialled"),
        (hello(1, 99), "taken"),
    ],
    ids=["stranger", "old-disk", "other-cluster", "version", "address", "own-id"],
)
def test_everybody_else_is_refused_with_a_reason(peer: Hello, complaint: str) -> None:
    """The reason is what the other side logs, so it must name the fault."""
    verdict = roster(1, 2, 3).judge(hello(1), peer)

    assert verdict.standing is Standing.REFUSED
    assert complaint in verdict.reason


@pytest.mark.parametrize(
    "peer", [hello(2, 99, empty=True), hello(4, empty=True)], ids=["wiped", "new"]
)
def test_an_empty_newcomer_is_a_candidate(peer: Hello) -> None:
    """Wiped members and nodes to add may introduce themselves and nothing more."""
    assert roster(1, 2, 3).judge(hello(1), peer).standing is Standing.CANDIDATE


def test_a_candidate_becomes_a_member_when_the_membership_lists_it() -> None:
    """Its new incarnation has been added by a committed change."""
    made = roster(1, 2, 3)
    newcomer = hello(2, 99, empty=True)
    made.set_members(Membership((member(1), member(2, 99, MemberRole.LEARNER), member(3))), 12)

    assert made.judge(hello(1), newcomer).standing is Standing.MEMBER


def test_founders_are_candidates_for_each_other() -> None:
    """Before there is a cluster no message flows; only configured peers may come."""
    own = hello(1, cluster_id=b"", empty=True)
    made = roster()

    assert made.judge(own, replace(own, node_id=NodeId(2))).standing is Standing.CANDIDATE
    assert made.judge(own, hello(2)).standing is Standing.CANDIDATE
    assert made.judge(own, replace(own, node_id=NodeId(7))).standing is Standing.REFUSED


def test_a_founder_that_is_not_ready_is_a_candidate_even_if_listed() -> None:
    """It has no log yet: messages before it knows its cluster would be lost anyway."""
    late = hello(2, cluster_id=b"", empty=True)

    assert roster(1, 2, 3).judge(hello(1), late).standing is Standing.CANDIDATE


def test_a_joining_node_believes_its_configured_peers() -> None:
    """It knows no membership, but it knows the cluster."""
    own = hello(1, 99, empty=True)

    assert roster().judge(own, hello(2)).standing is Standing.MEMBER
    assert roster().judge(own, hello(5)).standing is Standing.REFUSED


def test_a_node_that_slept_believes_a_newer_membership_that_lists_both() -> None:
    """Its own log knows only members that are gone; without this it could never catch up."""
    made = roster(1, 2, 3)
    own = hello(1, index=10)
    new = hello(5, index=50, membership=membership(1, 5, 6))

    assert made.vouch(own, new)
    assert made.judge(own, new).standing is Standing.MEMBER
    assert {5, 6} <= made.targets().keys()


@pytest.mark.parametrize(
    "peer",
    [
        hello(5, index=10, membership=membership(1, 5, 6)),
        hello(5, index=50, membership=membership(5, 6)),
        hello(5, index=50, membership=membership(1, 6)),
        hello(5, index=50, membership=membership(1, 5), cluster_id=b"d" * 16),
        hello(5, index=50, membership=membership(1, 5), empty=True),
    ],
    ids=["not-newer", "without-us", "without-it", "other-cluster", "empty"],
)
def test_no_other_membership_is_believed(peer: Hello) -> None:
    """A removed node must not talk itself back in."""
    made = roster(1, 2, 3)

    assert not made.vouch(hello(1, index=10), peer)
    assert made.judge(hello(1, index=10), peer).standing is not Standing.MEMBER


def test_a_joining_node_believes_the_newest_membership_a_member_shows() -> None:
    """Its configured peers may all follow a leader it was not configured with; only that leader
    can let it in, and must not be turned away."""
    own = hello(1, 99, empty=True)
    made = roster()

    assert made.vouch(own, hello(2, index=50, membership=membership(1, 2, 5)))
    assert 5 in made.targets()
    assert made.judge(own, hello(5, index=50)).standing is Standing.MEMBER
    assert made.vouch(own, hello(5, index=60, membership=membership(1, 5, 6)))
    assert made.judge(own, hello(6, index=60)).standing is Standing.MEMBER


def test_a_joining_node_believes_nobody_who_is_no_member_himself() -> None:
    """One that was removed shows what it knew, for ever."""
    own = hello(1, 99, empty=True)

    assert not roster().vouch(own, hello(2, index=50, membership=membership(1, 5)))


def test_who_has_joined_is_believed_in_the_same_life() -> None:
    """Where every other member was wiped once and has joined again, only such nodes can tell a
    wiped one who the members are."""
    joined = Roster(NodeId(2), {}, {})
    empty = hello(2, empty=True)
    assert joined.introduction(empty, 0) == empty
    joined.set_members(membership(1, 2), 7)
    shown = joined.introduction(empty, 7)
    assert shown == hello(2, index=7, membership=membership(1, 2))

    wiped = roster()
    assert wiped.vouch(hello(1, empty=True), shown)
    assert wiped.judge(hello(1, empty=True), shown).standing is Standing.MEMBER


def test_a_shown_membership_is_forgotten_once_the_log_has_caught_up() -> None:
    """From then on only the log counts."""
    made = roster(1, 2, 3)
    made.vouch(hello(1, index=10), hello(5, index=50, membership=membership(1, 5)))
    made.set_members(membership(1, 2), 50)

    assert made.targets() == {2: "h2:2281"}


def test_a_hello_survives_the_wire() -> None:
    """Every field, the membership included."""
    sent = hello(
        2,
        2**64 - 1,
        to=NodeId(1),
        membership=membership(1, 2),
        empty=True,
        index=7,
        version="0.1",
        peer="h2:1",
    )
    plain = msgpack.unpackb(msgpack.packb(sent.to_wire()))

    assert peer_hello.from_wire(plain) == sent


def test_unknown_keys_of_a_hello_are_ignored() -> None:
    """The next version may say more."""
    assert peer_hello.from_wire({**hello(2).to_wire(), "weather": "fine"}) == hello(2)


@pytest.mark.parametrize(
    "changes",
    [
        {"magic": "other"},
        {"node_id": "2"},
        {"node_id": 0},
        {"process": b"short"},
        {"membership": b"\xc1"},
        {"membership": None},
        {"cluster_id": b"", "empty": False},
        {"empty": 1},
    ],
)
def test_a_malformed_hello_is_a_protocol_error(changes: dict[str, object]) -> None:
    """The link is closed; nothing else happens."""
    with pytest.raises(ProtocolError):
        peer_hello.from_wire({**hello(2).to_wire(), **changes})
