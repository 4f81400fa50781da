"""RaftLog against a plain list, with its writes completed late, evicted and compacted."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coord.raft import (
    EntryKind,
    HardState,
    Incarnation,
    Index,
    LogSlice,
    Membership,
    MemoryStorage,
    NodeId,
    RaftConfig,
    SnapshotMeta,
    Term,
)
from coord.raft.log import HANDED_OUT_MAX, RaftLog
from coord.raft.unstable import Tail, cut_to_bytes, joined, sub_run
from tests.raft.lab import run

CONFIG = RaftConfig(NodeId(1), Incarnation(1), cache_bytes=600)


class LogMachine(RuleBasedStateMachine):
    """The model is a list of (term, payload); index i is at position i - 1."""

    @initialize()
    def start(self) -> None:
        """An empty log."""
        self.storage = MemoryStorage(HardState())
        self.log = RaftLog(self.storage, CONFIG, Index(0))
        self.model: list[tuple[int, bytes]] = []
        self.writes: list[list[LogSlice]] = []
        self.cut = 0
        self.applied: list[bytes] = []
        self.term = 1
        self.serial = 0

    @rule(count=st.integers(1, 6), raise_term=st.booleans(), kind=st.sampled_from(EntryKind))
    def append(self, count: int, kind: EntryKind, *, raise_term: bool) -> None:
        """A run at the end."""
        self.term += raise_term
        payloads = [b"%d" % (self.serial + i) for i in range(count)]
        self.serial += count
        first = Index(len(self.model) + 1)
        self.log.append(LogSlice(first, Term(self.term), kind, payloads))
        self.model += [(self.term, payload) for payload in payloads]

    @rule(back=st.integers(1, 8))
    def truncate(self, back: int) -> None:
        """Drop entries that are not committed."""
        index = max(len(self.model) - back + 1, self.log.commit + 1)
        if index > len(self.model):
            return
        self.log.truncate(Index(index))
        del self.model[index - 1 :]
        self.writes = [[r for r in w if r.first < index] for w in self.writes if w]
        self.term += 1

    @rule()
    def hand_out(self) -> None:
        """A Ready takes what is not written yet."""
        runs = self.log.take_unhanded()
        if runs:
            assert sum(len(r.payloads) for r in runs) >= 1
            self.storage.truncate(runs[0].first)
            for each in runs:
                self.storage.append(each)

    @rule()
    def persist(self) -> None:
        """Everything handed out is durable."""
        self.log.stable_to(self.log.handed)

    @rule(ahead=st.integers(0, 9))
    def commit(self, ahead: int) -> None:
        """The commit index moves."""
        self.log.commit_to(Index(min(self.log.commit + ahead, len(self.model))))

    @rule(max_bytes=st.integers(1, 12))
    def apply(self, max_bytes: int) -> None:
        """The state machine takes what it may."""
        for each in self.log.take_committed(max_bytes):
            self.applied += each.payloads
        self.log.applied_to(self.log.cursor)

    @rule(keep=st.integers(0, 3))
    def compact(self, keep: int) -> None:
        """The log is cut behind what is applied."""
        index = self.log.applied - keep
        if index <= self.cut or index > self.storage.last_index():
            return
        self.log.compact(Index(index + 1))
        term = Term(self.model[index - 1][0])
        self.storage.compact(SnapshotMeta(Index(index), term, Membership()))
        self.cut = index

    @rule(start=st.floats(0, 1), max_bytes=st.integers(1, 40))
    def read(self, start: float, max_bytes: int) -> None:
        """What a follower would be sent."""
        first = self.cut + 1 + int(start * (len(self.model) - self.cut - 1))
        if not self.cut < first <= len(self.model):
            return
        found, _ = self.log.entries(Index(first), max_bytes)
        expected = self.model[first - 1 : found.last]
        assert [(found.term, payload) for payload in found.payloads] == expected

    @rule(index=st.integers(0, 60), term=st.integers(0, 30))
    def find(self, index: int, term: int) -> None:
        """Back-off finds the last entry of a term not above the one asked for."""
        found = self.log.find_at_most(Index(index), Term(term))
        if index < self.cut:
            assert found == index
            return
        last = min(index, len(self.model))
        fits = [i for i in range(self.cut + 1, last + 1) if self.model[i - 1][0] <= term]
        assert found == max(fits, default=self.cut)

    @invariant()
    def same(self) -> None:
        """Terms, ends and marks agree with the model."""
        if not hasattr(self, "log"):
            return
        log = self.log
        assert log.last == len(self.model)
        for index in range(self.cut, len(self.model) + 2):
            inside = 1 <= index <= len(self.model)
            assert log.term(Index(index)) == (
                self.model[index - 1][0] if inside else 0 if index == 0 else None
            )
        assert log.last_term == (self.model[-1][0] if self.model else 0)
        assert self.applied == [payload for _, payload in self.model[: log.cursor]]
        assert log.cursor <= min(log.commit, log.stable) <= log.handed <= log.last


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("incoming", "conflict"),
    [
        (run(2, 1, b"a", b"b"), None),
        (run(2, 1, b"a", b"b", b"c"), 4),
        (run(3, 2, b"x"), 3),
        (run(4, 2, b"x", b"y"), 4),
        (run(6, 3, b"6"), None),
        (run(6, 4, b"x"), 6),
        (run(7, 3, b"x"), 7),
    ],
)
def test_first_conflict(incoming: LogSlice, conflict: int | None) -> None:
    """Where an incoming run differs from what is there, or goes beyond it."""
    log = RaftLog(MemoryStorage(), CONFIG, Index(0))
    log.append(run(1, 1, b"1", b"2", b"3"))
    log.append(run(4, 3, b"4", b"5", b"6"))

    assert log.first_conflict(incoming) == conflict


def test_cutting_keeps_at_least_one_entry() -> None:
    """An entry larger than the limit travels alone."""
    whole = run(5, 1, b"xxxx", b"y", b"z")

    assert cut_to_bytes(whole, 3).payloads == [b"xxxx"]
    assert cut_to_bytes(whole, 5).payloads == [b"xxxx", b"y"]
    assert cut_to_bytes(whole, 6) is whole


def test_sub_runs_are_cut_without_copying_the_whole() -> None:
    """The run itself is given if nothing is cut off."""
    whole = run(5, 1, b"a", b"b", b"c")

    assert sub_run(whole, Index(5), Index(7)) is whole
    assert sub_run(whole, Index(6), Index(6)) == run(6, 1, b"b")


def test_only_commands_of_one_term_are_joined() -> None:
    """A run is of one term and kind; configurations stay alone."""
    config = LogSlice(Index(3), Term(1), EntryKind.CONFIG, [b"c"])

    assert joined([run(1, 1, b"a"), run(2, 1, b"b"), config]) == run(1, 1, b"a", b"b")
    assert joined([run(1, 1, b"a"), run(2, 2, b"b")]) == run(1, 1, b"a")
    assert joined([config, run(4, 1, b"d")]) is config


def test_the_tail_refuses_holes() -> None:
    """A run must follow the last entry."""
    tail = Tail(Index(1))
    tail.append(run(1, 1, b"a"))

    with pytest.raises(AssertionError, match="hole"):
        tail.append(run(3, 1, b"c"))


def test_what_is_handed_out_and_not_applied_is_bounded() -> None:
    """A backlog stays in the log: more is handed out only as the state machine keeps up."""
    log = RaftLog(MemoryStorage(), CONFIG, Index(0))
    log.append(run(1, 1, *[b"x"] * HANDED_OUT_MAX))
    log.append(run(HANDED_OUT_MAX + 1, 1, b"one more"))
    log.take_unhanded()
    log.commit_to(log.last)
    log.stable_to(log.last)

    log.take_committed(HANDED_OUT_MAX)
    full = log.may_hand_out
    log.applied_to(Index(1))

    assert (full, log.may_hand_out) == (False, True)


def test_the_cache_is_bounded() -> None:
    """What is durable and applied leaves memory beyond the cache size; what is not stays."""
    log = RaftLog(MemoryStorage(), CONFIG, Index(0))
    for index in range(1, 101):
        log.append(run(index, 1, b"x" * 100))
    log.take_unhanded()
    before = log.tail.bytes
    log.commit_to(Index(90))
    log.stable_to(Index(100))
    log.take_committed(1 << 20)

    log.applied_to(Index(80))

    assert before > 20 * CONFIG.cache_bytes
    assert log.tail.first == 81
