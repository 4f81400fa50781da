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
STANDS_FOR = {"$__rate_interval": "1m", "$job": "coord", "$instance": ".*"}
"""What Grafana puts in place of its variables."""


def panels() -> list[dict[str, Any]]:
    """Of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def queries() -> list[str]:
    """All that the dashboard asks Prometheus."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def promtool(path: Path) -> None:
    """Check a file of rules."""
    command = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.needs("promtool")
def test_prometheus_takes_the_alerts() -> None:
    """As they are shipped."""
    promtool(DEPLOY / "prometheus" / "alerts.yml")


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
    run = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", str(MANIFESTS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
