"""Children in pages, counts, searches: now and in the past."""

from __future__ import annotations

import pytest

from tests.http_api.conftest import ANN, Api

PRIVATE = [{"permissions": ["read"], "scheme": "auth", "id": ""}]


async def fill(api: Api, *paths: str) -> int:
    """Create nodes; the revision of the last."""
    revision = 0
    for path in paths:
        revision = (await api.post(f"/v1/nodes/{path}", {"value": path}))["revision"]
    return revision


async def names(api: Api, path: str) -> list[str]:
    """All children, in pages of two."""
    found: list[str] = []
    after = ""
    while True:
        page = await api.get(f"/v1/children/{path}&limit=2&after={after}")
        found += [child["name"] for child in page["children"]]
        if not page["more"]:
            assert page["next"] is None
            return found
        after = page["next"]


async def test_children_come_in_pages_with_their_stats(api: Api) -> None:
    """In byte order; stats can be left out."""
    await fill(api, "d", "d/b", "d/a", "d/c", "d/z", "d/m")
    page = await api.get("/v1/children/d?limit=2")
    assert [child["name"] for child in page["children"]] == ["a", "b"]
    assert (page["more"], page["next"], page["stat"]["children"]) == (True, "b", 5)
    assert page["children"][0]["stat"]["bytes"] == 3
    assert await names(api, "d?") == ["a", "b", "c", "m", "z"]
    bare = await api.get("/v1/children/d?stats=false")
    assert bare["children"][0] == {"name": "a"}
    assert (await api.refused("GET", "/v1/children/nothing")).status == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=" + "x" * 481])
async def test_pages_have_bounds(api: Api, query: str) -> None:
    """And say so."""
    assert (await api.refused("GET", f"/v1/children/?{query}")).status == 400


async def test_what_is_private_stays_so(api: Api) -> None:
    """A child whose ACL hides it shows its name, as in any listing, and no more; below a hidden
    node not even that."""
    await fill(api, "d")
    acl = {"acl": [*PRIVATE, {"permissions": ["create"], "scheme": "auth", "id": ""}]}
    await api.post("/v1/nodes/d/hidden", acl, headers=ANN)
    await api.post("/v1/nodes/d/hidden/below", acl, headers=ANN)

    page = await api.get("/v1/children/d")
    assert page["children"] == [{"name": "hidden", "stat": None}]
    assert (await api.refused("GET", "/v1/children/d/hidden")).status == 403
    found = await api.get("/v1/search?q=BELOW")
    assert found["found"] == []
    mine = await api.get("/v1/search?q=below", headers=ANN)
    assert [each["path"] for each in mine["found"]] == ["/d/hidden/below"]


async def test_search_goes_on_where_it_stopped(api: Api) -> None:
    """Limits cut, nothing is lost or told twice."""
    await fill(api, "s", *(f"s/node-{number}" for number in range(5)), "s/other")
    found: list[str] = []
    after = ""
    while True:
        page = await api.get(f"/v1/search?q=NODE&under=/s&limit=2&after={after}")
        found += [each["path"] for each in page["found"]]
        if not page["more"]:
            break
        after = page["next"]
    assert found == [f"/s/node-{number}" for number in range(5)]
    for query in ("q=", "q=x&under=/none", "q=x&under=/s&after=/t", "q=x&after=t"):
        assert (await api.refused("GET", f"/v1/search?{query}")).status in {400, 404}


async def test_counts(api: Api) -> None:
    """Of all below, whatever the depth."""
    await fill(api, "c", "c/a", "c/a/b", "c/d")
    assert (await api.get("/v1/count/c"))["count"] == 3


async def test_history_says_who_when_and_from_where(api: Api) -> None:
    """Newest first, in pages."""
    await fill(api, "h")
    await api.ask("PUT", "/v1/nodes/h", {"value": "2"}, headers=ANN)
    await api.ask("DELETE", "/v1/nodes/h")
    told = await api.get("/v1/history/h")
    kinds = [(change["kind"], change.get("value")) for change in told["changes"]]
    assert kinds == [("deleted", None), ("data", "2"), ("created", "h")]
    change = told["changes"][1]
    assert change["who"] == ["digest:ann"]
    assert change["address"].startswith("127.0.0.1:")
    assert change["session"] > 0
    assert told["changes"][0]["session"] != change["session"]

    first = await api.get("/v1/history/h?limit=2")
    assert first["more"]
    rest = await api.get(f"/v1/history/h?before={first['next']}")
    assert [change["kind"] for change in rest["changes"]] == ["created"]
    assert (await api.refused("GET", "/v1/history/never")).status == 404


async def test_the_tree_as_of_a_revision(api: Api) -> None:
    """Values, stats and children, whatever has happened since."""
    await fill(api, "p", "p/kept", "p/changed", "p/gone", "p/again")
    then = (await api.ask("PUT", "/v1/nodes/p/changed", {"value": "old"})).json["revision"]
    await api.ask("PUT", "/v1/nodes/p/changed", {"value": "new"})
    await api.ask("PUT", "/v1/nodes/p/gone", {"value": "last"})
    await api.ask("DELETE", "/v1/nodes/p/gone")
    await api.ask("DELETE", "/v1/nodes/p/again")
    await fill(api, "p/again", "p/later", "p/later/below")

    assert await names(api, f"p?revision={then}") == ["again", "changed", "gone", "kept"]
    for name, value in (
        ("kept", "p/kept"),
        ("changed", "old"),
        ("gone", "p/gone"),
        ("again", "p/again"),
    ):
        read = await api.get(f"/v1/nodes/p/{name}?revision={then}")
        assert (read["value"], read["revision"]) == (value, then)
    assert (await api.refused("GET", f"/v1/nodes/p/later?revision={then}")).status == 404

    # Changes after the first look are seen by the next.
    await api.ask("PUT", "/v1/nodes/p/kept", {"value": "new too"})
    await api.ask("DELETE", "/v1/nodes/p/kept")
    assert (await api.get(f"/v1/nodes/p/kept?revision={then}"))["value"] == "p/kept"
    assert await names(api, f"p?revision={then}") == ["again", "changed", "gone", "kept"]
    assert (await api.refused("GET", f"/v1/nodes/p?revision={then + 1_000}")).status == 400


async def test_the_past_knows_how_many_children_there_were(api: Api) -> None:
    """And how many had been created: as the stat was read then."""
    await fill(api, "d", "d/a", "d/b", "d/c", "other")
    await api.ask("DELETE", "/v1/nodes/d/b")
    then = await api.get("/v1/nodes/d")
    await fill(api, "d/x", "d/y", "d/b")
    await api.ask("DELETE", "/v1/nodes/d/a")
    await api.ask("PUT", "/v1/nodes/d", {"value": "changed"})
    await api.ask("DELETE", "/v1/nodes/d/x")
    await fill(api, "d/z")
    for _ in range(2):
        past = await api.get(f"/v1/nodes/d?revision={then['revision']}")
        assert past["stat"]["children_revision"] <= then["revision"]
        for stat in (past["stat"], then["stat"]):
            stat.pop("children_revision")
        assert past["stat"] == then["stat"]
        then["stat"]["children_revision"] = 0
        await api.ask("DELETE", "/v1/nodes/d?recursive=true")
        await fill(api, "d", "d/a")


async def test_the_past_has_acls_too(api: Api) -> None:
    """What was private then stays so, and what is private now."""
    await api.post("/v1/nodes/a", {"value": "x", "acl": PRIVATE}, headers=ANN)
    made = await api.post("/v1/nodes/b", {"value": "x"})
    private = [{"permissions": ["read"], "scheme": "digest", "id": "bob:x"}]
    await api.ask("PUT", "/v1/acl/b", {"acl": private})
    await api.ask("DELETE", "/v1/nodes/a")
    then = made["revision"]
    for name in ("a", "b"):
        assert (await api.refused("GET", f"/v1/nodes/{name}?revision={then}")).status == 403
    assert (await api.get(f"/v1/nodes/a?revision={then}", headers=ANN))["value"] == "x"
    assert (await api.get("/v1/history/a"))["changes"] == []
