"""Watch streams that lose nothing: each resumes after the last complete revision it delivered.

The server pushes (revision, part, complete, changes). A subscription collects parts and delivers a
batch once the revision is complete. After a reconnect it asks again from the last complete
revision; if the service no longer has that (``Compacted``), it asks for a fresh listing and
delivers that as a batch. (A subtree too large for one listing is read in pages while events are
held back: each node as of the listing's revision or later, and the events that follow bring all of
them to the same.) A consumer that falls behind makes the subscription stop listening and
resume later: memory is bounded, events are not lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from coord.model.errors import (
    CompactedError,
    ConnectionLostError,
    CoordError,
    MisuseError,
    NoNodeError,
    TooLargeError,
)
from coord.model.events import Change, ChangeKind
from coord.model.requests import ListWatch, Request, Unwatch, Watch
from coord.model.znode import Stat
from coord.protocol.native_client import CancelledPush, Incoming, Reply, StreamPush
from coord_client.operations import NEVER_MS, Kind, Operation
from coord_client.values import ListedNode, WatchBatch, WatchChange

BUFFER_CHANGES_MAX: Final = 10_000
BUFFER_BYTES_MAX: Final = 16 << 20
"""A consumer further behind stops the stream on the server until it has caught up."""

PERSISTENT: Final = 1
RECURSIVE: Final = 2


class WatchTable:
    """The watch streams of one client. Invariant: ``_by_id`` holds those the server knows."""

    def __init__(
        self,
        submit: Callable[..., None],
        strip: Callable[[str], str],
        position: Callable[[], tuple[Any, int]],
        walk: Callable[[Subscription], None],
    ) -> None:
        """``submit`` takes an Operation; ``strip`` removes the chroot from a path; ``position``
        is (history id, greatest revision any answer has shown); ``walk`` begins to read a large
        subtree in pages, for :meth:`Subscription.walked`."""
        self._submit = submit
        self.strip = strip
        self.position = position
        self.walk = walk
        self._by_id: dict[int, Subscription] = {}
        self._all: dict[Subscription, None] = {}

    def add(self, subscription: Subscription) -> None:
        """Start a stream; its request leaves with the next flush."""
        self._all[subscription] = None
        try:
            self.ask(subscription)
        except CoordError:
            del self._all[subscription]
            raise

    def discard(self, subscription: Subscription) -> None:
        """End a stream, on the server too."""
        self._all.pop(subscription, None)
        if subscription.watch_id:
            self._unwatch(subscription.watch_id)
            subscription.watch_id = 0

    def ask(self, subscription: Subscription, *, first: bool = False) -> None:
        """Ask for the stream, or for it again."""
        operation = Operation(subscription.request(), subscription, Kind.STREAM, NEVER_MS)
        self._submit(operation, first=first)
        subscription.is_asked = True

    def established(self, subscription: Subscription, watch_id: int) -> None:
        """The server knows the stream under ``watch_id``."""
        if subscription.is_closed:
            self._unwatch(watch_id)
            return
        subscription.watch_id = watch_id
        self._by_id[watch_id] = subscription

    def suspend(self, subscription: Subscription) -> None:
        """The consumer is behind: stop listening for now."""
        if subscription.watch_id:
            self._unwatch(subscription.watch_id)
            subscription.watch_id = 0

    def on_push(self, push: Incoming) -> None:
        """Events or the end of a stream; what nobody listens to any more is dropped."""
        if isinstance(push, StreamPush):
            subscription = self._by_id.get(push.watch_id)
            if subscription is not None:
                subscription.heard(push)
        elif isinstance(push, CancelledPush):
            subscription = self._by_id.pop(push.watch_id, None)
            if subscription is not None:
                subscription.watch_id = 0
                subscription.set_exception(push.error())

    def renew(self) -> None:
        """A new connection knows no streams: ask for all of them before anything else is sent."""
        self._by_id.clear()
        for subscription in reversed(self._all):
            subscription.watch_id = 0
            if not subscription.is_asked and not subscription.is_behind:
                self.ask(subscription, first=True)

    def close(self, error: CoordError) -> None:
        """The client closes: streams end with ``error``."""
        for subscription in tuple(self._all):
            subscription.fail(error)
        self._all.clear()
        self._by_id.clear()

    def _unwatch(self, watch_id: int) -> None:
        self._by_id.pop(watch_id, None)
        try:
            self._submit(Operation(Unwatch(watch_id), _Nobody(), Kind.ONCE, NEVER_MS))
        except CoordError:
            return  # closed or overloaded: the server drops the watch with the connection


class _Nobody:
    """Waits for the answer to a request whose outcome is of no interest."""

    def done(self) -> bool:
        return False

    def set_result(self, result: Any, /) -> None:
        pass

    def set_exception(self, error: BaseException, /) -> None:
        pass


class Subscription:
    """One stream as the session machine sees it (a Waiter) and its buffer.

    Invariant: ``_resume`` names the last complete revision that was put into the buffer.
    """

    def __init__(
        self, table: WatchTable, path: str, mode: int, *, values: bool, listing: bool
    ) -> None:
        self._table = table
        self.path = path
        self.mode = mode
        self.values = values
        self._wants_listing = listing
        self._resume: tuple[Any, int] | None = None
        self._listed: list[ListedNode] = []
        self._listing_xid = 0
        self._parts: list[WatchChange] = []
        self._buffer: deque[WatchBatch] = deque()
        self._held_back: list[WatchBatch] | None = None
        """Batches that must wait for a listing in pages; None: there is none under way."""
        self.listing_revision = 0
        """From when on a stream that is listed in pages has listened."""
        self._buffered_changes = self._buffered_bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.watch_id = 0
        self.is_asked = False
        self.is_behind = False
        self.is_closed = False

    def request(self) -> Request:
        """What to send: a listing if there is nothing to resume from that still exists."""
        self._parts = []
        if self._wants_listing:
            return ListWatch(self.path, self.mode == RECURSIVE, self.values)
        return Watch(self.path, self.mode, self.values, self._resume)

    # --- Waiter --------------------------------------------------------------------------------

    def done(self) -> bool:
        """Always wants the answer: if closed, to tell the server."""
        return False

    def set_result(self, reply: Reply, /) -> None:
        """Body (history id,), or of a listing (history id, complete, entries)."""
        if not self._wants_listing:
            if self._resume is None:
                self._resume = (reply.body[0], reply.revision)
                if self._held_back is not None:
                    self.listing_revision = reply.revision
                    self._table.walk(self)
        elif not self._listing_arrived(reply):
            return
        self.is_asked = False
        if not self.is_behind:
            self._table.established(self, reply.xid)
        self._notify()

    def _listing_arrived(self, reply: Reply) -> bool:
        """Collect a frame of the listing; True if it was the last."""
        history_id, complete, entries = reply.body
        if reply.xid != self._listing_xid:
            self._listed, self._listing_xid = [], reply.xid
        strip = self._table.strip
        self._listed += [
            ListedNode(strip(path), data, Stat.unpack(stat)) for path, data, stat in entries
        ]
        if complete:
            self._resume, self._wants_listing = (history_id, reply.revision), False
            self._deliver(WatchBatch(reply.revision, (), tuple(self._listed)))
            self._listed = []
        return bool(complete)

    def set_exception(self, error: BaseException, /) -> None:
        """The stream could not be opened, or the server ended it."""
        self.is_asked = False
        if self.is_closed:
            return
        if isinstance(error, CompactedError):
            self._wants_listing = True
            self._table.ask(self)
        elif isinstance(error, TooLargeError) and self._wants_listing:
            # Listen from now on, then read what there is.
            self._resume, self._wants_listing, self._held_back = None, False, []
            self._table.ask(self)
        elif isinstance(error, NoNodeError) and self._resume is not None:
            # A fresh listing of what no longer exists: nothing, as of the refusal's revision.
            self._resume, self._wants_listing = self._table.position(), False
            self._deliver(WatchBatch(self._resume[1], (), ()))
            self._table.ask(self)
        else:
            self._table.discard(self)
            self.fail(error)

    def walked(self, revision: int, nodes: list[ListedNode]) -> None:
        """What reading in pages has found since ``revision``: it precedes the events that were
        held back. Void if a later listing was begun meanwhile."""
        if self._held_back is not None and revision == self.listing_revision:
            batches, self._held_back = self._held_back, None
            self._buffer.append(WatchBatch(revision, (), tuple(nodes)))
            self._buffer.extend(batches)
            self._notify()

    # --- events --------------------------------------------------------------------------------

    def heard(self, push: StreamPush) -> None:
        """Changes, or a bookmark."""
        self._parts += [self._change(change) for change in push.changes]
        if not push.complete:
            return
        assert self._resume is not None, "events before the stream was established"
        self._resume = (self._resume[0], push.revision)
        if self._parts:
            batch = WatchBatch(push.revision, tuple(self._parts), None)
            self._parts = []
            self._deliver(batch)

    def _change(self, change: Change) -> WatchChange:
        stat, prev_stat = change.stat, change.prev_stat
        return WatchChange(
            ChangeKind(change.kind),
            self._table.strip(change.path),
            None if stat is None else Stat.unpack(stat),
            change.data,
            None if prev_stat is None else Stat.unpack(prev_stat),
            change.prev_data,
        )

    def _deliver(self, batch: WatchBatch) -> None:
        changes, size = _weight(batch)
        (self._buffer if self._held_back is None else self._held_back).append(batch)
        self._buffered_changes += changes
        self._buffered_bytes += size
        if (
            self._buffered_changes > BUFFER_CHANGES_MAX or self._buffered_bytes > BUFFER_BYTES_MAX
        ) and batch.listing is None:
            self.is_behind = True
            self._table.suspend(self)
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- consumer ------------------------------------------------------------------------------

    async def wait_established(self) -> None:
        """Until the server knows the stream; raises what it refused with."""
        while self._error is None and not self.watch_id and not self._buffer:
            await self._wait()
        if self._error is not None:
            raise self._error

    async def next_batch(self) -> WatchBatch | None:
        """The next batch; None once the stream is closed and drained."""
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self.is_closed:
                return None
            if self.is_behind:
                self.is_behind = False
                if not self.is_asked:
                    self._table.ask(self)
            await self._wait()
        return self._take()

    def next_batch_nowait(self) -> WatchBatch | None:
        """A batch that is here already, or None."""
        return self._take() if self._buffer else None

    def _take(self) -> WatchBatch:
        batch = self._buffer.popleft()
        changes, size = _weight(batch)
        self._buffered_changes -= changes
        self._buffered_bytes -= size
        return batch

    async def _wait(self) -> None:
        if self._wake is not None and not self._wake.done():
            raise MisuseError("two tasks read one watch stream")
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake

    def fail(self, error: BaseException) -> None:
        """The consumer gets ``error`` after what is buffered."""
        self._error = error
        self._notify()

    def close(self) -> None:
        """No more events."""
        if not self.is_closed:
            self.is_closed = True
            self._table.discard(self)
            self._notify()


def _weight(batch: WatchBatch) -> tuple[int, int]:
    """(changes, bytes of values) in a batch."""
    if batch.listing is not None:
        return 0, 0  # asked for, complete and delivered once: not bounded by the buffer
    size = sum(len(each.data or b"") + len(each.prev_data or b"") for each in batch.changes)
    return len(batch.changes), size


class WatchStream:
    """Changes of a node or subtree as an async iterator of WatchBatch.

    It listens from the call that made it, in the order of the client's requests, and goes on
    through reconnects, node failures and the end of the session. Close it when done (``async
    with`` does).
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def __aenter__(self) -> Self:
        await self._subscription.wait_established()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        """The next batch. Raises what the service refused the stream with (NoAuthError…)."""
        batch = await self._subscription.next_batch()
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def wait_established(self) -> None:
        """Until the service listens for us; raises what it refused with."""
        await self._subscription.wait_established()

    def next_nowait(self) -> WatchBatch | None:
        """A batch that has arrived already, or None."""
        return self._subscription.next_batch_nowait()

    def close(self) -> None:
        """Stop listening; an iteration ends after what has arrived."""
        self._subscription.close()


def closed_error() -> ConnectionLostError:
    """What a stream ends with when its client is closed."""
    return ConnectionLostError("the client was closed", definite=True)
