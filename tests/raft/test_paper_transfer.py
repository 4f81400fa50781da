"""Leadership transfer: dissertation §3.10, one test per claim."""

from __future__ import annotations

import pytest

from coord.raft import NO_NODE, NodeId, RaftRefusal, Role
from coord.raft import messages as m
from tests.raft.lab import Lab, say, voters


def test_3_10_the_target_takes_over() -> None:
    """§3.10: the prior leader hands over to an up-to-date target, which campaigns at once."""
    lab = Lab(3)
    lab.elect(1)

    lab[1].transfer(NodeId(3))
    lab.collect(1)
    lab.settle()

    assert (lab[3].role, lab[3].term) == (Role.LEADER, 3)
    assert lab[1].leader == 3


def test_3_10_the_target_is_brought_up_to_date_first() -> None:
    """§3.10 steps 1 to 3: TimeoutNow leaves only once the target has the whole log."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"a")

    lab[1].transfer(NodeId(3))
    lab.collect(1)
    early = lab.sent(m.TimeoutNow)
    lab.settle()

    assert early == []
    assert lab[3].role is Role.LEADER
    assert lab.peers[3].applied == [b"a"]


def test_3_10_proposals_are_refused_meanwhile() -> None:
    """§3.10 step 1: the prior leader stops accepting requests."""
    lab = Lab(3)
    lab.elect(1)

    lab[1].transfer(NodeId(3))

    assert lab[1].propose([b"a"]) is None


def test_3_10_a_failed_transfer_ends() -> None:
    """§3.10: after about an election timeout the leader resumes serving requests."""
    lab = Lab(3)
    lab.elect(1)
    lab[1].transfer(NodeId(3))
    lab.collect(1)
    lab.drop()

    for _ in range(4):
        lab.tick(1, count=5)
        lab.settle(3)

    assert lab[1].transferee == NO_NODE
    assert lab[1].propose([b"a"]) is not None


def test_3_10_no_write_is_lost() -> None:
    """§3.10: what was proposed before the transfer is committed by whoever leads after it."""
    lab = Lab(3)
    lab.elect(1)
    for payload in (b"a", b"b"):
        lab.propose(1, payload)

    lab[1].transfer(NodeId(2))
    lab.collect(1)
    lab.settle()

    assert lab[2].role is Role.LEADER
    assert all(peer.applied == [b"a", b"b"] for peer in lab.peers.values())


@pytest.mark.parametrize(
    ("node", "target", "reason"),
    [(2, 3, "not_leader"), (1, 1, "not_another_voter"), (1, 4, "not_another_voter")],
)
def test_transfers_that_make_no_sense_are_refused(node: int, target: int, reason: str) -> None:
    """Only a leader transfers, and only to another voter."""
    lab = Lab(membership=voters(1, 2, 3, learners=(4,)))
    lab.elect(1)

    with pytest.raises(RaftRefusal, match=reason):
        lab[node].transfer(NodeId(target))


def test_one_transfer_at_a_time() -> None:
    """A second transfer does not redirect the first."""
    lab = Lab(3)
    lab.elect(1)
    lab[1].transfer(NodeId(2))

    with pytest.raises(RaftRefusal, match="transferring"):
        lab[1].transfer(NodeId(3))


def test_only_the_leader_can_ask_for_an_election() -> None:
    """A TimeoutNow from anybody else than the leader of the term is ignored."""
    lab = Lab(3)
    lab.elect(1)

    lab.feed(say(m.TimeoutNow, 3, 2, 2))

    assert lab[2].role is Role.FOLLOWER
