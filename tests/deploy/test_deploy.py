"""What deploy/ ships is accepted by the programs that it is for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "coord.json"
MANIFESTS = DEPLOY / "kubernetes" / "coord.yaml"
UNIT = DEPLOY / "systemd" / "coord.service"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
STANDS_FOR = {"$__rate_interval": "1m", "$job": "coord", "$instance": ".*"}
"""What Grafana puts in place of its variables."""


BAD = {
    "CoordNodeDown": 'up{job="coord"} 0+0',
    "CoordNoLeader": 'coord_has_leader{job="coord"} 0+0',
    "CoordNotReady": 'coord_ready{job="coord", check="disk"} 0+0',
    "CoordReplicasDiffer": 'coord_digest_alarm{job="coord"} 1+0',
    "CoordWritesRefused": 'coord_writes_allowed{job="coord"} 0+0',
    "CoordFollowerBehind": 'coord_peer_lag_entries{job="coord", peer="2"} 20000+0',
    "CoordElections": 'coord_term{job="coord"} 1+1',
    "CoordStalls": 'coord_stalls_total{job="coord"} 0+1',
}
"""For each alert what it is about: a series, its first value and how it grows."""
GOOD = (
    'up{job="coord"} 1+0',
    'coord_has_leader{job="coord"} 1+0',
    'coord_ready{job="coord", check="disk"} 1+0',
    'coord_digest_alarm{job="coord"} 0+0',
    'coord_writes_allowed{job="coord"} 1+0',
    'coord_peer_lag_entries{job="coord", peer="2"} 100+0',
    'coord_term{job="coord"} 3+0',
    'coord_stalls_total{job="coord"} 1+0',
)
"""The same of a cluster that is well."""


def panels() -> list[dict[str, Any]]:
    """Of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def queries() -> list[str]:
    """All that the dashboard asks Prometheus."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def accepted(*command: str) -> str:
    """What a program printed that found no fault."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def promtool(path: Path) -> None:
    """Check a file of rules."""
    accepted("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path))


@pytest.mark.needs("promtool")
def test_prometheus_takes_the_alerts() -> None:
    """As they are shipped."""
    promtool(ALERTS)


@pytest.mark.needs("promtool")
def test_each_alert_sounds_for_its_cause_and_for_no_other(tmp_path: Path) -> None:
    """After twenty minutes of it; none sounds for a cluster that is well."""
    assert re.findall(r"- alert: (\w+)", ALERTS.read_text(encoding="utf-8")) == list(BAD)
    causes = [([series], name) for name, series in BAD.items()]
    tests = [_alert_test(series, name) for series, name in [*causes, (list(GOOD), None)]]
    file = tmp_path / "alerts_test.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": tests}))
    accepted("promtool", "test", "rules", str(file))


def _alert_test(series: list[str], alert: str | None) -> dict[str, Any]:
    split = [each.rsplit(" ", 1) for each in series]
    sounds = [] if alert is None else [{"labels": f'{{alertname="{alert}"}}', "value": 1}]
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": f"{values}x100"} for name, values in split],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "20m",
                "exp_samples": sounds,
            }
        ],
    }


@pytest.mark.needs("promtool")
def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    """Each as a rule that would record it."""
    rules = []
    for number, query in enumerate(queries()):
        for variable, value in STANDS_FOR.items():
            query = query.replace(variable, value)  # noqa: PLW2901 - the same query, step by step
        rules.append({"record": f"coord:dashboard:{number}", "expr": query})
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool(file)


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    """A panel about a metric that nobody tells stays empty."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    asked = {name for query in queries() for name in re.findall(r"coord_[a-z_]+", query)}
    assert len(asked) > 20
    assert not {name for name in asked if f"`{name}`" not in page}


def test_panels_do_not_cover_each_other() -> None:
    """And fit the grid of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.needs("kubernetes_validate")
def test_kubernetes_takes_the_manifests() -> None:
    """By the schemas of its API, without members that it does not know."""
    accepted(sys.executable, "-m", "kubernetes_validate", "--strict", str(MANIFESTS))


@pytest.mark.needs("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Every directive is one it knows; the program is another one, which is there."""
    text = UNIT.read_text(encoding="utf-8")
    assert "ExecStart=/opt/coord/bin/coord serve " in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/opt/coord/bin/coord", "/bin/true"))
    assert not accepted("systemd-analyze", "verify", "--man=no", str(unit))


@pytest.mark.needs("systemd-analyze")
def test_the_unit_exposes_as_little_as_the_docs_say() -> None:
    """From 0, nothing, to 10."""
    told = accepted("systemd-analyze", "security", "--offline=yes", str(UNIT))
    exposure = re.search(r"exposure level for coord.service: ([0-9.]+)", told)
    assert exposure is not None
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert f"rates its exposure {exposure[1]}." in page
