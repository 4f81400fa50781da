"""Access control lists: who may do what to one node. Not inherited (ZooKeeper's model)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import msgpack

from coord.model.networks import contains, ip_of

READ: Final = 1
WRITE: Final = 2
CREATE: Final = 4
DELETE: Final = 8
ADMIN: Final = 16
ALL: Final = 31


class Acl(NamedTuple):
    """``perms`` is a bit set of READ … ADMIN; scheme and id name who holds them."""

    perms: int
    scheme: str
    id: str


Identity = tuple[str, str]
"""(scheme, id) proven by a connection; world:anyone is implied."""

SUPER: Final[Identity] = ("super", "")
"""Passes every ACL."""
OPEN: Final[tuple[Acl, ...]] = (Acl(ALL, "world", "anyone"),)
READ_ONLY: Final[tuple[Acl, ...]] = (Acl(READ, "world", "anyone"),)


def identities_of_address(address: str) -> tuple[Identity, ...]:
    """What a caller has proven by connecting from "host:port": its ip identity, if it has one."""
    return _identities_of_host(address.rpartition(":")[0])


@lru_cache(maxsize=4_096)
def _identities_of_host(host: str) -> tuple[Identity, ...]:
    """One tuple for all connections from a host."""
    found = ip_of(host)
    return () if found is None else (("ip", found),)


_SMALL_BYTES_MAX: Final = 1_024
_UNPACKED_KEPT: Final = 1_024


def unpack(packed: bytes) -> tuple[Acl, ...]:
    """An ACL from its stored form, msgpack [[perms, scheme, id], …]; b"" is OPEN.

    Trees have few different ACLs: those of up to 1 KiB are remembered.
    """
    if not packed:
        return OPEN
    return _unpack(packed) if len(packed) > _SMALL_BYTES_MAX else _unpack_small(packed)


def _unpack(packed: bytes) -> tuple[Acl, ...]:
    return tuple(Acl(*entry) for entry in msgpack.unpackb(packed))


_unpack_small: Final = lru_cache(_UNPACKED_KEPT)(_unpack)


def permits_packed(packed: bytes, wanted: int, identities: tuple[Identity, ...]) -> bool:
    """``permits`` under an ACL in its stored form, as ``Change.acl`` carries it."""
    return not packed or permits(unpack(packed), wanted, identities)


def permits(acl: tuple[Acl, ...], wanted: int, identities: tuple[Identity, ...]) -> bool:
    """Whether a caller with ``identities`` holds any of the ``wanted`` permissions.

    An entry of scheme ip holds for every caller whose ip identity lies in its network.
    """
    if acl is OPEN or SUPER in identities:
        return True
    return any(entry.perms & wanted and _names(entry, identities) for entry in acl)


def _names(entry: Acl, identities: tuple[Identity, ...]) -> bool:
    if entry.scheme == "world":
        return True
    if entry.scheme == "ip":
        return any(scheme == "ip" and contains(entry.id, name) for scheme, name in identities)
    return (entry.scheme, entry.id) in identities
