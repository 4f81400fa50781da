"""Sessions at apply: open, attach, end, and each write exactly once."""

from __future__ import annotations

import msgpack
import pytest

from coord.model import commands, requests
from coord.model.acl import OPEN
from coord.model.errors import (
    BadVersionError,
    LimitError,
    NodeExistsError,
    ResultUnknownError,
    SequenceGapError,
    SessionExpiredError,
    SessionMovedError,
)
from coord.model.events import ChangeKind
from coord.model.limits import SESSION_FOLD_ENTRIES
from coord.model.znode import CreateMode
from coord.raft.types import EntryKind
from coord.store.applied import ApplyLimits
from coord.store.memory_kv import MemoryEnvironment
from coord.store.sessions import ATTACHES_KEPT, SessionRow
from tests.store.tree_fixtures import Log, check_structure, contents, log, slices_of

__all__ = ["log"]


def numbered(
    session: int, seq: int, path: str = "/a", generation: int = 1, acked: int = 0
) -> bytes:
    """Write ``seq`` of a session: set the data to the number."""
    request = requests.Set(path, b"%d" % seq, -1)
    return commands.encode_write(request, session, generation, seq, acked, None)


def row_of(log: Log, session: int) -> SessionRow:
    """The row of an open session."""
    row = log.machine.sessions.get(session)
    assert row is not None
    return row


def test_a_session_is_named_by_the_index_of_its_entry(log: Log) -> None:
    """Its generation is 1, its row says who opened it; the body brings the secret's hash back."""
    log.skip_to(4)
    applied = log.apply(commands.open_session(7_000, b"hash", "10.0.0.1:5", "me"))
    assert (applied.session, applied.generation, applied.body) == (5, 1, (b"hash",))
    row = row_of(log, 5)
    assert (row.id, row.timeout_ms, row.secret_hash) == (5, 7_000, b"hash")
    assert (row.address, row.client, row.opened_revision) == ("10.0.0.1:5", "me", 5)
    assert (row.last_seq, row.acked, row.ephemerals) == (0, 0, 0)


def test_there_is_a_most_of_sessions() -> None:
    """One more is refused; ending one makes room."""
    log = Log(MemoryEnvironment(), ApplyLimits(sessions=2))
    first, _ = log.open_session(), log.open_session()
    opening = commands.open_session(1_000, b"", "", "")
    assert log.apply(opening).code == LimitError.code
    log.close(first)
    assert log.apply(opening).code == 0


def test_a_repeated_write_is_applied_once_and_answers_its_first_result(log: Log) -> None:
    """Same code and body, whatever happened in between; no change, no new version."""
    session = log.open_session()
    log.create("/a")
    first = log.apply(numbered(session, 1))
    log.set("/a", b"other")
    again = log.apply_all(numbered(session, 1))
    assert again.results[0].code == 0
    assert again.results[0].body == first.body
    assert again.changes == []
    assert log.reader.get("/a") == (b"other", log.stat("/a").pack())
    assert log.machine.sessions.results_of(session, 1) == (0, first.index, first.body)


def test_a_repeat_in_the_same_batch_is_recognised(log: Log) -> None:
    """The first of the two counts although nothing is committed yet."""
    session = log.open_session()
    log.create("/a")
    batch = log.apply_all(numbered(session, 1), numbered(session, 1), numbered(session, 2))
    assert [applied.code for applied in batch.results] == [0, 0, 0]
    assert batch.results[0].body == batch.results[1].body
    assert log.stat("/a").version == 2


def test_a_refused_request_consumes_its_number(log: Log) -> None:
    """Its code is the result a repeat gets, even when it would succeed now."""
    session = log.open_session()
    create = requests.Create("/a", b"", OPEN, 0, 0)
    log.create("/a")
    command = commands.encode_write(create, session, 1, 1, 0, None)
    assert log.apply(command).code == NodeExistsError.code
    log.delete("/a")
    again = log.apply(command)
    assert (again.code, again.body) == (NodeExistsError.code, ("/a",))
    assert log.reader.get("/a") is None
    assert row_of(log, session).last_seq == 1


def test_a_write_ahead_of_its_predecessor_has_no_effect(log: Log) -> None:
    """Only last + 1 is accepted, and nothing is consumed otherwise."""
    session = log.open_session()
    log.create("/a")
    assert log.apply(numbered(session, 2)).code == SequenceGapError.code
    assert row_of(log, session).last_seq == 0
    assert log.stat("/a").version == 0


def test_acknowledged_results_are_forgotten(log: Log) -> None:
    """Results of ids in (acknowledged, last] are kept; a repeat of an older one is unknown."""
    session = log.open_session()
    log.create("/a")
    for seq, acked in ((1, 0), (2, 0), (3, 1)):
        log.apply(numbered(session, seq, acked=acked))
    kept = [log.machine.sessions.results_of(session, seq) is not None for seq in (1, 2, 3, 4)]
    assert kept == [False, True, True, False]
    assert log.apply(numbered(session, 1)).code == ResultUnknownError.code


def test_an_acknowledgement_ahead_of_the_last_write_is_cut(log: Log) -> None:
    """A client that claims too much cannot make the table inconsistent."""
    session = log.open_session()
    log.create("/a")
    log.apply(numbered(session, 1, acked=100))
    row = row_of(log, session)
    assert (row.acked, row.last_seq, len(row.results)) == (0, 1, 1)
    log.apply(numbered(session, 2, acked=100))
    row = row_of(log, session)
    assert (row.acked, row.last_seq, len(row.results)) == (1, 2, 1)


def test_unacknowledged_results_have_a_most() -> None:
    """One more write than that is refused without being consumed."""
    log = Log(MemoryEnvironment(), ApplyLimits(writes_in_flight=2))
    session = log.open_session()
    log.create("/a")
    codes = [log.apply(numbered(session, seq)).code for seq in (1, 2, 3)]
    assert codes == [0, 0, LimitError.code]
    assert log.apply(numbered(session, 3, acked=1)).code == 0


def test_an_attach_makes_older_writes_void(log: Log) -> None:
    """The generation grows; commands of the old one answer SessionMoved and change nothing."""
    session = log.open_session()
    log.create("/a")
    log.apply(numbered(session, 1))
    applied = log.apply(
        commands.attach_session(session, b"n1", 3_000, "10.0.0.2:6", restart_seq=False)
    )
    assert (applied.generation, applied.body) == (2, (b"n1", 1))
    row = row_of(log, session)
    assert (row.timeout_ms, row.address) == (3_000, "10.0.0.2:6")
    assert log.apply(numbered(session, 2)).code == SessionMovedError.code
    assert log.apply(numbered(session, 2, generation=2)).code == 0


def test_the_same_attach_again_has_no_effect(log: Log) -> None:
    """A resent attach gives the same answer and no new generation."""
    session = log.open_session()
    attach = commands.attach_session(session, b"n1", 3_000, "x", restart_seq=False)
    first, second = log.apply(attach), log.apply(attach)
    assert (first.generation, first.body) == (second.generation, second.body) == (2, (b"n1", 0))


def test_an_attach_may_restart_the_numbers(log: Log) -> None:
    """ZooKeeper connections count from 1 on every connection; old results are dropped."""
    session = log.open_session()
    log.create("/a")
    log.apply(numbered(session, 1))
    log.apply(commands.attach_session(session, b"n1", 3_000, "x", restart_seq=True))
    assert row_of(log, session).results == ()
    assert log.apply(numbered(session, 1, generation=2)).code == 0
    log.reopen()
    assert row_of(log, session).last_seq == 1


def test_only_the_last_addresses_are_remembered(log: Log) -> None:
    """A session that moves all the time does not grow."""
    session = log.open_session()
    for number in range(12):
        nonce = b"%d" % number
        log.apply(commands.attach_session(session, nonce, 1_000, f"h{number}", restart_seq=False))
    attaches = row_of(log, session).facts.details.attaches
    assert len(attaches) == ATTACHES_KEPT
    assert attaches[-1][2] == "h11"


def test_closing_deletes_all_ephemerals_at_one_revision(log: Log) -> None:
    """One entry, one revision, sorted by path; other sessions keep theirs."""
    session, other = log.open_session(), log.open_session()
    log.create("/z")
    for path in ("/z/2", "/1", "/z/3"):
        log.create(path, mode=CreateMode.EPHEMERAL, session=session)
    log.create("/other", mode=CreateMode.EPHEMERAL, session=other)
    batch = log.apply_all(commands.close_session(session, 1, 4, 3))
    assert [(change.kind, change.path) for change in batch.changes] == [
        (ChangeKind.DELETED, path) for path in ("/1", "/z/2", "/z/3")
    ]
    assert {change.revision for change in batch.changes} == {batch.last}
    assert log.machine.sessions.get(session) is None
    assert log.reader.owners(other) == ["/other"]
    check_structure(log.env)


def test_ephemerals_of_the_same_batch_go_too(log: Log) -> None:
    """A node created right before the end of its session, in the same batch, is deleted."""
    session = log.open_session()
    create = requests.Create("/e", b"", OPEN, 1, 0)
    log.apply_all(
        commands.encode_write(create, session, 1, 1, 0, None),
        commands.close_session(session, 1, 2, 1),
    )
    assert log.reader.get("/e") is None
    check_structure(log.env)


def test_an_ended_session_can_do_nothing(log: Log) -> None:
    """Writes, attach, close and expiry answer SessionExpired; an ephemeral cannot appear."""
    session = log.open_session()
    log.close(session)
    create = requests.Create("/e", b"", OPEN, 1, 0)
    for command in (
        commands.encode_write(create, session, 1, 2, 1, None),
        commands.encode_write(requests.Multi((create,)), session, 1, 2, 1, None),
        commands.attach_session(session, b"n", 1_000, "", restart_seq=False),
        commands.close_session(session, 1, 2, 1),
        commands.expire_session(session, 1, {}),
    ):
        assert log.apply(command).code == SessionExpiredError.code
    assert log.reader.get("/e") is None


def test_expiry_names_the_generation(log: Log) -> None:
    """An expiry decided before the session was attached again is void."""
    session = log.open_session()
    log.apply(commands.attach_session(session, b"n", 1_000, "", restart_seq=False))
    expire = commands.expire_session(session, 1, {})
    assert log.apply(expire).code == SessionMovedError.code
    assert log.machine.sessions.get(session) is not None
    assert log.apply(commands.expire_session(session, 2, {})).code == 0
    assert log.machine.sessions.get(session) is None


def test_why_a_session_ended_can_be_asked(log: Log) -> None:
    """The post-mortem has reason, addresses, what it owned, and its results."""
    session = log.open_session("10.0.0.1:5")
    created = log.create("/e", mode=CreateMode.EPHEMERAL, session=session)
    log.now_ms = 30
    log.apply(commands.expire_session(session, 1, {"last_heard_ms": 9_000, "leader": 2}))
    ended = log.machine.ended_session(session)
    assert ended is not None
    assert ended["reason"] == {"kind": "expired", "last_heard_ms": 9_000, "leader": 2}
    assert ended["attaches"] == ((1, 1_000_000, "10.0.0.1:5"),)
    assert ended["ephemerals"] == ("/e",)
    assert (ended["ended_revision"], ended["ended_wall_ms"]) == (3, 1_000_030)
    assert log.machine.result_of(session, 1) == (0, created.index, created.body)
    assert log.machine.result_of(session, 2) is None
    assert log.machine.ended_session(999) is None


def test_a_post_mortem_is_kept_for_its_time() -> None:
    """It goes at the end of the journal block in which its time in the log is over."""
    log = Log(MemoryEnvironment(), ApplyLimits(results_after_end_ms=100))
    first, second = log.open_session(), log.open_session()
    log.close(first)
    log.now_ms = 99
    log.close(second)
    log.skip_to(64)
    assert log.machine.ended_session(first) is not None
    log.now_ms = 100
    log.create("/a")
    log.skip_to(127)
    assert log.machine.ended_session(first) is not None
    log.skip_to(128)
    assert log.machine.ended_session(first) is None
    assert log.machine.ended_session(second) is not None
    log.now_ms = 199
    log.set("/a", b"")
    log.skip_to(192)
    assert log.machine.ended_session(second) is None
    assert not contents(log.env)["ended_order"]


def test_all_sessions_can_be_ended_at_once(log: Log) -> None:
    """After a restore no session goes on: one entry, one revision."""
    sessions = [log.open_session() for _ in range(3)]
    for number, session in enumerate(sessions):
        log.create(f"/e{number}", mode=CreateMode.EPHEMERAL, session=session)
    batch = log.apply_all(end_all())
    assert batch.results[0].body == (3,)
    assert [change.path for change in batch.changes] == ["/e0", "/e1", "/e2"]
    assert log.machine.sessions.ids() == []
    check_structure(log.env)


def end_all() -> bytes:
    """The command that ends every session."""
    packed: bytes = msgpack.packb((commands.END_ALL_SESSIONS, 0, 0, 0, 0, None))
    return packed


@pytest.mark.parametrize("at", [SESSION_FOLD_ENTRIES - 2, SESSION_FOLD_ENTRIES, 1_100])
def test_sessions_are_recovered_around_a_fold(log: Log, at: int) -> None:
    """Rows are written every 1,024 entries, the journal brings what came after."""
    session, quiet = log.open_session(), log.open_session()
    log.create("/a")
    log.apply(numbered(session, 1))
    log.skip_to(at)
    log.apply(numbered(session, 2))
    log.apply(numbered(session, 3, acked=1))
    log.write(requests.Multi((requests.Set("/a", b"m", -1), requests.Check("/a", -1))), 0)
    multi = requests.Multi((requests.Create("/n", b"", OPEN, 2, 0),) * 20)
    log.apply(commands.encode_write(multi, session, 1, 4, 2, None))
    failing = requests.Multi((requests.Check("/a", 99),))
    log.apply(commands.encode_write(failing, session, 1, 5, 2, None))
    log.apply(commands.encode_write(requests.Set("/a", b"", 77), session, 1, 6, 2, None))
    log.apply(commands.encode_write(requests.Delete("/n0000000003", -1), session, 1, 7, 2, None))
    before = [row_of(log, one) for one in (session, quiet)]
    assert [code for code, _, _ in before[0].results] == [
        0, 0, -200, BadVersionError.code, 0,
    ]  # fmt: skip
    log.reopen()
    assert [row_of(log, one) for one in (session, quiet)] == before


def test_a_reader_of_the_table_sees_whole_batches_only(log: Log) -> None:
    """While a batch is applied in steps, the session table stays as it was."""
    session = log.open_session()
    log.create("/a")
    stamp = commands.STAMP.pack(0, 0)
    payloads = [stamp + numbered(session, seq, acked=seq - 1) for seq in range(1, 1_200)]
    steps = log.machine.apply_steps(
        slices_of(3, [(EntryKind.NORMAL, payload) for payload in payloads])
    )
    seen = [row_of(log, session).last_seq for _ in steps]
    assert len(seen) >= 2
    assert set(seen) == {0}
    assert row_of(log, session).last_seq == 1_199
