"""Watches of this node's connections: arming, replaying what a stream missed, publishing.

Everything happens between two applies on one thread, so a stream opened at revision R hears
exactly what changes after R, and a listing taken with it is the tree at R.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from coord.model import requests as rq
from coord.model.acl import READ, Acl, permits, permits_packed
from coord.model.errors import (
    CompactedError,
    CoordError,
    LimitError,
    NoNodeError,
    NotReadyError,
    StorageError,
    TooLargeError,
)
from coord.model.events import ChangeKind
from coord.model.limits import MIB
from coord.model.paths import join
from coord.node.connection import Phase
from coord.watch.notify import Shared, idle_streams, pushes
from coord.watch.registry import ONE_SHOT_ID
from coord.watch.replay import events_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord.model.events import WatchEvent
    from coord.node.connection import Connection
    from coord.node.gateway import Gateway
    from coord.node.ports import Scheduler
    from coord.store.applied import AppliedBatch
    from coord.store.member_store import Store
    from coord.store.reader import TreeReader
    from coord.watch.registry import WatchRegistry

_CHILDREN: Final = int(ChangeKind.CHILDREN)
LIST_ENTRIES_MAX: Final = 10_000
LIST_BYTES_MAX: Final = 1 * MIB
REPLAY_CHANGES: Final = 256
"""Changes of history replayed to a resuming stream at a time: about 5 ms."""
REPLAY_PAUSE_MS: Final = 5


class Streams:
    """Watch streams and one-shot watches of one node."""

    KINDS: ClassVar[tuple[type, ...]] = (rq.Watch, rq.ListWatch, rq.Unwatch)

    def __init__(
        self, registry: WatchRegistry, reader: TreeReader, store: Store, scheduler: Scheduler
    ) -> None:
        self.gateway: Gateway
        self._scheduler = scheduler
        self.registry = registry
        self.reader = reader
        self._store = store
        self._bookmarked = 0

    # --- requests -------------------------------------------------------------------------------

    def serve(self, conn: Connection, xid: int, request: Any) -> None:
        """Answer Watch, ListWatch or Unwatch."""
        try:
            if isinstance(request, rq.Unwatch):
                self.registry.remove_stream(conn, request.watch_id)
                body: tuple[Any, ...] = ()
            elif isinstance(request, rq.ListWatch):
                body = self._list_watch(conn, xid, request)
            else:
                self._watch(conn, xid, request)
                return
        except StorageError:
            raise
        except CoordError as error:
            self.gateway.send(conn, conn.codec.error(xid, self.reader.revision, error))
            return
        self.gateway.send(conn, conn.codec.reply(xid, self.reader.revision, body))

    def _watch(self, conn: Connection, xid: int, request: rq.Watch) -> None:
        if request.resume is None:
            self.registry.add_stream(conn, xid, request.path, request.mode, request.with_values)
            self._accept(conn, xid)
            return
        history_id, revision = request.resume
        if history_id != self._store.machine.history_id:
            raise CompactedError("the resume token is of another history (a restored cluster)")
        if revision > self.reader.revision:
            raise NotReadyError(f"this node has not applied revision {revision}; try another")
        if revision < self.reader.floor:
            raise CompactedError(f"history starts after revision {self.reader.floor}")
        self._accept(conn, xid)
        conn.holds += 1
        self._catch_up(conn, xid, request, revision)

    def _accept(self, conn: Connection, xid: int) -> None:
        body = (self._store.machine.history_id,)
        self.gateway.send(conn, conn.codec.reply(xid, self.reader.revision, body))

    def _catch_up(self, conn: Connection, xid: int, request: rq.Watch, revision: int) -> None:
        """Send what changed after ``revision``, a slice at a time so that nobody else waits, then
        join the live stream. Until then the connection is served nothing that could reflect what
        the stream has not told yet."""
        if conn.phase is Phase.CLOSED:
            return
        if not conn.is_congested:
            try:
                revision, is_done = self._replay(conn, xid, request, revision)
                if is_done:
                    mode, with_values = request.mode, request.with_values
                    self.registry.add_stream(conn, xid, request.path, mode, with_values)
                    self.gateway.send(conn, _bookmark(conn, xid, self.reader.revision))
            except (CompactedError, LimitError) as error:
                is_done = True
                self.gateway.send(conn, conn.codec.cancelled(xid, self.reader.revision, error))
            if is_done:
                self.gateway.release(conn)
                return
            self.gateway.flush()
        self._scheduler.call_later(
            REPLAY_PAUSE_MS, lambda: self._catch_up(conn, xid, request, revision)
        )

    def _replay(
        self, conn: Connection, xid: int, request: rq.Watch, revision: int
    ) -> tuple[int, bool]:
        """One slice; (the revision up to which all is sent, whether that is everything)."""
        count = 0
        events: list[WatchEvent] = []
        for change in self.reader.changes_after(revision, REPLAY_CHANGES):
            count += 1
            revision = change.revision
            events.extend(events_for(request.path, request.mode, change))
        parents = _Parents(self.reader)
        readable = [event for event in events if _may_hear(conn, event, parents)]
        if readable:
            codec, with_values = conn.codec, request.with_values
            for _, frame in pushes(codec, xid, readable, with_values=with_values):
                self.gateway.send(conn, frame)
        return revision, count < REPLAY_CHANGES

    def _list_watch(self, conn: Connection, xid: int, request: rq.ListWatch) -> tuple[Any, ...]:
        """(history id, complete, entries): the node first, then its subtree or children."""
        if self.reader.stat(request.path) is None:
            raise NoNodeError(f"node {request.path} does not exist")
        found, more = self._listing(request)
        size = sum(len(path) + len(data) + 80 for path, data, _ in found)
        if more or size > LIST_BYTES_MAX:
            raise TooLargeError(
                f"{request.path} has more than {LIST_ENTRIES_MAX} nodes or 1 MiB below it; list"
                " it in pages and open a watch from the listing's revision"
            )
        found = [entry for entry in found if self._readable(conn, entry[0])]
        mode = 2 if request.recursive else 1
        self.registry.add_stream(conn, xid, request.path, mode, request.with_values)
        entries = [
            (path, data if request.with_values else None, stat) for path, data, stat in found
        ]
        return (self._store.machine.history_id, True, entries)

    def _listing(self, request: rq.ListWatch) -> tuple[list[tuple[str, bytes, bytes]], bool]:
        if request.recursive:
            return self.reader.subtree(request.path, "", LIST_ENTRIES_MAX)
        listed = self.reader.children(request.path, "", LIST_ENTRIES_MAX)
        assert listed is not None, "the caller has looked"
        names, _, more = listed
        paths = [request.path, *(join(request.path, name) for name in names)]
        return [(path, *found) for path in paths if (found := self.reader.get(path))], more

    def _readable(self, conn: Connection, path: str) -> bool:
        """READ on a node that exists; True for one that does not."""
        if self.reader.stat(path) is None or not self.reader.is_restricted:
            return True
        found = self.reader.acl(path)
        return found is None or permits(found[0], READ, conn.identities_here)

    # --- events ---------------------------------------------------------------------------------

    def publish(self, batch: AppliedBatch, mark: Callable[[Connection], None]) -> None:
        """Queue the events of an applied batch with the connections that watch."""
        matches = self.registry.match(batch.changes)
        shared: tuple[dict[int, bytes], dict[int, bytes]] = ({}, {})
        encoded: Shared = {}
        parents = _Parents(self.reader)
        for owner, heard in matches:
            conn: Connection = owner  # type: ignore[assignment]  # owners are our connections
            events = [pair for pair in heard if _may_hear(conn, pair[1], parents)]
            for frame in self._frames(conn, events, shared[conn.is_zookeeper], encoded):
                conn.events.append(frame)
            mark(conn)

    def _frames(
        self,
        conn: Connection,
        events: list[tuple[int, WatchEvent]],
        shared: dict[int, bytes],
        encoded: Shared,
    ) -> list[tuple[int, bytes]]:
        """(revision, frame) in order; a stream's events of one revision share a push."""
        frames: list[tuple[int, bytes]] = []
        by_stream: dict[int, list[WatchEvent]] = {}
        for watch_id, event in events:
            if watch_id == ONE_SHOT_ID:
                frame = shared.get(id(event))
                if frame is None:
                    frame = shared[id(event)] = conn.codec.one_shot(event)
                frames.append((event.revision, frame))
            else:
                by_stream.setdefault(watch_id, []).append(event)
        for watch_id, own in by_stream.items():
            stream = self.registry.stream(conn, watch_id)
            with_values = stream is not None and stream.with_values
            frames.extend(
                pushes(conn.codec, watch_id, own, with_values=with_values, shared=encoded)
            )
        return frames

    def bookmark(self, send: Callable[[Connection, bytes], None]) -> None:
        """Tell idle streams how far they have got: called every half BOOKMARK_MS."""
        revision = self.reader.revision
        for stream in list(idle_streams(self.registry, self._bookmarked)):
            conn: Connection = stream.owner  # type: ignore[assignment]  # see publish()
            send(conn, _bookmark(conn, stream.watch_id, revision))
        self._bookmarked = revision

    def drop(self, conn: Connection) -> None:
        """The connection is gone, its watches with it."""
        self.registry.drop_owner(conn)


class _Parents:
    """ACLs of the nodes whose list of children changed, each looked up once."""

    def __init__(self, reader: TreeReader) -> None:
        self._reader = reader
        self._known: dict[str, tuple[Acl, ...]] = {}

    def acl_of(self, path: str) -> tuple[Acl, ...]:
        """Today's; of a parent that is gone, what it had at last."""
        acl = self._known.get(path)
        if acl is None:
            found = self._reader.acl(path)
            acl = self._known[path] = self._last_of(path) if found is None else found[0]
        return acl

    def _last_of(self, path: str) -> tuple[Acl, ...]:
        newest = self._reader.history(path, limit=1)
        return tuple(Acl(*entry) for entry in newest[0]["acl"]) if newest else ()


def _may_hear(conn: Connection, event: WatchEvent, parents: _Parents) -> bool:
    """READ is asked at delivery: of the node that changed as it was left by the change, of the
    parent if the list of its children did."""
    if event.kind == _CHILDREN:
        return permits(parents.acl_of(event.path), READ, conn.identities_here)
    return permits_packed(event.change.acl, READ, conn.identities_here)


def _bookmark(conn: Connection, watch_id: int, revision: int) -> bytes:
    nothing = conn.codec.changes((), with_values=False)
    return conn.codec.events(watch_id, revision, 0, True, nothing)
