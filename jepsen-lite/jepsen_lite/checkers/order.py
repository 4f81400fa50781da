"""The order the service claims, verified. O(n log n), whatever the number of clients.

Every answer names a revision, so there is no order to search for. The committed log of all nodes
is compared, then replayed in an independent model; every answer must be the model's at its
revision, every acknowledged write must be there and nothing that nobody sent; then one sweep over
real time: what was over before an operation began has a smaller revision. Passing proves
linearizability of everything asked, transactions included, whatever the service's honesty: a legal
order has been exhibited. Rules are named ``log``, ``agreement``, ``lost``, ``phantom``,
``unasked``, ``garbled``, ``answer``, ``read``, ``revision``, ``stale``, ``session-order``.
"""

from __future__ import annotations

from typing import Any, Final

from jepsen_lite.history import UNKNOWN_REVISION, Call, History, LogRun, Outcome, to_text
from jepsen_lite.tree_model import CLOSE_SESSION, MULTI, Answer, TreeModel
from jepsen_lite.verdict import Judgement

LINEARIZABLE: Final = 0
MEMBERS: Final = "/zookeeper/config"
"""Written by entries that are no requests: the checker ``members`` judges what it says."""
WRITES: Final = {"create": 1, "delete": 2, "set": 5, "set_acl": 7, "multi": 14, "close": 302}
PARTS: Final = {
    1: "create",
    2: "delete",
    5: "set",
    7: "set_acl",
    13: "check",
    200: "compare",
    201: "guard",
}
"""Of a transaction."""
NOT_MODELLED: Final = {-102: "ACLs", -125: "quotas", -203: "sizes", -204: "limits"}
"""Refusals that depend on what the model does not know."""
Entry = tuple[int, int, bytes]
"""Term, kind and payload."""


def check(history: History) -> Judgement:
    """Whether the log explains everything that clients were told."""
    judgement = Judgement("order")
    judgement.figures = {"operations": len(history.calls)}
    if not history.calls:
        judgement.cannot_say("no requests were recorded")
    log = _agreed(judgement, history.log)
    if log is None or not history.calls:
        return judgement
    judgement.figures["entries"] = len(log)
    if any(call.code in NOT_MODELLED for call in history.calls):
        what = next(NOT_MODELLED[c.code] for c in history.calls if c.code in NOT_MODELLED)
        judgement.cannot_say(f"answers depend on {what}, which the model does not know")
        return judgement
    try:
        _Replay(judgement, history.calls).run(log)
    except (LookupError, TypeError, ValueError) as error:
        judgement.cannot_say(f"the log holds what the model cannot read ({error})")
        return judgement
    _check_real_time(judgement, history.calls)
    _check_session_order(judgement, history.calls)
    return judgement


# --- the log ------------------------------------------------------------------------------------


def _agreed(judgement: Judgement, runs: list[LogRun]) -> list[Entry] | None:
    """The one log that all nodes tell, from index 1; None if there is none."""
    held: dict[int, Entry] = {}
    teller: dict[int, str] = {}
    for run in runs:
        for index, payload in enumerate(run.payloads, run.first):
            entry = (run.term, run.kind, payload)
            other = held.setdefault(index, entry)
            if other != entry:
                sentence = f"nodes {teller[index]} and {run.node} differ in log entry {index}"
                judgement.add("agreement", sentence)
                return None
            teller.setdefault(index, run.node)
    if not held:
        judgement.cannot_say("the history holds no log")
        return None
    last = max(held)
    missing = next((index for index in range(1, last + 1) if index not in held), None)
    if missing is not None or min(held) < 1:
        judgement.cannot_say(f"log entry {missing} is missing: it was cut before it was read")
        return None
    log = [held[index] for index in range(1, last + 1)]
    for index in range(2, last + 1):
        if log[index - 1][0] < log[index - 2][0]:
            judgement.add("log", f"the term falls at log entry {index}")
    return log


class _Replay:
    """Walks through the log, comparing the answers that belong to each revision."""

    def __init__(self, judgement: Judgement, calls: list[Call]) -> None:
        self._judgement = judgement
        self._model = TreeModel()
        self._sessions = {call.session for call in calls}
        self._asked: dict[tuple[int, int], Call] = {}
        self._reads: dict[int, list[Call]] = {}
        for call in calls:
            if call.kind not in WRITES:
                is_told = call.outcome is Outcome.OK and call.revision != UNKNOWN_REVISION
                if is_told and call.args[:1] != [MEMBERS]:
                    self._reads.setdefault(call.revision, []).append(call)
            elif call.seq and (call.outcome is not Outcome.FAIL):
                self._asked[call.session, call.seq] = call
        self._failed = {
            (call.session, call.seq): call
            for call in calls
            if call.kind in WRITES and call.seq and call.outcome is Outcome.FAIL
        }

    def run(self, log: list[Entry]) -> None:
        """Compare everything."""
        model = self._model
        self._compare_reads(0)
        for index, (_, kind, payload) in enumerate(log, 1):
            answer = model.apply(index, kind, payload)
            if answer is not None and answer.executed and answer.seq:
                self._compare_write(answer)
            if index in self._reads:
                self._compare_reads(index)
        for calls in self._reads.values():
            for call in calls:
                self._found("read", call, f"names revision {call.revision}, after the log's end")
        for call in self._asked.values():
            if call.outcome is Outcome.OK:
                self._found("lost", call, "was acknowledged and is not in the log")

    def _found(self, rule: str, call: Call, what: str) -> None:
        args = f"{call.args!r:.80}"
        name = f"{call.kind} {args} by session {call.session} (request {call.seq})"
        ops = () if call.op < 0 else (call.op,)
        self._judgement.add(rule, f"{name} {what}", *ops)

    def _compare_reads(self, index: int) -> None:
        for call in self._reads.pop(index, ()):
            code, body = self._model.read(call.kind, call.args[0])
            if code != call.code:
                self._found("read", call, f"got code {call.code}, the log says {code}")
            elif code == 0 and call.body[: len(body)] != (meant := plain(body)):
                got = f"{call.body!r:.120}"
                self._found("read", call, f"got {got}, the log says {meant!r:.120}")

    def _compare_write(self, answer: Answer) -> None:
        key = (answer.session, answer.seq)
        call = self._asked.pop(key, None)
        if call is None:
            self._unasked(answer, self._failed.get(key))
            return
        if not _is_request(call, answer):
            self._found("garbled", call, f"is entry {answer.entry} of the log, which does other")
        if call.outcome is not Outcome.OK:
            return
        if call.revision not in {answer.entry, UNKNOWN_REVISION}:
            self._found("revision", call, f"was told {call.revision}, and is entry {answer.entry}")
        if call.code != answer.code:
            self._found("answer", call, f"got code {call.code}, the log says {answer.code}")
        elif answer.code == 0 and call.body != (meant := _body(answer)):
            self._found("answer", call, f"got {call.body!r:.120}, the log says {meant!r:.120}")

    def _unasked(self, answer: Answer, failed: Call | None) -> None:
        """The service itself may close a session whose client left."""
        if failed is not None and _is_request(failed, answer):
            self._found("phantom", failed, f"was said to have failed, and is entry {answer.entry}")
        elif answer.session in self._sessions and answer.kind != CLOSE_SESSION:
            sentence = f"log entry {answer.entry} is a write of session {answer.session} that it"
            self._judgement.add("unasked", f"{sentence} never sent")


def plain(value: Any) -> Any:
    """A value of the model as the history holds it: lists, and text for bytes."""
    if isinstance(value, bytes):
        return to_text(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _body(answer: Answer) -> list[Any]:
    if answer.kind == MULTI:
        return [[result[0], *plain(result[1:])] for result in answer.body]
    body: list[Any] = plain(answer.body)
    return body


def _is_request(call: Call, answer: Answer) -> bool:
    if WRITES[call.kind] != answer.kind:
        return False
    if answer.kind == MULTI:
        return call.args == [[PARTS[kind], *plain(rest)] for kind, *rest in answer.arguments[0]]
    same: bool = call.args == plain(answer.arguments)
    return same


# --- time ---------------------------------------------------------------------------------------


def _name(call: Call) -> str:
    return f"{call.kind} {call.args[:1]} at revision {call.revision}"


def _check_real_time(judgement: Judgement, calls: list[Call]) -> None:
    """What was over before an operation began comes before it in the claimed order."""
    placed = [
        call for call in calls if call.outcome is Outcome.OK and call.revision != UNKNOWN_REVISION
    ]
    done = sorted(placed, key=lambda call: call.complete_ns)
    newest: Call | None = None
    at = 0
    for call in sorted(placed, key=lambda call: call.invoke_ns):
        while done[at].complete_ns < call.invoke_ns:
            if newest is None or done[at].revision > newest.revision:
                newest = done[at]
            at += 1
        if newest is None or (call.kind not in WRITES and call.level != LINEARIZABLE):
            continue
        is_same_write = call.kind in WRITES and call.revision == newest.revision
        if call.revision < newest.revision or is_same_write:
            sentence = f"{_name(call)} began after {_name(newest)} was over"
            judgement.add("stale", sentence, *(c.op for c in (call, newest) if c.op >= 0))


def _check_session_order(judgement: Judgement, calls: list[Call]) -> None:
    """In a session, revisions never fall, local reads included. What was sent again has its place
    where it was sent last, which nobody recorded."""
    last: dict[int, Call] = {}
    for call in sorted(calls, key=lambda call: call.invoke_ns):
        placed = call.outcome is Outcome.OK and call.revision != UNKNOWN_REVISION
        if not placed or call.sent_again or not call.session:
            continue
        before = last.get(call.session)
        if before is not None and before.revision > call.revision:
            sentence = f"{_name(call)} follows {_name(before)} in session {call.session}"
            judgement.add("session-order", sentence, *(c.op for c in (call, before) if c.op >= 0))
        else:
            last[call.session] = call
