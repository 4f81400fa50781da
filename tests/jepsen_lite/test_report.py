"""The report: self-contained, safe against what histories hold, and right in its figures."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from jepsen_lite import cli, history_file, report
from jepsen_lite.history import NEVER, Fault, History, Op, Outcome
from jepsen_lite.report.facts import OPS_DRAWN_MAX, Facts, label
from jepsen_lite.report.page import page

S = 1_000_000_000


def _history() -> History:
    """Ten seconds: a success each 100 ms, none from 4 s to 6.5 s, where the leader is dead."""
    history = History("register", "register", {"command": "jepsen-lite run --seed 4"})
    history.add(Op(1, "write", "x", 0, 0, 10, Outcome.OK))
    for tick in range(1, 100):
        at = tick * S // 10
        if 4 * S < at < 6.5 * S:
            history.add(Op(2, "write", "x", tick, at, NEVER, error="timed out"))
        else:
            history.add(Op(1, "write", "x", tick, at, at + 5_000_000, Outcome.OK))
    history.faults.append(Fault("kill:leader", ["n2"], 4 * S, 6 * S, "no process is left"))
    history.faults.append(Fault("pause", ["n1"], 8 * S, 9 * S, "stopped"))
    return history


def _result(*findings: dict[str, Any], verdict: str = "valid") -> dict[str, Any]:
    judgement = {
        "checker": "zones",
        "verdict": verdict,
        "found": len(findings),
        "findings": list(findings),
        "reasons": [],
        "figures": {},
    }
    return {"verdict": verdict, "judgements": [judgement], "figures": {"recovered_s": 0.5}}


class _Outline(HTMLParser):
    """Collects what a browser would fetch, and checks that tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {"src", "srcset", "data", "action"} | ({"href"} if tag == "link" else set())
        self.fetched += [value or "" for name, value in attrs if name in wanted]
        if tag not in {"meta", "br", "line", "rect"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def _data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_page_needs_nothing_else() -> None:
    """Nothing is fetched, and the page's own policy forbids it."""
    text = page(_history(), _result())
    outline = _Outline()
    outline.feed(text)

    assert not outline.fetched
    assert not outline.open
    assert "default-src 'none'" in text
    assert not re.search(r"(?:url\(|@import|https?://)", text)


def test_page_tells_the_story() -> None:
    """Verdict in words, command to run it again, faults with their longest gap."""
    text = page(_history(), _result())

    assert "kept its promises" in text
    assert "jepsen-lite run --seed 4" in text
    assert "kill:leader" in text
    assert "no process is left" in text


def test_values_cannot_become_markup() -> None:
    """Whatever a history holds is shown as text."""
    history = _history()
    evil = "</script><script>alert(1)</script><img src=x>"
    history.ops[5].value = history.ops[6].error = history.ops[7].f = evil
    history.faults[0].name = history.meta["command"] = history.workload = evil
    finding = {"rule": evil, "sentence": evil, "ops": [5]}

    text = page(history, _result(finding, verdict="invalid"))

    assert "<script>alert" not in text
    assert "<img" not in text
    assert any(evil in op[5] for op in _data(text)["ops"])


def test_gaps_belong_to_faults() -> None:
    """A fault's gap is the longest time without a success that it overlaps."""
    facts = Facts(_history())

    killed, paused = facts.spans
    assert 2.4 < killed.gap_s < 2.6
    assert paused.gap_s == pytest.approx(0.1, abs=0.01)
    assert facts.longest_gap_s == killed.gap_s


def test_rates_add_up() -> None:
    """What the buckets hold is what ended."""
    history = _history()
    facts = Facts(history)
    width_s = facts.length_s / len(facts.buckets)

    shown = sum(bucket.rates["ok"] * width_s for bucket in facts.buckets)
    assert shown == pytest.approx(sum(op.is_ok for op in history.ops))
    assert {bucket.p50_ms for bucket in facts.buckets if bucket.p50_ms} >= {5.0}


def test_offending_operations_are_always_drawn() -> None:
    """A history too large to draw is sampled around what is wrong."""
    history = History(model="register")
    for at in range(3 * OPS_DRAWN_MAX):
        history.add(Op(at % 9, "read", "x", None, at * 100, at * 100 + 50, Outcome.OK, 1))

    data = Facts(history).drawn({777, 31_234})

    drawn = {op[4] for op in data["ops"]}
    assert {776, 777, 778, 31_234} <= drawn
    assert len(drawn) <= OPS_DRAWN_MAX
    assert data["total"] == 3 * OPS_DRAWN_MAX


def test_empty_history_has_a_report() -> None:
    """A run that came to nothing can still be looked at."""
    assert "Unknown" in page(History(), _result(verdict="unknown"))


def test_long_values_are_cut() -> None:
    """Labels stay short."""
    assert len(label(Op(0, "write", "x", "a" * 10_000, 0))) <= 160


def test_report_of_a_run_and_of_a_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command takes a run's directory, or a history alone, which it judges itself."""
    history_file.write(tmp_path / "history.jsonl", _history())
    (tmp_path / "result.json").write_text(json.dumps(_result()))

    assert cli.main(["report", str(tmp_path)]) == 0
    assert "Valid" in (tmp_path / "report.html").read_text()
    assert report.write(tmp_path) == tmp_path / "report.html"

    target = tmp_path / "other.html"
    assert cli.main(["report", str(tmp_path / "history.jsonl"), "--to", str(target)]) == 0
    assert "no read was stale" in target.read_text()
    assert str(target) in capsys.readouterr().out


def test_report_of_nothing_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory without a run is refused in one sentence."""
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "history.jsonl" in capsys.readouterr().err


def test_what_was_run_stands_above_and_may_be_anything() -> None:
    """The settings of a run; of a history from elsewhere its name alone."""
    history = _history()
    others: list[Any] = [None, [], {}, {"faults": 7}]
    for settings in others:
        history.meta["settings"] = settings
        assert "<p class=what>register</p>" in page(history, _result())
    history.meta["settings"] = {
        "faults": ["kill:leader", "<b>"], "nodes": 3, "cluster": "local", "time_s": 9.0, "seed": 4
    }  # fmt: skip
    shown = "register × kill:leader + &lt;b&gt; on 3 nodes of local, 9.0 s, seed 4"
    assert f"<p class=what>{shown}</p>" in page(history, _result())


def test_errors_that_differ_in_numbers_are_one_and_notes_take_no_time() -> None:
    """A table of a hundred paths tells less than one line; so does a median of zeros."""
    history = History("w", "register")
    for number in range(20):
        history.add(Op(1, "read", "x", None, number, NEVER, error=f"NoNode: /a/{number}"))
    history.add(Op(1, "event", "x", None, 5, 5, Outcome.OK))
    history.add(Op(1, "read", "x", None, 0, 3_000_000, Outcome.OK))
    facts = Facts(history)
    assert facts.errors() == [("NoNode: /a/…", 20)]
    assert {bucket.p50_ms for bucket in facts.buckets} == {None, 3.0}
