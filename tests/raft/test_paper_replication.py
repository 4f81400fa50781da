"""Log replication and commitment: the claims of Raft §5.3 to §5.5 and §8, one test each."""

from __future__ import annotations

import pytest

from coord.raft import EntryKind, Index, NodeId, Role, Term
from coord.raft import messages as m
from tests.raft.lab import Lab, log_of, run, say


def append(
    frm: int, to: int, term: int, previous: int, previous_term: int, commit: int, *terms: int
) -> m.AppendEntries:
    """AppendEntries with entries of one term, or none."""
    assert len(set(terms)) <= 1
    payloads = [b"%d@%d" % (i, t) for i, t in enumerate(terms, start=previous + 1)]
    entries = run(previous + 1, terms[0], *payloads) if terms else None
    return say(m.AppendEntries, frm, to, term, previous, previous_term, commit, entries)


def test_8_a_new_leader_opens_its_term_with_an_empty_entry() -> None:
    """§8: a leader commits a no-op at the start of its term to learn what is committed."""
    lab = Lab(3)

    lab.elect(1)

    runs = lab.peers[1].storage.runs
    assert [(r.first, r.term, r.kind) for r in runs][-1] == (2, 2, EntryKind.NOOP)
    assert lab[1].commit == 2


def test_5_3_a_proposal_goes_to_all_in_one_message_each() -> None:
    """§5.3: the leader appends a command and issues AppendEntries in parallel; a batch is one."""
    lab = Lab(3)
    lab.elect(1)

    lab.propose(1, b"a", b"b", b"c")

    sent = lab.sent(m.AppendEntries)
    assert [message.to for message in sent] == [2, 3]
    assert [message.entries and message.entries.payloads for message in sent] == [
        [b"a", b"b", b"c"]
    ] * 2
    assert {(message.prev_index, message.prev_term) for message in sent} == {(2, 2)}


def test_thesis_10_2_1_the_leader_writes_in_parallel() -> None:
    """Dissertation §10.2.1: entries leave for the followers while the leader's disk writes."""
    lab = Lab(3)
    lab.elect(1)
    lab.hold(1)

    lab.propose(1, b"a")

    assert len(lab.sent(m.AppendEntries)) == 2
    assert lab[1].durable_index == 2


def test_5_3_committed_once_a_majority_has_it() -> None:
    """§5.3: an entry is committed once it is on a majority; then it is applied everywhere."""
    lab = Lab(5)
    lab.elect(1)
    lab.propose(1, b"a")

    lab.settle(3, 4, 5)
    one_of_four = lab[1].commit
    lab.propose(1, b"b")
    lab.tick(1, count=5)
    lab.settle(4, 5)
    lab.tick(1, count=5)
    lab.settle()

    assert one_of_four == 2
    assert all(peer.applied == [b"a", b"b"] for peer in lab.peers.values())


def test_the_leader_counts_itself_only_once_durable() -> None:
    """Dissertation §10.2.1: the leader's own copy counts when its own disk has it."""
    lab = Lab(3)
    lab.elect(1)
    lab.hold(1)
    lab.propose(1, b"a")
    lab.settle(3)
    before = lab[1].commit

    lab.release(1)

    assert (before, lab[1].commit) == (2, 3)


def test_thesis_10_2_1_a_majority_of_followers_commits_without_the_leaders_disk() -> None:
    """Dissertation §10.2.1: followers alone may commit; the leader applies once it is durable."""
    lab = Lab(3)
    lab.elect(1)
    lab.hold(1)
    lab.propose(1, b"a")
    lab.settle()

    assert lab[1].commit == 3
    assert lab.peers[1].applied == []
    lab.release(1)
    assert lab.peers[1].applied == [b"a"]


def test_fig_2_acknowledgements_leave_only_once_durable() -> None:
    """Fig. 2: the log is updated on stable storage before responding."""
    lab = Lab(3)
    lab.hold(2)

    lab.feed(append(1, 2, 1, 1, 1, 1, 1))
    before = lab.sent(m.AppendAccepted)
    lab.persist(2)

    assert before == []
    assert [message.match for message in lab.sent(m.AppendAccepted)] == [2]


def test_an_acknowledgement_waits_for_the_writes_before_it() -> None:
    """What a repeated message acknowledges may still be under way from the first one."""
    lab = Lab(3)
    lab.hold(2)
    lab.feed(append(1, 2, 1, 1, 1, 1, 1))

    lab.feed(append(1, 2, 1, 1, 1, 1, 1))

    assert lab.sent(m.AppendAccepted) == []
    lab.persist(2)
    assert {message.match for message in lab.sent(m.AppendAccepted)} == {2}


@pytest.mark.parametrize(
    ("previous", "previous_term", "accepted"),
    [(3, 2, True), (2, 1, True), (3, 1, False), (3, 3, False), (4, 2, False)],
)
def test_5_3_entries_need_their_predecessor(
    previous: int, previous_term: int, *, accepted: bool
) -> None:
    """§5.3: a follower without the entry before the new ones refuses them."""
    lab = Lab(3)
    lab.start(2, term=3, log=log_of(1, 2))

    lab.feed(append(1, 2, 3, previous, previous_term, 1, 3))

    assert bool(lab.sent(m.AppendAccepted)) is accepted
    assert bool(lab.sent(m.AppendRejected)) is not accepted


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("a: one entry missing", (1, 1, 4, 4, 5, 5, 6, 6)),
        ("b: several missing", (1, 1, 4)),
        ("c: one too many", (1, 1, 4, 4, 5, 5, 6, 6, 6, 6)),
        ("d: two of a later term", (1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7)),
        ("e: missing and extra", (1, 1, 4, 4, 4, 4)),
        ("f: other terms throughout", (1, 1, 2, 2, 2, 3, 3, 3, 3, 3)),
    ],
)
def test_fig_7_a_leader_makes_any_log_equal_to_its_own(name: str, terms: tuple[int, ...]) -> None:
    """§5.3, fig. 7: missing entries are filled in and conflicting ones are replaced."""
    lab = Lab(3)
    lab.start(1, term=7, log=log_of(1, 1, 4, 4, 5, 5, 6, 6, 6))
    lab.start(2, term=7, log=log_of(*terms))

    lab.elect(1, 2)
    lab.tick(1, count=5)
    lab.settle(3)

    assert lab.peers[2].terms == lab.peers[1].terms, name
    assert lab.peers[2].terms[-1] == 8


def test_5_3_back_off_skips_whole_terms() -> None:
    """§5.3: with the conflicting term in the answer, one round per conflicting term is enough."""
    lab = Lab(3)
    lab.start(1, term=9, log=log_of(*[1] * 50, *[9] * 50))
    lab.start(2, term=9, log=log_of(*[1] * 50, *[5] * 40, *[7] * 60))

    lab.elect(1, 2)
    lab.tick(1, count=5)
    lab.settle(3)

    said = [message for ready in lab.peers[2].readies for message in ready.messages]
    rounds = [message for message in said if isinstance(message, m.AppendRejected)]
    assert lab.peers[2].terms == lab.peers[1].terms
    assert len(rounds) <= 3


def test_5_3_a_delayed_message_does_not_truncate() -> None:
    """§5.3: entries are only removed if they conflict; an old message with fewer removes none."""
    lab = Lab(3)
    lab.feed(append(1, 2, 1, 1, 1, 1, 1, 1, 1))

    lab.feed(append(1, 2, 1, 1, 1, 1, 1))

    assert lab.peers[2].terms == [1, 1, 1, 1]


def test_5_3_a_conflict_removes_everything_after_it() -> None:
    """§5.3: a conflicting entry is removed with all that follow it."""
    lab = Lab(3)
    lab.start(2, term=3, log=log_of(2, 2, 2, 2))

    lab.feed(append(1, 2, 3, 2, 2, 1, 3))

    assert lab.peers[2].terms == [1, 2, 3]


def test_5_3_a_conflict_inside_a_run_keeps_what_agrees() -> None:
    """§5.3: of a run that overlaps, only what differs or is new is written."""
    lab = Lab(3)
    lab.start(2, term=3, log=log_of(2, 2, 1 + 1, 2))
    lab.peers[2].readies.clear()

    lab.feed(append(1, 2, 3, 1, 1, 1, 2, 2, 2, 2, 2, 2))

    written = [r for ready in lab.peers[2].readies for r in ready.entries]
    assert [(r.first, r.last) for r in written] == [(6, 7)]


@pytest.mark.parametrize(
    ("commit", "entries", "expected"), [(3, 2, 3), (9, 2, 3), (2, 2, 2), (9, 0, 1), (1, 0, 1)]
)
def test_5_3_a_follower_commits_only_what_was_verified(
    commit: int, entries: int, expected: int
) -> None:
    """Fig. 2: min(leaderCommit, index of the last *new* entry), though the log is longer."""
    lab = Lab(3)
    lab.start(2, term=2, log=log_of(2, 2, 2, 2, 2))

    lab.feed(append(1, 2, 2, 1, 1, commit, *[2] * entries))

    assert lab[2].commit == expected


def test_heartbeats_commit_only_what_the_follower_holds() -> None:
    """A heartbeat vouches for an (index, term): a follower with another entry there ignores it."""
    lab = Lab(3)
    lab.start(2, term=3, log=log_of(2, 2))

    lab.feed(say(m.Heartbeat, 1, 2, 3, 3, 3, 1))
    other_term = lab[2].commit
    lab.feed(say(m.Heartbeat, 1, 2, 3, 9, 3, 1))
    beyond = lab[2].commit
    lab.feed(say(m.Heartbeat, 1, 2, 3, 3, 2, 1))

    assert (other_term, beyond, lab[2].commit) == (0, 0, 3)


def test_fig_8_older_entries_are_not_committed_by_counting() -> None:
    """§5.4.2, fig. 8: an entry of an earlier term on a majority is committed only with one of the
    leader's own term."""
    lab = Lab(5, pre_vote=False)
    lab.start(1, term=3, log=log_of(2))
    lab.tick(1, count=20)
    for node in (2, 3):
        lab.feed(say(m.VoteResponse, node, 1, 4, True))
    assert (lab[1].role, lab[1].last_index) == (Role.LEADER, 3)
    lab.feed(say(m.AppendAccepted, 2, 1, 4, 2))
    lab.feed(say(m.AppendAccepted, 3, 1, 4, 2))
    counted = lab[1].commit

    lab.feed(say(m.AppendAccepted, 2, 1, 4, 3))
    lab.feed(say(m.AppendAccepted, 3, 1, 4, 3))

    assert (counted, lab[1].commit) == (0, 3)


def test_5_5_requests_are_idempotent() -> None:
    """§5.5: a repeated AppendEntries changes nothing and is acknowledged again, at least as far
    as it is committed."""
    lab = Lab(3)
    message = append(1, 2, 1, 1, 1, 2, 1, 1)

    lab.feed(message)
    state = lab[2].statistics()
    lab.feed(message)

    assert lab[2].statistics() == state
    assert [a.match for a in lab.sent(m.AppendAccepted)] == [3, 2]


def test_5_3_lost_messages_are_retried_for_ever() -> None:
    """§5.3: the leader retries until all followers store all entries."""
    lab = Lab(3)
    lab.elect(1)
    for payload in (b"a", b"b", b"c"):
        lab.propose(1, payload)
        lab.drop()

    for _ in range(4):
        lab.tick(1, count=5)
        lab.settle()

    assert all(peer.applied == [b"a", b"b", b"c"] for peer in lab.peers.values())


def test_thesis_10_2_1_replication_is_pipelined() -> None:
    """Dissertation §10.2.1: the next AppendEntries does not wait for the last one's answer."""
    lab = Lab(3)
    lab.elect(1)

    for payload in (b"a", b"b", b"c"):
        lab.propose(1, payload)

    to_2 = lab.sent(m.AppendEntries, to=2)
    assert [message.prev_index for message in to_2] == [2, 3, 4]


def test_the_window_bounds_what_is_in_flight() -> None:
    """No more than ``max_inflight`` AppendEntries wait for an answer of one follower."""
    lab = Lab(3, max_inflight=2)
    lab.elect(1)

    for payload in (b"a", b"b", b"c", b"d"):
        lab.propose(1, payload)
    blocked = len(lab.sent(m.AppendEntries, to=2))
    lab.settle()

    assert blocked == 2
    assert lab.peers[2].applied == [b"a", b"b", b"c", b"d"]


def test_the_window_bounds_bytes_in_flight() -> None:
    """No more than ``max_inflight_bytes``, give or take a message, wait for one follower."""
    lab = Lab(3, max_inflight_bytes=1_000)
    lab.elect(1)

    for _ in range(5):
        lab.propose(1, b"x" * 600)

    assert len(lab.sent(m.AppendEntries, to=2)) == 2


def test_a_window_full_of_lost_messages_recovers() -> None:
    """A heartbeat's answer makes the leader ask where a silent follower stands."""
    lab = Lab(3, max_inflight=1)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.drop()
    lab.propose(1, b"b")

    lab.tick(1, count=5)
    lab.settle()

    assert lab.peers[2].applied == [b"a", b"b"]


def test_large_batches_are_cut_to_size() -> None:
    """One AppendEntries carries at most ``max_slice_bytes``, but always an entry."""
    lab = Lab(3, max_slice_bytes=100)
    lab.elect(1)

    lab.propose(1, b"x" * 60, b"y" * 60, b"z" * 500)

    sizes = [
        [len(p) for p in e.entries.payloads] for e in lab.sent(m.AppendEntries, to=2) if e.entries
    ]
    assert sizes == [[60], [60], [500]]


def test_small_batches_travel_together_to_a_slow_follower() -> None:
    """What piled up while the window was full goes out as one run."""
    lab = Lab(3, max_inflight=1)
    lab.elect(1)
    for payload in (b"a", b"b", b"c", b"d"):
        lab.propose(1, payload)

    lab.deliver()
    lab.deliver()

    runs = [e.entries.payloads for e in lab.sent(m.AppendEntries, to=2) if e.entries]
    assert runs == [[b"b", b"c", b"d"]]


def test_proposals_are_refused_while_too_much_is_uncommitted() -> None:
    """The leader's uncommitted entries are bounded; room returns as they commit."""
    lab = Lab(3, max_uncommitted_bytes=1_000)
    lab.elect(1)
    lab.propose(1, b"x" * 2_000)

    refused = lab[1].propose([b"y"])
    lab.settle()

    assert refused is None
    assert lab[1].propose([b"y"]) is not None


def test_followers_refuse_proposals() -> None:
    """§5.1: only the leader takes commands."""
    lab = Lab(3)
    lab.elect(1)

    assert lab[2].propose([b"a"]) is None


def test_an_overtaken_write_is_void() -> None:
    """The same entry may come back after a truncation, but only with a later write: until that one
    is durable it is not, even if an earlier write held it (the ABA problem)."""
    lab = Lab(3)
    lab.hold(3)
    lab.feed(append(1, 3, 2, 1, 1, 1, 2, 2))
    lab.feed(append(2, 3, 3, 2, 2, 1, 3))
    lab.feed(append(1, 3, 4, 2, 2, 1, 2))

    durable = []
    for _ in range(3):
        lab.persist(3, 1)
        durable.append(lab[3].durable_index)

    assert durable == [2, 2, 3]
    assert lab.peers[3].terms == [1, 2, 2]


def test_acknowledgements_of_truncated_entries_do_not_leave() -> None:
    """An entry truncated before it was handed to the disk was never stored."""
    lab = Lab(3)
    lab[3].step(append(1, 3, 2, 1, 1, 1, 2, 2, 2))
    lab[3].step(append(2, 3, 3, 1, 1, 1, 3))

    lab.collect(3)

    assert [(a.to, a.match) for a in lab.sent(m.AppendAccepted)] == [(2, 2)]


def test_a_follower_behind_its_commit_index_says_so() -> None:
    """A position below the commit index, perhaps compacted here, is no conflict."""
    lab = Lab(3)
    lab.feed(append(1, 2, 1, 1, 1, 4, 1, 1, 1))
    lab.compact(2, 3)
    lab.network.clear()

    lab.feed(append(1, 2, 1, 1, 1, 4, 1))

    assert lab.sent(m.AppendRejected) == []
    assert [a.match for a in lab.sent(m.AppendAccepted)] == [4]


def test_delayed_rejections_are_ignored() -> None:
    """An answer to an earlier probe must not move the position back below what is known."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.settle()

    lab.feed(say(m.AppendRejected, 2, 1, 2, 2, 1, 1))

    progress = lab[1].statistics().progress[0]
    assert (progress.match, progress.state) == (3, "replicate")


def test_match_never_goes_back() -> None:
    """Acknowledgements that arrive out of order do not lower what is known."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.feed(say(m.AppendAccepted, 2, 1, 2, 3))

    lab.feed(say(m.AppendAccepted, 2, 1, 2, 2))

    assert lab[1].statistics().progress[0].match == 3


def test_an_unreachable_follower_is_probed() -> None:
    """When messages were dropped the leader falls back to one message at a time."""
    lab = Lab(3)
    lab.elect(1)
    lab.propose(1, b"a")
    lab.drop()
    lab[1].unreachable(NodeId(2))
    lab.propose(1, b"b")
    assert lab.sent(m.AppendEntries, to=2) == []

    lab.tick(1, count=5)
    lab.settle()

    assert lab.peers[2].applied == [b"a", b"b"]


def test_a_leader_with_a_stuck_disk_steps_down() -> None:
    """A sick leader leaves: its own disk stands still for 2 s though the others commit."""
    lab = Lab(3)
    lab.elect(1)
    lab.hold(1)
    lab.propose(1, b"a")

    for _ in range(101):
        lab.tick(1)
        lab.settle()

    assert lab[1].role is not Role.LEADER
    assert any(lab[n].role is Role.LEADER for n in (2, 3))


def test_a_node_with_a_stuck_disk_does_not_campaign() -> None:
    """A node that could not make its vote durable leaves elections to others."""
    lab = Lab(3)
    lab.hold(2)
    lab.feed(append(1, 2, 1, 1, 1, 1, 1))
    lab.tick(2, count=19)
    lab.feed(append(1, 2, 1, 2, 1, 1, 1))
    for _ in range(5):
        lab.tick(2, count=19)
        lab.feed(say(m.Heartbeat, 1, 2, 1, 1, 1, 1))

    lab.tick(2, count=60)

    assert lab[2].role is Role.FOLLOWER


def test_applied_is_never_beyond_durable() -> None:
    """A follower told of a commit it has not yet made durable waits with applying it."""
    lab = Lab(3)
    lab.hold(2)
    lab.feed(append(1, 2, 1, 1, 1, 2, 1))

    before = list(lab.peers[2].applied)
    lab.release(2)

    assert (before, lab.peers[2].applied) == ([], [b"2@1"])


def test_terms_of_entries_survive_as_they_were_made() -> None:
    """§5.3: an entry keeps the term in which it was created, whoever replicates it."""
    lab = Lab(3)
    lab.start(1, term=3, log=log_of(2, 3))

    lab.elect(1)

    assert lab.peers[3].terms == [1, 2, 3, 4]
    assert lab.peers[3].storage.term(Index(2)) == Term(2)
