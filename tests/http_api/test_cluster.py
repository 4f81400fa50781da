"""The cluster as one node tells it, and who may change it."""

from __future__ import annotations

from typing import Any

import pytest

from coord.model import requests as rq
from coord.model.histogram import Histogram
from coord.node.traffic import LATENCY_BOUNDS_MS
from coord.server.http.api.cluster import _digests_agree, _leaders
from tests.http_api.conftest import ANN, ROOT, Api


async def test_the_cluster_of_one(api: Api) -> None:
    """Its only member leads, and a failure would stop it."""
    told = await api.get("/v1/cluster")
    (member,) = told["members"]
    assert (told["leader"], member["leader"], member["reachable"]) == (1, True, True)
    assert member["status"]["snapshots"] == []
    assert told["fault_tolerance"]["survives"] == 0
    assert told["leaders"][0]["reason"] == "start"
    assert told["digests_agree"] is None


async def test_a_dry_run_tells_and_changes_nothing(api: Api) -> None:
    """Anybody may ask."""
    body = {"action": "remove", "member": 1, "dry_run": True}
    told = await api.post("/v1/cluster/changes", body)
    assert (told["done"], told["fatal"]) == (False, True)
    assert told["before"]["voters"] == 1
    assert "no voter" in told["remarks"][-1]
    for wrong in ({"action": "add", "member": 1}, {"action": "promote", "member": 9},
                  {"action": "dance", "member": 1}):  # fmt: skip
        refused = await api.refused("POST", "/v1/cluster/changes", {**wrong, "dry_run": True})
        assert (refused.status, refused.json["code"]) == (409, "membership")


async def test_changes_are_the_super_user_s(api: Api) -> None:
    """And even that one does not stop the cluster by accident."""
    body = {"action": "remove", "member": 1}
    for who in ({}, ANN):
        assert (await api.refused("POST", "/v1/cluster/changes", body, headers=who)).status == 403
    refused = await api.refused("POST", "/v1/cluster/changes", body, headers=ROOT)
    assert (refused.status, refused.json["code"]) == (409, "membership")


async def test_samples_tell_what_grew(api: Api) -> None:
    """Since the look before."""
    samples = api.door.services.samples
    samples.take()
    await api.post("/v1/nodes/x", {})
    samples.take()
    told = await api.get("/v1/samples")
    assert told["samples"][-1]["requests"] >= 1
    assert told["samples"][-1]["writes"] == 1
    assert told["samples"][-1]["applied"] >= 1


async def test_latencies_are_those_of_reads_and_writes(api: Api) -> None:
    """Heartbeats wait for the leader's next round, questions about the cluster for its members:
    they say nothing of how long work takes."""
    samples, traffic = api.door.services.samples, api.single.node.gateway.traffic
    samples.take()
    for kind in (rq.Ping, rq.Admin):
        traffic.by_kind.setdefault(kind, Histogram(LATENCY_BOUNDS_MS)).observe(900)
    samples.take()
    told = samples.told()["samples"][-1]
    assert [told[name] for name in told if name.startswith("latency")] == [None] * 3
    for ms in (2, 4):
        traffic.by_kind.setdefault(rq.Get, Histogram(LATENCY_BOUNDS_MS)).observe(ms)
    samples.take()
    told = samples.told()["samples"][-1]
    assert (told["latency_ms"], told["latency_p50_ms"], told["latency_p99_ms"]) == (3, 2, 5)


def status(**more: Any) -> dict[str, Any]:
    """Of one member."""
    return {"digest_alarm": False, "digest": None, "leaders": [], **more}


@pytest.mark.parametrize(
    ("statuses", "agree"),
    [
        ([], None),
        ([status(digest={"revision": 5, "value": "a"})], None),
        ([status(digest={"revision": 5, "value": "a"})] * 2, True),
        ([status(digest={"revision": 5, "value": it}) for it in "ab"], False),
        ([status(digest={"revision": it, "value": "a"}) for it in (5, 6)], None),
        ([status(digest_alarm=True)], False),
    ],
)
def test_digests_are_compared_at_equal_revisions(
    statuses: list[dict[str, Any]], agree: bool | None
) -> None:
    """None where nothing can be said."""
    assert _digests_agree(statuses) is agree


def test_each_term_is_told_by_who_knows_most() -> None:
    """Newest first."""
    first = {"term": 1, "leader": 1, "since_ms": 10, "reason": "start"}
    seen = {"term": 2, "leader": 2, "since_ms": 20, "reason": "silent or handed over"}
    known = {"term": 2, "leader": 2, "since_ms": 21, "reason": "handed over"}
    assert _leaders([status(leaders=[first, seen]), status(leaders=[known])]) == [known, first]
