"""What a request says about its caller and in its parameters, checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aiohttp import web

from coord.model.acl import Identity
from coord.model.errors import BadArgumentsError
from coord.model.limits import REVISION_MAX, SECRET_BYTES
from coord.model.paths import check_path
from coord.model.types import ReadLevel

SESSION: Final = "Coord-Session"
SEQUENCE: Final = "Coord-Sequence"
_TRUE: Final = frozenset({"true", "1", "yes", ""})
_FALSE: Final = frozenset({"false", "0", "no"})
_LEVELS: Final = {level.name.lower(): level for level in ReadLevel}
_DIGITS_MAX: Final = 19


class Asked(NamedTuple):
    """Who asks. ``address``: "host:port". ``session``: the id and secret it acts in, if any."""

    address: str
    identities: tuple[Identity, ...]
    session: tuple[int, bytes] | None

    @property
    def host(self) -> str:
        """Without the port."""
        return self.address.rpartition(":")[0]


def address_of(request: web.Request) -> str:
    """The other end as "host:port"; "" if it has gone."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{peer[0]}:{peer[1]}" if peer else ""


def session_of(request: web.Request) -> tuple[int, bytes] | None:
    """The session that a request names. Raises BadArgumentsError."""
    handle = request.headers.get(SESSION)
    if handle is None:
        return None
    session, _, secret = handle.partition(".")
    try:
        found = int(session), bytes.fromhex(secret)
    except ValueError:
        found = 0, b""
    if not 0 < found[0] <= REVISION_MAX or len(found[1]) != SECRET_BYTES:
        raise BadArgumentsError(f"{SESSION} is the handle of a session: <id>.<secret>")
    return found


def handle_of(session: int, secret: bytes) -> str:
    """What :func:`session_of` reads."""
    return f"{session}.{secret.hex()}"


def sequence_of(request: web.Request) -> int | None:
    """The number of a write in its session. Raises BadArgumentsError."""
    text = request.headers.get(SEQUENCE)
    if text is None:
        return None
    if SESSION not in request.headers:
        raise BadArgumentsError(f"{SEQUENCE} numbers the writes of a session: name it too")
    return _number(text, SEQUENCE, 1, REVISION_MAX)


def basic_of(request: web.Request) -> bytes | None:
    """The "user:password" of HTTP Basic. Raises BadArgumentsError for what is no such header."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        credential = base64.b64decode(encoded.strip(), validate=True)
        if credential.find(b":") < 1:
            raise ValueError
        return credential
    except (ValueError, binascii.Error):
        raise BadArgumentsError("Authorization is understood as Basic user:password") from None


def path_of(request: web.Request) -> str:
    """The node that the URL names. Raises BadArgumentsError."""
    path = "/" + request.match_info["path"]
    check_path(path)
    return path


class Parameters:
    """The query of a request. Each getter raises BadArgumentsError."""

    def __init__(self, query: Mapping[str, str], known: frozenset[str]) -> None:
        for name in query:
            if name not in known:
                raise BadArgumentsError(f"{name[:64]!r} is no parameter of this request")
        self._query = query

    def text(self, name: str, default: str = "") -> str:
        """As it stands."""
        return self._query.get(name, default)

    def path(self, name: str, default: str = "/") -> str:
        """A node."""
        path = self._query.get(name, default)
        check_path(path)
        return path

    def number(self, name: str, default: int, low: int = 0, high: int = REVISION_MAX) -> int:
        """A whole number within bounds."""
        text = self._query.get(name)
        return default if text is None else _number(text, name, low, high)

    def is_set(self, name: str, *, default: bool = False) -> bool:
        """True or false; a bare name means true."""
        text = self._query.get(name)
        if text is None:
            return default
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise BadArgumentsError(f"{name} must be true or false")

    def level(self) -> ReadLevel:
        """How fresh a read must be."""
        text = self._query.get("level", "linearizable")
        level = _LEVELS.get(text)
        if level is None:
            raise BadArgumentsError(f"level is one of {', '.join(_LEVELS)}")
        return level


def _number(text: str, name: str, low: int, high: int) -> int:
    digits = text[1:] if text.startswith("-") else text
    if digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS_MAX:
        value = int(text)
        if low <= value <= high:
            return value
    raise BadArgumentsError(f"{name} must be an integer from {low} to {high}")


def member(body: Mapping[str, Any], name: str, kind: type, default: Any = ...) -> Any:
    """A member of a JSON object, of exactly this type. Raises BadArgumentsError."""
    value = body.get(name, default)
    if value is ...:
        raise BadArgumentsError(f"{name} is missing")
    if value is not default and type(value) is not kind:
        raise BadArgumentsError(f"{name} must be {_KINDS[kind]}")
    return value


_KINDS: Final = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
