"""What counts as a refusal and what as a doubt: a wrong refusal makes every checker unsound."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from coord.model import errors
from coord.model import requests as rq
from coord.protocol.native_client import Reply
from coord_client.operations import NEVER_MS, Kind, Operation
from jepsen_lite import history_file
from jepsen_lite.clients import native
from jepsen_lite.clients.store import (
    ConflictError,
    ExistsError,
    InDoubtError,
    NoNodeError,
    Part,
    RefusedError,
    SessionLostError,
    Store,
    StoreError,
    UnavailableError,
    Value,
    Written,
)
from jepsen_lite.history import History, Op, Outcome
from jepsen_lite.recorder import Answer, Recorder
from jepsen_lite.workloads import Worker


def lost(*, definite: bool) -> errors.CoordError:
    """The end of a session, with or without the fate of the write being known."""
    error = errors.SessionExpiredError("session 5 has ended")
    error.definite = definite
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.NoNodeError("/x"), NoNodeError),
        (errors.NodeExistsError("/x"), ExistsError),
        (errors.BadVersionError("/x"), ConflictError),
        (errors.TransactionError("/x"), ConflictError),
        (errors.OverloadedError("busy"), UnavailableError),
        (errors.NoSpaceError("full"), UnavailableError),
        (errors.ConnectionLostError("gone"), InDoubtError),
        (errors.ConnectionLostError("never sent", definite=True), UnavailableError),
        (errors.OperationTimeoutError("late"), InDoubtError),
        (errors.OperationTimeoutError("never sent", definite=True), UnavailableError),
        (errors.ResultUnknownError("too long ago"), InDoubtError),
        (lost(definite=False), SessionLostError),
        (lost(definite=True), UnavailableError),
    ],
)
def test_errors_of_the_native_client(error: errors.CoordError, kind: type[StoreError]) -> None:
    """Refused only what the library is sure of."""
    found = native.translated(error)
    assert type(found) is kind
    assert isinstance(found, RefusedError) == error.definite
    assert found.text


@pytest.mark.needs("kazoo")
def test_errors_of_kazoo() -> None:
    """Refused only what the server decided; a lost connection leaves everything open."""
    from kazoo import exceptions as kazoo

    from jepsen_lite.clients import wire

    refusals = {
        kazoo.NoNodeError: NoNodeError,
        kazoo.NodeExistsError: ExistsError,
        kazoo.BadVersionError: ConflictError,
        kazoo.NotEmptyError: ConflictError,
        kazoo.RolledBackError: ConflictError,
    }
    for error, kind in refusals.items():
        assert type(wire.translated(error("/x"))) is kind
    for doubt in (kazoo.ConnectionLoss, kazoo.SessionExpiredError, kazoo.OperationTimeoutError,
                  kazoo.ConnectionClosedError, kazoo.ZookeeperError, OSError):  # fmt: skip
        assert isinstance(wire.translated(doubt("what")), InDoubtError)


class NoStore(Store):
    """A store that is never asked."""

    kind = "none"

    @property
    def session_id(self) -> int:
        return 7

    async def open(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def get(self, path: str) -> Value:
        raise NotImplementedError

    async def children(self, path: str) -> list[str]:
        raise NotImplementedError

    async def create(
        self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequential: bool = False
    ) -> Written:
        raise NotImplementedError

    async def set(self, path: str, data: bytes, version: int = -1) -> Written:
        raise NotImplementedError

    async def delete(self, path: str, version: int = -1) -> int:
        raise NotImplementedError

    async def commit(self, parts: Sequence[Part]) -> int:
        raise NotImplementedError


async def recorded(path: Path, *endings: Answer | Exception) -> tuple[History, list[Op], Recorder]:
    """One worker whose operations end so, one after another."""
    with history_file.Writer(path, History("w", "register")) as writer:
        recorder = Recorder(writer)

        async def open_store() -> Store:
            raise NotImplementedError

        worker = Worker(3, NoStore(), random.Random(0), recorder, 10, open_store)
        ops: list[Op] = []
        for ending in endings:

            async def act(ending: Answer | Exception = ending) -> Answer:
                if isinstance(ending, Exception):
                    raise ending
                return ending

            ops.append(await worker.perform("write", 1, 5, act))
    return history_file.read(path), ops, recorder


async def test_how_operations_end(tmp_path: Path) -> None:
    """Answers, refusals and doubts; after a doubt the worker is another process."""
    history, ops, recorder = await recorded(
        tmp_path / "h",
        Answer("x", 12),
        ConflictError("version 3"),
        InDoubtError("no\nanswer"),
        Answer(),
    )
    assert [op.outcome for op in ops] == [Outcome.OK, Outcome.FAIL, Outcome.INFO, Outcome.OK]
    assert [op.process for op in ops] == [3, 3, 3, 13]
    assert (ops[0].result, ops[0].revision, ops[0].session) == ("x", 12, 7)
    assert ops[1].error == "Conflict: version 3"
    assert ops[2].error == "InDoubt: no answer"
    assert all(op.invoke_ns <= op.complete_ns for op in ops)
    assert [str(op) for op in history.ops] == [str(op) for op in ops]
    counts = recorder.counts
    assert (counts.ok, counts.fail, counts.info) == (2, 1, 1)
    assert counts.errors == {"Conflict": 1, "InDoubt": 1}
    assert counts.longest_gap_ns == ops[3].complete_ns - ops[0].complete_ns


async def test_a_fault_of_the_harness_is_not_an_outcome(tmp_path: Path) -> None:
    """It ends the run: nothing may be concluded from it."""
    with pytest.raises(ZeroDivisionError):
        await recorded(tmp_path / "h", ZeroDivisionError())


async def test_what_ends_a_session_is_noted_under_it(tmp_path: Path) -> None:
    """The store has none any more when the close is over; without it nobody knows who closed."""

    class Closing(NoStore):
        session = 7

        @property
        def session_id(self) -> int:
            return self.session

    closing = Closing()

    async def close() -> Answer:
        closing.session = 0
        return Answer()

    with history_file.Writer(tmp_path / "h", History()) as writer:
        op = await Recorder(writer).perform(1, closing, "close", None, None, close)
    assert op.session == 7


@pytest.mark.parametrize("is_answered", [False, True])
async def test_a_session_has_ended_only_if_the_service_says_so(
    tmp_path: Path, is_answered: bool
) -> None:
    """The library's close never raises; taken for an end, an unanswered one accuses the service."""
    with history_file.Writer(tmp_path / "h", History()) as writer:
        store = native.NativeStore(
            "127.0.0.1:1", writer, session_timeout_s=4.0, request_timeout_s=2.0
        )
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        close = Operation(rq.Close(), waiter, Kind.WRITE, NEVER_MS)
        store._session.submit(close)
        if is_answered:
            close.waiter.set_result(Reply(1, 0, 5, ()))
            await store.end_session()
        else:
            with pytest.raises(InDoubtError):
                await store.end_session()
