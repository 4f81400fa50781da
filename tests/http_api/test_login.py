"""Signing in: who may, what the cookie is good for, and what other sites cannot do with it."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from coord.server.http.api import logins
from coord.server.http.api.trust import Trust
from tests.http_api.conftest import Api

ANN = {"user": "ann", "password": "secret"}
OWN = [{"permissions": ["read", "write", "delete", "create", "admin"], "scheme": "auth", "id": ""}]


async def sign_in(api: Api, **who: str) -> Any:
    """What the page learns; the cookie stays with the client."""
    found = await api.ask("POST", "/v1/login", {**ANN, **who})
    assert found.status == 200
    cookie = found.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    # A client library keeps no cookies of addresses.
    name, _, value = cookie.partition(";")[0].partition("=")
    return {**found.json, "headers": {"Cookie": f"{name}={value}"}}


async def test_a_page_signs_in_and_changes_what_is_its_user_s(api: Api) -> None:
    """With the cookie and the token that only it knows."""
    assert (await api.get("/v1/login"))["user"] is None
    login = await sign_in(api)
    assert (login["user"], login["super"]) == ("ann", False)
    cookie, change = login["headers"], {**login["headers"], "Coord-Csrf": login["csrf"]}

    await api.post("/v1/nodes/own", {"value": "x", "acl": OWN}, headers=change)
    assert (await api.get("/v1/nodes/own", headers=cookie))["value"] == "x"
    assert (await api.refused("GET", "/v1/nodes/own")).status == 403
    without = await api.refused("PUT", "/v1/nodes/own", {"value": "y"}, headers=cookie)
    assert without.status == 401
    assert (await api.get("/v1/login", headers=cookie))["csrf"] == login["csrf"]

    out = await api.ask("DELETE", "/v1/login", headers=change)
    assert out.json["user"] is None
    assert 'coord_login=""' in out.headers["Set-Cookie"]
    assert (await api.refused("GET", "/v1/nodes/own", headers=cookie)).status == 403
    late = await api.refused("PUT", "/v1/nodes/own", {"value": "y"}, headers=change)
    assert (late.status, late.json["code"]) == (401, "auth-failed")
    assert late.headers["WWW-Authenticate"].startswith("Coord ")  # No dialog of the browser's.


async def test_the_super_user_is_told_so(api: Api) -> None:
    """Its page may show what others' does not."""
    assert (await sign_in(api, user="root", password="toor"))["super"] is True
    assert (await sign_in(api, user="root", password="root"))["super"] is False


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
async def test_other_sites_are_refused(api: Api, headers: dict[str, str]) -> None:
    """Whoever the browser is signed in as."""
    refused = await api.refused("POST", "/v1/nodes/x", {}, headers=headers)
    assert (refused.status, refused.json["code"]) == (403, "csrf")
    assert (await api.refused("GET", "/v1/nodes/x")).status == 404


async def test_our_own_page_is_not_another_site(api: Api) -> None:
    """Its origin is the host that it asks."""
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{api.port}"}
    await api.post("/v1/nodes/x", {}, headers=headers)


async def test_a_form_cannot_post(api: Api) -> None:
    """What a page elsewhere can send without being asked for leave is no JSON."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": kind}
        async with api.client.post(
            api.url("/v1/nodes/x"), data=b'{"value": "x"}', headers=headers
        ) as answer:
            assert answer.status == 415


@pytest.mark.parametrize(
    "body",
    [{}, {"user": "ann"}, {"user": "", "password": "x"}, {"user": "a:b", "password": "x"},
     {"user": "a", "password": "x" * 2_000}, {"user": 3, "password": "x"}],
)  # fmt: skip
async def test_what_is_no_user_is_refused(api: Api, body: dict[str, Any]) -> None:
    """With a reason that does not repeat it."""
    assert (await api.refused("POST", "/v1/login", body)).status == 400


async def test_logins_are_bounded_and_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten; none outlives its time."""
    monkeypatch.setattr(logins, "LOGINS_MAX", 2)
    known = [await sign_in(api) for _ in range(3)]
    told = [(await api.get("/v1/login", headers=each["headers"]))["user"] for each in known]
    assert told == [None, "ann", "ann"]
    monkeypatch.setattr(logins, "LOGIN_S", -1)
    late = await sign_in(api)
    assert (await api.get("/v1/login", headers=late["headers"]))["user"] is None


class _Transport:
    def __init__(self, host: str) -> None:
        self._host = host

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._host, 4711) if name == "peername" else default


def asked_from(host: str, **headers: str) -> web.Request:
    """A request over plain HTTP."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", named, transport=_Transport(host))


@pytest.mark.parametrize(
    ("host", "headers", "takes"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("172.18.0.1", {}, True),
        ("192.0.2.1", {}, False),
        ("127.0.0.1", {"X_Forwarded_For": "192.0.2.1"}, False),
        ("127.0.0.1", {"X_Forwarded_For": "192.0.2.1", "X_Forwarded_Proto": "https"}, True),
        ("172.18.0.1", {"X_Forwarded_Proto": "https"}, True),
        ("192.0.2.1", {"X_Forwarded_Proto": "https"}, False),
    ],
)
def test_passwords_come_from_where_nobody_listens(
    host: str, headers: dict[str, str], takes: bool
) -> None:
    """This machine, networks that are trusted, or TLS before a proxy there."""
    trust = Trust(["172.16.0.0/12"])
    assert trust.is_confidential(asked_from(host, **headers)) is takes


async def test_a_password_that_anybody_could_read_is_not_taken(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to sign in nor with a request."""
    headers = {"X-Forwarded-For": "192.0.2.1"}
    refused = await api.refused("POST", "/v1/login", ANN, headers=headers)
    assert (refused.status, refused.json["code"]) == (403, "not-secure")
    basic = {"Authorization": "Basic YW5uOnNlY3JldA==", **headers}
    assert (await api.refused("GET", "/v1/nodes/", headers=basic)).status == 403
    assert (await api.get("/v1/login", headers=headers))["possible"] is False
    for wrong in ("Bearer x", "Basic", "Basic ?", "x"):
        header = {"Authorization": wrong}
        assert (await api.refused("GET", "/v1/nodes/", headers=header)).status == 400
