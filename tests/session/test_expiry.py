"""The leader's policy, one test for each rule of design section 6 on heartbeats."""

from __future__ import annotations

import pytest

from coord.session.expiry import CHECK_INTERVAL_MS, GRACE_MS, PAUSE_MS, ExpiryPolicy

TIMEOUT_MS = 10_000


def active(now_ms: int = 0, *sessions: int) -> ExpiryPolicy:
    """A leader's policy at work, with sessions of generation 1."""
    policy = ExpiryPolicy(leader=1)
    policy.activate([(session, 1, TIMEOUT_MS) for session in sessions or (7,)], now_ms)
    return policy


def run(policy: ExpiryPolicy, start_ms: int, stop_ms: int) -> list[tuple[int, int]]:
    """Check at every interval; (time, session) of each proposal."""
    return [
        (now_ms, expiry.session)
        for now_ms in range(start_ms, stop_ms + 1, CHECK_INTERVAL_MS)
        for expiry in policy.check(now_ms)
    ]


def test_nothing_counts_before_the_leader_is_ready() -> None:
    """Until it has applied its own term's first entry a node acknowledges and ends nothing."""
    policy = ExpiryPolicy(leader=1)
    policy.opened(7, 1, 1_000, 0)
    assert policy.touch([(7, 0)], 10) is None
    assert policy.check(99_999) == []
    assert not policy.is_active


def test_only_a_leader_knows_deadlines() -> None:
    """Whoever else believed to know would be guessing."""
    policy = active(50_000)
    deadlines = policy.deadlines()
    assert deadlines is not None
    assert dict(deadlines) == {7: 50_000 + TIMEOUT_MS}

    policy.deactivate()
    assert policy.deadlines() is None


def test_a_new_leader_gives_the_whole_timeout_again() -> None:
    """Deadlines start when the leader becomes ready, however long a session was silent before."""
    policy = active(50_000)
    due_ms = 50_000 + TIMEOUT_MS + GRACE_MS
    assert run(policy, 50_000, due_ms + 500) == [(due_ms, 7)]


def test_the_end_names_generation_and_reason() -> None:
    """A proposal carries what makes it void and what the post-mortem says."""
    policy = ExpiryPolicy(leader=3)
    policy.activate([(7, 4, 1_000)], 0)
    policy.touch([(7, 100)], 300)
    run(policy, 300, 3_100)
    (expiry,) = policy.check(3_200)
    assert expiry.session == 7
    assert expiry.generation == 4
    assert expiry.reason == {
        "last_heard_ms": 3_000,
        "deadline_ms": 2_000,
        "leader": 3,
        "pauses": [],
    }


def test_contact_is_dated_when_it_was_heard() -> None:
    """A batch's time on its way does not lengthen a session's life."""
    policy = active()
    run(policy, 0, 4_900)
    assert policy.touch([(7, 1_000)], 5_000) == []
    due_ms = 4_000 + TIMEOUT_MS + GRACE_MS
    assert run(policy, 5_000, due_ms + 500) == [(due_ms, 7)]


def test_contact_from_the_future_is_contact_now() -> None:
    """A negative age, which no honest gateway sends, does not lengthen a life either."""
    policy = active()
    policy.touch([(7, -60_000)], 100)
    due_ms = 100 + TIMEOUT_MS + GRACE_MS
    assert run(policy, 100, due_ms) == [(due_ms, 7)]


def test_an_ending_session_is_refused() -> None:
    """From the proposal until the log decides, nobody is told that the session lives."""
    policy = active(0, 7, 8)
    run(policy, 0, TIMEOUT_MS)
    policy.touch([(8, 0)], TIMEOUT_MS)
    due_ms = TIMEOUT_MS + GRACE_MS
    assert run(policy, TIMEOUT_MS, due_ms) == [(due_ms, 7)]
    assert policy.touch([(7, 0), (8, 0)], due_ms + 10) == [7]
    assert run(policy, due_ms + 10, due_ms + 1_000) == []
    policy.closed(7)
    assert policy.touch([(7, 0), (8, 0)], due_ms + 1_010) == [7]


def test_an_attach_voids_the_proposed_end() -> None:
    """When the session's generation has moved, the proposal is void and contact counts again."""
    policy = active()
    due_ms = TIMEOUT_MS + GRACE_MS
    run(policy, 0, due_ms)
    policy.opened(7, 2, TIMEOUT_MS, due_ms + 50)
    assert policy.touch([(7, 0)], due_ms + 60) == []
    again_ms = due_ms + 60 + TIMEOUT_MS + GRACE_MS
    assert run(policy, due_ms + 60, again_ms) == [(again_ms, 7)]


def test_a_repeated_attach_does_not() -> None:
    """An attach that had no effect (same generation) leaves the proposal standing."""
    policy = active()
    due_ms = TIMEOUT_MS + GRACE_MS
    run(policy, 0, due_ms)
    policy.opened(7, 1, TIMEOUT_MS, due_ms + 50)
    assert policy.touch([(7, 0)], due_ms + 60) == [7]


def test_a_withdrawn_proposal_comes_again() -> None:
    """A proposal that certainly did not enter the log is made again at the next check."""
    policy = active()
    due_ms = TIMEOUT_MS + GRACE_MS
    run(policy, 0, due_ms)
    policy.withdrawn(7)
    assert policy.touch([(7, due_ms)], due_ms) == []
    assert [expiry.session for expiry in policy.check(due_ms + 100)] == [7]


def test_contact_saves_a_session_whose_proposal_was_withdrawn() -> None:
    """Contact after the withdrawal counts as any other."""
    policy = active()
    due_ms = TIMEOUT_MS + GRACE_MS
    run(policy, 0, due_ms)
    policy.withdrawn(7)
    policy.touch([(7, 0)], due_ms)
    assert policy.check(due_ms + 100) == []


def test_a_deposed_leader_forgets() -> None:
    """Deposed, a node proposes nothing; leading again, it starts everybody afresh."""
    policy = active()
    run(policy, 0, TIMEOUT_MS)
    policy.deactivate()
    assert policy.check(TIMEOUT_MS + GRACE_MS) == []
    assert policy.touch([(7, 0)], TIMEOUT_MS + GRACE_MS) is None
    start_ms = TIMEOUT_MS + GRACE_MS + 1
    policy.activate([(7, 1, TIMEOUT_MS)], start_ms)
    due_ms = start_ms + TIMEOUT_MS + GRACE_MS
    assert run(policy, start_ms, due_ms) == [(due_ms, 7)]


def test_unknown_sessions_are_refused() -> None:
    """A session the leader does not know is not confirmed: it may have ended."""
    assert active().touch([(99, 0), (7, 0)], 10) == [99]


def test_a_pause_is_nobodys_silence() -> None:
    """A leader that did not run moves every deadline by the gap, and says so in the reason."""
    policy = active()
    run(policy, 0, 1_000)
    gap_ms = 30_000
    assert policy.check(1_000 + gap_ms) == []
    due_ms = TIMEOUT_MS + GRACE_MS + gap_ms
    assert run(policy, 1_000 + gap_ms, due_ms - 100) == []
    (expiry,) = policy.check(due_ms)
    assert expiry.reason["pauses"] == [[due_ms - 1_000 - gap_ms, gap_ms]]
    assert [pause.gap_ms for pause in policy.pauses] == [gap_ms]


@pytest.mark.parametrize("noticed_by", ["touch", "opened"])
def test_a_pause_is_noticed_by_any_call(noticed_by: str) -> None:
    """Whatever comes first on waking shifts the deadlines before anything is decided."""
    policy = active(0, 7, 8)
    policy.check(100)
    if noticed_by == "touch":
        assert policy.touch([(8, 0)], 20_100) == []
    else:
        policy.opened(9, 1, TIMEOUT_MS, 20_100)
    assert policy.check(20_100) == []
    assert [expiry.session for expiry in policy.check(20_100 + PAUSE_MS - 1)] == []


def test_a_short_stall_is_not_a_pause() -> None:
    """Below the threshold nothing moves: the bound on a silent session's life stays."""
    policy = active()
    for now_ms in range(0, TIMEOUT_MS + GRACE_MS, PAUSE_MS - 1):
        assert policy.check(now_ms) == []
    assert [expiry.session for expiry in policy.check(TIMEOUT_MS + GRACE_MS)] == [7]
    assert policy.pauses == ()


def test_the_clock_must_not_go_back() -> None:
    """Time running backwards is a defect of the caller, not something to work around."""
    policy = active(1_000)
    with pytest.raises(AssertionError):
        policy.check(999)
