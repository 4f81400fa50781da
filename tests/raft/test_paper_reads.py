"""Linearizable reads without the log: Raft §8 and dissertation §6.4, one test per claim."""

from __future__ import annotations

from coord.raft import Role
from coord.raft import messages as m
from tests.raft.lab import Lab, log_of, say, voters


def test_6_4_a_read_waits_for_a_majority() -> None:
    """§6.4 step 3: the leader exchanges heartbeats with a majority before it answers."""
    lab = Lab(3)
    lab.elect(1)

    lab.read(1, 7)
    before = dict(lab.peers[1].reads)
    lab.settle(3)

    assert (before, lab.peers[1].reads) == ({}, {7: 2})


def test_6_4_a_read_waits_for_an_entry_of_the_term() -> None:
    """§6.4 step 1: until an entry of its own term is committed a leader answers no read, since its
    commit index may lag behind what its predecessor acknowledged."""
    lab = Lab(3, pre_vote=False)
    lab.start(1, term=2, log=log_of(2))
    lab.tick(1, count=20)
    lab.feed(say(m.VoteResponse, 2, 1, 3, True))
    lab.read(1, 7)
    assert lab[1].role is Role.LEADER
    too_early = lab.sent(m.Heartbeat)

    lab.feed(say(m.AppendAccepted, 2, 1, 3, 3))
    (beat,) = [b for b in lab.sent(m.Heartbeat, to=2) if b.read_round]
    lab.feed(say(m.HeartbeatResponse, 2, 1, 3, beat.read_round))

    assert too_early == []
    assert lab.peers[1].reads == {7: 3}


def test_6_4_a_read_gets_the_commit_index_of_its_arrival() -> None:
    """§6.4 step 2: the read index is at least every commit from before the read."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.settle()

    lab.read(1, 7)
    lab.settle()

    assert lab.peers[1].reads == {7: 3}


def test_a_round_started_before_the_read_does_not_confirm_it() -> None:
    """Only answers to a round that began after the read arrived count: an older one proves nothing
    about the time in between."""
    lab = Lab(3)
    lab.elect(1)
    lab.read(1, 7)
    old = lab.sent(m.Heartbeat)
    lab.drop()
    lab.read(1, 8)
    lab.drop()

    for beat in old:
        lab.feed(say(m.HeartbeatResponse, beat.to, 1, 2, beat.read_round))

    assert set(lab.peers[1].reads) == {7}


def test_answers_to_a_later_round_confirm_earlier_reads() -> None:
    """A majority in a later round vouches for the time of every earlier one."""
    lab = Lab(3)
    lab.elect(1)
    lab.read(1, 7)
    lab.drop()

    lab.read(1, 8)
    lab.settle(3)

    assert set(lab.peers[1].reads) == {7, 8}


def test_a_lost_round_is_retried_under_a_fresh_number() -> None:
    """The periodic heartbeat opens a new round for reads whose messages were lost."""
    lab = Lab(3)
    lab.elect(1)
    lab.read(1, 7)
    first = {beat.read_round for beat in lab.sent(m.Heartbeat)}
    lab.drop()

    lab.tick(1, count=5)
    second = {beat.read_round for beat in lab.sent(m.Heartbeat)}
    lab.settle(3)

    assert first.isdisjoint(second)
    assert set(lab.peers[1].reads) == {7}


def test_6_4_reads_share_a_round() -> None:
    """§6.4: one round of heartbeats serves any number of reads."""
    lab = Lab(3)
    lab.elect(1)

    for read_id in range(50):
        lab[1].read_index(read_id)
    lab.collect(1)

    assert len(lab.sent(m.Heartbeat)) == 2
    lab.settle()
    assert len(lab.peers[1].reads) == 50


def test_6_4_answers_of_learners_do_not_count() -> None:
    """§6.4: a majority of voters, not of members."""
    lab = Lab(membership=voters(1, 2, 3, learners=(4, 5)))
    lab.elect(1)

    lab.read(1, 7)
    lab.settle(2, 3)

    assert lab.peers[1].reads == {}


def test_6_4_a_deposed_leader_answers_nothing() -> None:
    """§6.4: a leader that was replaced without knowing cannot collect a majority."""
    lab = Lab(3)
    lab.elect(1)
    lab.elect(2, 1)
    lab.propose(2, b"new")
    lab.settle(1)

    lab.read(1, 7)
    lab.settle()

    assert lab.peers[1].reads == {}
    assert lab.peers[1].dropped == [7]


def test_6_4_a_follower_asks_the_leader() -> None:
    """§6.4: a follower obtains a read index from the leader and serves the read itself."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.settle()

    for read_id in (7, 8, 9):
        lab[3].read_index(read_id)
    lab.collect(3)

    assert len(lab.sent(m.ReadRequest)) == 1
    lab.settle(2)
    assert lab.peers[3].reads == {7: 3, 8: 3, 9: 3}


def test_a_follower_retries_under_a_fresh_context() -> None:
    """A lost request is repeated under another number: only answers to the last one count."""
    lab = Lab(3)
    lab.elect(1)
    lab.read(3, 7)
    first = lab.sent(m.ReadRequest)[0].context
    lab.drop()

    for _ in range(5):
        lab.tick(3)
        lab.tick(1)
    second = lab.sent(m.ReadRequest)[0].context
    lab.feed(say(m.ReadResponse, 1, 3, 2, first, 2, True))
    early = dict(lab.peers[3].reads)
    lab.settle()

    assert first != second
    assert (early, set(lab.peers[3].reads)) == ({}, {7})


def test_a_follower_gives_up_in_the_end() -> None:
    """A read that the leader does not answer within an election timeout is dropped."""
    lab = Lab(3)
    lab.elect(1)
    lab.read(3, 7)

    for _ in range(9):
        lab.drop(lambda message: isinstance(message, m.ReadRequest))
        lab.tick(1, 3, count=5)
        lab.deliver(lambda message: not isinstance(message, m.ReadRequest))

    assert lab.peers[3].dropped == [7]


def test_contexts_of_two_lives_differ() -> None:
    """An answer meant for a process before its restart is not taken for one to the new."""
    draws = iter(range(0, 10_000, 100))
    lab = Lab(3, jitter=lambda _node, bound: next(draws) if bound > 100 else 0)
    lab.elect(1)
    lab.read(3, 7)
    old = lab.sent(m.ReadRequest)[0].context
    lab.drop()
    lab.restart(3)
    lab.tick(1, count=5)
    lab.settle()
    lab.read(3, 8)

    lab.feed(say(m.ReadResponse, 1, 3, 2, old, 2, True))

    assert lab.peers[3].reads == {}


def test_without_a_leader_a_read_is_refused() -> None:
    """A node that knows no leader says so at once."""
    lab = Lab(3)

    assert lab.read(1, 7) is False


def test_a_non_leader_refuses_forwarded_reads() -> None:
    """A request that reaches a former leader is refused, and the read dropped."""
    lab = Lab(3)

    lab.feed(say(m.ReadRequest, 3, 1, 1, 5))

    assert [(r.to, r.accepted) for r in lab.sent(m.ReadResponse)] == [(3, False)]


def test_a_single_voter_reads_at_once() -> None:
    """A majority of one needs no messages."""
    lab = Lab(1)
    lab.elect(1)

    lab.read(1, 7)

    assert lab.peers[1].reads == {7: 2}


def test_reads_are_dropped_when_the_leader_changes() -> None:
    """What was asked of the old leader is not answered by the new one."""
    lab = Lab(3)
    lab.elect(1)
    lab.read(3, 7)
    lab.drop()

    lab.elect(2, 1)

    assert lab.peers[3].dropped == [7]
