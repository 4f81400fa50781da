"""What scheme ``ip`` compares: addresses and networks (``10.0.0.0/8``, ``fd00::/8``, ``10.0.0.1``).

Apply uses this on every member: it depends on nothing but its arguments.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_KEPT: Final = 4_096


def ip_of(host: str) -> str | None:
    """The IP address ``host`` in its usual form; None if it is a name or nothing.

    IPv6 hosts come with or without brackets; an IPv4 address mapped into IPv6 is the IPv4 address.
    """
    found = _address(host.strip("[]"))
    return None if found is None else str(found)


def contains(network: str, address: str) -> bool:
    """Whether ``address`` lies in ``network``; nothing lies in what is none."""
    among, found = _network(network), _address(address)
    return among is not None and found is not None and found in among


def is_network(text: str) -> bool:
    """Whether ``text`` is address or address/bits. Bits behind the prefix may be set."""
    return _network(text) is not None


@lru_cache(_KEPT)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


@lru_cache(_KEPT)
def _network(text: str) -> IPv4Network | IPv6Network | None:
    address, slash, bits = text.partition("/")
    if "%" in address or (slash and not (bits.isascii() and bits.isdecimal())):
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
