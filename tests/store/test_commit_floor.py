"""A log that is an older version of itself is sound in every record, and found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from coord.model.errors import CorruptionError
from coord.raft.types import HardState, NodeId, Term
from coord.store.commit_floor import FLOOR_FILE, CommitFloor
from coord.store.lmdb_kv import DATA_FILE, open_environment
from coord.store.raft_log import LogWrite, RaftLog
from tests.store.log_fixtures import MAP_BYTES, append, lmdb_log_env

PAGE = 4096


def opened(directory: Path) -> RaftLog:
    """The log as the next process finds it; its environment is closed again."""
    env = open_environment(directory, sync=True, map_bytes=MAP_BYTES)
    try:
        return RaftLog(env)
    finally:
        env.close()


def vote(log: RaftLog, term: int) -> None:
    """Make a vote durable."""
    log.write([LogWrite(hard_state=HardState(Term(term), NodeId(1)))])


def grown(directory: Path) -> tuple[bytes, bytes]:
    """A log with some entries and votes; the content of its file before the last vote, after."""
    env = lmdb_log_env(directory, sync=True)
    log = RaftLog(env)
    for number in range(1, 9):
        append(log, number, [b"entry %d" % number])
    vote(log, 5)
    before = (directory / DATA_FILE).read_bytes()
    vote(log, 6)
    after = (directory / DATA_FILE).read_bytes()
    env.close()
    return before, after


def put_back(directory: Path, data: bytes, pages: list[int]) -> None:
    """Let these pages be what they were."""
    with (directory / DATA_FILE).open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(data[page * PAGE : (page + 1) * PAGE])


def changed(before: bytes, after: bytes) -> list[int]:
    """Pages that differ."""
    return [
        at // PAGE
        for at in range(0, len(after), PAGE)
        if before[at : at + PAGE] != after[at : at + PAGE]
    ]


def test_a_commit_that_is_gone_is_missed(tmp_path: Path) -> None:
    """The newer meta page is lost: LMDB opens the older commit, and the vote is forgotten."""
    log = tmp_path / "log"
    before, after = grown(log)
    put_back(log, before, [page for page in changed(before, after) if page < 2])
    with pytest.raises(CorruptionError, match=r"its newest commit is \d+, but \d+ was durable"):
        opened(log)


def test_a_whole_file_that_is_older_is_missed(tmp_path: Path) -> None:
    """Not a page but everything comes back as it was."""
    log = tmp_path / "log"
    before, _ = grown(log)
    (log / DATA_FILE).write_bytes(before)
    with pytest.raises(CorruptionError, match="what was written last is gone"):
        opened(log)


def test_without_evidence_nothing_is_claimed(tmp_path: Path) -> None:
    """After a power loss the floor may be older than the file, empty, torn or gone."""
    log = tmp_path / "log"
    grown(log)
    floor = (log / FLOOR_FILE).read_bytes()
    for content in (b"", b"torn", bytes(len(floor)), b"\xff" * len(floor)):
        (log / FLOOR_FILE).write_bytes(content)
        assert opened(log).initial_state()[0].term == 6
    (log / FLOOR_FILE).unlink()
    assert opened(log).initial_state()[0].term == 6


def test_it_remembers_across_processes(tmp_path: Path) -> None:
    """Number and witness of the newest commit, and nothing torn."""
    floor = CommitFloor(tmp_path)
    assert (floor.number, floor.witness) == (0, 0)
    floor.reached(7, 0xFFFFFFFF)
    floor.reached(8, 3)
    floor.close()
    floor.close()
    again = CommitFloor(tmp_path)
    assert (again.number, again.witness) == (8, 3)
    again.close()


def test_a_page_that_is_older_below_the_newest_commit_is_missed(tmp_path: Path) -> None:
    """Each page of the last commit in turn is what it was before: damage, never another vote."""
    before, after = grown(tmp_path / "0")
    for page in changed(before, after):
        log = tmp_path / str(1 + page)
        log.mkdir()
        for name in (DATA_FILE, FLOOR_FILE):
            (log / name).write_bytes((tmp_path / "0" / name).read_bytes())
        put_back(log, before, [page])
        try:
            found = opened(log)
        except CorruptionError:
            continue
        assert found.initial_state()[0] == HardState(Term(6), NodeId(1))
        assert found.last_index() == 8


def test_a_commit_that_changed_nothing_is_not_expected_to_be_found(tmp_path: Path) -> None:
    """LMDB writes no page for it, so the file opens at the commit before."""
    directory = tmp_path / "log"
    env = lmdb_log_env(directory, sync=True)
    for _ in range(2):
        with env.write() as txn:
            txn.commit()
        env.close()
        env = open_environment(directory, sync=True, map_bytes=MAP_BYTES)
    env.close()
    assert opened(directory).is_empty()
