"""Sessions by lease, and what is told of sessions."""

from __future__ import annotations

import asyncio

from coord.node.leaders import SILENCE, Leadership
from tests.http_api.conftest import ANN, BOB, Api


async def test_a_lease_owns_what_it_makes_until_it_ends(api: Api) -> None:
    """Ephemerals need one, and go with it."""
    assert (await api.refused("POST", "/v1/nodes/e", {"mode": "ephemeral"})).status == 403
    own = await api.lease()
    made = await api.post("/v1/nodes/e", {"mode": "ephemeral"}, headers=own)
    session = made["stat"]["owner_session"]
    assert own["Coord-Session"].startswith(f"{session}.")

    told = await api.get(f"/v1/sessions/{session}")
    assert (told["state"], told["ephemerals"], told["here"]) == ("open", ["/e"], True)
    kept = await api.post(f"/v1/sessions/{session}/keep-alive", {}, headers=own)
    assert (kept["timeout_ms"], kept["last_sequence"]) == (10_000, 1)

    gone = await api.ask("DELETE", f"/v1/sessions/{session}", headers=own)
    assert (gone.status, gone.json["state"]) == (200, "ended")
    assert (await api.refused("GET", "/v1/nodes/e")).status == 404
    told = await api.get(f"/v1/sessions/{session}")
    assert (told["state"], told["reason"]["kind"], told["ephemerals"]) == (
        "ended",
        "closed",
        ["/e"],
    )
    late = await api.refused("POST", f"/v1/sessions/{session}/keep-alive", {}, headers=own)
    assert (late.status, late.json["code"]) == (410, "session-expired")


async def test_a_lease_that_nobody_keeps_expires(api: Api) -> None:
    """The leader decides, by the same rules as for any session."""
    own = await api.lease(1_000)
    await api.post("/v1/nodes/e", {"mode": "ephemeral"}, headers=own)
    while (await api.ask("GET", "/v1/nodes/e?level=stale")).status == 200:
        await asyncio.sleep(0.02)
    (ended,) = (await api.get("/v1/sessions/ended"))["sessions"]
    assert ended["reason"] == "expired"
    told = await api.get(f"/v1/sessions/{ended['session']}")
    assert told["reason"]["last_heard_ms"] >= 1_000
    assert told["reason"]["leader"] == 1


async def test_a_session_is_found_by_either_form_of_its_id(api: Api) -> None:
    """The number of the answers, or what the command line and the page write."""
    own = await api.lease()
    number = int(own["Coord-Session"].partition(".")[0])
    told = await api.get(f"/v1/sessions/{number}")
    assert await api.get(f"/v1/sessions/{number:#x}") == told
    for wrong, status in (("0x", 404), ("0xg", 404), ("2a", 404), ("0x" + "f" * 20, 400)):
        assert (await api.refused("GET", f"/v1/sessions/{wrong}")).status == status
    unknown = await api.refused("GET", "/v1/sessions/0xfffff")
    assert "session 0xfffff is not known" in unknown.json["detail"]
    kept = await api.post(f"/v1/sessions/{number:#x}/keep-alive", {}, headers=own)
    assert kept["session"] == number
    gone = await api.ask("DELETE", f"/v1/sessions/{number:#x}", headers=own)
    assert gone.json["state"] == "ended"


async def test_changes_of_the_leader_are_part_of_a_session_s_story(api: Api) -> None:
    """Those of its life: each began its timeout anew."""
    own = await api.lease()
    session = own["Coord-Session"].partition(".")[0]
    opened = await api.get(f"/v1/sessions/{session}")
    assert opened["leaders"] == []
    book = api.single.node.leaders
    book.kept.append(Leadership(7, 2, opened["opened_ms"] + 1, SILENCE))
    later = {"term": 7, "leader": 2, "since_ms": opened["opened_ms"] + 1, "reason": SILENCE}
    assert (await api.get(f"/v1/sessions/{session}"))["leaders"] == [later]

    while api.single.hands.wall_ms() <= later["since_ms"]:
        await asyncio.sleep(0.001)
    await api.ask("DELETE", f"/v1/sessions/{session}", headers=own)
    told = await api.get(f"/v1/sessions/{session}")
    book.kept.append(Leadership(8, 1, told["ended_ms"] + 1, SILENCE))
    assert (await api.get(f"/v1/sessions/{session}"))["leaders"] == [later]


async def test_a_lease_is_its_owner_s(api: Api) -> None:
    """Secret and user must both be right."""
    own = await api.lease(headers=ANN)
    session, _, secret = own["Coord-Session"].partition(".")
    wrong = {"Coord-Session": f"{session}.{'0' * len(secret)}"}
    assert (await api.refused("POST", "/v1/nodes/x", {}, headers={**wrong, **ANN})).status == 401
    for other in ({}, BOB):
        assert (
            await api.refused("POST", "/v1/nodes/x", {}, headers={**own, **other})
        ).status == 403
    await api.post("/v1/nodes/x", {"mode": "ephemeral"}, headers={**own, **ANN})
    for text in ("", "x", "1", "1.", "1.zz", "0." + secret, f"{2**60}.{secret}"):
        header = {"Coord-Session": text}
        assert (await api.refused("GET", "/v1/nodes/x", headers=header)).status == 400
    unknown = {"Coord-Session": f"999999.{secret}"}
    assert (await api.refused("GET", "/v1/nodes/x", headers=unknown)).status in {410, 503}
    bare = await api.refused("DELETE", f"/v1/sessions/{session}")
    assert bare.status == 400


async def test_a_lease_goes_on_where_it_is_attached_again(api: Api) -> None:
    """As after the loss of a node; its timeout stays."""
    own = await api.lease(4_000)
    await api.post("/v1/nodes/e", {"mode": "ephemeral"}, headers=own)
    api.single.node.gateway.end_all("draining", "for the test")
    read = await api.get("/v1/nodes/e", headers=own)
    session = read["stat"]["owner_session"]
    kept = await api.post(f"/v1/sessions/{session}/keep-alive", {}, headers=own)
    assert (kept["timeout_ms"], kept["last_sequence"]) == (4_000, 1)
    assert len((await api.get(f"/v1/sessions/{session}"))["attaches"]) == 2


async def test_numbered_writes_happen_once(api: Api) -> None:
    """The same number again is answered with the first result, also after a lost connection."""
    own = await api.lease()
    first = {**own, "Coord-Sequence": "1"}
    body = {"mode": "persistent-sequential"}
    made = await api.post("/v1/nodes/n-", body, headers=first)
    assert (await api.post("/v1/nodes/n-", body, headers=first)) == made
    api.single.node.gateway.end_all("draining", "for the test")
    assert (await api.post("/v1/nodes/n-", body, headers=first)) == made
    second = {**own, "Coord-Sequence": "2"}
    again = await api.post("/v1/nodes/n-", body, headers=second)
    assert again["path"] != made["path"]
    gap = await api.refused("POST", "/v1/nodes/n-", body, headers={**own, "Coord-Sequence": "9"})
    assert (gap.status, gap.json["code"]) == (409, "sequence-gap")
    third = await api.post("/v1/nodes/n-", body, headers={**own, "Coord-Sequence": "3"})
    assert third["path"].endswith("2")
    alone = await api.refused("POST", "/v1/nodes/n-", body, headers={"Coord-Sequence": "3"})
    assert alone.status == 400


async def test_sessions_are_listed_in_pages(api: Api) -> None:
    """By id; unknown ones are not there."""
    leases = [await api.lease() for _ in range(3)]
    first = await api.get("/v1/sessions?limit=2")
    rest = await api.get(f"/v1/sessions?after={first['next']}")
    listed = [each["session"] for each in (*first["sessions"], *rest["sessions"])]
    opened = [int(each["Coord-Session"].partition(".")[0]) for each in leases]
    assert listed == opened
    assert (first["more"], rest["more"], first["total"]) == (True, False, 3)
    assert first["sessions"][0]["client"] == "http"
    assert (await api.refused("GET", "/v1/sessions/123456")).status == 404


async def test_an_idle_address_gives_its_session_back(api: Api) -> None:
    """Reading leaves no session behind for long."""
    await api.get("/v1/nodes/")
    assert (await api.get("/v1/sessions"))["total"] == 1
    callers = api.door.services.callers
    for caller in callers.shared():
        caller.used_s -= 31
    callers.tick()
    while (await api.get("/v1/sessions"))["total"]:
        await asyncio.sleep(0.01)


async def test_a_node_that_has_missed_writes_learns_of_them(api: Api) -> None:
    """The session was attached elsewhere meanwhile: a number that looks too great is not."""
    own = await api.lease()
    body = {"mode": "persistent-sequential"}
    await api.post("/v1/nodes/n-", body, headers={**own, "Coord-Sequence": "1"})
    session = int(own["Coord-Session"].partition(".")[0])
    api.single.node.gateway.attached[session].next_seq = 1  # What it would believe.
    second = await api.post("/v1/nodes/n-", body, headers={**own, "Coord-Sequence": "2"})
    assert second["path"] == "/n-0000000001"
