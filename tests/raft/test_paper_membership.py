"""Membership changes by joint consensus: Raft §6 and dissertation §4, one test per claim."""

from __future__ import annotations

import pytest

from coord.raft import (
    Index,
    Member,
    MemberRole,
    Membership,
    NodeId,
    RaftRefusal,
    Role,
    bootstrap_entries,
)
from coord.raft import messages as m
from tests.raft.lab import Lab, incarnation, log_of, member, say, voters


def grown(lab: Lab, *learners: int) -> None:
    """Node 1 leads and has added learners, which have caught up."""
    lab.elect(1)
    for node in learners:
        lab.start(node, empty=True)
    present = lab[1].membership.members
    added = tuple(member(node, MemberRole.LEARNER) for node in learners)
    lab.change(1, Membership((*present, *added)))
    lab.settle()
    lab.tick(1, count=5)
    lab.settle()


def test_6_a_change_goes_through_a_joint_configuration() -> None:
    """§6: the cluster first switches to the joint configuration, then to the new one."""
    lab = Lab(3)
    grown(lab, 4)

    lab.change(1, voters(1, 2, 4))
    joint = lab[1].membership
    lab.settle()

    assert joint == Membership(voters(1, 2, 4).members, voters(1, 2, 3).members)
    assert lab[1].membership == voters(1, 2, 4)
    assert lab[4].membership == voters(1, 2, 4)


def test_6_a_configuration_is_used_as_soon_as_it_is_appended() -> None:
    """§6: a server uses the latest configuration in its log, committed or not."""
    lab = Lab(3)
    grown(lab, 4)

    lab.change(1, voters(1, 2, 3, 4))
    lab.deliver(lambda message: message.to == 2)

    assert lab[1].commit < lab[1].last_index
    assert lab[1].membership.is_joint
    assert lab[2].membership.is_joint


def test_6_a_truncated_configuration_is_taken_back() -> None:
    """§6: if the entry is removed by a newer leader, the configuration before it is in force."""
    lab = Lab(3)
    grown(lab, 4)
    before = lab[1].membership
    lab.change(1, voters(1, 2, 3, 4))
    assert lab[1].membership.is_joint

    lab.network.clear()
    lab.elect(2, 1)
    lab.propose(2, b"a")
    lab.tick(2, count=5)
    lab.settle()

    assert lab[1].membership == before
    assert lab.peers[1].storage.membership == before


def test_6_joint_commits_need_both_majorities() -> None:
    """§6: while joint, an entry takes separate majorities of the old and the new configuration."""
    lab = Lab(3)
    grown(lab, 4, 5)
    lab.change(1, voters(1, 4, 5))
    joint = lab[1].last_index

    lab.settle(2, 3)
    new_only = lab[1].commit
    lab.tick(1, count=5)
    lab.settle(3)

    assert new_only < joint
    assert lab[1].membership == voters(1, 4, 5)


def test_6_a_leader_outside_the_new_configuration_steps_down() -> None:
    """§6: it leads until the new configuration is committed, without counting itself."""
    lab = Lab(3)
    lab.elect(1)

    lab.change(1, voters(2, 3))
    lab.settle()

    assert lab[1].role is Role.FOLLOWER
    assert lab[2].membership == voters(2, 3)
    lab.tick(1, count=100)
    assert lab[1].role is Role.FOLLOWER


def test_thesis_4_2_2_a_removed_server_campaigns_until_its_removal_is_committed() -> None:
    """Dissertation §4.2.2: the only server with the newest entries may be outside the newest
    configuration; it must still be able to win, to commit that configuration."""
    lab = Lab(membership=voters(1, 3))
    lab.elect(1)
    lab.change(1, voters(3))
    lab.deliver(lambda message: message.to == 3)
    lab.deliver(lambda message: message.to == 1)
    assert not lab[1].membership.is_joint
    lab.network.clear()
    lab.restart(1)
    lab.restart(3)

    lab.tick(3, count=40)
    lab.settle()
    alone = lab[3].role
    lab[3].woke_after_stall()
    lab.tick(1, count=40)
    lab.settle()

    assert alone is not Role.LEADER
    assert lab[3].role is Role.LEADER
    assert lab[3].membership == voters(3)
    assert lab[1].role is Role.FOLLOWER


def test_a_leader_that_leaves_names_a_successor() -> None:
    """Nobody has to wait for a timeout after the leader removed itself."""
    lab = Lab(3)
    lab.elect(1)

    lab.change(1, voters(2, 3))
    lab.settle()

    assert Role.LEADER in (lab[2].role, lab[3].role)


def test_a_leader_outside_the_configuration_does_not_count_itself() -> None:
    """§6: a leader that is not in the new configuration is not part of its majorities."""
    lab = Lab(3)
    lab.elect(1)
    lab.change(1, voters(2, 3))
    lab.deliver(lambda message: message.to in (2, 3))
    lab.deliver(lambda message: message.to == 1)
    final = lab[1].last_index
    assert not lab[1].membership.is_joint

    lab.settle(3)

    assert lab[1].commit < final


def test_6_new_servers_join_without_votes() -> None:
    """§6: a new server first catches up as a non-voting member."""
    lab = Lab(3)
    lab.elect(1)

    with pytest.raises(RaftRefusal, match="not_a_learner"):
        lab.change(1, voters(1, 2, 3, 4))


def test_thesis_4_2_1_a_learner_is_promoted_only_once_caught_up() -> None:
    """Dissertation §4.2.1: a server far behind must not become a voter."""
    lab = Lab(3, promotion_lag=0)
    lab.elect(1)
    lab.start(4, empty=True)
    lab.change(1, voters(1, 2, 3, learners=(4,)))
    lab.settle(4)

    with pytest.raises(RaftRefusal, match="learner_behind"):
        lab.change(1, voters(1, 2, 3, 4))


def test_a_learner_is_promoted_only_once_it_holds_the_entry_that_lists_it() -> None:
    """However far behind a voter may be: before, it takes its id for its predecessor's, votes for
    nobody, and one more loss leaves the cluster without a leader."""
    lab = Lab(3)
    lab.elect(1)
    lab.start(4, empty=True)
    lab.change(1, voters(1, 2, 3, learners=(4,)))
    lab.settle(4)

    with pytest.raises(RaftRefusal, match="learner_behind"):
        lab.change(1, voters(1, 2, 3, 4))
    lab.tick(1, count=5)
    lab.settle()
    lab.change(1, voters(1, 2, 3, 4))


def test_learners_do_not_count_towards_commit() -> None:
    """A learner receives everything and decides nothing."""
    lab = Lab(3)
    grown(lab, 4, 5)
    before = lab[1].commit

    lab.propose(1, b"a")
    lab.settle(2, 3)

    assert lab[1].commit == before
    assert lab[4].last_index == lab[1].last_index


def test_one_change_at_a_time() -> None:
    """§6: another change waits until the last one is through."""
    lab = Lab(3)
    grown(lab, 4)
    lab.change(1, voters(1, 2, 3, 4))

    with pytest.raises(RaftRefusal, match="change_in_progress"):
        lab.change(1, voters(1, 2, 3, learners=(4,)))


def test_no_change_before_an_entry_of_the_term_is_committed() -> None:
    """Dissertation, erratum to §4: a new leader first commits an entry of its own term."""
    lab = Lab(3, pre_vote=False)
    lab.tick(1, count=20)
    lab.feed(say(m.VoteResponse, 2, 1, 2, True))
    assert lab[1].role is Role.LEADER

    with pytest.raises(RaftRefusal, match="term_not_committed"):
        lab.change(1, voters(1, 2))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Membership(), "no_voters"),
        (Membership((member(1), member(1))), "duplicate_id"),
        (Membership(voters(1, 2).members, voters(1, 2, 3).members), "joint_is_automatic"),
        (Membership((member(1), member(2), member(3, life=1))), "not_a_learner"),
        (Membership((member(1, life=1), member(2), member(3))), "incarnation_leads"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_configurations_that_make_no_sense_are_refused(wanted: Membership, reason: str) -> None:
    """A refused change leaves no trace."""
    lab = Lab(3)
    lab.elect(1)
    before = lab[1].last_index

    with pytest.raises(RaftRefusal, match=reason):
        lab.change(1, wanted)

    assert lab[1].last_index == before


def test_a_change_that_could_not_commit_is_refused() -> None:
    """Removing one of two voters that are alive, of three, would end in a cluster without
    a majority."""
    lab = Lab(3)
    lab.elect(1)
    for _ in range(6):
        lab.tick(1, count=5)
        lab.settle(3)

    with pytest.raises(RaftRefusal, match="too_few_alive"):
        lab.change(1, voters(1, 3))


def test_a_new_leader_does_not_take_a_silent_voter_for_alive() -> None:
    """Its grace for members it has not heard of yet is no reason to rely on them."""
    lab = Lab(3)
    lab.elect(1, 3)

    with pytest.raises(RaftRefusal, match="too_few_alive"):
        lab.change(1, voters(1, 3))


def test_followers_do_not_change_the_configuration() -> None:
    """Only the leader proposes configurations."""
    lab = Lab(3)
    lab.elect(1)

    with pytest.raises(RaftRefusal, match="not_leader"):
        lab.change(2, voters(1, 2))


def test_a_new_leader_finishes_a_change() -> None:
    """§6: a joint configuration inherited from the old leader is left by the new one."""
    lab = Lab(3)
    grown(lab, 4)
    lab.change(1, voters(2, 3, 4))
    lab.deliver(lambda message: message.to in (2, 3, 4))
    lab.network.clear()

    lab.elect(2, 1)
    lab.tick(2, count=5)
    lab.settle(1)

    assert lab[2].membership == voters(2, 3, 4)


def test_an_uncommitted_configuration_survives_a_restart() -> None:
    """§6: the latest configuration in the durable log is in force after a crash as well."""
    lab = Lab(3)
    grown(lab, 4)
    lab.change(1, voters(1, 2, 3, 4))
    joint = lab[1].membership

    lab.restart(1)

    assert lab[1].membership == joint
    assert joint.is_joint


def test_a_configuration_recovered_at_restart_can_be_taken_back() -> None:
    """The configuration before an uncommitted one is found again after a crash."""
    lab = Lab(3)
    grown(lab, 4)
    before = lab[1].membership
    lab.change(1, voters(1, 2, 3, 4))
    lab.network.clear()
    lab.restart(1)

    lab.elect(2, 1)
    lab.propose(2, b"a")
    lab.tick(2, count=5)
    lab.settle()

    assert lab[1].membership == before


def test_a_wiped_member_is_replaced_by_one_change() -> None:
    """Its new incarnation joins as a learner under the old id, catches up, and is promoted by the
    leader; the old incarnation never agrees to anything again."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.settle()
    lab.start(3, empty=True, life=1)

    joining = Member(NodeId(3), incarnation(3 + 100), MemberRole.JOINING)
    lab.change(1, Membership((member(1), member(2), joining)))
    lab.settle()
    lab.tick(1, count=5)
    lab.settle()

    assert lab[1].membership == Membership((member(1), member(2), member(3, life=1)))
    assert lab[3].membership == lab[1].membership
    assert lab.peers[3].applied == [b"a"]


def test_the_replacement_does_not_speak_for_the_wiped_disk() -> None:
    """While joint, the lost voter counts in the old total: its id's new holder is not counted."""
    lab = Lab(3)
    lab.elect(1)
    lab.start(3, empty=True, life=1)
    joining = Member(NodeId(3), incarnation(3 + 100), MemberRole.JOINING)
    lab.change(1, Membership((member(1), member(2), joining)))
    joint = lab[1].last_index

    for _ in range(3):
        lab.settle(2)
        lab.tick(1, count=5)

    assert lab[3].last_index == joint
    assert lab[1].commit < joint


def test_acknowledgements_of_a_wiped_disk_do_not_count() -> None:
    """An answer from another incarnation than the listed one is nobody's."""
    lab = Lab(3)
    lab.elect(1)
    lab.start(3, empty=True, life=1)
    lab.propose(1, b"a")

    forged = m.AppendAccepted(NodeId(1), NodeId(3), incarnation(3 + 100), lab[1].term, Index(3))
    lab.feed(forged)

    assert lab[1].commit == 2


def test_removed_servers_do_not_disturb_the_cluster() -> None:
    """§6: a server that does not know it was removed cannot depose the leader."""
    lab = Lab(3)
    lab.elect(1)
    lab.change(1, voters(1, 2))
    lab.settle(3)
    term = lab[1].term

    for _ in range(12):
        lab.tick(count=5)
        lab.settle()

    assert (lab[1].role, lab[1].term) == (Role.LEADER, term)
    assert (lab[3].role is Role.LEADER, lab[3].term) == (False, term)


def test_a_demoted_voter_keeps_receiving_the_log() -> None:
    """A voter may become a learner again."""
    lab = Lab(3)
    lab.elect(1)

    lab.change(1, voters(1, 2, learners=(3,)))
    lab.settle()
    lab.propose(1, b"a")
    lab.settle()

    assert lab[1].membership == voters(1, 2, learners=(3,))
    assert lab.peers[3].applied == [b"a"]


def test_addresses_change_without_a_joint_configuration() -> None:
    """If the voters stay the same, one entry is enough."""
    lab = Lab(3)
    lab.elect(1)
    moved = Member(NodeId(2), incarnation(2), peer="elsewhere:2281")

    lab.change(1, Membership((member(1), moved, member(3))))

    assert not lab[1].membership.is_joint
    lab.settle()
    assert lab[3].membership.find(NodeId(2)) == moved


def test_bootstrap_is_the_same_everywhere() -> None:
    """Every founder starts with the same entry in the same term, so it counts as committed."""
    hard_state, run = bootstrap_entries(voters(1, 2, 3))

    assert (hard_state.term, hard_state.vote) == (1, 0)
    assert (run.first, run.last, run.term) == (1, 1, 1)
    assert Membership.decode(run.payloads[0]) == voters(1, 2, 3)


def test_a_voter_promoted_without_knowing_it_elects_the_new_configuration() -> None:
    """§6: servers use the candidate's newer configuration by voting, whatever their own says."""
    lab = Lab(3)
    grown(lab, 4)
    lab.change(1, voters(1, 2, 3, 4))
    lab.settle()
    lab.start(4, term=2, log=log_of(2))

    lab.elect(2, 1)

    assert lab[2].role is Role.LEADER
