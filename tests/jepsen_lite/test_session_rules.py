"""Which faults excuse what, for the rules of sessions and of holders."""

from __future__ import annotations

import pytest

from jepsen_lite.checkers import fencing, sessions
from jepsen_lite.history import NEVER, Fault, History, Op, Outcome
from jepsen_lite.verdict import Verdict

MS = 1_000_000


def _early() -> History:
    """An ephemeral is gone half a timeout after its session's last contact."""
    history = History(model="session", meta={"late_ms": 50})
    history.add(Op("a", "open", None, None, 0, 1, Outcome.OK, {"session": 5, "timeout_ms": 100}))
    history.add(Op("a", "ephemeral", "/e", None, 2, 3, Outcome.OK, session=5))
    history.add(Op("b", "look", "/e", None, 50 * MS, 51 * MS, Outcome.OK, None))
    return history


def _late() -> History:
    """An ephemeral is there long after its client has gone, while others are answered."""
    history = _early()
    history.ops.pop()
    history.add(Op("a", "gone", None, None, 4, 4, Outcome.OK, session=5))
    for time_ms in (100, 200, 300):
        history.add(Op("c", "look", "/f", None, time_ms * MS, time_ms * MS, Outcome.OK, None))
    history.add(Op("b", "look", "/e", None, 400 * MS, 401 * MS, Outcome.OK, 5))
    return history


@pytest.mark.parametrize(
    ("fault", "early", "late"),
    [
        pytest.param(None, Verdict.INVALID, Verdict.INVALID, id="none"),
        pytest.param(Fault("kill", [], 5, 9), Verdict.INVALID, Verdict.INVALID, id="healed"),
        pytest.param(
            Fault("kill", [], 5, 300 * MS), Verdict.INVALID, Verdict.VALID, id="healed-late"
        ),
        pytest.param(Fault("kill", [], 5, NEVER), Verdict.INVALID, Verdict.VALID, id="never"),
        pytest.param(Fault("clock-drift", [], 5, 9), Verdict.VALID, Verdict.VALID, id="clock"),
    ],
)
def test_faults_excuse(fault: Fault | None, early: Verdict, late: Verdict) -> None:
    """Dead nodes may make ends late, never early; wrong clocks may do both."""
    for history, verdict in ((_early(), early), (_late(), late)):
        if fault is not None:
            history.faults.append(fault)
        assert sessions.check(history).verdict is verdict


@pytest.mark.parametrize(
    ("fault", "verdict"), [("pause", Verdict.INVALID), ("clock-jump", Verdict.VALID)]
)
def test_wrong_clocks_excuse_a_wrong_belief(fault: str, verdict: Verdict) -> None:
    """That of a holder whose session a server has ended too early."""
    history = History(model="lock")
    history.add(Op("a", "acquire", "l", None, 0, 1, Outcome.OK, 1))
    history.add(Op("b", "acquire", "l", None, 2, 3, Outcome.OK, 2))
    history.add(Op("a", "claim", "l", 1, 4, 5, Outcome.OK, True))
    history.faults.append(Fault(fault, [], 0, 1))
    assert fencing.check(history).verdict is verdict
