"""Access control lists: who may do what to one node. Not inherited (ZooKeeper's model)."""

from __future__ import annotations

from typing import Final, NamedTuple

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

OPEN: Final[tuple[Acl, ...]] = (Acl(ALL, "world", "anyone"),)
READ_ONLY: Final[tuple[Acl, ...]] = (Acl(READ, "world", "anyone"),)


def permits(acl: tuple[Acl, ...], wanted: int, identities: tuple[Identity, ...]) -> bool:
    """Whether a caller with ``identities`` holds any of the ``wanted`` permissions."""
    if acl is OPEN or ("super", "") in identities:
        return True
    return any(
        entry.perms & wanted and (entry.scheme == "world" or (entry.scheme, entry.id) in identities)
        for entry in acl
    )
