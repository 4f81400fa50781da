"""Where to connect: the connect string, and in which order hosts are tried. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from coord.model.errors import MisuseError
from coord.model.paths import check_path
from coord_client.retry import backoff_ms

DEFAULT_PORT: Final = 2181


class Host(NamedTuple):
    """A node's client address; the name is resolved anew at every dial."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


class ConnectString(NamedTuple):
    """``chroot`` is "" or an absolute path that every path of the client lies under."""

    hosts: tuple[Host, ...]
    chroot: str


def parse_connect_string(text: str) -> ConnectString:
    """Parse ``h1:2181,h2,[::1]:2183/app``: hosts, each with an optional port, and a chroot.

    Raises MisuseError naming the part that is wrong, BadArgumentsError for a chroot that is no
    path.
    """
    cut = text.find("/")
    hosts, chroot = (text, "") if cut < 0 else (text[:cut], text[cut:].rstrip("/"))
    if chroot:
        check_path(chroot)
    return ConnectString(tuple(_parse_host(part.strip()) for part in hosts.split(",")), chroot)


def _parse_host(text: str) -> Host:
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if rest else str(DEFAULT_PORT)
    else:
        name, colon, port = text.partition(":")
        port = port if colon else str(DEFAULT_PORT)
    if not name or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise MisuseError(f"{text!r} is not a host: write name, name:port or [address]:port")
    return Host(name, int(port))


class Rotation:
    """Which host to dial next, and after how long a pause.

    A failure moves on to the next host at once; only when every host has failed since the last
    success is there a pause, longer after each further round. After a connection that worked, the
    host that was lost comes last.
    """

    def __init__(self, hosts: Sequence[Host], first: int) -> None:
        """``first``: the caller's randomness, so that clients spread over the hosts."""
        assert hosts
        self._hosts = tuple(hosts)
        self._next = first % len(hosts)
        self._failures = 0

    def next_host(self, spread: float) -> tuple[Host, int]:
        """(host, pause before dialling it in milliseconds). ``spread``: randomness in [0, 1)."""
        rounds, within = divmod(self._failures, len(self._hosts))
        pause_ms = backoff_ms(rounds, spread) if rounds and not within else 0
        host = self._hosts[self._next]
        self._next = (self._next + 1) % len(self._hosts)
        return host, pause_ms

    def failed(self) -> None:
        """The host did not take us."""
        self._failures += 1

    def succeeded(self) -> None:
        """The host took us: the next failure starts a new round."""
        self._failures = 0
