"""Transactions and their conditions."""

from __future__ import annotations

import msgpack
import pytest

from coord.model import errors
from coord.model.acl import ALL, OPEN, Acl
from coord.model.errors import TransactionError
from coord.model.limits import TXN_BYTES_MAX, TXN_OPERATIONS_MAX
from coord.model.requests import (
    Check,
    Compare,
    Create,
    Delete,
    Guard,
    Multi,
    Operation,
    Set,
    SetAcl,
)
from coord.model.znode import CreateMode, Stat
from tests.store.tree_fixtures import Log, check_structure, contents, log

__all__ = ["log"]


def create(path: str, data: bytes = b"", mode: int = 0) -> Create:
    """A create without frills."""
    return Create(path, data, OPEN, mode, 0)


def test_later_operations_see_earlier_ones_and_share_the_revision(log: Log) -> None:
    """A child under a node of the same transaction, sequence numbers that go on, one zxid."""
    applied = log.multi(
        create("/a"),
        create("/a/n-", mode=2),
        create("/a/n-", mode=2),
        Set("/a", b"x", 0),
        Check("/a", 1),
        Delete("/a/n-0000000000", 0),
        SetAcl("/a", OPEN, 0),
    )
    assert applied.code == 0
    assert [result[0] for result in applied.body] == [0] * 7
    assert applied.body[2][1] == "/a/n-0000000001"
    assert applied.body[4] == (0,)
    assert Stat.unpack(applied.body[6][1]) == log.stat("/a")
    assert log.stat("/a") == Stat(1, 1, 1_000_000, 1_000_000, 1, 3, 1, 0, 1, 1, 1)


def test_a_failure_undoes_everything(log: Log) -> None:
    """Codes: 0 before, the real one where it failed, −2 behind; no table keeps a trace."""
    session = log.open_session()
    log.create("/a", b"x" * 2_000)
    log.create("/c", mode=CreateMode.CONTAINER)
    log.create("/gone")
    log.delete("/gone")
    before = contents(log.env)
    transaction = (
        Set("/a", b"y" * 3_000, -1),
        create("/gone"),
        create("/e", mode=1),
        create("/c/child"),
        Delete("/c/child", -1),
        SetAcl("/a", (Acl(ALL, "digest", "x:y"),), -1),
        create("/a"),
        Delete("/c", -1),
    )
    batch = log.apply_all(log.command(session, Multi(transaction)))
    (applied,) = batch.results
    assert (applied.code, batch.changes) == (TransactionError.code, [])
    message, codes = applied.body
    assert codes == (0, 0, 0, 0, 0, 0, errors.NodeExistsError.code, -2)
    assert message == "operation 7 of 8 failed: /a"
    after = contents(log.env)
    for name in ("nodes", "blobs", "ephemerals", "reap", "gone", "graves"):
        assert after[name] == before[name], name
    row = log.machine.sessions.get(session)
    assert row is not None
    assert row.ephemerals == 0
    assert list(log.reader.changes_after(session + 4)) == []
    check_structure(log.env)


def test_a_failed_delete_of_an_ephemeral_is_counted_back(log: Log) -> None:
    """The session's count follows its nodes, also of another session's transaction."""
    owner, other = log.open_session(), log.open_session()
    log.create("/e", mode=CreateMode.EPHEMERAL, session=owner)
    for operations in ([Delete("/e", -1), Check("/none", -1)], [Delete("/e", -1)]):
        log.multi(*operations, session=other)
        row = log.machine.sessions.get(owner)
        assert row is not None
        assert row.ephemerals == len(log.reader.owners(owner))
    assert log.reader.get("/e") is None


def test_a_transaction_is_judged_by_its_caller(log: Log) -> None:
    """The identities of the request count for every operation in it."""
    alice = ("digest", "x:y")
    log.create("/locked", acl=(Acl(ALL, *alice),))
    request = Multi((Check("/locked", 0), Set("/locked", b"1", 0)))
    refused = log.write(request)
    assert refused.body[1] == (errors.NoAuthError.code, -2)
    assert log.write(request, who=(alice,)).code == 0


def test_an_empty_transaction_is_legal(log: Log) -> None:
    """It changes nothing and succeeds."""
    assert (log.multi().code, log.multi().body) == (0, ())


def test_large_data_of_one_transaction_gets_different_places(log: Log) -> None:
    """Two large values of one entry are two values."""
    log.multi(create("/a", b"a" * 2_000), create("/b", b"b" * 2_000))
    assert [log.reader.get(path) for path in ("/a", "/b")] == [
        (b"a" * 2_000, log.stat("/a").pack()),
        (b"b" * 2_000, log.stat("/b").pack()),
    ]


@pytest.mark.parametrize(
    "operations",
    [
        (Check("/", -1),) * (TXN_OPERATIONS_MAX + 1),
        (create("/a", b"x" * (TXN_BYTES_MAX // 2)), create("/b", b"x" * (TXN_BYTES_MAX // 2))),
    ],
)
def test_a_transaction_has_limits(log: Log, operations: tuple[Operation, ...]) -> None:
    """1,000 operations and 1 MiB of paths and data; the whole is refused."""
    applied = log.write(Multi(operations))
    assert applied.code == errors.TooLargeError.code
    assert log.reader.get("/a") is None


def test_a_thousand_operations_are_applied(log: Log) -> None:
    """The most that is allowed works, and its many changes are found again."""
    applied = log.multi(*[create("/n", mode=2)] * TXN_OPERATIONS_MAX)
    assert applied.code == 0
    assert applied.body[-1][1] == "/n0000000999"
    assert len(list(log.reader.changes_after(0))) == TXN_OPERATIONS_MAX
    history = log.reader.history("/n0000000500")
    assert [entry["revision"] for entry in history] == [1]


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        (Check("/a", 0), 0),
        (Check("/a", -1), 0),
        (Check("/a", 1), errors.BadVersionError.code),
        (Check("/none", -1), errors.NoNodeError.code),
        (Check("/locked", 9), errors.NoAuthError.code),
        (Compare("/a", "exists", "=", True), 0),
        (Compare("/a", "exists", "!=", True), errors.CompareError.code),
        (Compare("/none", "exists", "=", False), 0),
        (Compare("/none", "exists", "=", True), errors.CompareError.code),
        (Compare("/none", "version", "!=", 5), errors.CompareError.code),
        (Compare("/a", "value", "=", b"1"), 0),
        (Compare("/a", "value", ">", b"0"), 0),
        (Compare("/a", "value", "<", b"0"), errors.CompareError.code),
        (Compare("/big", "value", "=", b"b" * 2_000), 0),
        (Compare("/a", "version", "<", 1), 0),
        (Compare("/a", "mzxid", "=", 1), 0),
        (Compare("/a", "czxid", "!=", 1), errors.CompareError.code),
        (Compare("/a", "children", "=", 0), 0),
        (Compare("/locked", "version", "=", 0), errors.NoAuthError.code),
        (Compare("/a", "colour", "=", 0), errors.BadArgumentsError.code),
        (Compare("/a", "version", "~", 0), errors.BadArgumentsError.code),
        (Compare("/a", "version", "=", b"0"), errors.BadArgumentsError.code),
        (Compare("/a", "version", "=", True), errors.BadArgumentsError.code),
        (Compare("/a", "exists", "=", 1), errors.BadArgumentsError.code),
        (Guard("/none", 1), errors.GuardError.code),
        (Guard("/a", 1), errors.GuardError.code),
    ],
)
def test_conditions_hold_or_fail_with_their_code(log: Log, condition: Operation, code: int) -> None:
    """A failing condition is the failing operation of its transaction."""
    log.create("/a", b"1")
    log.create("/big", b"b" * 2_000)
    log.create("/locked", acl=(Acl(ALL, "digest", "x:y"),))
    applied = log.multi(condition, create("/made"))
    if code:
        assert applied.body[1] == (code, -2)
    else:
        assert applied.code == 0
    assert (log.reader.get("/made") is None) == bool(code)


def test_a_guard_holds_for_the_current_grant_only(log: Log) -> None:
    """The token is the mzxid of the holder record, whose session must be open."""
    holder, other = log.open_session(), log.open_session()
    granted = log.create("/lock", mode=CreateMode.EPHEMERAL, session=holder)
    token = granted.index

    def guarded() -> int:
        return log.multi(Guard("/lock", token), session=other).code

    assert guarded() == 0
    again = log.set("/lock", b"handed over", session=holder)
    assert guarded() == TransactionError.code
    token = again.index
    assert guarded() == 0
    log.close(holder)
    assert guarded() == TransactionError.code


def test_a_transaction_holds_no_transaction(log: Log) -> None:
    """An operation of an unknown kind is a bad argument of the transaction."""
    inner = Multi(())
    applied = log.apply(_command_with([[14, list(inner.operations)]]))
    assert applied.body[1] == (errors.BadArgumentsError.code,)


def _command_with(operations: list[list[object]]) -> bytes:
    packed: bytes = msgpack.packb((14, 0, 0, 0, 0, None, operations))
    return packed
