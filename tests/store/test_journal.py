"""History: what is recorded, how it is read back, and what is trimmed when."""

from __future__ import annotations

import pytest

from coord.model import commands, requests
from coord.model.acl import OPEN, READ_ONLY, Acl
from coord.model.errors import CompactedError, CorruptionError
from coord.model.limits import HISTORY_ENTRIES_MAX
from coord.model.znode import CreateMode
from coord.store.applied import ApplyLimits
from coord.store.journal_rows import ROW, Row, block_end, block_of, rows_of
from coord.store.memory_kv import MemoryEnvironment
from tests.store.tree_fixtures import Log, check_structure, contents, log

__all__ = ["log"]

FOLD = 1_024


def limited(entries: int = HISTORY_ENTRIES_MAX, size: int = 2**40, age_ms: int = 2**40) -> Log:
    """A log that keeps little history."""
    return Log(
        MemoryEnvironment(),
        ApplyLimits(history_entries=entries, history_bytes=size, history_age_ms=age_ms),
    )


def test_blocks_are_aligned() -> None:
    """Entries 64·b + 1 … 64·b + 64 share a block, so that it ends at a multiple of 64."""
    assert [block_of(index) for index in (1, 64, 65, 128, 129)] == [0, 0, 1, 1, 2]
    assert [block_end(block) for block in (0, 1)] == [64, 128]


def test_history_tells_who_when_and_what(log: Log) -> None:
    """Newest first: revision, kind, time, session, address, identities, Stat, data, ACL."""
    session = log.open_session("10.0.0.9:77")
    log.create("/a", b"1", session=session, who=(("digest", "x:y"),))
    log.now_ms = 5
    log.set("/a", b"2", session=session)
    log.write(requests.SetAcl("/a", READ_ONLY, -1))
    log.delete("/a")
    deleted, restricted, written, created = log.reader.history("/a")
    assert [one["kind"] for one in (created, written, restricted, deleted)] == [
        "created",
        "data",
        "acl",
        "deleted",
    ]
    assert (created["revision"], created["session"]) == (2, session)
    assert (created["address"], created["who"]) == ("10.0.0.9:77", (("digest", "x:y"),))
    assert (created["wall_ms"], written["wall_ms"]) == (1_000_000, 1_000_005)
    assert (created["data"], written["data"], deleted["data"]) == (b"1", b"2", None)
    assert (written["who"], restricted["session"], restricted["address"]) == (None, 0, "")
    assert [one["acl"] for one in (written, restricted, deleted)] == [OPEN, READ_ONLY, READ_ONLY]
    assert deleted["stat"] is None


def test_history_goes_on_across_a_deletion(log: Log) -> None:
    """A node created again is linked to its predecessor at the path."""
    for _ in range(3):
        log.create("/a")
        log.delete("/a")
    log.create("/a")
    assert [one["revision"] for one in log.reader.history("/a")] == [7, 6, 5, 4, 3, 2, 1]


def test_history_lists_all_changes_of_one_transaction(log: Log) -> None:
    """A node written twice at one revision has two entries, the later one first."""
    log.create("/a", b"0")
    log.multi(requests.Set("/a", b"1", -1), requests.Set("/a", b"2", -1))
    found = [(one["revision"], one["data"]) for one in log.reader.history("/a")]
    assert found == [(2, b"2"), (2, b"1"), (1, b"0")]


def test_history_is_paged(log: Log) -> None:
    """``limit`` entries before a revision, which need not be one of the path's own."""
    log.create("/a")
    for _ in range(6):
        log.set("/a", b"")
        log.set("/", b"")
    revisions = [one["revision"] for one in log.reader.history("/a")]
    assert revisions == [12, 10, 8, 6, 4, 2, 1]
    assert [one["revision"] for one in log.reader.history("/a", limit=2)] == [12, 10]
    assert [one["revision"] for one in log.reader.history("/a", 10, 2)] == [8, 6]
    assert [one["revision"] for one in log.reader.history("/a", 9, 2)] == [8, 6]
    assert log.reader.history("/none") == []


def test_changes_are_read_back_as_they_were_told(log: Log) -> None:
    """Resuming after any revision gives exactly the changes of the later ones."""
    session = log.open_session()
    told = [
        change
        for command in (
            log.command(0, requests.Create("/a", b"x" * 3_000, READ_ONLY, 0, 0)),
            log.command(session, requests.Create("/e", b"", OPEN, 1, 0)),
            log.command(0, requests.Set("/", b"y" * 3_000, -1)),
            log.command(0, requests.Multi((requests.Create("/n", b"", OPEN, 2, 0),) * 30)),
            log.command(0, requests.Delete("/a", -1)),
            commands.expire_session(session, 1, {}),
        )
        for change in log.apply_all(command).changes
    ]
    for revision in range(log.machine.applied_index + 1):
        expected = [change for change in told if change.revision > revision]
        assert list(log.reader.changes_after(revision)) == expected


def test_a_limit_never_cuts_a_revision(log: Log) -> None:
    """A revision is given whole, so that the last one given is complete."""
    log.create("/a")
    log.multi(*[requests.Create("/n", b"", OPEN, 2, 0)] * 3)
    log.create("/b")
    given = [change.revision for change in log.reader.changes_after(0, 2)]
    assert given == [1, 2, 2, 2]


def test_only_entries_beyond_the_limit_are_trimmed() -> None:
    """Whole blocks go once all their entries are too old, and never after the last fold."""
    log = limited(entries=100)
    log.create("/a", b"0")
    log.skip_to(FOLD - 1)
    log.set("/a", b"1")
    assert log.reader.floor == (FOLD - 100) // 64 * 64
    assert [one["data"] for one in log.reader.history("/a")] == [b"1"]
    log.skip_to(2 * FOLD - 1)
    assert log.reader.floor == FOLD, "unfolded entries are kept"
    log.skip_to(2 * FOLD)
    assert log.reader.floor == (2 * FOLD - 100) // 64 * 64
    assert log.reader.history("/a") == []


def test_nothing_is_trimmed_within_the_limits() -> None:
    """With room for all, the floor stays at 0."""
    log = limited()
    log.create("/a")
    log.skip_to(3 * FOLD)
    assert log.reader.floor == 0
    assert len(log.reader.history("/a")) == 1


def test_history_is_trimmed_by_its_size() -> None:
    """Blocks go, oldest first, until the journal is small enough."""
    log = limited(size=20_000)
    log.create("/a")
    while log.machine.applied_index < FOLD:
        log.set("/a", b"x" * 100)
        log.skip_to(log.machine.applied_index + 7)
    size = sum(len(key) + len(record) for key, record in contents(log.env)["journal"].items())
    assert 15_000 < size <= 20_000
    assert 0 < log.reader.floor < FOLD


def test_history_is_trimmed_by_log_time() -> None:
    """Wall time does not count; blocks whose first entry is too old go."""
    log = limited(age_ms=1_000)
    log.create("/a")
    log.skip_to(640)
    log.now_ms = 600
    log.set("/a", b"")
    log.skip_to(FOLD)
    assert log.reader.floor == 0
    log.now_ms = 1_001
    log.set("/a", b"")
    log.skip_to(FOLD + 64)
    assert log.reader.floor == 64
    log.now_ms = 1_601
    log.set("/a", b"")
    log.skip_to(FOLD + 128)
    assert log.reader.floor == 704


def test_resuming_below_the_floor_is_refused() -> None:
    """At the floor all later changes are known, one below it some may be missing."""
    log = limited(entries=100)
    log.create("/a")
    log.skip_to(FOLD)
    assert list(log.reader.changes_after(log.reader.floor)) == []
    with pytest.raises(CompactedError, match="list afresh"):
        next(log.reader.changes_after(log.reader.floor - 1))


def test_tombstones_and_old_data_go_with_the_history_that_names_them() -> None:
    """Until then a deleted path and superseded large data can be read back."""
    log = limited(entries=100)
    log.create("/a", b"x" * 2_000)
    log.skip_to(900)
    log.set("/a", b"y" * 2_000)
    log.create("/gone")
    log.delete("/gone")
    log.skip_to(FOLD)
    assert log.reader.floor == 896
    (kept,) = log.reader.history("/a")
    assert kept["data"] == b"y" * 2_000
    (change, *_) = log.reader.changes_after(900)
    assert change.prev_data == b"x" * 2_000
    assert len(log.reader.history("/gone")) == 2
    assert len(contents(log.env)["blobs"]) == 2
    log.skip_to(2 * FOLD)
    found = log.reader.get("/a")
    assert found is not None
    assert found[0] == b"y" * 2_000
    tables = contents(log.env)
    assert (len(tables["blobs"]), len(tables["gone"]), len(tables["graves"])) == (1, 0, 0)
    check_structure(log.env)


@pytest.mark.parametrize(("revision", "kept"), [(896, 0), (897, 1)])
def test_a_tombstone_goes_with_the_last_row_that_can_name_it(revision: int, kept: int) -> None:
    """Rows above the floor are kept, and what they need; the floor itself is gone."""
    log = limited(entries=100)
    log.create("/gone", b"x" * 2_000)
    log.skip_to(revision - 1)
    log.delete("/gone")
    log.skip_to(FOLD)
    assert log.reader.floor == 896
    tables = contents(log.env)
    assert [len(tables[name]) for name in ("gone", "blobs", "graves")] == [kept, kept, 2 * kept]
    assert len(log.reader.history("/gone")) == kept


def test_spilled_rows_are_trimmed_with_their_block() -> None:
    """The changes of a big transaction leave nothing behind."""
    log = limited(entries=100)
    log.multi(*[requests.Create("/n", b"", OPEN, 2, 0)] * 9)
    assert len(contents(log.env)["journal"]) == 2
    log.skip_to(FOLD)
    assert not contents(log.env)["journal"]


def test_eight_changes_lie_in_the_row_and_nine_apart(log: Log) -> None:
    """A lone write after a big transaction rewrites its block without it."""
    log.multi(*[requests.Create("/n", b"", OPEN, 2, 0)] * 8)
    assert len(contents(log.env)["journal"]) == 1
    log.multi(*[requests.Create("/n", b"", OPEN, 2, 0)] * 9)
    assert len(contents(log.env)["journal"]) == 2


def test_the_journal_size_is_counted(log: Log) -> None:
    """What trimming by size goes by is what the records take."""
    for number in range(100):
        log.create(f"/n{number}", b"x" * number)
    tables = contents(log.env)
    log.reopen()
    size = sum(len(key) + len(record) for key, record in tables["journal"].items())
    assert log.machine._state.journal_size == size


def test_a_session_row_is_kept_as_history_of_its_own(log: Log) -> None:
    """Opening a session is in the journal with its address, without changes."""
    session = log.open_session("10.1.1.1:1")
    log.create("/e", mode=CreateMode.EPHEMERAL, session=session)
    (block,) = contents(log.env)["journal"].values()
    opened, created = rows_of(block[4:])
    assert (opened.kind, opened.session, opened.tail) == (commands.OPEN_SESSION, 1, b"")
    assert opened.address == "10.1.1.1:1"
    assert (created.session, created.seq, created.acked) == (1, 1, 0)


def test_a_long_address_is_cut(log: Log) -> None:
    """What a row can hold is bounded, whatever a proxy says."""
    session = log.open_session("é" * 500)
    log.create("/a", session=session)
    (entry,) = log.reader.history("/a")
    assert entry["address"] == "é" * 63
    log.apply(commands.attach_session(session, b"n", 1_000, "x" * 500, restart_seq=True))
    row = log.machine.sessions.get(session)
    assert row is not None
    assert row.address == "x" * 63


def test_a_row_that_does_not_decode_is_corruption() -> None:
    """A cut block is named as such, never taken for a shorter one."""
    log = Log(MemoryEnvironment())
    log.create("/a")
    (block,) = contents(log.env)["journal"].values()
    with pytest.raises(CorruptionError, match="journal row"):
        list(rows_of(block[4:] + b"\x00" * (ROW.size - 1)))


def test_the_acl_of_the_time_is_kept(log: Log) -> None:
    """Reading history needs READ under the ACL of that revision: it is there to check."""
    mine = (Acl(31, "digest", "x:y"),)
    log.create("/a", acl=mine)
    log.write(requests.SetAcl("/a", OPEN, -1), who=(("digest", "x:y"),))
    assert [one["acl"] for one in log.reader.history("/a")] == [OPEN, mine]
    assert Row._fields[0] == "revision"
