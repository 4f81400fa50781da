"""The order the service claims, verified.

Every reply names a revision, so there is no order to search for: replay the committed log in the
independent model, compare each answer with the model's at that revision, then check that the
order respects real time. Passing proves linearizability whatever the service's honesty, because
a legal order has been exhibited. O(n log n).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tests.sim.codes import CLOSE_SESSION
from tests.sim.history import UNKNOWN_REVISION, Committed, History, Op, Outcome
from tests.sim.model import Answer, Model
from tests.sim.model_reads import answer_to

LINEARIZABLE: Final = 0
KINDS: Final = {1: "create", 2: "delete", 5: "set", 7: "set_acl", 14: "multi", 302: "close"}


def check(history: History) -> list[str]:
    """Everything wrong with a history; empty if it is linearizable in the claimed order."""
    problems = check_log(history.log)
    if problems:
        return problems
    executed, problems = _replay(history)
    problems += _check_writes(history.ops, executed)
    problems += _check_invoked(history, executed)
    problems += _check_real_time(history.ops)
    problems += _check_session_order(history.ops)
    problems += _check_client_order(history.ops)
    problems += _check_final_tree(history)
    return problems


def check_log(log: list[Committed]) -> list[str]:
    """Indexes are dense from 1, terms never fall."""
    problems: list[str] = []
    term = 0
    for at, entry in enumerate(log, 1):
        if entry.index != at:
            problems.append(f"witness/log: entry {entry.index} stands at place {at}")
        if entry.term < term:
            problems.append(f"witness/log: term falls from {term} to {entry.term} at {entry.index}")
        term = max(term, entry.term)
    return problems


Executed = dict[tuple[int, int, int], Answer]
"""Writes that took effect (or were refused at their place), by (session, epoch, seq)."""


def _replay(history: History) -> tuple[Executed, list[str]]:
    """Executed writes, and what is wrong with every read that the model answers differently."""
    reads = sorted(
        (op for op in history.ops if not op.is_write and _is_placed(op)),
        key=lambda op: op.revision,
    )
    model, at = Model(), 0
    problems: list[str] = []
    executed: Executed = {}
    last = history.log[-1].index if history.log else 0
    for entry in history.log:
        at = _check_reads(model, reads, at, problems)
        answer = model.apply(entry.index, entry.kind, entry.payload)
        if answer is None or not answer.executed or not answer.seq:
            continue
        key = (answer.session, answer.epoch, answer.seq)
        if key in executed:
            problems.append(
                f"witness/twice: {key} executed at {executed[key].index} and {entry.index}"
            )
        executed[key] = answer
    at = _check_reads(model, reads, at, problems)
    problems += [
        f"witness/future: {op} names a revision after the log's end {last}" for op in reads[at:]
    ]
    return executed, problems


def _is_placed(op: Op) -> bool:
    """It was answered, and says at which revision."""
    return op.outcome is Outcome.OK and op.revision != UNKNOWN_REVISION


def _check_reads(model: Model, reads: list[Op], at: int, problems: list[str]) -> int:
    """Compare the reads of this revision; the place of the first later one."""
    while at < len(reads) and reads[at].revision == model.index:
        op = reads[at]
        code, body = answer_to(model.tree, op)
        if op.code != code or (code == 0 and _plain(op.body[: len(body)]) != _plain(body)):
            problems.append(
                f"witness/read: {op} got {op.body!r:.120}, the model says {code} {body!r:.120}"
            )
        at += 1
    return at


def _plain(value: object) -> object:
    """Lists and tuples compare equal."""
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value


def _check_writes(ops: list[Op], executed: Executed) -> list[str]:
    """Every answered write is in the log, where it says and with that answer."""
    problems = []
    at_index = {(answer.session, answer.index): answer for answer in executed.values()}
    for op in ops:
        if not op.is_write or op.outcome is Outcome.INFO:
            continue
        if op.seq:
            answer = executed.get((op.session, 0, op.seq))
        else:
            answer = at_index.get((op.session, op.revision))
        if op.outcome is Outcome.FAIL:
            if answer is not None and _same_request(op, answer):
                problems.append(f"witness/phantom: {op} is in the log at {answer.index}")
        elif answer is None:
            problems.append(f"witness/lost: {op} was acknowledged and is not in the log")
        elif op.revision not in (answer.index, UNKNOWN_REVISION):
            problems.append(f"witness/revision: {op} executed at {answer.index}")
        elif answer.code != op.code:
            problems.append(f"witness/answer: {op}, the model says code {answer.code}")
        elif answer.code == 0 and not _told(op, answer):
            problems.append(f"witness/answer: {op} got {op.body!r:.120}, not {answer.body!r:.120}")
    return problems


def _told(op: Op, answer: Answer) -> bool:
    """The client got the model's answer. ZooKeeper's wire leaves the Stat out of a transaction's
    creates."""
    if op.kind != "multi" or op.seq:
        return bool(_plain(op.body) == _plain(answer.body))
    return len(op.body) == len(answer.body) and all(
        _plain(part) == _plain(whole[: len(part)])
        for part, whole in zip(op.body, answer.body, strict=True)
    )


def _check_invoked(history: History, executed: Executed) -> list[str]:
    """Every executed write was asked for by its session, once, with these arguments.

    The service itself may close a session whose client left before it was told of it.
    """
    asked: dict[tuple[int, int], Op] = {}
    problems = []
    unnumbered = _Unnumbered(history)
    for op in history.ops:
        if op.is_write and op.seq and op.outcome is not Outcome.FAIL:
            if (op.session, op.seq) in asked:
                problems.append(f"witness/client: {op} reuses a sequence number")
            asked[op.session, op.seq] = op
    for key, answer in executed.items():
        life = history.sessions.get(answer.session)
        if answer.kind == CLOSE_SESSION and life is None:
            continue
        if life is not None and not life.is_numbered:
            found = unnumbered.find(answer)
        else:
            found = asked.get((answer.session, answer.seq))
        if found is None:
            problems.append(f"witness/unasked: {key} executed at {answer.index}, nobody sent it")
        elif not _same_request(found, answer):
            problems.append(
                f"witness/garbled: {found} executed as {answer.kind} {answer.arguments!r:.120}"
            )
    return problems


class _Unnumbered:
    """Writes of clients that do not number them: told apart by their place in the log, or, where
    the answer was lost, by their order. What is sent on one connection takes effect in order, and
    what comes later on another was sent later."""

    def __init__(self, history: History) -> None:
        self._placed: dict[tuple[int, int], Op] = {}
        self._unsure: dict[int, deque[Op]] = {}
        for op in history.ops:
            if not op.is_write or op.seq or op.session not in history.sessions:
                continue
            if op.outcome is Outcome.OK:
                self._placed[op.session, op.revision] = op
            else:
                self._unsure.setdefault(op.session, deque()).append(op)

    def find(self, answer: Answer) -> Op | None:
        """Who asked for what was executed there; each is found once."""
        placed = self._placed.get((answer.session, answer.index))
        if placed is not None:
            return placed
        unsure = self._unsure.get(answer.session, deque())
        while unsure:
            op = unsure.popleft()
            if _same_request(op, answer):
                return op
        return None


def _same_request(op: Op, answer: Answer) -> bool:
    return KINDS[answer.kind] == op.kind and _plain(op.args) == _plain(answer.arguments)


def _check_real_time(ops: list[Op]) -> list[str]:
    """What completed before an operation was invoked comes before it in the claimed order.

    Intervals are closed: an operation invoked in the very microsecond in which another
    completes is concurrent with it.
    """
    done = sorted(filter(_is_placed, ops), key=lambda op: op.complete_us)
    started = sorted(
        (op for op in done if op.is_write or op.level == LINEARIZABLE),
        key=lambda op: op.invoke_us,
    )
    problems: list[str] = []
    newest: Op | None = None
    at = 0
    for op in started:
        while at < len(done) and done[at].complete_us < op.invoke_us:
            if newest is None or done[at].revision > newest.revision:
                newest = done[at]
            at += 1
        if newest is None:
            continue
        if op.revision < newest.revision or (op.is_write and op.revision == newest.revision):
            problems.append(f"witness/stale: {op} was invoked after {newest}")
    return problems


def _check_session_order(ops: list[Op]) -> list[str]:
    """In a session, revisions never fall and writes take effect in the order of their numbers."""
    problems = []
    last: dict[int, Op] = {}
    for op in ops:  # in the order the clients sent them
        if not _is_placed(op) or op.sent_again:
            continue
        before = last.get(op.session)
        if before is not None and before.revision > op.revision:
            problems.append(f"witness/session-order: {op} follows {before}")
        last[op.session] = op
    return problems


def _check_client_order(ops: list[Op]) -> list[str]:
    """Writes that a client numbers take effect in the order in which they were asked for, those
    included that had to be sent again."""
    problems = []
    last: dict[int, Op] = {}
    for op in ops:
        if not op.is_write or not op.seq or op.outcome is not Outcome.OK:
            continue
        before = last.get(op.session)
        if before is not None and before.seq > op.seq:
            problems.append(f"witness/client-order: {op} was asked for after {before}")
        last[op.session] = op
    return problems


def _check_final_tree(history: History) -> list[str]:
    """What nodes hold in the end is what the log makes, down to every Stat."""
    if history.final_tree is None:
        return []
    model = Model()
    for entry in history.log:
        model.apply(entry.index, entry.kind, entry.payload)
    wanted = {path: (node.data, node.stat()) for path, node in model.tree.nodes.items()}
    problems = []
    for path in sorted(wanted.keys() | history.final_tree.keys()):
        held = history.final_tree.get(path)
        if held != wanted.get(path):
            problems.append(
                f"witness/state: {path} is {held!r:.120}, not {wanted.get(path)!r:.120}"
            )
    return problems
