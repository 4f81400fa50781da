"""Who is signed in: bounded, in memory, forgotten with the process.

A digest user proves who it is with every login; what it may do is for the ACLs to say.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web

from coord.model.acl import Identity
from coord.model.errors import AuthFailedError

COOKIE: Final = "coord_login"
CSRF: Final = "Coord-Csrf"
LOGINS_MAX: Final = 1_000
"""One more forgets the oldest."""
LOGIN_S: Final = 8 * 3_600
_TOKEN_BYTES: Final = 32
_SAFE: Final = frozenset({"GET", "HEAD"})


class Login(NamedTuple):
    """A user who is signed in. ``csrf``: what its page must send with every change."""

    identities: tuple[Identity, ...]
    csrf: str
    expires_ms: int


class Logins:
    """By the token in the cookie, oldest first."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._by_token: dict[str, Login] = {}

    def begin(self, identities: tuple[Identity, ...]) -> tuple[str, Login]:
        """(token, login) of a user who has proven ``identities``."""
        while len(self._by_token) >= LOGINS_MAX:
            del self._by_token[next(iter(self._by_token))]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        login = Login(
            identities, secrets.token_urlsafe(_TOKEN_BYTES), self._wall_ms() + LOGIN_S * 1_000
        )
        self._by_token[token] = login
        return token, login

    def end(self, request: web.Request) -> None:
        """Forget whoever the cookie names."""
        self._by_token.pop(request.cookies.get(COOKIE, ""), None)

    def of(self, request: web.Request) -> Login | None:
        """Who sends this. Raises AuthFailedError for a change whose cookie is no longer known or
        that does not prove that our own page made it."""
        token = request.cookies.get(COOKIE)
        if token is None:
            return None
        login = self._by_token.get(token)
        if login is not None and login.expires_ms <= self._wall_ms():
            del self._by_token[token]
            login = None
        if request.method in _SAFE:
            return login
        if login is None:
            raise AuthFailedError("the login is over: sign in again, or send no cookie")
        sent = request.headers.get(CSRF, "")
        if not hmac.compare_digest(sent.encode(errors="replace"), login.csrf.encode()):
            raise AuthFailedError(f"with the login cookie a change needs its {CSRF} header")
        return login
