"""The durable log against a model, and against damage."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coord.model.errors import CorruptionError, NewerFormatError, StorageError
from coord.raft.types import HardState, Index, LogSlice, NodeId, SnapshotMeta, Term
from coord.store.kv import Environment
from coord.store.lmdb_kv import open_environment
from coord.store.log_records import FORMAT, RUN_BYTES_MAX, Trust, key_of
from coord.store.memory_kv import MemoryEnvironment
from coord.store.raft_log import LogWrite, RaftLog
from tests.store.log_fixtures import (
    IDENTITY,
    MAP_BYTES,
    MEMBERS,
    MORE_MEMBERS,
    UNLIMITED,
    append,
    lmdb_log_env,
    memory_log_env,
    read_all,
    run,
    snapshot,
)


@pytest.fixture(params=["lmdb", "memory"])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """A new log environment of either kind."""
    made = lmdb_log_env(tmp_path / "log") if request.param == "lmdb" else memory_log_env()
    yield made
    made.close()


def numbered(first: int, count: int) -> list[bytes]:
    """Payloads that tell their index."""
    return [b"entry %d" % (first + at) for at in range(count)]


def test_new_log_is_empty(env: Environment) -> None:
    """A new log has no vote, no members, no entries, and knows whose it is."""
    log = RaftLog(env)
    assert log.is_empty()
    assert log.initial_state()[0] == HardState()
    assert (log.first_index(), log.last_index(), log.term(Index(0))) == (1, 0, 0)
    assert log.identity == IDENTITY
    assert log.cluster_id is None


def test_entries_and_hard_state_survive_reopening(env: Environment) -> None:
    """What one write holds is there together after reopening."""
    log = RaftLog(env)
    state = HardState(Term(3), NodeId(2))
    log.write([LogWrite([run(1, numbered(1, 3), term=2)], state, MEMBERS)])
    log.write([LogWrite([run(4, numbered(4, 1), term=3)])])
    again = RaftLog(env)
    assert again.initial_state() == (state, MEMBERS, None)
    assert read_all(again) == read_all(log)
    assert [again.term(Index(i)) for i in range(6)] == [0, 2, 2, 2, 3, None]
    assert not again.is_empty()


def test_one_batch_is_one_commit_in_order() -> None:
    """Later writes of a batch may truncate earlier ones; an injected fault drops all of them."""
    env = memory_log_env()
    log = RaftLog(env)
    log.write([LogWrite([run(1, numbered(1, 5))]), LogWrite([run(3, [b"new"], term=2)])])
    assert read_all(log) == [(1, 1, b"entry 1"), (2, 1, b"entry 2"), (3, 2, b"new")]
    env.commit_error = OSError(28, "No space left on device")
    with pytest.raises(StorageError, match="No space left"):
        append(log, 4, [b"lost"], term=2)
    assert RaftLog(env).last_index() == 3


def test_after_a_failed_commit_every_write_fails() -> None:
    """A failed commit is fatal: the log never tries again in this process."""
    env = memory_log_env()
    log = RaftLog(env)
    env.commit_error = OSError(5, "Input/output error")
    with pytest.raises(StorageError):
        append(log, 1, [b"a"])
    with pytest.raises(StorageError, match="an earlier commit failed"):
        append(log, 1, [b"a"])
    assert log.last_index() == 0


def test_truncation_inside_a_run_keeps_its_prefix(env: Environment) -> None:
    """Entries replaced from the middle of a run on leave those before them as they were."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 10))
    append(log, 11, numbered(11, 10))
    append(log, 6, [b"new 6"], term=2)
    for view in (log, RaftLog(env)):
        assert view.last_index() == 6
        assert [p for _, _, p in read_all(view)] == [*numbered(1, 5), b"new 6"]
        assert (view.term(Index(5)), view.term(Index(6)), view.term(Index(7))) == (1, 2, None)


def test_a_gap_is_refused(env: Environment) -> None:
    """Entries that do not follow the last one are a fault of the caller."""
    log = RaftLog(env)
    append(log, 1, [b"a"])
    with pytest.raises(AssertionError, match="entry 3 does not follow 1"):
        append(log, 3, [b"c"])


def test_long_runs_are_split(env: Environment) -> None:
    """A run above the limit becomes several records and reads back as one run."""
    log = RaftLog(env)
    payloads = [bytes([at]) * (RUN_BYTES_MAX // 3) for at in range(8)]
    append(log, 1, payloads)
    with env.read() as txn:
        assert txn.count(env.table("log")) == 3
    assert [part.payloads for part in log.slices(Index(1), Index(8), UNLIMITED)] == [payloads]
    assert RaftLog(env).last_index() == 8


def test_slices_join_neighbours_and_respect_the_byte_limit(env: Environment) -> None:
    """Runs of one term come as one, cut at the limit, and never as nothing."""
    log = RaftLog(env)
    for index in range(1, 6):
        append(log, index, [b"x" * 10])
    append(log, 6, [b"y" * 10, b"z" * 10], term=2)
    everything = log.slices(Index(1), Index(7), UNLIMITED)
    assert [(s.first, s.term, len(s.payloads)) for s in everything] == [(1, 1, 5), (6, 2, 2)]
    assert [s.last for s in log.slices(Index(2), Index(7), 35)] == [4]
    assert [s.last for s in log.slices(Index(1), Index(7), 60)] == [5, 6]
    assert [s.last for s in log.slices(Index(3), Index(7), 0)] == [3]
    assert [s.last for s in log.slices(Index(7), Index(7), 1)] == [7]


def test_cut_moves_the_marker_at_once_and_deletes_in_slices(env: Environment) -> None:
    """After a cut the log starts there; old records go in bounded portions with later writes."""
    log = RaftLog(env)
    log.write([LogWrite([run(i, [b"x"])]) for i in range(1, 1001)])
    log.set_snapshot(snapshot(900))
    log.write([LogWrite(cut_before=Index(901))])
    assert (log.first_index(), log.last_index()) == (901, 1000)
    assert (log.term(Index(899)), log.term(Index(900)), log.term(Index(901))) == (None, 1, 1)
    assert RaftLog(env).first_index() == 901
    rounds = 0
    while log.has_backlog:
        log.write([])
        rounds += 1
    assert rounds == 3
    with env.read() as txn:
        assert txn.count(env.table("log")) == 100
    marker = RaftLog(env).initial_state()[2]
    assert marker == SnapshotMeta(Index(900), Term(1), MEMBERS)


def test_cut_inside_a_run_hides_its_head(env: Environment) -> None:
    """A run that straddles the cut stays as it is; its head cannot be read any more."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 100))
    log.set_snapshot(snapshot(50))
    log.write([LogWrite(cut_before=Index(51))])
    for view in (log, RaftLog(env)):
        assert view.first_index() == 51
        assert [p for _, _, p in read_all(view)] == numbered(51, 50)
        with pytest.raises(AssertionError, match=r"50\.\.60"):
            view.slices(Index(50), Index(60), UNLIMITED)


def test_cut_of_everything_leaves_the_marker(env: Environment) -> None:
    """An empty log after a cut continues at the marker with its term."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 5), term=4)
    log.set_snapshot(snapshot(5, term=4))
    log.write([LogWrite(cut_before=Index(6))])
    again = RaftLog(env)
    assert (again.first_index(), again.last_index(), again.term(Index(5))) == (6, 5, 4)
    append(again, 6, [b"six"], term=4)
    assert read_all(again) == [(6, 4, b"six")]


def test_a_cut_below_the_first_entry_changes_nothing(env: Environment) -> None:
    """A cut that is already done, or was overtaken by an installation, is void."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 100))
    log.set_snapshot(snapshot(50))
    log.write([LogWrite(cut_before=Index(51))])
    log.write([LogWrite(cut_before=Index(20)), LogWrite(cut_before=Index(51))])
    for view in (log, RaftLog(env)):
        assert (view.first_index(), view.last_index()) == (51, 100)
        assert view.initial_state()[2] == SnapshotMeta(Index(50), Term(1), MEMBERS)


def test_cut_needs_a_snapshot_that_covers_it(env: Environment) -> None:
    """Entries that no verified snapshot covers are never cut."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 5))
    log.set_snapshot(snapshot(3))
    with pytest.raises(AssertionError, match="does not cover"):
        log.write([LogWrite(cut_before=Index(5))])


def install(index: int, term: int) -> LogWrite:
    """Step 2 of an installation."""
    meta = snapshot(index, term, MORE_MEMBERS)
    return LogWrite(install=meta, trust=Trust(clean=False, generation=7))


@pytest.mark.parametrize(("index", "term"), [(50, 2), (5, 2), (10, 3)])
def test_install_discards_a_log_that_lacks_the_entry(
    env: Environment, index: int, term: int
) -> None:
    """Marker, membership, trust and an empty log become durable together."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 10))
    log.write([install(index, term)])
    for view in (log, RaftLog(env)):
        assert (view.first_index(), view.last_index()) == (index + 1, index)
        assert view.term(Index(index)) == term
        assert view.trust == Trust(clean=False, generation=7)
        assert view.initial_state()[1:] == (MORE_MEMBERS, snapshot(index, term, MORE_MEMBERS))
    append(log, index + 1, [b"next"], term)
    assert read_all(RaftLog(env)) == [(index + 1, term, b"next")]


def test_install_keeps_a_log_that_holds_the_entry(env: Environment) -> None:
    """The tail behind the snapshot may have been acknowledged, so it stays."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 10))
    log.write([install(5, 1)])
    for view in (log, RaftLog(env)):
        assert (view.first_index(), view.last_index()) == (1, 10)
        assert view.trust.generation == 7


def test_bootstrap_is_one_transaction(env: Environment) -> None:
    """Founding writes cluster id, term and the first membership together."""
    log = RaftLog(env)
    log.bootstrap(b"cluster", run(1, [MEMBERS.encode()], kind=2), MEMBERS)
    for view in (log, RaftLog(env)):
        assert view.cluster_id == b"cluster"
        assert view.initial_state() == (HardState(Term(1)), MEMBERS, None)
        assert read_all(view) == [(1, 1, MEMBERS.encode())]
    with pytest.raises(AssertionError, match="only an empty directory"):
        log.bootstrap(b"cluster", run(1, [b""]), MEMBERS)


def test_bytes_since_the_snapshot(env: Environment) -> None:
    """Log bytes grow with writes and count from the newest snapshot on."""
    log = RaftLog(env)
    for index in range(1, 101):
        append(log, index, [bytes(10_000)])
    whole = log.log_bytes()
    assert 1_000_000 <= whole < 1_010_000
    log.set_snapshot(snapshot(50))
    assert 480_000 < log.log_bytes() < 520_000
    log.write([LogWrite(cut_before=Index(31))])
    assert 480_000 < log.log_bytes() < 520_000
    assert log.bytes_after(Index(100)) == 0


def flip(env: Environment, key: bytes, at: int, table: str = "log") -> None:
    """Flip one bit of a stored record."""
    handle = env.table(table)
    with env.write() as txn:
        value = txn.get(key, None, handle)
        assert value is not None
        damaged = bytearray(value)
        damaged[at] ^= 0x10
        txn.put(key, bytes(damaged), db=handle)
        txn.commit()


@pytest.mark.parametrize("at", [0, 5, 12, 16, 30, -1])
def test_a_flipped_bit_is_found_wherever_it_is(env: Environment, at: int) -> None:
    """Checksum, term, kind, count and payloads are all covered; the message names the place."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 3))
    append(log, 4, numbered(4, 3))
    flip(env, key_of(4), at)
    assert [s.last for s in log.slices(Index(1), Index(3), UNLIMITED)] == [3]
    with pytest.raises(CorruptionError) as caught:
        log.slices(Index(1), Index(6), UNLIMITED)
    assert str(caught.value).startswith(f"{env.name}: table log, entry 4: checksum is ")


def test_a_record_under_another_key_is_found(env: Environment) -> None:
    """The checksum covers the key, so a record that moved is damage."""
    log = RaftLog(env)
    append(log, 1, numbered(1, 3))
    append(log, 4, numbered(4, 3))
    table = env.table("log")
    with env.write() as txn:
        value = txn.get(key_of(1), None, table)
        assert value is not None
        txn.put(key_of(4), value, db=table)
        txn.commit()
    with pytest.raises(CorruptionError, match="entry 4: checksum"):
        log.slices(Index(4), Index(4), UNLIMITED)


def test_a_missing_record_is_found(env: Environment) -> None:
    """A hole in the middle or at the end is damage, never the end of the log."""
    log = RaftLog(env)
    for first in (1, 4, 7):
        append(log, first, numbered(first, 3))
    table = env.table("log")
    with env.write() as txn:
        txn.delete(key_of(4), db=table)
        txn.commit()
    with pytest.raises(CorruptionError, match="table log, entry 4: missing"):
        log.slices(Index(1), Index(9), UNLIMITED)
    with pytest.raises(CorruptionError, match="table log, entry 5: missing"):
        log.slices(Index(5), Index(5), UNLIMITED)


@pytest.mark.parametrize("key", [b"format", b"identity", b"hard_state", b"membership"])
def test_damaged_meta_stops_the_start(env: Environment, key: bytes) -> None:
    """A damaged fact beside the entries names its key."""
    RaftLog(env).write([LogWrite([], HardState(Term(1)), MEMBERS)])
    flip(env, key, -1, "meta")
    with pytest.raises(CorruptionError, match=f"table meta, {key.decode()}: checksum is"):
        RaftLog(env)


def test_a_damaged_last_record_stops_the_start(env: Environment) -> None:
    """A corrupt record at the end is not taken for the end of the log."""
    append(RaftLog(env), 1, numbered(1, 3))
    flip(env, key_of(1), -1)
    with pytest.raises(CorruptionError, match="entry 1: checksum is"):
        RaftLog(env)


def test_a_newer_format_is_refused(env: Environment) -> None:
    """A log of a later version says so instead of being misread."""
    table = env.table("meta")
    with env.write() as txn:
        txn.put(FORMAT.key, FORMAT.encode(2), db=table)
        txn.commit()
    with pytest.raises(NewerFormatError, match="format 2 was written by a newer version"):
        RaftLog(env)


def test_a_foreign_environment_is_refused() -> None:
    """An LMDB file that is not a log of ours is not used as one."""
    with pytest.raises(CorruptionError, match="table meta, format: missing; not a log of coord"):
        RaftLog(MemoryEnvironment())


def test_terms_are_found_again_on_opening(env: Environment) -> None:
    """Term boundaries are found by bisection, whatever the runs look like."""
    log = RaftLog(env)
    terms = [1] * 7 + [2] + [5] * 40 + [6, 7, 7, 9]
    writes = [LogWrite([run(i, [b""], term)]) for i, term in enumerate(terms, 1)]
    log.write(writes[:20])
    log.write([LogWrite([run(21, [b""] * 28, 5)]), *writes[48:]])
    again = RaftLog(env)
    assert [again.term(Index(i)) for i in range(1, len(terms) + 1)] == terms


class LogMachine(RuleBasedStateMachine):
    """A log and a dict go through appends, truncations, cuts, installs and reopenings."""

    factory: Callable[[Path], Environment]

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.env = type(self).factory(self.directory / "log")
        self.log = RaftLog(self.env)
        self.entries: dict[int, tuple[int, bytes]] = {}
        self.before = (0, 0)
        self.last = 0
        self.covered = 0
        self.term = 1

    def teardown(self) -> None:
        """Close and forget."""
        self.env.close()
        shutil.rmtree(self.directory)

    def _append(self, first: int, sizes: list[int]) -> LogSlice:
        payloads = [bytes([self.term % 256]) * size for size in sizes]
        for index in range(first, self.last + 1):
            del self.entries[index]
        for index, payload in enumerate(payloads, first):
            self.entries[index] = (self.term, payload)
        self.last = first + len(payloads) - 1
        return run(first, payloads, self.term)

    @rule(runs=st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=6), max_size=4))
    def append(self, runs: list[list[int]]) -> None:
        """Several runs, as several writes of one transaction."""
        self.log.write([LogWrite([self._append(self.last + 1, sizes)]) for sizes in runs])

    @precondition(lambda self: self.last > self.covered)
    @rule(data=st.data(), sizes=st.lists(st.integers(0, 20), min_size=1, max_size=4))
    def replace(self, data: st.DataObject, sizes: list[int]) -> None:
        """A new leader's entries replace a tail that was not committed."""
        first = data.draw(st.integers(self.covered + 1, self.last))
        self.term += 1
        self.log.write([LogWrite([self._append(first, sizes)], HardState(Term(self.term)))])

    @precondition(lambda self: self.last > self.before[0])
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """A snapshot is taken and the log cut somewhere behind it."""
        self.covered = data.draw(st.integers(max(self.covered, self.before[0] + 1), self.last))
        before = data.draw(st.integers(self.before[0] + 1, self.covered + 1))
        term = self.entries[self.covered][0]
        self.log.set_snapshot(snapshot(self.covered, term))
        if before - 1 > self.before[0]:
            self.before = (before - 1, self.entries[before - 1][0])
        self.entries = {i: e for i, e in self.entries.items() if i >= before}
        self.log.write([LogWrite(cut_before=Index(before))])

    @rule(ahead=st.integers(1, 10))
    def install(self, ahead: int) -> None:
        """A snapshot from the leader replaces the log."""
        self.term += 1
        self.last = self.covered = self.last + ahead
        self.before, self.entries = (self.last, self.term), {}
        self.log.write([install(self.last, self.term)])
        self.log.set_snapshot(snapshot(self.last, self.term))

    @rule()
    def reopen(self) -> None:
        """The extent is read from disk again."""
        held = self.log.snapshot()
        self.log = RaftLog(self.env)
        self.log.set_snapshot(held)

    @rule(data=st.data(), limit=st.integers(0, 100))
    def read_part(self, data: st.DataObject, limit: int) -> None:
        """Any part reads as the model has it, within the limit, and is never empty."""
        if not self.entries:
            return
        first = data.draw(st.integers(min(self.entries), self.last))
        last = data.draw(st.integers(first, self.last))
        parts = self.log.slices(Index(first), Index(last), limit)
        flat = [(part.term, p) for part in parts for p in part.payloads]
        assert flat
        assert parts[0].first == first
        assert flat == [self.entries[i] for i in range(first, first + len(flat))]
        size = sum(len(p) for _, p in flat)
        assert len(flat) == 1 or size <= limit
        following = first + len(flat)
        assert following > last or size + len(self.entries[following][1]) > limit

    @invariant()
    def extent_agrees(self) -> None:
        """First, last and every term are the model's."""
        first = self.before[0] + 1
        assert (self.log.first_index(), self.log.last_index()) == (first, self.last)
        expected = [(i, *self.entries[i]) for i in sorted(self.entries)]
        assert read_all(self.log) == expected
        assert self.log.term(Index(first - 1)) == self.before[1]
        for index, (term, _) in self.entries.items():
            assert self.log.term(Index(index)) == term
        assert self.log.term(Index(self.last + 1)) is None


class LmdbLogMachine(LogMachine):
    """On LMDB."""

    factory = staticmethod(lmdb_log_env)


class MemoryLogMachine(LogMachine):
    """In memory."""

    factory = staticmethod(lambda _: memory_log_env())


TestLmdbLogAgainstModel = LmdbLogMachine.TestCase
TestLmdbLogAgainstModel.settings = settings(max_examples=20, stateful_step_count=25)
TestMemoryLogAgainstModel = MemoryLogMachine.TestCase
TestMemoryLogAgainstModel.settings = settings(max_examples=100, stateful_step_count=30)


def test_lmdb_log_reopens_from_its_file(tmp_path: Path) -> None:
    """A closed log is found again in its directory."""
    env = lmdb_log_env(tmp_path / "log", sync=True)
    append(RaftLog(env), 1, numbered(1, 3))
    env.close()
    again = open_environment(tmp_path / "log", sync=True, map_bytes=MAP_BYTES)
    assert len(read_all(RaftLog(again))) == 3
    again.close()
