"""From what a file, a variable or a flag holds to a value. Each raises ValueError saying what it
would have taken; the caller adds the key and the origin."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from coord.model.limits import KIB, MIB
from coord.model.networks import is_network

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_UNITS_BYTES: Final = {"KiB": KIB, "MiB": MIB, "GiB": 1024 * MIB, "B": 1}
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_SHA1_BYTES: Final = 20

Parser = Callable[[Any], Any]


class InitialMember(NamedTuple):
    """A member of the cluster's founding, as every founder must be configured with.

    Addresses are "host:port" as the others (``client``: as clients) should dial them.
    """

    id: int
    peer: str
    client: str = ""
    http: str = ""

    def __str__(self) -> str:
        addresses = "/".join(part for part in (self.peer, self.client, self.http) if part)
        return f"{self.id}={addresses}"


def integer(low: int, high: int) -> Parser:
    """A whole number in [low, high]."""

    def parse(raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int | str):
            raise ValueError("must be a whole number")
        try:
            value = int(raw)
        except ValueError:
            raise ValueError("must be a whole number") from None
        return _within(value, low, high, str)

    return parse


def duration_ms(low: int, high: int) -> Parser:
    """Milliseconds in [low, high]: a number, or text with a unit such as "500ms" or "10s"."""

    def parse(raw: Any) -> int:
        value = _with_unit(raw, _UNITS_MS, "milliseconds, or text such as '10s'")
        return _within(value, low, high, lambda ms: f"{ms} ms")

    return parse


def size_bytes(low: int, high: int) -> Parser:
    """Bytes in [low, high]: a number, or text with a unit such as "64MiB"."""

    def parse(raw: Any) -> int:
        value = _with_unit(raw, _UNITS_BYTES, "bytes, or text such as '64MiB'")
        return _within(value, low, high, show_bytes)

    return parse


def choice(*words: str) -> Parser:
    """One of ``words``."""

    def parse(raw: Any) -> str:
        if raw not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(raw)

    return parse


def switch(raw: Any) -> bool:
    """On or off."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _TRUE | _FALSE:
        return raw.lower() in _TRUE
    raise ValueError("must be true or false")


def text(raw: Any) -> str:
    """Text that is not empty."""
    if not isinstance(raw, str) or not raw:
        raise ValueError("must be text")
    return raw


def directory(raw: Any) -> Path:
    """A path; ``~`` is the home directory."""
    return Path(text(raw)).expanduser()


def address(raw: Any) -> str:
    """An address, "host:port" or "[v6]:port"."""
    value = text(raw)
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{value!r} is not host:port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{value!r}: an IPv6 address goes in brackets, as in [::1]:2181")
    return value


def optional_address(raw: Any) -> str:
    """An address, or empty for "the same as where it listens"."""
    return "" if raw == "" else address(raw)


def optional_path(raw: Any) -> str:
    """A file, or empty for none; ``~`` is the home directory."""
    return "" if raw == "" else str(Path(text(raw)).expanduser())


def names(raw: Any) -> tuple[str, ...]:
    """Host names, in lower case: "a,b", a list, or "" for none."""
    found = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(found, list | tuple):
        raise ValueError("must be text such as 'a.example,b.example', or a list")
    return tuple(dict.fromkeys(text(name).strip().lower() for name in found if name))


def networks(raw: Any) -> tuple[str, ...]:
    """Addresses and networks: "10.0.0.0/8,fd00::/8", a list, or "" for none."""
    found = names(raw)
    for each in found:
        if not is_network(each):
            raise ValueError(f"{each!r} is no network, such as 10.0.0.0/8")
    return found


def words(known: Collection[str]) -> Parser:
    """Some of ``known``, sorted: "a,b", a list, "*" for all or "" for none."""

    def parse(raw: Any) -> tuple[str, ...]:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple) or not all(isinstance(p, str) for p in parts):
            raise ValueError("must be words such as 'ruok,srvr', a list of words, or '*'")
        wanted = {part.strip() for part in parts} - {""}
        if "*" in wanted:
            return tuple(sorted(known))
        strangers = sorted(wanted.difference(known))
        if strangers:
            raise ValueError(f"{strangers[0]!r} is none of {', '.join(sorted(known))}")
        return tuple(sorted(wanted))

    return parse


def optional_digest(raw: Any) -> str:
    """A digest identity, "user:base64 of SHA-1", or empty for none. Never repeats what it read.

    An ACL's form of it, "digest:user:…", is as good: ``coord acl digest`` prints that.
    """
    if raw == "":
        return ""
    identity = text(raw).strip()
    if identity.count(":") == 2:
        identity = identity.removeprefix("digest:")
    user, colon, digest = identity.partition(":")
    try:
        size = len(b64decode(digest, validate=True))
    except ValueError:
        size = 0
    if not user or not colon or size != _SHA1_BYTES:
        raise ValueError(
            "must be USER:DIGEST, the digest being BASE64(SHA1(USER:PASSWORD)) of 28 characters"
        )
    return f"{user}:{digest}"


def members(raw: Any) -> tuple[InitialMember, ...]:
    """Founders, sorted by id: "1=host:2281/host:2181,2=…", a list of such, or a table."""
    found = [_member(node, value) for node, value in _pairs(raw).items()]
    peers = [member.peer for member in found]
    twice = {peer for peer in peers if peers.count(peer) > 1}
    if twice:
        raise ValueError(f"two members have the same peer address {min(twice)}")
    return tuple(sorted(found))


def dial_table(raw: Any) -> dict[int, str]:
    """Where peers are dialled instead: node id → address."""
    if not raw:
        return {}
    return {node: address(value) for node, value in _pairs(raw).items()}


def show_bytes(count: int) -> str:
    """As "64MiB" where the number is round, else plain bytes."""
    for unit, size in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", KIB)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return str(count)


def _within(value: int, low: int, high: int, show: Callable[[int], str]) -> int:
    if not low <= value <= high:
        raise ValueError(f"must be between {show(low)} and {show(high)}")
    return value


def _with_unit(raw: Any, units: Mapping[str, int], wanted: str) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        digits = raw.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        unit = raw[len(digits) :]
        if digits.strip().isdigit() and (not unit or unit in units):
            return int(digits) * units.get(unit, 1)
    raise ValueError(f"must be {wanted}")


def _pairs(raw: Any) -> dict[int, Any]:
    """Node id → text, from any of the three forms."""
    if isinstance(raw, Mapping):
        items = list(raw.items())
    else:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple) or not all(isinstance(p, str) for p in parts):
            raise ValueError("must be text such as '1=host:2281/host:2181', a list or a table")
        items = [part.strip().partition("=")[::2] for part in parts if part.strip()]
    found: dict[int, Any] = {}
    for key, value in items:
        node = _node_id(key)
        if node in found:
            raise ValueError(f"node {node} is named twice")
        found[node] = value
    if not found:
        raise ValueError("names nobody")
    return found


def _node_id(raw: Any) -> int:
    try:
        return int(integer(1, NODE_ID_MAX)(raw.strip() if isinstance(raw, str) else raw))
    except ValueError as error:
        raise ValueError(f"{raw!r} is not a node id: {error}") from None


def _member(node: int, value: Any) -> InitialMember:
    parts = str(value).strip().split("/")
    if len(parts) > 3:
        raise ValueError(f"node {node}: at most three addresses, peer/client/http")
    try:
        checked = [address(parts[0]), *(optional_address(part) for part in parts[1:])]
    except ValueError as error:
        raise ValueError(f"node {node}: {error}") from None
    return InitialMember(node, *checked)


NODE_ID_MAX: Final = 65_535
