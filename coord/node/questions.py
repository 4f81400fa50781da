"""What a client asks beside the reads of one node: several reads at once, what its session owns,
how large a subtree is, who it is; and its credentials, which take effect in the session's order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coord.model import requests as rq
from coord.model.errors import (
    OK,
    CoordError,
    ReconfigDisabledError,
    StorageError,
    TooLargeError,
)
from coord.model.limits import MIB, TXN_OPERATIONS_MAX
from coord.node.callers import authenticate
from coord.node.connection import Phase
from coord.node.identity import user_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.node.connection import Connection
    from coord.node.gateway import Gateway
    from coord.node.ports import Scheduler
    from coord.node.reads import ReadServer

MULTI_READ_BYTES_MAX: Final = 4 * MIB
"""Of all data together; ZooKeeper's clients do not take in more than one."""
COUNTED_AT_ONCE: Final = 1_000
"""Nodes of a subtree counted before others have a turn: about 2 ms."""


class Questions:
    """Answers them for the connections of one node."""

    KINDS: Final = (
        rq.MultiRead,
        rq.Ephemerals,
        rq.CountDescendants,
        rq.WhoAmI,
        rq.Auth,
        rq.Reconfig,
    )

    def __init__(self, reads: ReadServer, scheduler: Scheduler, super_digest: str) -> None:
        self.gateway: Gateway
        self._reads = reads
        self._scheduler = scheduler
        self._super_digest = super_digest
        self._table: dict[type, Callable[[Connection, Any], tuple[Any, ...]]] = {
            rq.MultiRead: self._multi_read,
            rq.Ephemerals: self._ephemerals,
            rq.WhoAmI: lambda conn, _request: (user_names(conn.identities_here),),
            rq.Auth: self._auth,
            rq.Reconfig: self._reconfig,
        }

    def serve(self, conn: Connection, xid: int, request: Any) -> None:
        """Answer now, or, for a large subtree, in a while; nothing overtakes the answer."""
        try:
            if type(request) is rq.CountDescendants:
                self._reads.check_readable(conn, request.path)
                conn.holds += 1
                self._count(conn, xid, request.path, "", 0)
                return
            body = self._table[type(request)](conn, request)
        except StorageError:
            raise
        except CoordError as error:
            self.gateway.refuse(conn, xid, error)
            if type(request) is rq.Auth and conn.is_zookeeper:
                self.gateway.close(conn)
            return
        self.gateway.send(conn, conn.codec.reply(xid, self._reads.reader.revision, body))

    def _multi_read(self, conn: Connection, request: rq.MultiRead) -> tuple[Any, ...]:
        if len(request.reads) > TXN_OPERATIONS_MAX:
            raise TooLargeError(f"at most {TXN_OPERATIONS_MAX} reads at once")
        results: list[tuple[Any, ...]] = []
        size = 0
        for read in request.reads:
            try:
                body = self._reads.read(conn, read)
            except StorageError:
                raise
            except CoordError as error:
                results.append((error.code,))
                continue
            size += _bytes_of(read, body)
            if size > MULTI_READ_BYTES_MAX:
                raise TooLargeError("the answers have more than 4 MiB together; ask for fewer")
            results.append((OK, *body))
        return tuple(results)

    def _ephemerals(self, conn: Connection, request: rq.Ephemerals) -> tuple[Any, ...]:
        owned = self._reads.reader.owners(conn.session)
        return ([path for path in owned if path.startswith(request.prefix)],)

    def _auth(self, conn: Connection, request: rq.Auth) -> tuple[Any, ...]:
        authenticate(conn, request, self._super_digest)
        return ()

    def _reconfig(self, conn: Connection, request: rq.Reconfig) -> tuple[Any, ...]:
        del conn, request
        raise ReconfigDisabledError("members change through `coord member`, not through clients")

    def _count(self, conn: Connection, xid: int, path: str, after: str, counted: int) -> None:
        """Count on behind the node ``after``. Changes between two turns may count or not."""
        if conn.phase is Phase.CLOSED:
            return
        last, found = self._reads.reader.count(path, after, COUNTED_AT_ONCE)
        counted += found
        if found == COUNTED_AT_ONCE:
            self._scheduler.call_soon(lambda: self._count(conn, xid, path, last, counted))
            return
        body = (counted - 1,)
        self.gateway.send(conn, conn.codec.reply(xid, self._reads.reader.revision, body))
        self.gateway.release(conn)


def _bytes_of(read: rq.Get | rq.Children, body: tuple[Any, ...]) -> int:
    """About what an answer takes on the wire."""
    if type(read) is rq.Get:
        return len(body[0]) + 100
    return sum(map(len, body[0])) + 8 * len(body[0]) + 100
