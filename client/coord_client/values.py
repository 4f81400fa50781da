"""What the client returns: plain values. Paths are the caller's, without the chroot."""

from __future__ import annotations

from typing import Any, NamedTuple

from coord.model.events import ChangeKind
from coord.model.znode import Stat


class Node(NamedTuple):
    """A node as of ``revision``, the applied index the answer reflects.

    ``data`` is None only in listings that were asked for without values.
    """

    path: str
    data: bytes
    stat: Stat
    revision: int


class Created(NamedTuple):
    """A node that a create made; ``path`` has the sequence suffix, if any."""

    path: str
    stat: Stat


class ListedNode(NamedTuple):
    """One node of a listing; ``data`` is None without values."""

    path: str
    data: bytes | None
    stat: Stat


class WatchChange(NamedTuple):
    """One change. The optional fields are None unless the watch asked for values.

    ``prev_stat`` and ``prev_data`` describe the node before the change.
    """

    kind: ChangeKind
    path: str
    stat: Stat | None
    data: bytes | None
    prev_stat: Stat | None
    prev_data: bytes | None


class WatchBatch(NamedTuple):
    """All a watch hears of one revision: never a part of a transaction.

    ``listing`` is None as a rule. Otherwise the service no longer had what happened since the last
    batch: forget what you know, this is everything there is at ``revision``; ``changes`` is empty.
    """

    revision: int
    changes: tuple[WatchChange, ...]
    listing: tuple[ListedNode, ...] | None


class Listing(NamedTuple):
    """A subtree (or a node and its children) at one revision."""

    revision: int
    nodes: tuple[ListedNode, ...]


class Digest(NamedTuple):
    """Checksum of a node's records as of ``revision``; ``samples`` at fixed revisions, so that
    nodes can be compared. Hexadecimal."""

    revision: int
    digest: str
    samples: dict[int, str]


class Members(NamedTuple):
    """The cluster's members as maps; ``waiting`` are nodes that have asked to be let in."""

    members: list[dict[str, Any]]
    is_joint: bool
    waiting: list[dict[str, Any]]


class LogRun(NamedTuple):
    """Consecutive log entries of one term and kind, the first with index ``first``."""

    first: int
    term: int
    kind: int
    payloads: tuple[bytes, ...]
