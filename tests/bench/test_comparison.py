"""What the bench makes of its trials: which count, what is a ratio, what the page is told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import charts, growth, report, results
from bench.cases import METRICS, NAMES, SYSTEMS, Metric
from bench.curves import CURVES
from bench.plan import QUICK, Scale, plan

SVG = "{http://www.w3.org/2000/svg}"


def record(
    system: str, value: float, *, case: str = "set-64x1", attempt: int = 0, stalled: bool = False
) -> dict[str, Any]:
    """A trial as the campaign records it."""
    stalls = [{"processor": 0, "at_s": 1.0, "late_ms": 70.0}] if stalled else []
    figures = {"ops_s": value, "p99_us": 1e6 / value, "write_gap_max_ms": value}
    return {
        "round": 0,
        "case": case,
        "system": system,
        "attempt": attempt,
        "figures": figures,
        "longest_stall_ms": 70.0 if stalled else 0.1,
        "stalls": stalls,
    }


def outcome(*records: dict[str, Any]) -> dict[str, Any]:
    """Results with these trials."""
    machine = dict.fromkeys(
        ("processor", "cores", "memory", "kernel", "file system", "commit", "date"), "some"
    )
    versions = {"python": "3", "zookeeper": "3.8", "etcd": ""}
    scale = {"rounds": 1, "seconds": 1, "warmup": 1}
    return report.everything(machine, versions, scale, list(records))


# --- which trials count -------------------------------------------------------------------------


def test_stalled_attempts_do_not_count_once_a_calm_one_is_there() -> None:
    """A trial that was repeated for a stall counts by its calm attempt alone."""
    trials = [record("coord", 1, stalled=True), record("coord", 2, attempt=1)]

    assert [one["figures"]["ops_s"] for one in results.counted(trials)] == [2]


def test_the_last_stalled_attempt_counts_if_none_was_calm() -> None:
    """A trial that met a stall every time is not lost."""
    trials = [
        record("coord", 1, stalled=True),
        record("coord", 2, attempt=1, stalled=True),
        record("coord", 3),
    ]

    assert sorted(one["figures"]["ops_s"] for one in results.counted(trials)) == [2, 3]


def test_failed_attempts_never_count() -> None:
    """An attempt with an error has no figures to count."""
    trials = [{**record("coord", 1), "figures": {}, "error": "gone"}, record("coord", 2, attempt=1)]

    assert [one["attempt"] for one in results.counted(trials)] == [1]


# --- ratios and floors --------------------------------------------------------------------------


def row_of(found: dict[str, Any], key: str) -> results.Row:
    """The row of one metric."""
    return next(row for row in results.rows(found) if row.metric.key == key)


@pytest.mark.parametrize(("ours", "is_met"), [(150, True), (149, False)])
def test_more_is_better_for_rates(ours: float, is_met: bool) -> None:
    """A rate meets its floor from the ratio of medians on, whatever single trials say."""
    theirs = [record("zookeeper", value) for value in (1, 100, 1_000)]
    row = row_of(outcome(record("coord", ours), *theirs), "set-64x1.ops_s")

    assert row.ratio == ours / 100
    assert row.is_met is is_met


@pytest.mark.parametrize(("ours", "is_met"), [(200, True), (199, False)])
def test_less_is_better_for_latencies(ours: float, is_met: bool) -> None:
    """A latency meets its floor up to the ratio: half the time at twice the rate."""
    row = row_of(outcome(record("coord", ours), record("zookeeper", 100)), "set-64x1.p99_us")

    assert row.is_met is is_met


@pytest.mark.parametrize(("ours", "is_met"), [(250, True), (251, False)])
def test_write_gaps_have_an_absolute_floor(ours: float, is_met: bool) -> None:
    """What a failover may last does not depend on ZooKeeper."""
    row = row_of(
        outcome(record("coord", ours, case="failover-kill")), "failover-kill.write_gap_max_ms"
    )

    assert row.ratio is None
    assert row.is_met is is_met


def test_nothing_is_claimed_without_zookeeper() -> None:
    """Without anything to compare with a floor is neither met nor missed."""
    row = row_of(outcome(record("coord", 100)), "set-64x1.ops_s")

    assert row.is_met is None
    assert report.verdict(row) == "–"


def test_floors_are_those_of_the_project() -> None:
    """Every line of the project's table is a metric with its floor."""
    floors = {metric.key: metric.floor for metric in METRICS if metric.floor}

    assert floors == {
        "set-64x1.ops_s": 1.5,
        "set-256x1.ops_s": 1.6,
        "set-16x16.ops_s": 2.2,
        "create-64x1.ops_s": 1.2,
        "get-64x1.ops_s": 2.0,
        "get-16x16.ops_s": 2.5,
        "mixed-64x1.ops_s": 1.6,
        "set-64x1.p99_us": 0.5,
        "set-1x1.p50_us": 1.15,
        "failover-kill.write_gap_max_ms": 250,
        "failover-stop.write_gap_max_ms": 1_000,
        "fanout.last_ms": 0.6,
        "sessions.kib_per_session": 0.5,
        "memory.anonymous_mib": 0.15,
        "sessions.opens_s": 1.0,
    }
    assert {metric.case for metric in METRICS} <= set(NAMES)


# --- the plan -----------------------------------------------------------------------------------


def test_systems_take_turns() -> None:
    """Rounds go A B C A B C, and one start of our nodes serves both wires."""
    blocks = plan(Scale(rounds=2), list(SYSTEMS), ["set-64x1"])

    assert [(block.round, block.kind.name) for block in blocks] == [
        (number, name) for number in (0, 1) for name in ("zookeeper", "etcd", "coord")
    ]
    assert [trial.system for trial in blocks[2].trials] == ["coord", "coord-native"]


def test_failovers_are_spread_over_the_rounds() -> None:
    """All failovers asked for happen, and every round has its share."""
    blocks = plan(Scale(rounds=3, kills=31), ["coord"], ["failover-kill"])

    assert [len(block.trials) for block in blocks] == [11, 10, 10]


@pytest.mark.parametrize(("scale", "limit_min"), [(Scale(), 40), (QUICK, 8)])
def test_a_whole_comparison_fits_its_time(scale: Scale, limit_min: float) -> None:
    """By the estimates of its parts, which leave a tenth for trials that are repeated."""
    blocks = plan(scale, list(SYSTEMS), list(NAMES))

    assert sum(block.estimate_s for block in blocks) * 1.1 < limit_min * 60


# --- the page -----------------------------------------------------------------------------------


def test_the_page_keeps_what_is_not_generated(tmp_path: Path) -> None:
    """Only what stands between the markers is replaced, however often."""
    page = tmp_path / "performance.md"
    page.write_text(
        "above\n<!-- begin: comparison -->\nold\n<!-- end: comparison -->\namid\n"
        "<!-- begin: detail -->\n<!-- end: detail -->\nbelow\n",
        encoding="utf-8",
    )
    found = outcome(record("coord", 300), record("zookeeper", 100))

    report.write_docs(found, page)
    once = page.read_text(encoding="utf-8")
    report.write_docs(found, page)

    assert page.read_text(encoding="utf-8") == once
    assert "old" not in once
    assert [once.count(word) for word in ("above", "amid", "below")] == [1, 1, 1]
    assert "| set, 64 × 1 | ops/s | 100 | 300 | 3.00× | at least 1.5× | meets |" in once


def test_stalls_are_listed() -> None:
    """A reader is told which trials the machine disturbed."""
    text = "\n".join(report.remarks(outcome(record("coord", 1, stalled=True), record("coord", 2))))

    assert "coord set-64x1, round 1 (70 ms, attempt 1)" in text


def test_results_of_another_format_are_refused(tmp_path: Path) -> None:
    """A file that some other version wrote is not misread."""
    path = tmp_path / "results.json"
    results.write(path, outcome(record("coord", 1)))
    assert results.read(path)["records"][0]["system"] == "coord"

    path.write_text(json.dumps({"format": 0}), encoding="utf-8")
    with pytest.raises(SystemExit, match="not a result"):
        results.read(path)


# --- charts -------------------------------------------------------------------------------------


def drawing(text: str) -> ET.Element:
    """The chart as elements: it must be well-formed."""
    return ET.fromstring(text)  # noqa: S314


def bars(text: str) -> list[tuple[str, float, float]]:
    """Class, start and width of every bar."""
    return [
        (str(one.get("class")), float(one.get("x", "nan")), float(one.get("width", "nan")))
        for one in drawing(text).iter(f"{SVG}rect")
    ]


def test_bars_point_right_where_we_are_better() -> None:
    """A rate above and a latency below ZooKeeper's both rise from 1× to the right."""
    text = charts.ratios(results.rows(outcome(record("coord", 400), record("zookeeper", 100))))
    (rate_kind, rate_x, rate_width), (late_kind, late_x, late_width) = bars(text)

    assert rate_kind == late_kind == "good"
    assert (rate_x, rate_width) == (late_x, late_width)
    assert "prefers-color-scheme: dark" in text


def test_bars_end_at_one_where_we_are_worse() -> None:
    """A bar to the left ends where a bar to the right begins."""
    worse = charts.ratios(results.rows(outcome(record("coord", 50), record("zookeeper", 100))))
    kind, start, width = bars(worse)[0]
    one_line = next(
        float(line.get("x1", "nan"))
        for line in drawing(worse).iter(f"{SVG}line")
        if line.get("class") == "one"
    )

    assert kind == "bad"
    assert math.isclose(start + width, one_line, abs_tol=0.2)


def test_a_chart_without_results_is_still_a_chart() -> None:
    """No ratio at all gives an empty scale."""
    assert bars(charts.ratios([])) == []


def test_growth_is_told_as_a_power() -> None:
    """Level cost is the power 0, cost in proportion the power 1."""
    points = [{"x": 10.0**n, "level": 7.0, "even": 3.0 * 10**n} for n in range(1, 5)]

    assert math.isclose(growth.exponent(points, "level"), 0, abs_tol=1e-9)
    assert math.isclose(growth.exponent(points, "even"), 1)
    assert growth.exponent(points[:1], "even") == 0


def test_every_curve_has_a_panel() -> None:
    """Each curve is drawn from the figures that it names, restarts beside the log's length."""
    curves = {
        curve.name: [
            {"x": float(x), **{figure: 5.0 + x for figure, _ in curve.drawn}}
            | ({"restart_s": 1.0} if curve.name == "log-length" else {})
            for x in curve.points
        ]
        for curve in CURVES
    }
    panels = growth.panels(curves)
    chart = drawing(charts.small_multiples(panels, "Growth"))

    assert [panel.title for panel in panels if panel.title != "Restart"] == [
        curve.title for curve in CURVES
    ]
    wanted = sum(len(panel.series) for panel in panels)
    assert len(list(chart.iter(f"{SVG}polyline"))) == wanted


def test_metrics_have_names_of_their_own() -> None:
    """Keys tell metrics apart."""
    keys = [metric.key for metric in METRICS]

    assert len(set(keys)) == len(keys)
    assert Metric("a", "b", "c", "d").key == "a.b"
