"""What Prometheus reads: well formed, documented, and true."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from coord.server.http.metrics import METRICS, make_exposition
from tests.node.single import Single, create
from tests.server.http.conftest import House

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "metrics.md"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"


def samples(single: Single) -> dict[tuple[str, ...], float]:
    """(name, label values…) → value."""
    text = make_exposition(single.node)().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_metric_is_told_and_documented() -> None:
    """The list, the exposition and the page name the same metrics."""
    told = {name for name, *_ in samples(Single())}
    page = DOCS.read_text(encoding="utf-8")

    assert {metric.name for metric in METRICS} <= told
    for name in told | {"coord_peer_reachable", "coord_peer_lag_entries"}:
        assert f"`{name}`" in page, name


def test_alerts_ask_for_metrics_that_exist() -> None:
    """A rule about a metric that nobody tells never fires."""
    page = DOCS.read_text(encoding="utf-8")
    asked = set(re.findall(r"coord_[a-z_]+", ALERTS.read_text(encoding="utf-8")))

    assert asked
    assert not {name for name in asked if f"`{name}`" not in page}


def test_counters_grow_with_what_they_count() -> None:
    """Requests that clients send, entries that are applied."""
    single = Single()
    before = samples(single)
    client = single.client()
    client.call(create("/counted"))
    after = samples(single)

    assert after["coord_requests_total",] > before["coord_requests_total",]
    assert after["coord_applied_entries_total",] > before["coord_applied_entries_total",]
    assert after["coord_sessions",] == before["coord_sessions",] + 1


def test_readiness_is_a_metric_too() -> None:
    """One line for each condition."""
    single = Single()
    assert samples(single)["coord_ready", "digest"] == 1
    single.node.digest_alarm = True
    told = samples(single)
    assert (told["coord_ready", "digest"], told["coord_digest_alarm",]) == (0, 1)


async def test_the_port_serves_it(house: House) -> None:
    """In the format that Prometheus asks for."""
    async with house.client.get(house.url("/metrics")) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "coord_is_leader 1.0" in await answer.text()
