"""What Prometheus reads: well formed, documented, and true."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from coord.model import requests as rq
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


def test_what_is_documented_is_told() -> None:
    """Also those that have no sample yet; writes of the log are timed where a thread does them."""
    rows = re.findall(r"^\| (`coord_.*?) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for row in rows
        for name in re.findall(r"`(coord_\w+)`", row)
    }
    text = make_exposition(Single().node)().decode()
    told = set(re.findall(r"^# HELP (coord_\w+) ", text, re.MULTILINE))
    assert documented == told | {"coord_log_write_seconds"}


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


def test_operations_are_counted_by_kind_and_timed() -> None:
    """Each request once, whatever becomes of it; a sample of them is timed."""
    single = Single()
    client = single.client()
    for path in ("/a", "/a", "/b"):
        single.pass_ms(100)  # One request a tick is timed.
        client.call(create(path))
    told = samples(single)
    assert told["coord_operations_total", "create"] == 3
    assert told["coord_operation_seconds_count", "create"] == 3
    assert told["coord_operation_seconds_bucket", "+Inf", "create"] == 3
    assert told["coord_proposed_entries_total",] >= 3


def test_a_slow_answer_is_counted() -> None:
    """The disk stood still meanwhile."""
    single = Single()
    client = single.client()
    single.pass_ms(100)
    single.hands.disk_works = False
    client.send(create("/slow"))
    single.pass_ms(900)
    single.hands.disk_works = True
    single.pass_ms(100)
    told = samples(single)
    assert told["coord_slow_operations_total", "create"] == 1
    assert told["coord_operation_seconds_bucket", "0.5", "create"] == 0
    assert told["coord_operation_seconds_bucket", "1.0", "create"] == 1


def test_elections_and_sessions_are_counted() -> None:
    """With their reasons."""
    single = Single()
    client = single.client()
    client.call(rq.Close())
    told = samples(single)
    assert told["coord_elections_total", "start"] == 1
    assert told["coord_session_changes_total", "opened"] == 1
    assert told["coord_session_changes_total", "closed"] == 1
    assert told["coord_session_changes_total", "expired"] == 0


def test_readiness_is_a_metric_too() -> None:
    """One line for each condition."""
    single = Single()
    assert samples(single)["coord_ready", "digest"] == 1
    single.node.digest_alarm = True
    told = samples(single)
    assert (told["coord_ready", "digest"], told["coord_digest_alarm",]) == (0, 1)


async def test_the_port_serves_it(house: House) -> None:
    """In the format that Prometheus asks for."""
    text = ""
    for _ in range(2):
        async with house.client.get(house.url("/metrics")) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            text = await answer.text()
    assert "coord_is_leader 1.0" in text
    assert 'coord_http_answers_total{method="GET",status="200"} 1.0' in text
