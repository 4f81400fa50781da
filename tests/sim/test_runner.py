"""The runner itself: names of findings, files of plans, shrinking, sums, comparing traces."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sim import campaign, keeping
from tests.sim.determinism import differing
from tests.sim.drawing import draw
from tests.sim.lines import Measured, share_of
from tests.sim.naming import names_in, signature
from tests.sim.plan import Fault, Plan, to_dict
from tests.sim.run import Result
from tests.sim.shrink import Shrinker
from tests.sim.tally import Tally
from tests.sim.workers import Endless, limited

KILLS = tuple(
    Fault(at_ms, "kill", "leader", "election", 500, at_ms) for at_ms in range(0, 3_000, 100)
)


def _fails_if(condition: Callable[[Plan], bool], name: str = "commit-monotonic") -> Shrinker:
    def run(plan: Plan) -> Result:
        problems = [f"InvariantViolation: {name}: 2 → 1"] if condition(plan) else []
        return Result(plan, problems)

    return Shrinker(run)


def test_findings_have_stable_names() -> None:
    """Invariants, rules of checkers and progress: without numbers and nodes."""
    problems = [
        "InvariantViolation: one-vote-per-term: n1 voted for 2 and 3 in term 7",
        "witness/real-time: c1 …",
        "Stuck: no cluster to converge within 24 s",
    ]

    assert names_in(problems) == ("one-vote-per-term", "witness/real-time", "progress")
    assert signature(problems) == "one-vote-per-term"


def test_an_exception_is_known_by_its_place() -> None:
    """It counts as no named finding, and two of the same place are one."""
    problems = ["KeyError: 17", "at node.py:12", "at driver.py:40"]

    assert names_in(problems) == ()
    assert signature(problems) == "KeyError at driver.py:40"


def test_shrinking_keeps_only_what_matters() -> None:
    """Two of thirty faults cause the failure: they remain, and all else is plain."""
    plan = replace(draw(5), faults=KILLS, clients=6)
    wanted = {700, 2_100}
    shrinker = _fails_if(lambda it: wanted <= {fault.at_ms for fault in it.faults})

    smallest = shrinker.shrink(plan)

    assert {fault.at_ms for fault in smallest.faults} == wanted
    assert all(not fault.phase for fault in smallest.faults)
    assert (smallest.clients, smallest.knobs) == (1, Plan(0).knobs)
    assert shrinker.runs < 200


def test_shrinking_keeps_the_knob_that_matters() -> None:
    """Parts of a group of fields are made plain one by one."""
    plan = draw(5)
    plan.knobs.max_inflight, plan.knobs.promotion_lag = 1, 20

    smallest = _fails_if(lambda it: it.knobs.max_inflight == 1).shrink(plan)

    assert smallest.knobs == replace(Plan(0).knobs, max_inflight=1)


def test_shrinking_does_not_slip_to_another_failure() -> None:
    """A smaller plan that fails of something else is not the same finding."""

    def run(plan: Plan) -> Result:
        name = "log-matching" if len(plan.faults) > 20 else "term-monotonic"
        return Result(plan, [f"InvariantViolation: {name}: …"])

    smallest = Shrinker(run).shrink(replace(Plan(1), faults=KILLS))

    assert len(smallest.faults) == 21


def test_what_holds_is_not_shrunk() -> None:
    """There is nothing to look for."""
    with pytest.raises(ValueError, match="does not fail"):
        _fails_if(lambda _plan: False).shrink(Plan(1))


def test_shrinking_ends_with_its_budget() -> None:
    """The best so far is the answer."""
    shrinker = Shrinker(lambda plan: Result(plan, ["Stuck: …"]), runs_max=5)

    assert shrinker.shrink(draw(5)) != draw(5)
    assert shrinker.runs == 5


def test_a_kept_plan_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of a failure has the form of a regression file."""
    monkeypatch.setattr(keeping, "FAILED", tmp_path / "failed")
    plan = replace(draw(7), faults=KILLS)

    path = keeping.keep(plan, "what was found")

    assert keeping.load(path) == [plan]
    assert json.loads(path.read_text())["found"] == "what was found"


def test_a_plan_alone_is_a_file_of_plans(tmp_path: Path) -> None:
    """As Hypothesis prints it."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(to_dict(draw(3))))

    assert keeping.load(path) == [draw(3)]


@pytest.mark.parametrize("text", ["[]", "1", '{"plans": [{"no-such-field": 1}]}', "{"])
def test_a_bad_file_is_refused(tmp_path: Path, text: str) -> None:
    """With a ValueError, which the command shows."""
    path = tmp_path / "plan.json"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"."):
        keeping.load(path)


def test_a_failure_of_a_drawn_plan_needs_its_seed_only() -> None:
    """One command reproduces it."""
    report = keeping.report(Result(draw(9), ["Stuck: …"]))

    assert report.endswith("python -m tests.sim --seed 9 --trace")


def test_a_failure_of_another_plan_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is written first."""
    monkeypatch.setattr(keeping, "FAILED", tmp_path)

    report = keeping.report(Result(replace(draw(9), clients=99), ["Stuck: …"]))

    (path,) = tmp_path.iterdir()
    assert report.endswith(f"python -m tests.sim --plan {path} --trace")


def test_sums() -> None:
    """Runs are counted by what struck them and what they came by, not events."""
    tally = Tally()
    tally.add(Result(draw(1), simulated_s=30, cpu_s=0.5, acknowledged=150, faults={"kill": 3}))
    tally.add(
        Result(draw(2), ["Stuck: …"], cpu_s=0.5, acknowledged=90, reached=Counter({"repeated": 7}))
    )

    summed = tally.as_dict()

    assert (summed["runs"], summed["failed"]) == (2, [2])
    assert (summed["acknowledged"], summed["fewest_acknowledged"]) == (240, 90)
    assert (summed["faults"], summed["situations"]["repeated"]) == ({"kill": 1}, 1)
    assert tally.pace == 30


def test_another_trace_is_noticed() -> None:
    """Also one that is missing."""
    assert differing({1: "a", 2: "b"}, {1: "a", 2: "c", 3: "d"}) == [2, 3]


def _turn_in_circles() -> None:
    while True:
        pass


def test_a_run_without_end_is_ended() -> None:
    """By its worker."""
    with pytest.raises(Endless), limited(1):
        _turn_in_circles()


def test_a_run_that_gets_no_cpu_has_not_ended() -> None:
    """A busy machine is no finding: what counts is its own time, not the wall's."""
    wall = signal.getitimer(signal.ITIMER_REAL)[1], signal.getsignal(signal.SIGALRM)
    with limited(1):
        assert signal.getitimer(signal.ITIMER_PROF)[0] > 0
        assert (signal.getitimer(signal.ITIMER_REAL)[1], signal.getsignal(signal.SIGALRM)) == wall
    assert signal.getitimer(signal.ITIMER_PROF)[0] == 0


def test_a_campaign_goes_on_behind_its_ledger(tmp_path: Path) -> None:
    """Whatever order its blocks have."""
    path = tmp_path / "ledger.jsonl"
    blocks = [
        {**Tally().as_dict(), "commit": "a" * 40, "first": at, "last": at + 9} for at in (20, 5)
    ]
    path.write_text("".join(f"{json.dumps(block)}\n" for block in blocks))

    assert campaign.read(path) == blocks
    assert campaign.next_seed(blocks) == 30
    assert campaign.next_seed(campaign.read(tmp_path / "none")) == campaign.FIRST_SEED


def test_a_ledger_adds_up_by_commit() -> None:
    """Failures keep the commit on which they were found."""
    tally = Tally()
    tally.add(Result(draw(1), simulated_s=3_600, acknowledged=150))
    tally.add(Result(draw(2), ["Stuck: …"], simulated_s=3_600, acknowledged=50))
    blocks = [{**tally.as_dict(), "commit": name * 40, "first": 1, "last": 2} for name in "aab"]

    summed = campaign.summary(blocks)

    assert (summed["schedules"], summed["cluster_hours"], summed["acknowledged"]) == (6, 6.0, 600)
    assert summed["failed"] == {"a" * 12: [2, 2], "b" * 12: [2]}
    assert summed["commits"]["b" * 12]["schedules"] == 2


def test_share_of_lines() -> None:
    """Over all files together."""
    assert share_of([Measured("a", 30, [1, 2]), Measured("b", 10, [])]) == 95
