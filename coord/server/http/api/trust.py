"""From where passwords may come without TLS to this node."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from aiohttp import web

from coord.model.networks import contains
from coord.server.http.api.asked import address_of


def is_loopback(address: str) -> bool:
    """Whether "host:port" is this machine itself."""
    try:
        found = ip_address(address.rpartition(":")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


class Trust:
    """This machine, and networks on which nobody listens."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(networks)

    def is_confidential(self, request: web.Request) -> bool:
        """Whether nobody on the way can read a password: TLS, or a place that is trusted.

        A proxy there says how its own client came.
        """
        is_trusted = self._has(address_of(request))
        forwarded = request.headers.get("X-Forwarded-Proto")
        if forwarded is not None or "X-Forwarded-For" in request.headers:
            return is_trusted and forwarded == "https"
        return request.secure or is_trusted

    def _has(self, address: str) -> bool:
        host = address.rpartition(":")[0]
        return is_loopback(address) or any(contains(network, host) for network in self._networks)
