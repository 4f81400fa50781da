"""Founding: only all together, only empty, and never twice; a wiped node joins instead."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from coord.node.bootstrap import (
    Bootstrapper,
    Found,
    InitialMember,
    Join,
    Wait,
    cluster_id_of,
    decide,
    digest_of,
    hello_after,
)
from coord.node.peer_hello import Hello
from coord.raft.types import Incarnation, Member, MemberRole, Membership, NodeId

INITIAL = tuple(
    InitialMember(NodeId(n), f"h{n}:2281", f"h{n}:2181", f"h{n}:2381") for n in (1, 2, 3)
)


def hello(node: int, incarnation: int = 0, **changes: object) -> Hello:
    """An empty node's hello; its incarnation is 10 × its id unless told."""
    plain = Hello(
        NodeId(node),
        Incarnation(incarnation or node * 10),
        process=bytes(8),
        empty=True,
        initial=digest_of(INITIAL),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # names are the fields' own


def others(*hellos: Hello) -> dict[NodeId, Hello]:
    """Hellos by node, as the bootstrapper keeps them."""
    return {each.node_id: each for each in hellos}


def founded() -> Found:
    """What the three empty founders come to."""
    decision = decide(hello(1), INITIAL, others(hello(2), hello(3)))
    assert isinstance(decision, Found)
    return decision


def test_all_founders_come_to_the_same_cluster() -> None:
    """Each decides by itself, and the results are equal."""
    decisions = [
        decide(hello(n), INITIAL, others(*(hello(m) for m in (1, 2, 3) if m != n)))
        for n in (1, 2, 3)
    ]

    assert decisions == [founded()] * 3


def test_the_first_membership_is_the_configured_one_with_incarnations() -> None:
    """Voters in the order of their ids, addresses as configured."""
    assert founded().membership == Membership(
        tuple(
            Member(
                NodeId(n), Incarnation(n * 10), MemberRole.VOTER,
                f"h{n}:2281", f"h{n}:2181", f"h{n}:2381",
            )
            for n in (1, 2, 3)
        )
    )  # fmt: skip


@pytest.mark.parametrize("present", [(), (2,), (3,)])
def test_nobody_founds_while_a_founder_is_missing(present: tuple[int, ...]) -> None:
    """A majority is not enough: the missing one might have seen the cluster."""
    decision = decide(hello(1), INITIAL, others(*map(hello, present)))

    assert isinstance(decision, Wait)
    assert not decision.alarm
    for missing in {2, 3} - set(present):
        assert str(missing) in decision.reason


def test_a_cluster_of_one_needs_nobody() -> None:
    """The only initial member founds at once."""
    initial = INITIAL[:1]
    decision = decide(hello(1, initial=digest_of(initial)), initial, {})

    assert isinstance(decision, Found)
    assert [member.id for member in decision.membership.members] == [1]


def test_one_that_has_seen_a_cluster_vetoes_a_second_founding() -> None:
    """An empty node among members joins, even if all initial members are there."""
    seen = hello(2, cluster_id=b"c" * 16, empty=False)

    assert decide(hello(1), INITIAL, others(seen, hello(3))) == Join(b"c" * 16)


def test_a_founder_that_crashed_before_writing_recognises_its_cluster() -> None:
    """Its incarnation is in the founding membership, so it completes its own founding, though
    another founder is away."""
    done = hello_after(hello(2), founded())

    assert decide(hello(1), INITIAL, others(done)) == founded()


def test_a_wiped_founder_joins() -> None:
    """With a new incarnation it is nobody the cluster knows."""
    done = hello_after(hello(2), founded())

    assert decide(hello(1, 99), INITIAL, others(done, hello(3))) == Join(founded().cluster_id)


def test_a_founders_membership_that_has_changed_since_is_not_taken_for_the_first() -> None:
    """What is written at index 1 must be what the others have there: otherwise join."""
    changed = Membership((*founded().membership.members, Member(NodeId(4), Incarnation(40))))
    done = replace(hello_after(hello(2), founded()), membership=changed)

    assert decide(hello(1), INITIAL, others(done)) == Join(founded().cluster_id)


def test_other_initial_members_elsewhere_raise_an_alarm() -> None:
    """Founders that are configured differently do not found; the message says what to do."""
    decision = decide(hello(1), INITIAL, others(hello(2), hello(3, initial=b"other")))

    assert isinstance(decision, Wait)
    assert decision.alarm
    assert "node 3" in decision.reason
    assert "cluster.initial" in decision.reason


def test_peers_of_two_clusters_raise_an_alarm() -> None:
    """Nothing is joined while the configured peers belong to different clusters."""
    decision = decide(
        hello(1),
        INITIAL,
        others(
            hello(2, cluster_id=b"c" * 16, empty=False), hello(3, cluster_id=b"d" * 16, empty=False)
        ),
    )

    assert isinstance(decision, Wait)
    assert decision.alarm


def test_a_node_that_is_not_initial_never_founds() -> None:
    """A node to be added waits for a member, whoever else is there."""
    decision = decide(hello(4), INITIAL, others(hello(1), hello(2), hello(3)))

    assert isinstance(decision, Wait)


def test_different_directories_never_make_the_same_cluster() -> None:
    """Any change of an incarnation changes the cluster id: no two foundings can mix."""
    ids = set()
    for incarnations in itertools.product((1, 2), repeat=3):
        hellos = [hello(n, incarnations[n - 1]) for n in (1, 2, 3)]
        decision = decide(hellos[0], INITIAL, others(*hellos[1:]))
        assert isinstance(decision, Found)
        assert decision.cluster_id == cluster_id_of(decision.membership)
        ids.add(decision.cluster_id)

    assert len(ids) == 8


def test_the_digest_of_initial_members_ignores_their_order() -> None:
    """A file may list them in any order; any other difference shows."""
    assert digest_of(INITIAL) == digest_of(INITIAL[::-1])
    assert digest_of(INITIAL) != digest_of(INITIAL[:2])
    assert digest_of(INITIAL) != digest_of((*INITIAL[:2], replace(INITIAL[2], client="x:1")))


class Heard:
    """A bootstrapper of node 1 and what it has said."""

    def __init__(self, initial: tuple[InitialMember, ...] = INITIAL) -> None:
        self.decisions: list[Found | Join] = []
        self.waits: list[Wait] = []
        self.it = Bootstrapper(
            hello(1, initial=digest_of(initial)), initial, self.decisions.append, self.waits.append
        )


def test_the_bootstrapper_decides_once_with_the_hello_that_completes_the_picture() -> None:
    """Later hellos change nothing; each new reason to wait is told once."""
    heard = Heard()
    heard.it.start()
    heard.it.on_link_up(NodeId(2), hello(2).as_dict())
    heard.it.on_link_up(NodeId(2), hello(2).as_dict())
    assert not heard.decisions

    heard.it.on_link_up(NodeId(3), hello(3).as_dict())
    heard.it.on_link_up(NodeId(3), hello(3, 99).as_dict())

    assert heard.decisions == [founded()]
    assert len(heard.waits) == 2


def test_what_a_lost_peer_said_does_not_count() -> None:
    """It may come back wiped: founding with its old hello would leave it out."""
    heard = Heard()
    heard.it.on_link_up(NodeId(2), hello(2).as_dict())
    heard.it.on_link_lost(NodeId(2))
    heard.it.on_link_up(NodeId(3), hello(3).as_dict())
    assert not heard.decisions

    heard.it.on_link_up(NodeId(2), hello(2, 99).as_dict())

    (decision,) = heard.decisions
    assert isinstance(decision, Found)
    assert decision.membership.members[1].incarnation == 99


def test_the_hello_after_founding_shows_the_cluster_and_is_not_empty() -> None:
    """A joiner stays empty until its log says otherwise."""
    after = hello_after(hello(1), founded())
    assert (after.cluster_id, after.empty) == (founded().cluster_id, False)
    assert after.membership == founded().membership

    joined = hello_after(hello(1), Join(b"c" * 16))
    assert (joined.cluster_id, joined.empty) == (b"c" * 16, True)
