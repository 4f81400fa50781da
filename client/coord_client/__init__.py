"""Client of the coord service: ``async with connect("h1:2181,h2:2181") as client``.

Reading order: ``client.py`` (the operations), ``session.py`` (what is sent, sent again and
concluded; no I/O), ``connection.py`` (the asyncio driver), ``watches.py``, then ``recipes/``.
``coord_client.sync`` is the same for programs without an event loop. Imports of coord:
``coord.model`` and ``coord.protocol`` only.
"""

from __future__ import annotations

from coord.model import errors
from coord.model.acl import OPEN, READ_ONLY, Acl
from coord.model.events import ChangeKind
from coord.model.types import ReadLevel
from coord.model.znode import CreateMode, Stat
from coord_client.client import Client, connect
from coord_client.credentials import digest_id
from coord_client.recipes import ForeignPathError, Group, Hold, LeaderElection, Lock
from coord_client.session import ConnectionState
from coord_client.transaction import Transaction
from coord_client.values import (
    Created,
    ListedNode,
    Listing,
    Node,
    WatchBatch,
    WatchChange,
)
from coord_client.watches import WatchStream

__all__ = [
    "OPEN",
    "READ_ONLY",
    "Acl",
    "ChangeKind",
    "Client",
    "ConnectionState",
    "CreateMode",
    "Created",
    "ForeignPathError",
    "Group",
    "Hold",
    "LeaderElection",
    "ListedNode",
    "Listing",
    "Lock",
    "Node",
    "ReadLevel",
    "Stat",
    "Transaction",
    "WatchBatch",
    "WatchChange",
    "WatchStream",
    "connect",
    "digest_id",
    "errors",
]
