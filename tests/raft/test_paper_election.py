"""Leader election: the claims of Raft §5.1, §5.2, §5.4.1 and of the dissertation, one test each."""

from __future__ import annotations

import pytest

from coord.raft import NO_NODE, MemberRole, Membership, NodeId, Role
from coord.raft import messages as m
from tests.raft.lab import Lab, log_of, member, say, voters

TIMEOUT = 20
"""Ticks until an election with a jitter of 0."""


def test_5_1_a_higher_term_makes_anyone_a_follower() -> None:
    """§5.1: a server that sees a higher term updates its own and becomes a follower."""
    lab = Lab(3)
    lab.elect(1)
    lab.tick(2, count=TIMEOUT)
    assert (lab[1].role, lab[2].role) == (Role.LEADER, Role.PRE_CANDIDATE)

    for node in (1, 2, 3):
        lab.feed(say(m.AppendEntries, 3 if node != 3 else 2, node, 9, 1, 1, 1, None))

    for node in (1, 2, 3):
        assert (lab[node].role, lab[node].term) == (Role.FOLLOWER, 9)


@pytest.mark.parametrize(
    "stale",
    [
        say(m.AppendEntries, 2, 1, 4, 1, 1, 1, log_of(4)[0]),
        say(m.VoteRequest, 2, 1, 4, 99, 4, True),
        say(m.Heartbeat, 2, 1, 4, 1, 1, 1),
        say(m.TimeoutNow, 2, 1, 4),
    ],
    ids=lambda message: type(message).__name__,
)
def test_5_1_a_stale_term_is_rejected(stale: m.Message) -> None:
    """§5.1: a request with a stale term changes nothing."""
    lab = Lab(3)
    lab.start(1, term=5)
    before = lab[1].statistics()

    lab.feed(stale)

    assert lab[1].statistics() == before
    assert not lab.sent(m.VoteResponse)


def test_5_1_a_stale_leader_is_told_the_term() -> None:
    """§5.1: a leader of an older term learns of the newer one from the answer."""
    lab = Lab(3)
    lab.elect(1)
    lab.start(2, term=7)

    lab.tick(1, count=5)
    lab.settle(3)

    assert (lab[1].role, lab[1].term) == (Role.FOLLOWER, 7)


def test_5_2_servers_start_as_followers() -> None:
    """§5.2: when servers start up they are followers, whatever they were before."""
    lab = Lab(3)
    lab.elect(1)

    lab.restart(1)

    assert lab[1].role is Role.FOLLOWER
    assert lab[1].leader == NO_NODE


def test_5_2_a_leader_sends_heartbeats_to_all() -> None:
    """§5.2: leaders send periodic heartbeats to maintain their authority."""
    lab = Lab(3)
    lab.elect(1)

    lab.tick(1, count=5)

    assert sorted(beat.to for beat in lab.sent(m.Heartbeat)) == [2, 3]


def test_5_2_silence_starts_an_election() -> None:
    """§5.2: without a leader a follower enters a new term, votes for itself and asks the others."""
    lab = Lab(3, pre_vote=False)

    lab.tick(1, count=TIMEOUT)

    assert (lab[1].role, lab[1].term) == (Role.CANDIDATE, 2)
    assert lab.peers[1].storage.hard_state.vote == 1
    requests = lab.sent(m.VoteRequest)
    assert [(r.to, r.term, r.last_index, r.last_term) for r in requests] == [
        (2, 2, 1, 1),
        (3, 2, 1, 1),
    ]


def test_5_2_a_candidate_tries_again_after_a_split_vote() -> None:
    """§5.2: if nobody wins, each candidate times out and starts over in a higher term."""
    lab = Lab(3, pre_vote=False)
    lab.tick(1, count=TIMEOUT)
    lab.drop()

    lab.tick(1, count=TIMEOUT)

    assert (lab[1].role, lab[1].term) == (Role.CANDIDATE, 3)


@pytest.mark.parametrize(
    ("size", "granted", "refused", "outcome"),
    [
        (1, 0, 0, Role.LEADER),
        (3, 1, 0, Role.LEADER),
        (3, 0, 0, Role.CANDIDATE),
        (3, 0, 1, Role.CANDIDATE),
        (3, 0, 2, Role.FOLLOWER),
        (3, 1, 1, Role.LEADER),
        (5, 2, 0, Role.LEADER),
        (5, 1, 2, Role.CANDIDATE),
        (5, 1, 3, Role.FOLLOWER),
        (5, 1, 0, Role.CANDIDATE),
    ],
)
def test_5_2_a_majority_wins(size: int, granted: int, refused: int, outcome: Role) -> None:
    """§5.2: a candidate wins with votes from a majority of the full cluster, itself included."""
    lab = Lab(size, pre_vote=False)
    lab.tick(1, count=TIMEOUT)

    for node in range(2, 2 + granted):
        lab.feed(say(m.VoteResponse, node, 1, 2, True))
    for node in range(2 + granted, 2 + granted + refused):
        lab.feed(say(m.VoteResponse, node, 1, 2, False))

    assert lab[1].role is outcome


def test_5_2_votes_are_counted_by_voter() -> None:
    """§5.2: the same vote arriving twice is one vote."""
    lab = Lab(5, pre_vote=False)
    lab.tick(1, count=TIMEOUT)

    for _ in range(3):
        lab.feed(say(m.VoteResponse, 2, 1, 2, True))

    assert lab[1].role is Role.CANDIDATE


def test_5_2_votes_of_another_kind_or_term_do_not_count() -> None:
    """§5.2: neither an answer from an older term nor a pre-vote is a vote."""
    lab = Lab(3, pre_vote=False)
    lab.tick(1, count=2 * TIMEOUT)
    assert lab[1].term == 3

    lab.feed(say(m.VoteResponse, 2, 1, 2, True))
    lab.feed(say(m.PreVoteResponse, 3, 1, 4, True))

    assert lab[1].role is Role.CANDIDATE


def test_5_2_a_server_votes_once_per_term() -> None:
    """§5.2: at most one candidate gets a server's vote in a term, first come, first served."""
    lab = Lab(3)

    lab.feed(say(m.VoteRequest, 2, 1, 5, 9, 4, False))
    lab.feed(say(m.VoteRequest, 3, 1, 5, 9, 4, False))
    lab.feed(say(m.VoteRequest, 2, 1, 5, 9, 4, False))

    votes = [(v.to, v.granted) for v in lab.sent(m.VoteResponse)]
    assert votes == [(2, True), (3, False), (2, True)]


def test_5_2_a_vote_survives_a_restart() -> None:
    """§5.2, fig. 2: the vote is persistent, so that no second one is cast after a crash."""
    lab = Lab(3)
    lab.feed(say(m.VoteRequest, 2, 1, 5, 9, 4, False))

    lab.restart(1)
    lab.feed(say(m.VoteRequest, 3, 1, 5, 9, 4, False))

    assert [(v.to, v.granted) for v in lab.sent(m.VoteResponse)] == [(2, True), (3, False)]


def test_fig_2_votes_leave_only_once_durable() -> None:
    """Fig. 2: term and vote are updated on stable storage before responding."""
    lab = Lab(3)
    lab.hold(1)

    lab.feed(say(m.VoteRequest, 2, 1, 5, 9, 4, False))
    before = lab.sent(m.VoteResponse)
    lab.persist(1)

    assert before == []
    assert [v.granted for v in lab.sent(m.VoteResponse)] == [True]


def test_fig_2_a_candidate_asks_only_once_its_own_vote_is_durable() -> None:
    """Fig. 2: a candidate's term and vote for itself are durable before it asks or counts."""
    lab = Lab(1, pre_vote=False)
    lab.hold(1)

    lab.tick(1, count=TIMEOUT)
    before = lab[1].role
    lab.persist(1)

    assert before is Role.CANDIDATE
    assert lab[1].role is Role.LEADER


def test_5_2_a_candidate_follows_the_leader_of_its_term() -> None:
    """§5.2: a candidate that hears a leader of its own term recognizes it."""
    lab = Lab(3, pre_vote=False)
    lab.tick(1, count=TIMEOUT)

    lab.feed(say(m.AppendEntries, 2, 1, 2, 1, 1, 1, None))

    assert (lab[1].role, lab[1].leader, lab[1].term) == (Role.FOLLOWER, 2, 2)


@pytest.mark.parametrize("jitter", [0, 7, 20])
def test_5_2_election_timeouts_are_randomized(jitter: int) -> None:
    """§5.2: timeouts are drawn from a fixed interval, to make split votes rare."""
    lab = Lab(3, jitter=lambda _node, bound: min(jitter, bound - 1))

    lab.tick(1, count=TIMEOUT + jitter - 1)
    early = lab[1].role
    lab.tick(1)

    assert (early, lab[1].role) == (Role.FOLLOWER, Role.PRE_CANDIDATE)


@pytest.mark.parametrize(
    ("mine", "last_index", "last_term", "granted"),
    [
        ((2, 2), 3, 2, True),
        ((2, 2), 4, 2, True),
        ((2, 2), 2, 2, False),
        ((2, 2), 2, 3, True),
        ((2, 3), 9, 2, False),
        ((2,), 2, 1, False),
        ((), 1, 1, True),
    ],
)
def test_5_4_1_only_an_up_to_date_log_gets_the_vote(
    mine: tuple[int, ...], last_index: int, last_term: int, granted: bool
) -> None:
    """§5.4.1: later last term wins; with equal terms the longer log is more up to date."""
    lab = Lab(3)
    lab.start(1, term=3, log=log_of(*mine))

    lab.feed(say(m.VoteRequest, 2, 1, 4, last_index, last_term, False))
    lab.feed(say(m.PreVoteRequest, 2, 1, 5, last_index, last_term))

    assert [v.granted for v in lab.sent(m.VoteResponse)] == [granted]
    assert [v.granted for v in lab.sent(m.PreVoteResponse)] == [granted]


def test_thesis_9_6_pre_vote_changes_nothing() -> None:
    """Dissertation §9.6: asking and granting pre-votes leaves terms and votes alone."""
    lab = Lab(3)
    lab.tick(1, count=TIMEOUT)

    lab.deliver()

    assert lab.sent(m.PreVoteResponse) != []
    for peer in lab.peers.values():
        assert (peer.node.term, peer.storage.hard_state.vote) == (1, 0)


def test_thesis_9_6_a_returning_server_disturbs_nobody() -> None:
    """Dissertation §9.6: a server that was cut off raises no terms while away or on return."""
    lab = Lab(3)
    lab.elect(1)
    for _ in range(10):
        lab.tick(count=5)
        lab.settle(3)
    assert lab[3].role is Role.PRE_CANDIDATE

    lab.settle()
    lab.tick(count=5)
    lab.settle()

    assert [lab[n].term for n in (1, 2, 3)] == [2, 2, 2]
    assert (lab[1].role, lab[3].leader) == (Role.LEADER, 1)


def test_thesis_4_2_3_a_server_with_a_live_leader_ignores_candidates() -> None:
    """Dissertation §4.2.3: within the minimum election timeout of hearing a leader, a server
    neither votes nor takes over the candidate's term."""
    lab = Lab(3)
    lab.elect(1)

    lab.feed(say(m.VoteRequest, 3, 2, 9, 99, 8, False))
    lab.feed(say(m.PreVoteRequest, 3, 2, 9, 99, 8))

    assert lab[2].term == 2
    assert lab.network == []


def test_thesis_4_2_3_an_election_the_leader_asked_for_is_exempt() -> None:
    """Dissertation §4.2.3: the flag of a leadership transfer overrides stickiness."""
    lab = Lab(3)
    lab.elect(1)

    lab.feed(say(m.VoteRequest, 3, 2, 9, 99, 8, True))

    assert [v.granted for v in lab.sent(m.VoteResponse)] == [True]


def test_thesis_6_2_a_leader_without_a_majority_steps_down() -> None:
    """Dissertation §6.2: a leader that has not heard a majority for an election timeout leaves."""
    lab = Lab(5)
    lab.elect(1)
    lab.tick(1, count=TIMEOUT)
    lab.settle(3, 4, 5)
    before = lab[1].role

    lab.tick(1, count=2 * TIMEOUT)

    assert before is Role.LEADER
    assert lab[1].leader != 1
    assert lab[1].term == 2


def test_a_lost_link_voids_stickiness_once() -> None:
    """The end of the leader's connection lets a follower help replace it, once per term."""
    lab = Lab(3)
    lab.elect(1)
    lab[3].link_lost(NodeId(1))
    lab.feed(say(m.PreVoteRequest, 2, 3, 3, 99, 2))
    assert [v.granted for v in lab.sent(m.PreVoteResponse)] == [True]
    lab.network.clear()

    lab.feed(say(m.Heartbeat, 1, 3, 2, 2, 2, 9))
    lab[3].link_lost(NodeId(1))
    lab.network.clear()
    lab.feed(say(m.PreVoteRequest, 2, 3, 3, 99, 2))

    assert lab.sent(m.PreVoteResponse) == []


def test_followers_of_a_lost_leader_campaign_in_order_of_rank() -> None:
    """After the leader's connection ended, the voters left pre-vote one tick apart by rank."""
    lab = Lab(5)
    lab.elect(2)
    for node in (1, 3, 4, 5):
        lab[node].link_lost(NodeId(2))

    order = []
    for _ in range(5):
        lab.tick(1, 3, 4, 5)
        order.append([n for n in (1, 3, 4, 5) if lab[n].role is Role.PRE_CANDIDATE])

    assert order == [[1], [1, 3], [1, 3, 4], [1, 3, 4, 5], [1, 3, 4, 5]]


def test_fast_failover_elects_within_a_few_ticks() -> None:
    """A cluster whose leader's process died has another one long before any timeout."""
    lab = Lab(3)
    lab.elect(1)
    del lab.peers[1]
    for node in (2, 3):
        lab[node].link_lost(NodeId(1))

    for _ in range(2):
        lab.tick()
        lab.settle()

    assert (lab[2].role, lab[3].leader) == (Role.LEADER, 2)


def test_granting_a_pre_vote_defers_the_own_fast_campaign() -> None:
    """Two followers that saw the leader's link break do not collide."""
    lab = Lab(3)
    lab.elect(1)
    for node in (2, 3):
        lab[node].link_lost(NodeId(1))
    lab.tick(2)
    lab.deliver()

    lab.tick(3, count=3)

    assert lab[3].role is Role.FOLLOWER


def test_thesis_4_2_1_learners_do_not_campaign() -> None:
    """Dissertation §4.2.1: a non-voting member never starts an election."""
    lab = Lab(membership=voters(1, 2, learners=(3,)))

    lab.tick(3, count=5 * TIMEOUT)

    assert lab[3].role is Role.FOLLOWER
    assert lab.network == []


def test_votes_of_learners_do_not_count() -> None:
    """Dissertation §4.2.1: a non-voting member is not counted towards a majority."""
    lab = Lab(membership=voters(1, 2, 3, learners=(4, 5)), pre_vote=False)
    lab.tick(1, count=TIMEOUT)

    lab.feed(say(m.VoteResponse, 4, 1, 2, True))
    lab.feed(say(m.VoteResponse, 5, 1, 2, True))

    assert lab[1].role is Role.CANDIDATE


def test_a_wiped_disk_does_not_vote_for_its_past() -> None:
    """A directory that is not the listed incarnation neither votes nor is counted."""
    lab = Lab(3, pre_vote=False)
    lab.start(3, life=1)
    lab.tick(1, count=TIMEOUT)

    lab.deliver(lambda message: message.to == 3)
    lab.feed(m.VoteResponse(NodeId(1), NodeId(3), member(3, life=1).incarnation, lab[1].term, True))

    assert [v.granted for v in lab.sent(m.VoteResponse)] == [False]
    assert lab[1].role is Role.CANDIDATE


def test_a_wiped_disk_does_not_campaign() -> None:
    """A directory that is not the listed incarnation never starts an election."""
    lab = Lab(3)
    lab.start(3, life=1)

    lab.tick(3, count=5 * TIMEOUT)

    assert lab[3].role is Role.FOLLOWER


def test_6_joint_elections_need_both_majorities() -> None:
    """§6: while joint, an election takes separate majorities of both configurations."""
    joint = Membership(tuple(member(n) for n in (1, 4, 5)), tuple(member(n) for n in (1, 2, 3)))
    lab = Lab(membership=joint, pre_vote=False)
    lab.tick(1, count=TIMEOUT)

    lab.feed(say(m.VoteResponse, 4, 1, 2, True))
    lab.feed(say(m.VoteResponse, 5, 1, 2, True))
    one_sided = lab[1].role
    lab.feed(say(m.VoteResponse, 2, 1, 2, True))

    assert (one_sided, lab[1].role) == (Role.CANDIDATE, Role.LEADER)


def test_waking_after_a_stall_ends_leadership() -> None:
    """A leader that did not run for longer than an election timeout does not trust itself."""
    lab = Lab(3)
    lab.elect(1)
    lab[1].read_index(7)

    lab[1].woke_after_stall()
    lab.collect(1)

    assert (lab[1].role, lab[1].leader) == (Role.FOLLOWER, NO_NODE)
    assert lab.peers[1].dropped == [7]


def test_learners_may_vote_if_asked() -> None:
    """Dissertation §4.2.1: who does not know yet that it votes, votes, or a promotion could leave
    the new voters without a majority."""
    lab = Lab(membership=voters(1, 2, learners=(3,)))
    assert lab.membership.find(NodeId(3)) == member(3, MemberRole.LEARNER)

    lab.feed(say(m.VoteRequest, 1, 3, 5, 9, 4, False))

    assert [v.granted for v in lab.sent(m.VoteResponse)] == [True]
