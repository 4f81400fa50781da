"""What a client asks beside the reads of one node: several reads at once, what its session owns,
how large a subtree is, who it is; and its credentials, which take effect in the session's order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from coord.model import requests as rq
from coord.model.errors import (
    OK,
    CoordError,
    NoAuthError,
    NoNodeError,
    StorageError,
    TooLargeError,
)
from coord.model.limits import MIB, TXN_OPERATIONS_MAX
from coord.node.callers import authenticate
from coord.node.identity import user_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.node.connection import Connection
    from coord.node.gateway import Gateway
    from coord.node.reads import ReadServer
    from coord.node.turns import Job, Turns

MULTI_READ_BYTES_MAX: Final = 4 * MIB
"""Of all data together; ZooKeeper's clients do not take in more than one."""
READ_AT_ONCE: Final = 100
"""More reads than these have a turn of their own."""
COUNTED_AT_ONCE: Final = 1_000
"""Nodes of a subtree counted before others have a turn: about 2 ms."""


class Questions:
    """Answers them for the connections of one node."""

    KINDS: ClassVar[tuple[type, ...]] = (
        rq.MultiRead,
        rq.Ephemerals,
        rq.CountDescendants,
        rq.WhoAmI,
        rq.Auth,
    )

    def __init__(self, reads: ReadServer, turns: Turns, super_digest: str) -> None:
        self.gateway: Gateway
        self._reads = reads
        self._turns = turns
        self._super_digest = super_digest
        self._table: dict[type, Callable[[Connection, Any], tuple[Any, ...]]] = {
            rq.MultiRead: self._multi_read,
            rq.Ephemerals: self._ephemerals,
            rq.WhoAmI: lambda conn, _request: (user_names(conn.identities_here),),
            rq.Auth: self._auth,
        }

    def serve(self, conn: Connection, xid: int, request: Any) -> None:
        """Answer now, or in a while what takes long; nothing overtakes the answer."""
        kind = type(request)
        if kind is rq.CountDescendants:
            self._turns.add(conn, self._counting(conn, xid, request.path))
        elif kind is rq.MultiRead and len(request.reads) > READ_AT_ONCE:
            self._turns.add(conn, lambda: self._answer(conn, xid, request))
        else:
            self._answer(conn, xid, request)

    def _answer(self, conn: Connection, xid: int, request: Any) -> bool:
        try:
            body = self._table[type(request)](conn, request)
        except StorageError:
            raise
        except CoordError as error:
            self.gateway.refuse(conn, xid, error)
            if type(request) is rq.Auth and conn.is_zookeeper:
                self.gateway.close(conn)
        else:
            self.gateway.send(conn, conn.codec.reply(xid, self._reads.reader.revision, body))
        return True

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

    def _counting(self, conn: Connection, xid: int, path: str) -> Job:
        """What changes between two slices may count or not."""
        last, counted = "", -1  # The node itself is not below itself.

        def count() -> bool:
            nonlocal last, counted
            reader = self._reads.reader
            try:
                if not last:
                    self._reads.check_readable(conn, path)
            except (NoNodeError, NoAuthError) as error:
                self.gateway.refuse(conn, xid, error)
                return True
            last, found = reader.count(path, last, COUNTED_AT_ONCE)
            counted += found
            if found == COUNTED_AT_ONCE:
                return False
            self.gateway.send(conn, conn.codec.reply(xid, reader.revision, (counted,)))
            return True

        return count


def _bytes_of(read: rq.Get | rq.Children, body: tuple[Any, ...]) -> int:
    """About what an answer takes on the wire."""
    if type(read) is rq.Get:
        return len(body[0]) + 100
    return sum(map(len, body[0])) + 8 * len(body[0]) + 100
