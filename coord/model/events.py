"""What apply did (Change) and what a watcher hears (WatchEvent)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class ChangeKind(IntEnum):
    """Kinds of change; values are ZooKeeper's event types."""

    CREATED = 1
    DELETED = 2
    DATA = 3
    CHILDREN = 4
    ACL = 20
    """Recorded in history; ZooKeeper fires no watch for it."""


class Change(NamedTuple):
    """One node changed by one entry. ``stat`` and ``prev_stat`` are packed Stats (68 bytes).

    ``acl`` is the packed ACL (``acl.unpack``) that the node has afterwards, or had if it was
    deleted: it decides who may hear of the change. It stays on the server.

    CREATED: prev_* are None. DELETED: stat and data are None. DATA, ACL: all four are set.
    CHILDREN is never recorded: a watcher derives it from CREATED and DELETED of a child.
    """

    kind: int
    path: str
    revision: int
    stat: bytes | None
    data: bytes | None
    prev_stat: bytes | None
    prev_data: bytes | None
    acl: bytes = b""


class WatchEvent(NamedTuple):
    """An event for one watch of one connection.

    ``kind`` is a ChangeKind; ``change`` is the cause (for CHILDREN, the child's change).
    """

    kind: int
    path: str
    revision: int
    change: Change
