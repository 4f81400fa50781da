"""Listens to one client's connection and writes down what it carries about watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack

from coord.model import requests as rq
from coord.protocol.framing import FrameSplitter
from coord.protocol.native_client import (
    OPENING,
    CancelledPush,
    ClientCodec,
    Incoming,
    Reply,
    StreamPush,
)
from tests.sim.history import Asked, Ended, History, Pushed, Replied, Transcript

PERSISTENT: Final = 1
RECURSIVE: Final = 2


class Tap:
    """One connection of a client that speaks the native protocol."""

    def __init__(self, history: History, client: str) -> None:
        self._items = Transcript(client).items
        history.transcripts.append(Transcript(client, self._items))
        self._out = FrameSplitter()
        self._in = ClientCodec()
        self._opened = False
        self._listings: set[int] = set()

    def sent(self, data: bytes) -> None:
        """Bytes on their way to the node."""
        if not self._opened:
            assert data.startswith(OPENING)
            data, self._opened = data[len(OPENING) :], True
        for payload in self._out.feed(data):
            self._asked(*msgpack.unpackb(payload))

    def _asked(self, xid: int, op: int, *arguments: Any) -> None:
        read = _READERS.get(op)
        if read is not None:
            asked = read(xid, *arguments)
            if asked.what == "list_watch":
                self._listings.add(xid)
            self._items.append(asked)

    def received(self, data: bytes) -> None:
        """Bytes from the node."""
        for message in self._in.feed(data):
            self._arrived(message)

    def _arrived(self, message: Incoming) -> None:
        if isinstance(message, Reply):
            partial = message.xid in self._listings and message.code == 0 and not message.body[1]
            item = Replied(message.xid, message.code, message.revision, not partial)
            self._items.append(item)
        elif isinstance(message, StreamPush):
            changes = tuple(
                (c.kind, c.path, c.stat, c.data, c.prev_stat, c.prev_data) for c in message.changes
            )
            revision, part, complete = message.revision, message.part, message.complete
            self._items.append(Pushed(message.watch_id, revision, part, complete, changes))
        elif isinstance(message, CancelledPush):
            self._items.append(Ended(message.watch_id, message.revision, message.code))


def _watch(
    xid: int, path: str, mode: int = PERSISTENT, values: bool = False, resume: Any = None
) -> Asked:
    return Asked(xid, "watch", path, mode, values, -1 if resume is None else resume[1])


def _list_watch(xid: int, path: str, recursive: bool = True, values: bool = False) -> Asked:
    return Asked(xid, "list_watch", path, RECURSIVE if recursive else PERSISTENT, values)


_READERS: Final[dict[int, Callable[..., Asked]]] = {
    rq.WATCH: _watch,
    rq.LIST_WATCH: _list_watch,
    rq.UNWATCH: lambda _xid, watch_id: Asked(watch_id, "unwatch"),
}
"""Op → what to remember of the request."""
