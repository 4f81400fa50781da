"""Serves reads from the applied tree, and counts the rounds of linearizable ones.

A linearizable read joins the round of the next flush, so that all reads of one turn of the loop
share one ReadIndex. Rounds have growing ids; confirming one confirms every earlier one, because
its read index was taken later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord.model import requests as rq
from coord.model.acl import ADMIN, READ, permits
from coord.model.errors import (
    CoordError,
    ListingExpiredError,
    NoAuthError,
    NoNodeError,
    StorageError,
)
from coord.model.limits import PAGE_CHILDREN_MAX, PINNED_LISTING_MS_MAX, PINNED_LISTINGS_MAX
from coord.node.identity import redacted

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.node.connection import Connection
    from coord.node.driver import Driver
    from coord.node.ports import Clock
    from coord.store.reader import TreeReader
    from coord.watch.registry import WatchRegistry


class ReadRounds:
    """Which linearizable rounds are asked for, started and confirmed."""

    def __init__(self) -> None:
        self.next_id = 1
        self.confirmed = 0
        self.is_wanted = False
        """Reads wait for a round that has not been started."""

    def join(self) -> int:
        """The round a read that arrived just now belongs to."""
        self.is_wanted = True
        return self.next_id

    def start(self, driver: Driver) -> bool:
        """Start the joined round; False if it could not be started (no leader): ask again."""
        if not self.is_wanted:
            return True
        if not driver.read_index(self.next_id):
            return False
        self.is_wanted = False
        self.next_id += 1
        return True

    def retry(self) -> None:
        """Outstanding rounds are void: everything waiting is covered by a new one, whose id is
        larger than theirs."""
        self.is_wanted = True


class Pages:
    """Pinned read transactions of paged listings: at most 16 and 2 s each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pinned: dict[tuple[int, str, int], tuple[int, TreeReader]] = {}

    def first(self, session: int, path: str, reader: TreeReader) -> TreeReader:
        """Pin today's tree for the pages to come (no pin when all places are taken)."""
        self.expire()
        if len(self._pinned) >= PINNED_LISTINGS_MAX:
            raise ListingExpiredError("16 paged listings are under way on this node; try again")
        try:
            pinned = reader.pin()
        except StorageError:
            return reader
        key = (session, path, pinned.revision)
        old = self._pinned.pop(key, None)
        if old is not None:
            old[1].close()
        self._pinned[key] = (self._clock.monotonic_ms() + PINNED_LISTING_MS_MAX, pinned)
        return pinned

    def next(self, session: int, path: str, revision: int) -> TreeReader:
        """The tree the first page was read from."""
        self.expire()
        held = self._pinned.get((session, path, revision))
        if held is None:
            raise ListingExpiredError(f"the listing of {path} at revision {revision} has expired")
        return held[1]

    def done(self, session: int, path: str, revision: int) -> None:
        """The last page was served."""
        held = self._pinned.pop((session, path, revision), None)
        if held is not None:
            held[1].close()

    def expire(self) -> None:
        """Close what is past its time."""
        now_ms = self._clock.monotonic_ms()
        for key in [key for key, (end_ms, _) in self._pinned.items() if end_ms <= now_ms]:
            self._pinned.pop(key)[1].close()

    def close(self) -> None:
        """Close all: the tree underneath is going."""
        for _, pinned in self._pinned.values():
            pinned.close()
        self._pinned.clear()


class ReadServer:
    """Turns a read into its reply, from the state applied on this node."""

    def __init__(self, reader: TreeReader, watches: WatchRegistry, clock: Clock) -> None:
        self.reader = reader
        self.pages = Pages(clock)
        self._watches = watches
        self._table: dict[type, Callable[[Connection, Any], tuple[Any, ...]]] = {
            rq.Get: self._get,
            rq.Exists: self._exists,
            rq.Children: self._children,
            rq.GetAcl: self._get_acl,
            rq.Sync: self._sync,
        }

    def read(self, conn: Connection, request: Any) -> tuple[Any, ...]:
        """The body of a reply. Raises CoordError."""
        return self._table[type(request)](conn, request)

    def check_readable(self, conn: Connection, path: str) -> None:
        """Raises NoNodeError, NoAuthError."""
        if self.reader.stat(path) is None:
            raise NoNodeError(f"node {path} does not exist")
        self._check(conn, self.reader, path, READ)

    def may_read(self, conn: Connection, path: str) -> bool:
        """READ on a node that exists; True for one that does not."""
        try:
            self.check_readable(conn, path)
        except NoAuthError:
            return False
        except NoNodeError:
            return True
        return True

    def serve(self, conn: Connection, xid: int, request: Any) -> bytes:
        """The reply frame; refusals become error replies."""
        try:
            body = self._table[type(request)](conn, request)
        except StorageError:
            raise
        except CoordError as error:
            return conn.codec.error(xid, self.reader.revision, error)
        return conn.codec.reply(xid, self.reader.revision, body)

    def _get(self, conn: Connection, request: rq.Get) -> tuple[Any, ...]:
        found = self.reader.get(request.path)
        if found is None:
            raise NoNodeError(f"node {request.path} does not exist")
        self._check(conn, self.reader, request.path, READ)
        if request.watch:
            self._watches.add_once(conn, request.path, "data")
        return found

    def _exists(self, conn: Connection, request: rq.Exists) -> tuple[Any, ...]:
        stat = self.reader.stat(request.path)
        if stat is not None:
            self._check(conn, self.reader, request.path, READ)
        if request.watch:
            self._watches.add_once(conn, request.path, "exist" if stat is None else "data")
        if stat is None:
            raise NoNodeError(f"node {request.path} does not exist")
        return (stat,)

    def _children(self, conn: Connection, request: rq.Children) -> tuple[Any, ...]:
        path, session = request.path, conn.session
        paged = request.limit > 0
        limit = min(request.limit or PAGE_CHILDREN_MAX, PAGE_CHILDREN_MAX)
        reader = self.reader
        if paged and request.revision:
            reader = self.pages.next(session, path, request.revision)
        found = reader.children(path, request.after, limit if paged else 0)
        if found is None:
            raise NoNodeError(f"node {path} does not exist")
        self._check(conn, reader, path, READ)
        names, stat, more = found
        if paged and more and not request.revision:
            reader = self.pages.first(session, path, self.reader)
        elif paged and not more and request.revision:
            self.pages.done(session, path, request.revision)
        if request.watch:
            self._watches.add_once(conn, path, "child")
        return (names, stat, more, request.revision or self.reader.revision)

    def _get_acl(self, conn: Connection, request: rq.GetAcl) -> tuple[Any, ...]:
        found = self.reader.acl(request.path)
        if found is None:
            raise NoNodeError(f"node {request.path} does not exist")
        if self.reader.is_restricted:
            self._check(conn, self.reader, request.path, READ | ADMIN)
            if not permits(found[0], ADMIN, conn.identities_here):
                return redacted(found[0]), found[1]
        return found

    def _sync(self, conn: Connection, request: rq.Sync) -> tuple[Any, ...]:
        del conn
        return (request.path,)

    @staticmethod
    def _check(conn: Connection, reader: TreeReader, path: str, wanted: int) -> None:
        """Called right after ``reader`` found ``path``."""
        if reader.is_restricted:
            found = reader.acl(path)
            assert found is not None, "found a moment ago in the same transaction"
            if not permits(found[0], wanted, conn.identities_here):
                raise NoAuthError(f"the ACL of {path} does not allow this")
