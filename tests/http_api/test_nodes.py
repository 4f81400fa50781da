"""Single nodes over HTTP: values of any bytes, versions, levels, guards, who may do what."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io

import pytest

from tests.http_api.conftest import ANN, BOB, Api

BINARY = bytes(range(256))
BYTES = "application/octet-stream"


async def test_a_node_is_created_read_replaced_and_deleted(api: Api) -> None:
    """Each answer says what the next request needs."""
    made = await api.post("/v1/nodes/app", {"value": "öne"})
    assert made["path"] == "/app"
    assert made["stat"]["created_revision"] == made["revision"]

    read = await api.get("/v1/nodes/app")
    assert (read["value"], read["encoding"]) == ("öne", "utf-8")
    assert read["stat"]["version"] == 0

    put = await api.ask("PUT", "/v1/nodes/app?version=0", {"value": "two"})
    assert (put.status, put.json["created"], put.json["stat"]["version"]) == (200, False, 1)

    late = await api.refused("PUT", "/v1/nodes/app?version=0", {"value": "three"})
    assert (late.status, late.json["code"], late.json["definite"]) == (412, "bad-version", True)

    gone = await api.ask("DELETE", "/v1/nodes/app?version=1")
    assert (gone.status, gone.json["deleted"]) == (200, 1)
    missing = await api.refused("GET", "/v1/nodes/app")
    assert (missing.status, missing.json["code"]) == (404, "no-node")


async def test_values_are_bytes(api: Api) -> None:
    """Raw both ways, and in base64 inside JSON."""
    async with api.client.put(
        api.url("/v1/nodes/raw?create=true"), data=BINARY, headers={"Content-Type": BYTES}
    ) as answer:
        assert answer.status == 201
    async with api.client.get(api.url("/v1/nodes/raw"), headers={"Accept": BYTES}) as answer:
        assert await answer.read() == BINARY
        assert answer.headers["Coord-Version"] == "0"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    read = await api.get("/v1/nodes/raw")
    assert read["encoding"] == "base64"
    assert base64.b64decode(read["value"]) == BINARY
    await api.ask("PUT", "/v1/nodes/raw", {"value": read["value"], "encoding": "base64"})
    assert (await api.get("/v1/nodes/raw"))["value"] == read["value"]


async def test_a_megabyte_fits_and_no_more(api: Api) -> None:
    """The bound of the native wire, however the value travels."""
    headers = {"Content-Type": BYTES}
    largest = b"x" * 0xFFFFF
    async with api.client.put(
        api.url("/v1/nodes/big?create=1"), data=io.BytesIO(largest), headers=headers
    ) as answer:
        assert answer.status == 201
    read = await api.get("/v1/nodes/big?encoding=base64")
    assert base64.b64decode(read["value"]) == largest
    async with api.client.put(
        api.url("/v1/nodes/big"), data=io.BytesIO(largest + b"x"), headers=headers
    ) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "too-large")
    async with api.client.put(
        api.url("/v1/nodes/big"), data=io.BytesIO(bytes(3_000_000)), headers=headers
    ) as answer:
        assert answer.status == 413


async def test_a_compressed_body_is_refused(api: Api) -> None:
    """Whole or cut off: what it would unfold to has no bound, and a part of it is no value."""
    await api.post("/v1/nodes/kept", {"value": "as it was"})
    packed = gzip.compress(b"other")
    for body in (packed, packed[:1], b"no gzip"):
        headers = {"Content-Type": BYTES, "Content-Encoding": "gzip"}
        refused = await api.refused("PUT", "/v1/nodes/kept", data=body, headers=headers)
        assert (refused.status, refused.json["definite"]) == (415, True)
    assert (await api.get("/v1/nodes/kept"))["value"] == "as it was"
    plain = {"Content-Type": BYTES, "Content-Encoding": "identity"}
    assert (await api.ask("PUT", "/v1/nodes/kept", data=b"new", headers=plain)).status == 200


async def test_a_body_in_broken_pieces_is_refused(api: Api) -> None:
    """And nothing of it is stored."""
    await api.post("/v1/nodes/kept", {"value": "as it was"})
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"PUT /v1/nodes/kept HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nnew\r\nno number\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.split(b" ", 2)[1] == b"400"
    assert b"application/problem+json" in head
    assert (await api.get("/v1/nodes/kept"))["value"] == "as it was"


async def test_names_of_any_characters(api: Api) -> None:
    """Percent-encoded, name by name."""
    await api.post("/v1/nodes/a%20b%2525%C3%BC%3F", {"value": "x"})
    read = await api.get("/v1/nodes/a%20b%2525%C3%BC%3F")
    assert read["path"] == "/a b%25ü?"


@pytest.mark.parametrize("path", ["a//b", "a/", "a/../b", "%00", "a/."])
async def test_paths_that_cannot_be_are_refused(api: Api, path: str) -> None:
    """As on the native wire."""
    async with api.client.get(
        f"http://127.0.0.1:{api.port}/v1/nodes/{path}",
    ) as answer:
        assert answer.status in {400, 404}


async def test_put_with_create_makes_what_is_missing(api: Api) -> None:
    """And replaces what is there; it cannot promise a version as well."""
    first = await api.ask("PUT", "/v1/nodes/a?create=true", {"value": "1"})
    second = await api.ask("PUT", "/v1/nodes/a?create=true", {"value": "2"})
    assert [first.json["created"], second.json["created"]] == [True, False]
    both = await api.refused("PUT", "/v1/nodes/a?create=true&version=1", {"value": "3"})
    assert both.status == 400


async def test_parents_modes_and_times_to_live(api: Api) -> None:
    """What the tree offers."""
    made = await api.post("/v1/nodes/x/y/z", {"make_parents": True})
    assert made["path"] == "/x/y/z"
    names = [
        (await api.post("/v1/nodes/x/n-", {"mode": "persistent-sequential"}))["path"]
        for _ in range(2)
    ]
    assert names == ["/x/n-0000000001", "/x/n-0000000002"]
    await api.post("/v1/nodes/x/t", {"mode": "persistent-ttl", "ttl_ms": 60_000})
    for body in ({"mode": "persistent-ttl"}, {"mode": "unheard-of"}, {"ttl_ms": 5}):
        assert (await api.refused("POST", "/v1/nodes/x/u", body)).status == 400
    assert (await api.refused("POST", "/v1/nodes/no/parent", {})).json["code"] == "no-node"
    assert (await api.refused("POST", "/v1/nodes/x", {})).json["code"] == "node-exists"
    assert (await api.refused("DELETE", "/v1/nodes/x")).json["code"] == "not-empty"


async def test_a_subtree_goes_children_first(api: Api) -> None:
    """All of it, and the answer says how much."""
    for path in ("t", "t/a", "t/a/b", "t/c"):
        await api.post(f"/v1/nodes/{path}", {})
    gone = await api.ask("DELETE", "/v1/nodes/t?recursive=true")
    assert (gone.status, gone.json["deleted"]) == (200, 4)
    assert (await api.refused("GET", "/v1/nodes/t")).status == 404
    assert (await api.refused("DELETE", "/v1/nodes/t?recursive=true")).status == 404


@pytest.mark.parametrize("level", ["linearizable", "session", "stale"])
async def test_reads_of_every_level(api: Api, level: str) -> None:
    """A level that is none is refused."""
    await api.post("/v1/nodes/l", {"value": "v"})
    assert (await api.get(f"/v1/nodes/l?level={level}"))["value"] == "v"
    assert (await api.refused("GET", f"/v1/nodes/l?level={level}x")).status == 400


async def test_a_read_waits_for_the_revision_it_must_not_miss(api: Api) -> None:
    """At least what is named; what is unknown is refused at once."""
    made = await api.post("/v1/nodes/m", {})
    read = await api.get(f"/v1/nodes/m?level=stale&min_revision={made['revision']}")
    assert read["revision"] >= made["revision"]
    assert (await api.refused("GET", "/v1/nodes/m?least=3")).status == 400


async def test_acls_decide(api: Api) -> None:
    """A user's node is the user's; everybody else is refused, and sees no hash."""
    acl = [{"permissions": ["read", "write", "admin"], "scheme": "auth", "id": ""}]
    await api.post("/v1/nodes/own", {"value": "x", "acl": acl}, headers=ANN)

    assert (await api.get("/v1/nodes/own", headers=ANN))["value"] == "x"
    for other in (None, BOB):
        refused = await api.refused("GET", "/v1/nodes/own", headers=other)
        assert (refused.status, refused.json["code"]) == (403, "no-auth")
        assert (await api.refused("PUT", "/v1/nodes/own", {}, headers=other)).status == 403
    assert (await api.refused("POST", "/v1/nodes/anonymous", {"acl": acl})).json["code"] == (
        "invalid-acl"
    )

    shown = await api.get("/v1/acl/own", headers=ANN)
    assert shown["acl"][0]["id"].startswith("ann:")
    opened = [*shown["acl"], {"permissions": ["read"], "scheme": "world", "id": "anyone"}]
    await api.ask("PUT", "/v1/acl/own?version=0", {"acl": opened}, headers=ANN)
    assert (await api.get("/v1/acl/own"))["acl"][0]["id"] == "ann:x"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"value": 3}',
        b'{"value": "\\ud800"}',
        b'{"value": "?", "encoding": "base64"}',
        b'{"encoding": "latin"}',
        b'{"acl": []}',
        b'{"acl": [3]}',
        b'{"mode": 3}',
        b'{"ttl_ms": true}',
        b"[" * 100_000,
        b"\xff",
    ],
)
async def test_bodies_that_say_nothing_are_refused(api: Api, body: bytes) -> None:
    """With a reason, whatever they are."""
    headers = {"Content-Type": "application/json"}
    async with api.client.post(api.url("/v1/nodes/bad"), data=body, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["detail"]


async def test_transactions_are_all_or_nothing(api: Api) -> None:
    """Each operation's result, or which one failed."""
    done = await api.post(
        "/v1/transactions",
        {
            "operations": [
                {"op": "compare", "path": "/k", "field": "exists", "operand": False},
                {"op": "create", "path": "/k", "value": "1"},
                {"op": "set", "path": "/k", "value": "2", "version": 0},
            ]
        },
    )
    assert [result["path"] for result in done["results"]] == ["/k", "/k", "/k"]
    assert done["results"][2]["stat"]["version"] == 1

    failed = await api.refused(
        "POST",
        "/v1/transactions",
        {
            "operations": [
                {"op": "compare", "path": "/k", "field": "value", "operand": "2"},
                {"op": "delete", "path": "/k", "version": 7},
                {"op": "create", "path": "/never"},
            ]
        },
    )
    assert (failed.status, failed.json["code"]) == (412, "transaction")
    assert [each["code"] for each in failed.json["results"]] == ["ok", "bad-version", "not-tried"]
    assert (await api.refused("GET", "/v1/nodes/never")).status == 404


@pytest.mark.parametrize(
    "operation",
    [3, {}, {"op": "fly", "path": "/"}, {"op": "set"}, {"op": "set", "path": "x"},
     {"op": "compare", "path": "/", "field": "version", "operand": "1"},
     {"op": "guard", "path": "/"}],
)  # fmt: skip
async def test_operations_that_are_none_are_refused(api: Api, operation: object) -> None:
    """Before anything is tried."""
    refused = await api.refused("POST", "/v1/transactions", {"operations": [operation]})
    assert (refused.status, refused.json["code"]) == (400, "bad-arguments")


async def test_the_longest_path_can_be_named(api: Api) -> None:
    """Percent-encoded it is three times as long; anything longer is refused in order."""
    long = "/".join(["%C3%BC" * 240] * 34)
    missing = await api.refused("GET", f"/v1/nodes/{long}")
    assert missing.status == 404
    async with api.client.get(api.url(f"/v1/nodes/{long * 2}")) as endless:
        assert endless.status == 400


async def test_who_speaks_no_http_is_not_logged_at_length(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody can send anything."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET / HTTP/9.9\r\n\x00\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert "Traceback" not in caplog.text


async def test_without_a_quorum_stale_reads_are_served(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is refused at once, with what to do."""
    await api.post("/v1/nodes/q", {"value": "x"})
    gateway = api.single.node.gateway
    monkeypatch.setattr(gateway, "set_cut_off", lambda _: None)
    gateway.is_cut_off = True
    for method, path, body in (
        ("GET", "/v1/nodes/q", None),
        ("PUT", "/v1/nodes/q", {}),
        ("POST", "/v1/sessions", {}),
        ("GET", "/v1/watch/q", None),
    ):
        refused = await api.refused(method, path, body)
        assert (refused.status, refused.json["code"]) == (503, "not-ready"), path
        assert refused.json["definite"] is True
    assert (await api.get("/v1/nodes/q?level=stale"))["value"] == "x"
    assert (await api.get("/v1/children/?level=stale"))["children"]
