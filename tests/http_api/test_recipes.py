"""Locks, elections and services over HTTP: in the layout of the client's recipes."""

from __future__ import annotations

import asyncio

import pytest

from coord.server.http.api import line
from tests.http_api.conftest import Api

LOCK = "/v1/locks/locks/report"


async def test_a_lock_is_granted_in_the_order_of_asking(api: Api) -> None:
    """One after the other; asking again keeps the place."""
    first, second = await api.lease(), await api.lease()
    held = await api.post(LOCK, {"value": "one"}, headers=first)
    assert (held["granted"], held["guard"]) == (True, "/locks/report/holder")
    assert await api.post(LOCK, {}, headers=first) == held

    waiting = await api.ask("POST", LOCK, {"value": "two"}, headers=second)
    assert (waiting.status, waiting.json["granted"], waiting.json["before"]) == (202, False, 1)
    again = await api.post(LOCK, {"wait_ms": 50}, headers=second)
    assert again["place"] == waiting.json["place"]

    told = await api.get(LOCK)
    assert (told["holder"]["value"], told["holder"]["token"]) == ("one", held["token"])
    assert [(it["value"], it["name"]) for it in told["waiters"]] == [("two", again["place"])]
    assert told["waiting"] == 1

    released = await api.ask("DELETE", LOCK, headers=first)
    assert released.json == {"released": True, "path": "/locks/report"}
    later = await api.post(LOCK, {"wait_ms": 10_000}, headers=second)
    assert later["token"] > held["token"]
    assert (await api.ask("DELETE", LOCK, headers=first)).json["released"] is False


async def test_a_waiting_request_is_answered_when_its_turn_comes(api: Api) -> None:
    """The holder's session ends: what it held goes to the next."""
    first, second = await api.lease(), await api.lease()
    await api.post(LOCK, {}, headers=first)
    waiting = asyncio.create_task(api.post(LOCK, {"wait_ms": 60_000}, headers=second))
    while not (await api.get(LOCK))["waiting"]:
        await asyncio.sleep(0.01)
    session = first["Coord-Session"].partition(".")[0]
    await api.ask("DELETE", f"/v1/sessions/{session}", headers=first)
    assert (await waiting)["granted"] is True


async def test_waiting_keeps_the_session_alive_and_nothing_longer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hangs up while it waits is gone when its session is."""
    monkeypatch.setattr(line, "LOOK_AGAIN_S", 0.02)
    first, second = await api.lease(60_000), await api.lease(1_000)
    session = second["Coord-Session"].partition(".")[0]
    await api.post(LOCK, {}, headers=first)
    waiting = asyncio.create_task(api.post(LOCK, {"wait_ms": 60_000}, headers=second))
    began_ms = api.single.hands.now_ms
    while api.single.hands.now_ms < began_ms + 10_000:
        await asyncio.sleep(0.02)
    assert (await api.get(f"/v1/sessions/{session}"))["state"] == "open"

    waiting.cancel()
    while (await api.get(f"/v1/sessions/{session}"))["state"] == "open":
        await asyncio.sleep(0.02)
    assert (await api.get(LOCK))["waiting"] == 0


async def test_writes_are_fenced_by_the_token(api: Api) -> None:
    """What was written under an older grant is refused, in every form."""
    await api.post("/v1/nodes/report", {"value": "0"})
    own = await api.lease()
    held = await api.post(LOCK, {}, headers=own)
    fence = f"guard={held['guard']}&token={held['token']}"
    put = await api.ask("PUT", f"/v1/nodes/report?{fence}", {"value": "1"})
    assert (put.status, put.json["stat"]["version"]) == (200, 1)
    assert (await api.post("/v1/fencing/check", {k: held[k] for k in ("guard", "token")}))["holds"]
    late = await api.refused("PUT", f"/v1/nodes/report?version=0&{fence}", {"value": "2"})
    assert late.json["code"] == "bad-version"

    await api.ask("DELETE", LOCK, headers=own)
    check = await api.post("/v1/fencing/check", {k: held[k] for k in ("guard", "token")})
    assert check["holds"] is False
    for method, path, body in (
        ("PUT", "report?", {"value": "2"}),
        ("POST", "report/below?", {}),
        ("DELETE", "report?", None),
        ("DELETE", "report?recursive=true&", None),
    ):
        refused = await api.refused(method, f"/v1/nodes/{path}{fence}", body)
        assert refused.status == 412, refused
    assert (await api.get("/v1/nodes/report"))["value"] == "1"


async def test_a_place_that_was_deleted_is_taken_anew(api: Api) -> None:
    """At the end of the line; nobody is granted twice."""
    first, second = await api.lease(), await api.lease()
    await api.post(LOCK, {}, headers=first)
    waiting = await api.post(LOCK, {}, headers=second)
    await api.ask("DELETE", f"/v1/nodes/locks/report/{waiting['place']}")
    again = await api.post(LOCK, {}, headers=second)
    assert again["granted"] is False
    assert again["place"] != waiting["place"]


async def test_a_place_that_holds_something_else_is_refused(api: Api) -> None:
    """Other libraries' contenders and ours would both be granted."""
    own = await api.lease()
    await api.post("/v1/nodes/other", {"value": "data"})
    refused = await api.refused("POST", "/v1/locks/other", {}, headers=own)
    assert (refused.status, refused.json["code"]) == (409, "foreign-path")
    await api.post(LOCK, {}, headers=own)
    await api.ask("DELETE", LOCK, headers=own)
    await api.post(f"/v1/nodes/locks/report/{'0' * 32}__lock__0000000000", {})
    refused = await api.refused("POST", LOCK, {}, headers=own)
    assert "kazoo" in refused.json["detail"]
    assert (await api.refused("POST", LOCK, {})).status == 400


async def test_elections_are_locks_with_names(api: Api) -> None:
    """The leader's name is what it gave."""
    own = await api.lease()
    won = await api.post("/v1/elections/app/leader", {"value": "node-1"}, headers=own)
    assert won["granted"] is True
    told = await api.get("/v1/elections/app/leader")
    assert told["holder"]["value"] == "node-1"
    assert (await api.refused("GET", "/v1/locks/app/leader")).status == 404
    listed = await api.get("/v1/elections")
    assert [it["path"] for it in listed["elections"]] == ["/app/leader"]
    assert (await api.get("/v1/locks"))["locks"] == []


async def test_members_come_and_go(api: Api) -> None:
    """With their sessions, or by leaving."""
    one, two = await api.lease(), await api.lease()
    for name, who in (("w1", one), ("w2", two)):
        await api.post(
            "/v1/services/app/workers", {"name": name, "value": f"{name}:80"}, headers=who
        )
    told = await api.get("/v1/services/app/workers")
    assert [(it["name"], it["value"]) for it in told["members"]] == [
        ("w1", "w1:80"),
        ("w2", "w2:80"),
    ]
    listed = await api.get("/v1/services?under=/app")
    assert listed["services"][0]["count"] == 2
    taken = await api.refused("POST", "/v1/services/app/workers", {"name": "w1"}, headers=two)
    assert taken.json["code"] == "node-exists"
    assert (
        await api.refused("DELETE", "/v1/services/app/workers?name=w1", headers=two)
    ).status == 403
    left = await api.ask("DELETE", "/v1/services/app/workers?name=w1", headers=one)
    assert left.status == 200
    assert (await api.get("/v1/services/app/workers"))["count"] == 1
    bad = await api.refused("POST", "/v1/services/app/workers", {"name": "a/b"}, headers=two)
    assert bad.status == 400
