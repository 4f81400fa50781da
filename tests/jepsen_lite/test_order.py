"""The order check: a good history passes, and each way of falsifying it is named."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from jepsen_lite.checkers import order
from jepsen_lite.checkers.order import plain
from jepsen_lite.history import NEVER, UNKNOWN_REVISION, Call, History, LogRun, Outcome
from jepsen_lite.tree_model import (
    ATTACH_SESSION,
    CLOSE_SESSION,
    COMPARE,
    CREATE,
    DELETE,
    EXPIRE_SESSION,
    GUARD,
    MULTI,
    OPEN_SESSION,
    REAP_NODE,
    SET,
    SET_ACL,
    TreeModel,
)

ACL = [[31, "world", "anyone"]]
NAMES = {CREATE: "create", DELETE: "delete", SET: "set", SET_ACL: "set_acl", MULTI: "multi"}
NAMES[CLOSE_SESSION] = "close"


class Service:
    """An honest service with two clients, and what they record. Each request takes a tick."""

    def __init__(self) -> None:
        self.model = TreeModel()
        self.payloads: list[bytes] = []
        self.calls: list[Call] = []
        self.now = 0
        self.seqs: dict[int, int] = {}
        self.one = self.open()
        self.two = self.open()

    def enter(self, kind: int, session: int, seq: int, *args: Any, generation: int = 0) -> Any:
        """Append an entry to the log and apply it."""
        fields = (kind, session, generation, seq, 0, None, *args)
        self.payloads.append(struct.pack(">QQ", 7_000, 3) + msgpack.packb(fields))
        return self.model.apply(len(self.payloads), 0, self.payloads[-1])

    def open(self) -> int:
        """A new session."""
        session: int = self.enter(OPEN_SESSION, 0, 0, 4_000, b"", "", "").session
        self.seqs[session] = 0
        return session

    def write(self, session: int, kind: int, *args: Any) -> Call:
        """A write that is answered."""
        seq = self.seqs[session] = self.seqs[session] + 1
        answer = self.enter(kind, session, seq, *args, generation=1)
        call = self._call(session, NAMES[kind], args, answer.code, answer.body)
        call.seq, call.revision = seq, answer.entry
        if kind == MULTI:
            call.args = [[order.PARTS[part], *plain(rest)] for part, *rest in args[0]]
            call.body = [[code, *plain(rest)] for code, *rest in answer.body]
        if answer.code:
            call.body, call.revision = [], UNKNOWN_REVISION
        return call

    def read(self, session: int, kind: str, path: str) -> Call:
        """A read that is answered."""
        code, body = self.model.read(kind, path)
        call = self._call(session, kind, (path,), code, body)
        call.revision = self.model.index
        return call

    def _call(self, session: int, kind: str, args: Any, code: int, body: Any) -> Call:
        self.now += 10
        call = Call(session, 0, kind, plain(args), self.now, self.now + 5, Outcome.OK, code)
        call.body, call.op = plain(body), len(self.calls)
        self.calls.append(call)
        return call

    def history(self) -> History:
        """Everything, the log as two nodes tell it."""
        history = History(calls=self.calls)
        for node in ("n1", "n2"):
            history.log.append(LogRun(node, 1, 1, 0, list(self.payloads)))
        return history


def _served() -> Service:
    """Every kind of request: 0 to 17."""
    service = Service()
    one, two = service.one, service.two
    service.write(one, CREATE, "/a", b"0", ACL, 0, 0)
    service.read(two, "get", "/a")
    service.write(one, SET, "/a", b"\xff1", -1)
    service.read(two, "get", "/a")
    service.write(two, SET, "/a", b"2", 7)  # 4: refused
    service.write(two, CREATE, "/a/s-", b"", ACL, 2, 0)
    service.write(one, CREATE, "/a/e", b"", ACL, 1, 0)  # 6: ephemeral
    service.read(two, "children", "/a")
    multi = ((COMPARE, "/a", "version", "=", 1), (SET, "/a", b"3", 1), (DELETE, "/a/e", -1))
    service.write(two, MULTI, multi)  # 8
    service.write(two, MULTI, ((SET, "/a", b"9", -1), (DELETE, "/none", -1)))  # 9: refused
    service.read(one, "exists", "/a")
    service.write(one, SET_ACL, "/a", ACL, -1)
    service.write(one, CREATE, "/h", b"", ACL, 1, 0)  # 12: a holder's record
    guarded = ((GUARD, "/h", service.model.index), (SET, "/a", b"4", -1))
    service.write(one, MULTI, guarded)
    service.read(two, "sync", "/")
    service.enter(REAP_NODE, 0, 0, "/a/s-0000000000", -5, 0)
    service.write(one, CLOSE_SESSION)  # 15
    service.read(two, "exists", "/h")
    service.write(two, DELETE, "/a/s-0000000000", 0)
    return service


def _rules(history: History) -> set[str]:
    judgement = order.check(history)
    return {finding.rule for finding in judgement.findings} or {judgement.verdict.value}


def test_honest_history_is_valid() -> None:
    """Every kind of request, refusals, a transaction that failed, an ephemeral that went."""
    assert _rules(_served().history()) == {"valid"}


def _set(at: int, **changes: Any) -> Callable[[Service], None]:
    def falsify(service: Service) -> None:
        service.calls[at] = replace(service.calls[at], **changes)

    return falsify


def _drop_entry(at: int) -> Callable[[Service], None]:
    def falsify(service: Service) -> None:
        del service.payloads[at]

    return falsify


def _twice(service: Service) -> None:
    """An increment counted twice: the second entry has a number that nobody used."""
    service.enter(SET, service.two, service.seqs[service.two] + 1, "/a", b"7", -1, generation=1)


def _expired(service: Service) -> None:
    service.enter(EXPIRE_SESSION, service.two, 0, {}, generation=1)
    service.write(service.two, SET, "/a", b"8", -1).code = 0


def _attached_twice(service: Service) -> None:
    """A write of an old generation must not count."""
    service.enter(ATTACH_SESSION, service.two, 0, b"n", 4_000, "", False)
    call = service.write(service.two, SET, "/a", b"8", -1)
    call.code, call.body, call.revision = 0, [[0] * 11], len(service.payloads)


def _forged_stat(at: int, place: int, field: int) -> Callable[[Service], None]:
    def falsify(service: Service) -> None:
        service.calls[at].body[place][field] += 1

    return falsify


STALE_READ: dict[str, Any] = {"invoke_ns": 1_000, "complete_ns": 1_001}

BAD = {
    "lost-write": (_drop_entry(4), {"lost", "read", "answer", "revision", "unasked"}),
    "lost-last": (_drop_entry(-1), {"lost"}),
    "failed-write-happened": (_set(2, outcome=Outcome.FAIL), {"phantom"}),
    "wrong-revision": (_set(2, revision=9), {"revision", "stale", "session-order"}),
    "wrong-code": (_set(4, code=0), {"answer"}),
    "refusal-made-up": (_set(5, code=-110, body=[]), {"answer"}),
    "other-data": (_set(2, args=["/a", "x", -1]), {"garbled"}),
    "other-path": (_set(17, args=["/z", 0]), {"garbled"}),
    "other-kind": (_set(17, kind="set"), {"garbled"}),
    "other-part": (_set(8, args=[["delete", "/a", -1]]), {"garbled"}),
    "stale-value": (_set(3, body=["0", [0] * 11]), {"read"}),
    "value-from-nowhere": (_set(1, body=["7", [0] * 11]), {"read"}),
    "missing-node": (_set(1, code=-101, body=[]), {"read"}),
    "ghost-node": (_set(16, code=0, body=[[0] * 11]), {"read"}),
    "torn-children": (_set(7, body=[["e"], [0] * 11]), {"read"}),
    "forged-version": (_forged_stat(2, 0, 4), {"answer"}),
    "forged-cversion": (_forged_stat(10, 0, 5), {"read"}),
    "forged-owner": (_forged_stat(6, 1, 7), {"answer"}),
    "forged-mzxid": (_forged_stat(3, 1, 1), {"read"}),
    "wrong-name": (_set(5, body=["/a/s-0000000009", [0] * 11]), {"answer"}),
    "future-read": (_set(3, revision=99), {"read", "stale", "session-order"}),
    "stale-read": (_set(1, **STALE_READ), {"stale", "session-order"}),
    "stale-write": (_set(2, **STALE_READ), {"stale", "session-order"}),
    "write-counted-twice": (_twice, {"unasked"}),
    "write-after-expiry": (_expired, {"lost"}),
    "write-of-old-generation": (_attached_twice, {"lost"}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_history_is_named(name: str) -> None:
    """Each falsification is found under its name."""
    falsify, expected = BAD[name]
    service = _served()
    falsify(service)

    assert _rules(service.history()) & expected == _rules(service.history())


def test_enough_bad_histories() -> None:
    """As many as every other checker has."""
    assert len(BAD) >= 20


def test_unanswered_writes_may_be_either() -> None:
    """In the log or not, a write without an answer is no one's fault."""
    service = _served()
    service.calls[2] = replace(
        service.calls[2], outcome=Outcome.INFO, complete_ns=NEVER, revision=UNKNOWN_REVISION
    )
    call = Call(service.two, 99, "set", ["/a", "q", -1], 1, NEVER, Outcome.INFO)
    service.calls.append(call)

    assert _rules(service.history()) == {"valid"}


def test_local_reads_may_lag() -> None:
    """A read at a local level may be old, but not older than its session has seen."""
    service = _served()
    service.calls[1] = replace(service.calls[1], level=2, session=0, **STALE_READ)
    assert _rules(service.history()) == {"valid"}

    service.calls[1] = replace(service.calls[1], session=service.two)
    assert _rules(service.history()) == {"session-order"}


def test_logs_that_differ() -> None:
    """Two nodes that tell different entries at one index have diverged."""
    history = _served().history()
    history.log[1].payloads[3] += b"\x00"

    assert _rules(history) == {"agreement"}


def test_terms_never_fall() -> None:
    """Entries of an older term do not follow those of a newer one."""
    history = _served().history()
    run = history.log[0]
    history.log = [
        LogRun("n1", 1, 2, 0, run.payloads[:4]),
        LogRun("n1", 5, 1, 0, run.payloads[4:]),
    ]

    assert _rules(history) == {"log"}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda h: h.log.clear(), id="no-log"),
        pytest.param(lambda h: h.calls.clear(), id="no-requests"),
        pytest.param(lambda h: setattr(h, "log", [h.log[0]._replace(first=2)]), id="cut"),
        pytest.param(
            lambda h: setattr(h, "log", [h.log[0]._replace(payloads=[b"\x01" * 40])]), id="garbage"
        ),
        pytest.param(lambda h: setattr(h, "log", [h.log[0]._replace(payloads=[b""])]), id="empty"),
        pytest.param(lambda h: setattr(h.calls[3], "code", -102), id="acl"),
    ],
)
def test_what_cannot_be_replayed_is_unknown(spoil: Callable[[History], None]) -> None:
    """Without a whole readable log nothing is proven, and nothing is claimed."""
    history = _served().history()
    spoil(history)

    assert _rules(history) == {"unknown"}
