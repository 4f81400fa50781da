"""Deadlines: who is overdue, when, once; contact only extends."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coord.session.tracker import Overdue, SessionTracker


def test_a_silent_session_is_overdue_at_its_deadline() -> None:
    """Not a millisecond earlier, and once."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 500)
    assert tracker.overdue(1_499) == []
    assert tracker.overdue(1_500) == [Overdue(1, 1, 1_500, 500)]
    assert tracker.overdue(9_999) == []
    assert 1 in tracker


def test_contact_extends() -> None:
    """Contact moves the deadline to when it was heard + timeout."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 0)
    assert tracker.touch(1, 700)
    assert tracker.overdue(1_699) == []
    assert tracker.overdue(1_700) == [Overdue(1, 1, 1_700, 700)]


def test_every_deadline_can_be_asked_for() -> None:
    """Contact and pauses included."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 0)
    tracker.opened(2, 1, 2_000, 0)
    tracker.touch(1, 700)
    tracker.shift(50)

    assert dict(tracker.deadlines()) == {1: 1_750, 2: 2_050}


def test_late_news_of_old_contact_changes_nothing() -> None:
    """Contact older than what is known never brings a deadline forward."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 0)
    tracker.touch(1, 700)
    assert tracker.touch(1, 300)
    assert tracker.deadline_ms(1) == 1_700


def test_unknown_sessions() -> None:
    """Contact of a session that is not tracked is not counted; closing it is no error."""
    tracker = SessionTracker()
    assert not tracker.touch(1, 5)
    tracker.closed(1)
    tracker.requeue(1)
    assert tracker.deadline_ms(1) is None
    assert len(tracker) == 0


def test_closed_sessions_are_never_overdue() -> None:
    """A session that ended is forgotten, whatever the heap still holds."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 0)
    tracker.closed(1)
    assert tracker.overdue(5_000) == []


def test_overdue_comes_in_order_of_deadlines() -> None:
    """The longest overdue comes first."""
    tracker = SessionTracker()
    for session, timeout_ms in ((1, 3_000), (2, 1_000), (3, 2_000)):
        tracker.opened(session, 1, timeout_ms, 0)
    assert [item.session for item in tracker.overdue(10_000)] == [2, 3, 1]


def test_grace_is_added() -> None:
    """A session is overdue only at deadline + grace; the deadline itself is reported."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 0)
    assert tracker.overdue(1_499, grace_ms=500) == []
    assert tracker.overdue(1_500, grace_ms=500) == [Overdue(1, 1, 1_000, 0)]


def test_an_attach_starts_over() -> None:
    """A new generation has its whole, possibly shorter, timeout; it undoes a hand-out."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 10_000, 0)
    tracker.opened(1, 2, 1_000, 100)
    assert tracker.overdue(1_100) == [Overdue(1, 2, 1_100, 100)]
    tracker.opened(1, 3, 1_000, 1_200)
    assert not tracker.is_handed_out(1)
    assert tracker.overdue(2_200) == [Overdue(1, 3, 2_200, 1_200)]
    assert tracker.overdue(99_999) == []


def test_a_repeated_generation_does_not_undo_a_hand_out() -> None:
    """An attach applied a second time is no news: the proposed end still names that generation."""
    tracker = SessionTracker()
    tracker.opened(1, 2, 1_000, 0)
    tracker.overdue(1_000)
    tracker.opened(1, 2, 1_000, 1_100)
    assert tracker.is_handed_out(1)
    assert tracker.deadline_ms(1) == 1_000


def test_generations_only_grow() -> None:
    """An older generation can only come from a defect of the caller."""
    tracker = SessionTracker()
    tracker.opened(1, 2, 1_000, 0)
    with pytest.raises(AssertionError):
        tracker.opened(1, 1, 1_000, 0)


def test_requeue() -> None:
    """A session handed out and not ended is overdue again at once."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 0)
    tracker.overdue(1_000)
    tracker.requeue(1)
    tracker.requeue(1)
    assert len(tracker.overdue(1_000)) == 1


def test_shift_moves_every_deadline() -> None:
    """A pause moves what is tracked, and what is tracked later is not moved by it."""
    tracker = SessionTracker()
    tracker.opened(1, 1, 1_000, 0)
    tracker.shift(5_000)
    tracker.opened(2, 1, 1_000, 5_000)
    assert tracker.deadline_ms(1) == 6_000
    assert tracker.deadline_ms(2) == 6_000
    assert tracker.overdue(5_999) == []
    assert {item.session for item in tracker.overdue(6_000)} == {1, 2}


def test_reattaching_forever_does_not_grow_the_heap() -> None:
    """A session that re-attaches again and again costs one entry, not one for each attach."""
    tracker = SessionTracker()
    for generation in range(1, 1_001):
        tracker.opened(1, generation, 1_000, generation)
    assert len(tracker._heap) == 1
    assert len(tracker.overdue(10_000)) == 1


class TrackerMachine(RuleBasedStateMachine):
    """The tracker against a dictionary of deadlines."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = SessionTracker()
        self.now_ms = 0
        self.model: dict[int, tuple[int, int, int, bool]] = {}
        """Session → (generation, heard, timeout, handed out)."""

    sessions = st.integers(1, 4)

    @rule(session=sessions, timeout_ms=st.integers(1, 500))
    def attach(self, session: int, timeout_ms: int) -> None:
        """Open a session or move it to its next generation."""
        generation = self.model[session][0] + 1 if session in self.model else 1
        heard = max(self.now_ms, self.model[session][1]) if session in self.model else self.now_ms
        self.tracker.opened(session, generation, timeout_ms, self.now_ms)
        self.model[session] = (generation, heard, timeout_ms, False)

    @rule(session=sessions, ago_ms=st.integers(0, 300))
    def touch(self, session: int, ago_ms: int) -> None:
        """Contact some time ago."""
        heard = self.now_ms - ago_ms
        assert self.tracker.touch(session, heard) == (session in self.model)
        if session in self.model:
            generation, before, timeout_ms, out = self.model[session]
            self.model[session] = (generation, max(before, heard), timeout_ms, out)

    @rule(session=sessions)
    def close(self, session: int) -> None:
        """End a session."""
        self.tracker.closed(session)
        self.model.pop(session, None)

    @rule(session=sessions)
    def requeue(self, session: int) -> None:
        """Give a session back."""
        self.tracker.requeue(session)
        if session in self.model:
            self.model[session] = (*self.model[session][:3], False)

    @rule(gap_ms=st.integers(0, 400))
    def shift(self, gap_ms: int) -> None:
        """Sleep."""
        self.now_ms += gap_ms
        self.tracker.shift(gap_ms)
        self.model = {
            session: (generation, heard + gap_ms, timeout_ms, out)
            for session, (generation, heard, timeout_ms, out) in self.model.items()
        }

    @rule(step_ms=st.integers(0, 300), grace_ms=st.integers(0, 50))
    def check(self, step_ms: int, grace_ms: int) -> None:
        """Time passes; exactly those overdue are handed out, once."""
        self.now_ms += step_ms
        expected = {
            session
            for session, (_, heard, timeout_ms, out) in self.model.items()
            if not out and heard + timeout_ms + grace_ms <= self.now_ms
        }
        found = self.tracker.overdue(self.now_ms, grace_ms)
        assert {item.session for item in found} == expected
        for item in found:
            generation, heard, timeout_ms, _ = self.model[item.session]
            assert item[1:] == (generation, heard + timeout_ms, heard)
            self.model[item.session] = (generation, heard, timeout_ms, True)

    @invariant()
    def agrees(self) -> None:
        """Sessions, deadlines and hand-outs are the model's."""
        assert len(self.tracker) == len(self.model)
        for session, (_, heard, timeout_ms, out) in self.model.items():
            assert self.tracker.deadline_ms(session) == heard + timeout_ms
            assert self.tracker.is_handed_out(session) == out


TrackerMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=30)
TestTracker = TrackerMachine.TestCase
