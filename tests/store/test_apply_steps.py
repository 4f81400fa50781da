"""Applying in steps: whole or not at all, never seen half, errors never become results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from coord.model import commands, requests
from coord.model.acl import OPEN
from coord.model.commands import STAMP
from coord.model.errors import (
    CorruptionError,
    MisuseError,
    NewerFormatError,
    StorageError,
)
from coord.model.limits import DIGEST_SAMPLE_ENTRIES, EPHEMERALS_PER_SESSION_MAX
from coord.model.znode import CreateMode
from coord.raft.types import EntryKind
from coord.store.kv import Environment
from coord.store.memory_kv import MemoryEnvironment
from coord.store.run import STEP_OPERATIONS
from coord.store.schema import FORMAT_VERSION, STATE, open_tables, seal
from coord.store.state_machine import StateMachine
from coord.store.write_behind import STEP_RECORDS, WriteBehind
from tests.store.tree_fixtures import (
    FailingEnvironment,
    Log,
    check_structure,
    contents,
    make_lmdb,
    make_memory,
    slices_of,
)


@pytest.fixture(params=[make_lmdb, make_memory], ids=["lmdb", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """A log over an empty environment of each kind whose disk can be made to fail."""
    env: Environment = request.param(tmp_path / "tree")
    made = Log(FailingEnvironment(env))
    yield made
    made.reader.close()
    env.close()


def entries(*payloads: bytes) -> list[tuple[EntryKind, bytes]]:
    """Stamped commands as entries."""
    return [(EntryKind.NORMAL, STAMP.pack(5, 5) + payload) for payload in payloads]


def creating(count: int, prefix: str = "/n") -> list[bytes]:
    """Commands that create nodes."""
    return [
        commands.encode_write(requests.Create(f"{prefix}{n}", b"", OPEN, 0, 0), 0, 0, 0, 0, None)
        for n in range(count)
    ]


def steps_of(log: Log, *payloads: bytes) -> int:
    """Apply in steps; nothing is visible before the last; how many times it paused."""
    revision, before = log.reader.revision, contents(log.env)
    paused = 0
    for _ in log.machine.apply_steps(slices_of(revision + 1, entries(*payloads))):
        paused += 1
        log.reader.refresh()
        assert (log.reader.revision, contents(log.env)) == (revision, before)
        assert log.machine.applied_index == revision
    log.reader.refresh()
    assert log.reader.revision == revision + len(payloads)
    return paused


def test_a_long_batch_pauses_every_five_hundred_operations(log: Log) -> None:
    """Pauses while applying, and in the fold while writing out."""
    assert steps_of(log, *creating(STEP_OPERATIONS)) == 0
    assert steps_of(log, *creating(4 * STEP_OPERATIONS, "/m")) == 3
    paused, engine = 0, contents(log.engine)
    for _ in log.machine.fold_steps():
        paused += 1
        assert contents(log.engine) == engine
    assert paused >= 4 * STEP_OPERATIONS // STEP_RECORDS
    assert not log.machine.must_fold
    assert contents(log.engine) != engine


def test_entries_are_applied_between_the_steps_of_a_fold(log: Log) -> None:
    """What is written is the state after the entry with which it began; the rest stays pending."""
    log.apply_all(*creating(1_000))
    begun = log.machine.applied_index
    for number, _ in enumerate(log.machine.fold_steps()):
        log.apply_all(commands.encode_write(requests.Set(f"/n{number}", b"", -1), 0, 0, 0, 0, None))
    lost = StateMachine(WriteBehind(log.engine))
    assert lost.applied_index == begun < log.machine.applied_index
    again = Log(MemoryEnvironment())
    again.apply_all(*creating(1_000))
    assert again.machine.digest == lost.digest != log.machine.digest
    check_structure(log.env)


def test_a_digest_is_sampled_where_its_fold_began(log: Log) -> None:
    """Though entries are applied before it ends; after a failed one no more before the next."""
    log.apply_all(*creating(DIGEST_SAMPLE_ENTRIES - log.machine.applied_index))
    sampled = log.machine.applied_index
    assert isinstance(log.engine, FailingEnvironment)
    must_fold = [log.machine.must_fold]
    log.engine.left = 200
    next(log.machine.fold_steps())
    must_fold.append(log.machine.must_fold)
    with pytest.raises(StorageError, match="disk failed"):
        log.machine.fold()
    must_fold.append(log.machine.must_fold)
    log.engine.left = None
    steps = log.machine.fold_steps()
    next(steps)
    must_fold.append(log.machine.must_fold)
    for _ in steps:
        pass
    must_fold.append(log.machine.must_fold)
    assert must_fold == [True, False, True, True, False]
    log.apply_all(*creating(1, "/m"))
    whole = Log(MemoryEnvironment())
    whole.apply_all(*creating(DIGEST_SAMPLE_ENTRIES))
    assert list(log.machine.digests) == [(sampled, whole.machine.digest)]


def test_whoever_needs_all_of_it_folded_does_not_wait(log: Log) -> None:
    """The fold under way is ended at once, and another made of what came since."""
    log.apply_all(*creating(1_000))
    next(log.machine.fold_steps())
    log.apply_all(*creating(10, "/m"))
    log.machine.fold()
    assert not log.machine.is_folding
    assert StateMachine(WriteBehind(log.engine)).applied_index == log.machine.applied_index


def test_a_fold_that_is_dropped_changes_nothing(log: Log) -> None:
    """The driver may drop it half-way too."""
    log.apply_all(*creating(2_000))
    engine, view = contents(log.engine), log.reader.subtree("/")
    next(log.machine.fold_steps())
    log.machine.drop_fold()
    assert contents(log.engine) == engine
    assert log.reader.subtree("/") == view
    log.machine.fold()
    assert contents(log.engine) != engine


def test_a_big_transaction_pauses(log: Log) -> None:
    """1,000 operations of one entry."""
    operation = requests.Create("/n", b"", OPEN, 2, 0)
    multi = requests.Multi((operation,) * 1_000)
    assert steps_of(log, commands.encode_write(multi, 0, 0, 0, 0, None)) >= 2


def test_the_end_of_a_session_with_all_its_ephemerals_pauses(log: Log) -> None:
    """10,000 deletes of one entry, one revision, nothing left."""
    session = log.open_session()
    create = requests.Create("/e", b"", OPEN, int(CreateMode.EPHEMERAL_SEQUENTIAL), 0)
    count = EPHEMERALS_PER_SESSION_MAX
    per_entry = 1_000
    for seq in range(1, count // per_entry + 1):
        multi = requests.Multi((create,) * per_entry)
        applied = log.apply(commands.encode_write(multi, session, 1, seq, seq - 1, None))
        assert applied.code == 0
    closing = commands.close_session(session, 1, count // per_entry + 1, 0)
    assert steps_of(log, closing) >= count // STEP_OPERATIONS - 1
    assert len(list(log.reader.changes_after(log.reader.revision - 1))) == count
    ended = log.machine.ended_session(session)
    assert ended is not None
    assert len(ended["ephemerals"]) == count
    check_structure(log.env)


def test_closing_the_steps_early_applies_nothing(log: Log) -> None:
    """The driver may drop a batch half-way, for instance when a snapshot is installed."""
    before, digest = contents(log.env), log.machine.digest
    steps = log.machine.apply_steps(slices_of(1, entries(*creating(2_000))))
    next(steps)
    steps.close()
    assert contents(log.env) == before
    assert (log.machine.digest, log.machine.applied_index) == (digest, 0)
    assert steps_of(log, *creating(10)) == 0


@pytest.mark.parametrize("left", [0, 1, 5, 30, 300])
def test_a_failing_disk_leaves_everything_as_it_was(log: Log, left: int) -> None:
    """Whichever write fails, the batch can be tried again and then gives what it should."""
    session = log.open_session()
    log.create("/a", b"x" * 2_000, session=session)
    before = contents(log.env)
    kept = log.machine.sessions.get(session), log.machine.digest, log.machine.applied_index
    batch = entries(
        commands.encode_write(requests.Set("/a", b"y" * 2_000, -1), session, 1, 2, 1, None),
        commands.encode_write(requests.Create("/e", b"", OPEN, 1, 0), session, 1, 3, 1, None),
        *creating(100),
        commands.close_session(session, 1, 4, 2),
    )
    slices = slices_of(log.machine.applied_index + 1, batch)
    assert isinstance(log.engine, FailingEnvironment)
    assert [one.code for one in log.machine.apply(slices).results] == [0] * 103
    log.engine.left = left
    with pytest.raises(StorageError, match="disk failed"):
        log.machine.fold()
    assert contents(log.engine) == before
    lost = StateMachine(WriteBehind(log.engine))
    assert kept == (lost.sessions.get(session), lost.digest, lost.applied_index)
    log.engine.left = None
    log.machine.fold()
    other = Log(MemoryEnvironment())
    other.create("/a", b"x" * 2_000, session=other.open_session())
    other.machine.apply(slices)
    assert contents(log.engine) == contents(other.env)
    check_structure(log.env)


def test_entries_must_follow_each_other(log: Log) -> None:
    """A gap or a repetition in the log is a fault of the caller."""
    log.create("/a")
    for first in (1, 3):
        with pytest.raises(AssertionError, match="in order"):
            log.machine.apply(slices_of(first, entries(*creating(1))))
    assert log.machine.applied_index == 1


@pytest.mark.parametrize("payload", [b"", b"short", STAMP.pack(1, 1), STAMP.pack(1, 1) + b"\x93"])
def test_an_entry_that_does_not_decode_stops_the_member(log: Log, payload: bytes) -> None:
    """Skipping it would make the members differ; the index is named."""
    batch = [*entries(*creating(3)), (EntryKind.NORMAL, payload)]
    with pytest.raises(CorruptionError, match="committed entry 4 does not decode"):
        log.machine.apply(slices_of(1, batch))
    assert log.machine.applied_index == 0


def test_an_unknown_kind_asks_for_an_upgrade(log: Log) -> None:
    """A newer member may know it: this one must not go on without."""
    packed = msgpack.packb((9_999, 0, 0, 0, 0, None))
    with pytest.raises(NewerFormatError, match="entry 1 is of kind 9999"):
        log.machine.apply(slices_of(1, entries(packed)))


def test_a_tree_of_a_newer_format_is_refused() -> None:
    """An older version does not touch it."""
    env = MemoryEnvironment()
    StateMachine(WriteBehind(env))
    with env.write() as txn:
        body = msgpack.packb((FORMAT_VERSION + 1,))
        txn.put(STATE, seal(STATE, body), db=open_tables(env).meta)
        txn.commit()
    with pytest.raises(NewerFormatError, match="upgrade coord"):
        StateMachine(WriteBehind(env))


def test_log_time_never_decreases(log: Log) -> None:
    """A stamp of an earlier time is raised to the newest applied one; wall time is taken as is."""
    log.now_ms = 100
    log.create("/a")
    log.now_ms = 40
    log.create("/b")
    log.apply(commands.raise_feature_level(1))
    assert log.machine.log_ms == 100
    assert log.stat("/b").mtime_ms == 1_000_040
    log.skip_to(10)
    assert log.machine.log_ms == 100


def test_ttls_use_log_time(log: Log) -> None:
    """A node written under a late stamp is not due earlier because its own stamp was older."""
    log.now_ms = 100
    log.create("/a")
    log.now_ms = 0
    log.create("/t", mode=CreateMode.PERSISTENT_TTL, ttl_ms=10)
    assert log.reader.reapable(109, 10) == []
    assert [path for path, _, _ in log.reader.reapable(110, 10)] == ["/t"]


def test_the_feature_level_only_grows(log: Log) -> None:
    """A lower one answers the one in force."""
    assert log.machine.feature_level == 0
    assert log.apply(commands.raise_feature_level(3)).body == (3,)
    assert log.apply(commands.raise_feature_level(2)).body == (3,)
    assert log.machine.feature_level == 3
    log.reopen()
    assert log.machine.feature_level == 3


def test_a_tree_belongs_to_one_cluster(log: Log) -> None:
    """Its identity is set before the first entry, once; the same again is fine."""
    log.machine.adopt_cluster(b"c", 1)
    log.machine.adopt_cluster(b"c", 1)
    with pytest.raises(MisuseError):
        log.machine.adopt_cluster(b"d", 1)
