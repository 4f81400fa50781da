"""Sessions: they end neither early nor late, and take their ephemeral nodes along. O(n log n).

All times are the recorder's; where a fault moved the clocks of nodes, nothing is said about early
and late. Rules, by name: ``E1`` (an ephemeral is there while its session lives and not after),
``E2`` (nothing of a session succeeds after its end), ``E3`` (no session ends before a whole timeout
has passed since its last confirmed contact), ``E4`` (one whose client is gone ends within its
timeout and ``meta["late_ms"]`` of a whole cluster), ``E5`` (who was told *expired* is).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final

from jepsen_lite.history import FOREVER, NEVER, History, Op
from jepsen_lite.verdict import Judgement

DRIFT_PPM: Final = 2_000
"""Clocks that differ by up to this much are within the contract."""
SILENCE_NS: Final = 300_000_000
"""Nobody was answered for longer than this: perhaps nobody led. Less than any election takes."""


@dataclass(slots=True)
class _Session:
    """What is known of one session. ``ended``: the operation that says so, if any."""

    opened: Op
    timeout_ns: int
    contacts: list[Op] = field(default_factory=list)
    closing: Op | None = None
    ended: Op | None = None
    gone: Op | None = None
    ephemerals: list[Op] = field(default_factory=list)

    def alive_until_ns(self, time_ns: int) -> int:
        """It cannot end by silence before this, by what was confirmed up to ``time_ns``."""
        sent = [op.invoke_ns for op in (self.opened, *self.contacts) if op.end_ns <= time_ns]
        least_ns = self.timeout_ns - self.timeout_ns * DRIFT_PPM // 1_000_000
        return max(sent) + least_ns if sent else NEVER

    @property
    def ends_from_ns(self) -> int:
        """From when on its client may have ended it."""
        return FOREVER if self.closing is None else self.closing.invoke_ns


def check(history: History) -> Judgement:
    """Whether sessions and ephemerals lived as long as they should."""
    judgement = Judgement("sessions")
    sessions = _collect(history)
    whole = _Whole(history)
    clocks_were_right = not any(fault.name.startswith("clock") for fault in history.faults)
    for session in sessions.values():
        if clocks_were_right:
            _check_told(judgement, session)
        _check_after_end(judgement, session)
    made = {op.key: op for op in history.ops if op.f == "ephemeral"}
    looks = [op for op in history.ops if op.f == "look" and op.is_ok]
    for look in looks:
        creation = made.get(look.key)
        if creation is None or (look.result not in {None, creation.session}):
            if look.result is not None:
                judgement.add("E1", f"{look} shows an ephemeral that nobody made", look.id)
            continue
        owner = sessions.get(creation.session)
        if owner is not None:
            _check_look(judgement, owner, creation, look)
            if clocks_were_right:
                _check_absent(judgement, owner, creation, look)
                _check_late(judgement, whole, owner, look)
    if not looks:
        judgement.cannot_say("nobody looked for ephemerals")
    judgement.figures = {"operations": len(history.ops), "sessions": len(sessions)}
    return judgement


def _collect(history: History) -> dict[int, _Session]:
    sessions: dict[int, _Session] = {}
    for op in history.ops:
        if op.f == "open" and op.is_ok:
            timeout_ns = op.result["timeout_ms"] * 1_000_000
            sessions[op.result["session"]] = _Session(op, timeout_ns)
    for op in history.ops:
        session = sessions.get(op.session)
        if session is None or not op.may_have_happened:
            continue
        if op.f in {"contact", "ephemeral"} and op.is_ok:
            session.contacts.append(op)
        elif op.f == "close":
            session.closing = op
            session.ended = op if op.is_ok else session.ended
        elif op.f == "expired" and op.is_ok:
            session.ended = op
        elif op.f == "gone":
            session.gone = op
    return sessions


def _check_told(judgement: Judgement, session: _Session) -> None:
    """Told *expired*: not before its time."""
    told = session.ended
    if told is None or told.f != "expired" or told.end_ns >= session.ends_from_ns:
        return
    earliest_ns = session.alive_until_ns(told.end_ns)
    if told.end_ns < earliest_ns:
        early_ms = (earliest_ns - told.end_ns) // 1_000_000
        judgement.add("E3", f"{told}: {early_ms} ms before its timeout was over", told.id)


def _check_after_end(judgement: Judgement, session: _Session) -> None:
    ended = session.ended
    if ended is None:
        return
    for op in session.contacts:
        if op.invoke_ns > ended.end_ns:
            rule = "E5" if ended.f == "expired" else "E2"
            judgement.add(rule, f"{op} succeeded after {ended}", op.id, ended.id)


def _check_look(judgement: Judgement, session: _Session, creation: Op, look: Op) -> None:
    """There: then it has been made, and its session has not ended."""
    if look.result is None:
        return
    if look.end_ns < creation.invoke_ns:
        judgement.add("E1", f"{look} shows {creation} before it began", look.id, creation.id)
    if not creation.may_have_happened:
        judgement.add(
            "E1", f"{look} shows what {creation} made, which failed", look.id, creation.id
        )
    if session.ended is not None and look.invoke_ns > session.ended.end_ns:
        rule = "E5" if session.ended.f == "expired" else "E1"
        sentence = f"{look} shows an ephemeral after {session.ended}"
        judgement.add(rule, sentence, look.id, session.ended.id)


def _check_absent(judgement: Judgement, session: _Session, creation: Op, look: Op) -> None:
    """Gone though it had been made: then its session must have been able to end by then."""
    if look.result is not None or not creation.is_ok or creation.end_ns >= look.invoke_ns:
        return
    if look.end_ns >= session.ends_from_ns:
        return
    if look.end_ns < session.alive_until_ns(look.end_ns):
        sentence = f"{look} lacks what {creation} made, though its session cannot have ended yet"
        judgement.add("E3", sentence, look.id, creation.id)


def _check_late(judgement: Judgement, whole: _Whole, session: _Session, look: Op) -> None:
    """There though its client is gone: then the cluster must not have been whole for long."""
    if session.gone is None or whole.late_ns is None or look.result is None:
        return
    due_ns = max(session.gone.end_ns, whole.since_ns(look)) + session.timeout_ns + whole.late_ns
    if look.invoke_ns > due_ns:
        sentence = f"{look} shows an ephemeral whose client is gone since {session.gone}"
        judgement.add("E4", sentence, look.id, session.gone.id)


class _Whole:
    """Since when nothing has kept sessions from ending: no fault, and somebody was always
    answered. A change of leaders gives every session its whole timeout again; it cannot pass
    without a silence."""

    def __init__(self, history: History) -> None:
        late_ms = history.meta.get("late_ms")
        self.late_ns = None if late_ms is None else late_ms * 1_000_000
        done = sorted(
            op.end_ns for op in history.ops if op.is_ok and op.f not in {"gone", "expired"}
        )
        hindered = [(a, b) for a, b in pairwise(done) if b - a > SILENCE_NS]
        hindered += [
            (fault.start_ns, FOREVER if fault.end_ns == NEVER else fault.end_ns)
            for fault in history.faults
        ]
        hindered.sort()
        self._starts = [start_ns for start_ns, _ in hindered]
        self._ends = list(accumulate((end_ns for _, end_ns in hindered), max))

    def since_ns(self, look: Op) -> int:
        """As seen when ``look`` began; later than that if it is not whole."""
        at = bisect_left(self._starts, look.invoke_ns)
        return self._ends[at - 1] if at else NEVER
