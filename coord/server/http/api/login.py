"""Signing in and out, for pages; scripts send HTTP Basic instead."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from coord.model.acl import SUPER
from coord.model.errors import BadArgumentsError
from coord.node.identity import prove
from coord.server.http.api.asked import member
from coord.server.http.api.calls import Call, Endpoint, answer
from coord.server.http.api.forms import user_of
from coord.server.http.api.logins import COOKIE, LOGIN_S, Login
from coord.server.http.api.refusals import NotSecureError
from coord.server.http.api.schemas import FLAG, MILLISECONDS, TEXT, obj, or_null

_PASSWORD_BYTES_MAX: Final = 1_024

_ANSWER: Final = obj({
    "user": or_null(TEXT),
    "super": FLAG,
    "csrf": or_null(TEXT),
    "expires_ms": or_null(MILLISECONDS),
    "possible": FLAG,
})  # fmt: skip


async def sign_in(call: Call) -> web.StreamResponse:
    """Take a user's password, once; the cookie stands for it from then on."""
    if not call.services.trust.is_confidential(call.request):
        raise NotSecureError
    body = await call.json()
    user, password = member(body, "user", str), member(body, "password", str)
    if not user or ":" in user:
        raise BadArgumentsError("user is a name without a colon")
    credential = f"{user}:{password}".encode()
    if len(credential) > _PASSWORD_BYTES_MAX:
        raise BadArgumentsError(f"user and password have at most {_PASSWORD_BYTES_MAX} bytes")
    identities = prove("digest", credential, call.node.settings.super_digest)
    token, login = call.services.logins.begin(identities)
    response = _told(call, login)
    response.set_cookie(
        COOKIE,
        token,
        max_age=LOGIN_S,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=call.request.secure or "X-Forwarded-Proto" in call.request.headers,
    )
    return response


async def who(call: Call) -> web.StreamResponse:
    """Who is signed in, and what its page must send with a change."""
    return _told(call, call.services.logins.of(call.request))


async def sign_out(call: Call) -> web.StreamResponse:
    """Forget the login."""
    call.services.logins.end(call.request)
    response = _told(call, None)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return response


def _told(call: Call, login: Login | None) -> web.Response:
    told: dict[str, Any] = {
        "user": None if login is None else user_of(login.identities),
        "super": login is not None and SUPER in login.identities,
        "csrf": None if login is None else login.csrf,
        "expires_ms": None if login is None else login.expires_ms,
        "possible": call.services.trust.is_confidential(call.request),
    }
    return answer(told)


ENDPOINTS: Final = (
    Endpoint("GET", "/v1/login", who, "Who is signed in", _ANSWER),
    Endpoint(
        "POST",
        "/v1/login",
        sign_in,
        "Sign in as a digest user",
        _ANSWER,
        body=obj({"user": TEXT, "password": TEXT}),
    ),
    Endpoint("DELETE", "/v1/login", sign_out, "Sign out", _ANSWER),
)
