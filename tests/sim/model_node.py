"""One node of the reference model's tree, what happens to it, and who may do what to it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

_STAT: Final = struct.Struct(">qqqqiiiqiiq")


@dataclass(slots=True)
class ModelNode:
    """One node. ``created``: children ever created under it; ``children``: how many it has."""

    data: bytes
    acl: Any
    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int = 0
    created: int = 0
    aversion: int = 0
    owner: int = 0
    pzxid: int = 0
    children: int = 0

    def stat(self) -> bytes:
        """ZooKeeper's 68 bytes. cversion is what clients see: 2 × created − children."""
        return _STAT.pack(
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            2 * self.created - self.children,
            self.aversion,
            self.owner,
            len(self.data),
            self.children,
            self.pzxid,
        )


class ModelChange(NamedTuple):
    """What one entry did to one node, in the order it did so. ``kind``: CREATED, DELETED, DATA.
    Stats and data after and before; None where the node did not exist."""

    kind: int
    path: str
    stat: bytes | None
    data: bytes | None
    prev_stat: bytes | None
    prev_data: bytes | None
    hidden: bool
    """The node's ACL keeps it from those who have proven nothing."""


Identities = tuple[tuple[str, str], ...]
"""(scheme, id) of what a caller has proven."""


def permits(acl: Any, wanted: int, who: Identities) -> bool:
    """Whether an ACL (None: everybody may do everything) grants one of the permissions."""
    return (
        acl is None
        or not wanted
        or any(
            perms & wanted and (scheme == "world" or (scheme, name) in who)
            for perms, scheme, name in acl
        )
    )


def parent_path(path: str) -> str:
    """Path of the parent; the root's is the root."""
    head = path.rsplit("/", 1)[0]
    return head or "/"


def reserved(children: int, acl: Any = None) -> ModelNode:
    """A node that always exists, with so many that do, too: nobody has created them."""
    return ModelNode(b"", acl, 0, 0, 0, 0, children=children)
