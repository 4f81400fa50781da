"""ZooKeeper's requests about watches: arm one that stays, remove, look, and re-arm all of them
after a reconnect.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar, Final

from coord.model import requests as rq
from coord.model.errors import CoordError, StorageError
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.znode import Stat
from coord.watch import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord.node.connection import Connection
    from coord.node.gateway import Gateway
    from coord.node.reads import ReadServer
    from coord.node.turns import Turns
    from coord.watch.registry import WatchRegistry

REARMED_AT_ONCE: Final = 1_000
"""Watches set again before others have a turn: about 3 ms."""
NO_REVISION: Final = -1
"""Of events that say what has changed meanwhile, not by what."""


class WatchRequests:
    """Serves them for the connections of one node."""

    KINDS: ClassVar[tuple[type, ...]] = (
        rq.AddWatch,
        rq.RemoveWatches,
        rq.CheckWatches,
        rq.SetWatches,
    )

    def __init__(self, registry: WatchRegistry, reads: ReadServer, turns: Turns) -> None:
        self.gateway: Gateway
        self._registry = registry
        self._reads = reads
        self._turns = turns
        self._rearm: dict[str, Callable[[Connection, str, int], int | None]] = {
            "data": self._data,
            "exist": self._exist,
            "child": self._child,
            "persistent": self._persistent,
            "recursive": self._recursive,
        }

    def serve(self, conn: Connection, xid: int, request: Any) -> None:
        """Answer; a list of watches in a while, and nothing overtakes the answer."""
        if type(request) is rq.SetWatches:
            watches = _armed_in(request)
            self._turns.add(conn, lambda: self._set(conn, xid, request.revision, watches))
            return
        try:
            if type(request) is rq.AddWatch:
                self._registry.add_standing(conn, request.path, recursive=request.mode == 1)
            elif type(request) is rq.RemoveWatches:
                kinds.remove(self._registry, conn, request.path, request.kind)
            else:
                kinds.check(self._registry, conn, request.path, request.kind)
        except CoordError as error:
            self.gateway.refuse(conn, xid, error)
            return
        self._reply(conn, xid)

    def _reply(self, conn: Connection, xid: int) -> None:
        self.gateway.send(conn, conn.codec.reply(xid, self._reads.reader.revision, ()))

    # --- re-arming ------------------------------------------------------------------------------

    def _set(
        self, conn: Connection, xid: int, revision: int, watches: Iterator[tuple[str, str]]
    ) -> bool:
        """A slice: each watch either fires for what came after ``revision`` or is armed. What
        changes before the next is heard by those armed already and found by the others."""
        count = 0
        try:
            for kind, path in islice(watches, REARMED_AT_ONCE):
                count += 1
                event = self._rearm[kind](conn, path, revision)
                if event is not None:
                    self._tell(conn, event, path)
        except StorageError:
            raise
        except CoordError as error:
            self.gateway.refuse(conn, xid, error)
            return True
        if count == REARMED_AT_ONCE:
            self.gateway.flush()
            return False
        self._reply(conn, xid)
        return True

    def _tell(self, conn: Connection, kind: int, path: str) -> None:
        if kind != ChangeKind.DELETED and not self._reads.may_read(conn, path):
            return
        change = Change(kind, path, NO_REVISION, None, None, None, None)
        event = WatchEvent(kind, path, NO_REVISION, change)
        self.gateway.send(conn, conn.codec.one_shot(event))

    def _data(self, conn: Connection, path: str, revision: int) -> int | None:
        stat = self._reads.reader.stat(path)
        if stat is None:
            return ChangeKind.DELETED
        if Stat.unpack(stat).mzxid > revision:
            return ChangeKind.DATA
        self._registry.add_once(conn, path, "data")
        return None

    def _exist(self, conn: Connection, path: str, revision: int) -> int | None:
        del revision
        if self._reads.reader.stat(path) is not None:
            return ChangeKind.CREATED
        self._registry.add_once(conn, path, "exist")
        return None

    def _child(self, conn: Connection, path: str, revision: int) -> int | None:
        stat = self._reads.reader.stat(path)
        if stat is None:
            return ChangeKind.DELETED
        if Stat.unpack(stat).pzxid > revision:
            return ChangeKind.CHILDREN
        self._registry.add_once(conn, path, "child")
        return None

    def _persistent(self, conn: Connection, path: str, revision: int) -> None:
        del revision
        self._registry.add_standing(conn, path, recursive=False)

    def _recursive(self, conn: Connection, path: str, revision: int) -> None:
        del revision
        self._registry.add_standing(conn, path, recursive=True)


def _armed_in(request: rq.SetWatches) -> Iterator[tuple[str, str]]:
    """(kind, path) of every watch the client holds, in the order ZooKeeper goes through them."""
    lists = zip(request._fields[1:], request[1:], strict=True)
    return chain.from_iterable(((kind, path) for path in paths) for kind, paths in lists)
