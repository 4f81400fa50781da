"""Gateway and leader together, with lost and late messages, leader changes and pauses.

Two promises: a client is never told that it lives past the moment its session may be ended, and a
silent session ends in bounded time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coord.model.limits import ELECTION_TIMEOUT_MS_MAX
from coord.session.expiry import CHECK_INTERVAL_MS, GRACE_MS, PAUSE_MS, ExpiryPolicy
from coord.session.heartbeats import BATCH_INTERVAL_MS, Batch, HeartbeatBatch

TIMEOUTS_MS: Final = {1: 1_000, 2: 2_500, 3: 6_000}
NOTICES_MS: Final = 2 * ELECTION_TIMEOUT_MS_MAX
"""A deposed leader without a quorum steps down by itself within this time."""


class Proposal(NamedTuple):
    """An end on its way through the log."""

    session: int
    generation: int
    term: int


class Sent(NamedTuple):
    """A batch on its way, and what the gateway had really heard by then."""

    batch: Batch
    at_ms: int
    heard_ms: dict[int, int]


class LivenessMachine(RuleBasedStateMachine):
    """Leaders, the last of them deposed perhaps unknowingly; one gateway; a network that may do
    anything but invent messages."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.term = 1
        self.leader = ExpiryPolicy(leader=1)
        self.deposed: ExpiryPolicy | None = None
        self.deposed_until_ms = 0
        self.gateway = HeartbeatBatch(0)
        self.open: dict[int, int] = dict.fromkeys(TIMEOUTS_MS, 1)
        """Session → generation, as the log has it."""
        self.held_until_ms: dict[int, int] = {}
        """What each client may believe: send time of its last confirmed heartbeat + timeout."""
        self.ends_by_ms: dict[int, int] = {}
        """When a session must have been proposed if nothing is heard of it any more."""
        self.batches: list[Sent] = []
        self.heard_ms: dict[int, int] = {}
        self.answers: list[tuple[int, list[int]]] = []
        self.proposals: list[Proposal] = []
        self.pinged_ms: dict[tuple[int, int], int] = {}
        self.next_xid = 1
        self._lead()

    def _lead(self) -> None:
        self.leader = ExpiryPolicy(leader=self.term)
        self.leader.activate(
            [(number, generation, TIMEOUTS_MS[number]) for number, generation in self.open.items()],
            self.now_ms,
        )
        self.ends_by_ms = {number: self._end_ms(number, self.now_ms) for number in self.open}

    def _end_ms(self, session: int, heard_ms: int) -> int:
        return heard_ms + TIMEOUTS_MS[session] + GRACE_MS + CHECK_INTERVAL_MS

    # --- time ------------------------------------------------------------------------------------

    @rule(intervals=st.integers(1, 100))
    def run(self, intervals: int) -> None:
        """The leader runs and looks at every interval."""
        for _ in range(intervals):
            self.now_ms += CHECK_INTERVAL_MS
            self._check()

    def _check(self) -> None:
        for expiry in self.leader.check(self.now_ms):
            assert self.open[expiry.session] == expiry.generation
            assert self.now_ms >= self.held_until_ms.get(expiry.session, 0), (
                "told alive past its end"
            )
            self.proposals.append(Proposal(expiry.session, expiry.generation, self.term))

    @rule(gap_ms=st.integers(PAUSE_MS, 20_000))
    def leader_pauses(self, gap_ms: int) -> None:
        """The leader does not run: everything it tracks has that much longer."""
        self.now_ms += gap_ms
        self.deposed = None
        self.ends_by_ms = {number: by + gap_ms for number, by in self.ends_by_ms.items()}
        self._check()

    # --- clients and their gateway ---------------------------------------------------------------

    @rule(session=st.sampled_from(list(TIMEOUTS_MS)))
    def ping(self, session: int) -> None:
        """A client sends a heartbeat, which its gateway hears at once."""
        if session in self.open:
            token = (session, self.next_xid)
            self.next_xid += 1
            self.pinged_ms[token] = self.heard_ms[session] = self.now_ms
            self.gateway.ping(session, token, self.now_ms)

    @rule()
    def send_batch(self) -> None:
        """The gateway sends what it has to the leader it believes in."""
        self.batches.append(self._take())

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), at_deposed=st.booleans())
    def batch_arrives(self, data: st.DataObject, at_deposed: bool) -> None:
        """Any batch under way arrives, in any order, at the leader, or at the one deposed."""
        at = data.draw(st.integers(0, len(self.batches) - 1))
        self._arrive(self.batches.pop(at), at_deposed)

    def _take(self) -> Sent:
        return Sent(self.gateway.take(self.now_ms), self.now_ms, dict(self.heard_ms))

    def _arrive(self, sent: Sent, at_deposed: bool) -> None:
        batch = sent.batch
        if at_deposed:
            if self.deposed is not None and self.now_ms < self.deposed_until_ms:
                refused = self.deposed.touch(batch.heard, self.now_ms)
                assert refused is not None
                self.answers.append((batch.id, refused))
            return
        refused = self.leader.touch(batch.heard, self.now_ms)
        assert refused is not None
        on_its_way_ms = self.now_ms - sent.at_ms
        for session, _ in batch.heard:
            if session in self.open and session not in refused:
                by = self._end_ms(session, sent.heard_ms[session] + on_its_way_ms)
                self.ends_by_ms[session] = max(self.ends_by_ms[session], by)
        self.answers.append((batch.id, refused))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def answer_arrives(self, data: st.DataObject) -> None:
        """Any acknowledgement under way arrives, also one of an earlier leader."""
        at = data.draw(st.integers(0, len(self.answers) - 1))
        batch_id, refused = self.answers.pop(at)
        for token in self.gateway.acknowledged(batch_id, refused):
            assert isinstance(token, tuple)
            session = int(token[0])
            until_ms = self.pinged_ms[token] + TIMEOUTS_MS[session]
            self.held_until_ms[session] = max(self.held_until_ms.get(session, 0), until_ms)

    @rule(session=st.sampled_from(list(TIMEOUTS_MS)), at_deposed=st.booleans(), data=st.data())
    def prompt_heartbeat(self, session: int, at_deposed: bool, data: st.DataObject) -> None:
        """A heartbeat all the way to its reply, at once, as most are."""
        self.ping(session)
        self._arrive(self._take(), at_deposed)
        if self.answers:
            self.answers[:] = self.answers[-1:]
            self.answer_arrives(data)

    @rule(session=st.sampled_from(list(TIMEOUTS_MS)), intervals=st.integers(0, 60), data=st.data())
    def slow_heartbeat(self, session: int, intervals: int, data: st.DataObject) -> None:
        """A heartbeat that waits for its batch, while the leader goes on looking."""
        self.ping(session)
        self.run(intervals)
        self.prompt_heartbeat(session=0, at_deposed=False, data=data)

    @rule(
        session=st.sampled_from(list(TIMEOUTS_MS)),
        intervals=st.integers(0, NOTICES_MS // CHECK_INTERVAL_MS),
        data=st.data(),
    )
    def handover(self, session: int, intervals: int, data: st.DataObject) -> None:
        """A new leader, while the old one goes on confirming as long as it can."""
        self.leader_changes(survives=True)
        self.run(intervals)
        self.prompt_heartbeat(session, at_deposed=True, data=data)

    @rule()
    def gateway_learns(self) -> None:
        """The gateway hears of the leader change."""
        self.gateway.leader_changed()

    @rule()
    def batches_are_lost(self) -> None:
        """A link breaks."""
        self.batches.clear()
        self.answers.clear()

    # --- the log ---------------------------------------------------------------------------------

    @precondition(lambda self: self.proposals)
    @rule()
    def log_decides(self) -> None:
        """The oldest proposal is applied: it ends the session, or is void."""
        proposal = self.proposals.pop(0)
        if self.open.get(proposal.session) == proposal.generation:
            del self.open[proposal.session]
            del self.ends_by_ms[proposal.session]
            self.leader.closed(proposal.session)
            self.gateway.forget(proposal.session)
            held_ms = self.held_until_ms.get(proposal.session, 0)
            assert self.now_ms >= held_ms, "ended while its client may believe to hold"

    @rule(session=st.sampled_from(list(TIMEOUTS_MS)))
    def attach(self, session: int) -> None:
        """A client re-attaches: the log orders it before or after a proposed end."""
        if session in self.open:
            self.open[session] += 1
            self.leader.opened(session, self.open[session], TIMEOUTS_MS[session], self.now_ms)
            self.ends_by_ms[session] = self._end_ms(session, self.now_ms)

    @rule(survives=st.booleans())
    def leader_changes(self, survives: bool) -> None:
        """Another leader: earlier proposals are either all in its log, hence applied first, or
        gone."""
        while survives and self.proposals:
            self.log_decides()
        self.proposals.clear()
        self.term += 1
        self.deposed, self.deposed_until_ms = self.leader, self.now_ms + NOTICES_MS
        self._lead()

    # --- promises --------------------------------------------------------------------------------

    @invariant()
    def silence_ends(self) -> None:
        """A session unheard for timeout + grace + one interval has been proposed to end."""
        proposed = {(proposal.session, proposal.generation) for proposal in self.proposals}
        for session, by_ms in self.ends_by_ms.items():
            if self.now_ms >= by_ms:
                assert (session, self.open[session]) in proposed


LivenessMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestLiveness = LivenessMachine.TestCase


def test_a_live_client_on_a_good_network_never_ends() -> None:
    """Heartbeats at a third of the timeout through prompt batches keep a session for good."""
    leader, gateway = ExpiryPolicy(leader=1), HeartbeatBatch(0)
    leader.activate([(1, 1, 1_000)], 0)
    answered = 0
    for now_ms in range(0, 60_000, 50):
        if now_ms % 300 == 0:
            gateway.ping(1, now_ms, now_ms)
        if now_ms % BATCH_INTERVAL_MS == 0:
            batch = gateway.take(now_ms)
            assert leader.touch(batch.heard, now_ms) == []
            answered += len(gateway.acknowledged(batch.id))
        if now_ms % CHECK_INTERVAL_MS == 0:
            assert leader.check(now_ms) == []
        assert not gateway.is_cut_off(now_ms)
    assert answered == 200
