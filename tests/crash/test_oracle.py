"""The oracle on logs that are wrong in one way: each is named."""

from __future__ import annotations

from typing import Any

import pytest

from coord.raft.types import EntryKind, HardState, Index, LogSlice, NodeId, Term
from coord.store.raft_log import LogWrite, RaftLog
from tests.crash.member import MEMBERS
from tests.crash.oracle import LogState, Oracle, Promise, pack_write, print_of_log
from tests.store.log_fixtures import memory_log_env, snapshot
from tests.store.store_fixtures import CLUSTER, entry

HISTORY = [[1, int(EntryKind.CONFIG), MEMBERS.encode()], *([1, 0, entry(at)] for at in range(30))]
WRITES = [
    LogWrite([LogSlice(Index(2), Term(1), EntryKind.NORMAL, [entry(at) for at in range(9)])]),
    LogWrite(hard_state=HardState(Term(2), NodeId(3))),
    LogWrite([LogSlice(Index(6), Term(2), EntryKind.NORMAL, [b"x", b"y"])], membership=MEMBERS),
    LogWrite(cut_before=Index(5)),
    LogWrite(install=snapshot(20)),
]


def mark_of(write: LogWrite) -> dict[str, Any]:
    """The mark that announces a transaction with this write."""
    packed = pack_write(write)
    if write.install is not None:
        meta = write.install
        membership = meta.membership.encode()
        packed["install"] = {
            "index": meta.index, "term": meta.term, "membership": membership, "history": HISTORY,
        }  # fmt: skip
    return {"what": "submitted", "writes": [packed]}


FOUNDING = {
    "what": "submitted",
    "writes": [
        {
            "cluster": CLUSTER,
            "hard_state": [1, 0],
            "membership": MEMBERS.encode(),
            "runs": [[1, 1, int(EntryKind.CONFIG), [MEMBERS.encode()]]],
        }
    ],
}


def written(count: int) -> RaftLog:
    """A real log, founded, after so many of the writes."""
    log = RaftLog(memory_log_env())
    first = LogSlice(Index(1), Term(1), EntryKind.CONFIG, [MEMBERS.encode()])
    log.bootstrap(CLUSTER, first, MEMBERS)
    for write in WRITES[:count]:
        if write.cut_before is not None:
            log.set_snapshot(snapshot(7))
        log.write([write])
    return log


def oracle_after(count: int, durable: int) -> tuple[Oracle, Promise]:
    """An oracle that was told of founding and so many writes, so many of all of them durable."""
    marks = [FOUNDING, *map(mark_of, WRITES[:count]), *[{"what": "durable"}] * durable]
    oracle = Oracle.of(marks)
    return oracle, oracle.promises[-1]


@pytest.mark.parametrize("count", range(len(WRITES) + 1))
def test_the_model_follows_the_real_log(count: int) -> None:
    """Founding, appending, voting, truncating, cutting, installing."""
    oracle, promise = oracle_after(count, count + 1)

    assert promise.durable == promise.submitted == count + 1
    assert oracle.find(print_of_log(written(count)), promise) is oracle.states[count + 1]


def test_a_log_behind_what_was_durable_is_not_accepted() -> None:
    """One write less than was reported."""
    oracle, promise = oracle_after(3, durable=4)

    assert oracle.find(print_of_log(written(2)), promise) is None


def test_a_log_ahead_of_what_was_submitted_is_not_accepted() -> None:
    """One write more than there was."""
    oracle, promise = oracle_after(2, durable=3)

    assert oracle.find(print_of_log(written(3)), promise) is None


def test_a_write_under_way_may_be_there_or_not() -> None:
    """Submitted, and not reported as durable."""
    oracle, promise = oracle_after(3, durable=3)

    assert oracle.find(print_of_log(written(2)), promise) is not None
    assert oracle.find(print_of_log(written(3)), promise) is not None


def test_half_of_a_write_is_not_accepted() -> None:
    """Entries of a transaction without its membership or its vote."""
    log = written(2)
    log.write([LogWrite([LogSlice(Index(6), Term(2), EntryKind.NORMAL, [b"x"])])])
    oracle, promise = oracle_after(3, durable=3)

    assert oracle.find(print_of_log(log), promise) is None


def test_states_are_values() -> None:
    """An older one is not changed by what follows."""
    oracle, _ = oracle_after(len(WRITES), 1)

    assert oracle.states[0] == LogState()
    assert len({state.print for state in oracle.states}) == len(oracle.states)
