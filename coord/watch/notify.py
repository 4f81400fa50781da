"""Events of a stream → bounded messages in revision order; which idle streams get a bookmark.

A revision is a stream's unit of meaning: its events travel in parts of about PART_BYTES_MAX, and
only the last part is ``complete``. Resume is after the last complete revision, so that a
connection lost between two parts repeats the revision from its first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, Protocol

from coord.model.events import WatchEvent
from coord.model.limits import KIB
from coord.watch.registry import Stream, WatchRegistry

PART_BYTES_MAX: Final = 256 * KIB
"""Where a revision is cut. A part is longer only if its one change is."""
BOOKMARK_MS: Final = 10_000
"""An idle stream hears how far it has got at least this often."""
_EVENT_BYTES: Final = 2 * 68 + 32
"""Two Stats, and msgpack's heads."""

_revision_of: Final = attrgetter("revision")


class EventCodec(Protocol):
    """The part of a connection's codec that streams need."""

    def changes(self, events: Sequence[WatchEvent], *, with_values: bool) -> bytes:
        """``events`` as a push carries them; equal for every connection that hears them."""

    def events(
        self, watch_id: int, revision: int, part: int, complete: bool, changes: bytes
    ) -> bytes:
        """One push."""


Shared = dict[tuple[int, bool], bytes]
"""Encoded changes of a batch, by (identity of the only event, with_values): so that 5,000 streams
that hear one change cost one encoding. Valid only while the batch's events live."""


def pushes(
    codec: EventCodec,
    watch_id: int,
    events: Sequence[WatchEvent],
    *,
    with_values: bool,
    shared: Shared | None = None,
) -> Iterator[tuple[int, bytes]]:
    """(revision, frame) for one stream's ``events``, which come in revision order.

    ``shared``: what several streams hear is encoded once; a fresh one for each batch.
    """
    if len(events) == 1:
        revision = events[0].revision
        changes = _encoded(codec, events, with_values, shared)
        yield revision, codec.events(watch_id, revision, 0, True, changes)
        return
    for revision, of_revision in groupby(events, _revision_of):
        parts = split(list(of_revision), with_values=with_values)
        last = len(parts) - 1
        for number, part in enumerate(parts):
            changes = _encoded(codec, part, with_values, shared)
            yield revision, codec.events(watch_id, revision, number, number == last, changes)


def _encoded(
    codec: EventCodec, events: Sequence[WatchEvent], with_values: bool, shared: Shared | None
) -> bytes:
    if shared is None or len(events) > 1:
        return codec.changes(events, with_values=with_values)
    key = (id(events[0]), with_values)
    changes = shared.get(key)
    if changes is None:
        changes = shared[key] = codec.changes(events, with_values=with_values)
    return changes


def split(
    events: Sequence[WatchEvent], *, with_values: bool, bytes_max: int = PART_BYTES_MAX
) -> list[list[WatchEvent]]:
    """Cut one revision's events into parts of at most ``bytes_max``, never below one event."""
    assert events, "a revision without events for a stream is not sent"
    parts: list[list[WatchEvent]] = [[]]
    room = bytes_max
    for event in events:
        size = event_bytes(event, with_values=with_values)
        if size > room and parts[-1]:
            parts.append([])
            room = bytes_max
        parts[-1].append(event)
        room -= size
    return parts


def event_bytes(event: WatchEvent, *, with_values: bool) -> int:
    """About how much of a message an event takes; never less than it really does."""
    size = _EVENT_BYTES + 4 * len(event.path)
    if with_values:
        size += len(event.change.data or b"") + len(event.change.prev_data or b"")
    return size


def idle_streams(registry: WatchRegistry, since_revision: int) -> Iterator[Stream]:
    """Streams that have heard nothing after ``since_revision``: to be sent a bookmark.

    Called every half BOOKMARK_MS with the revision applied at the call before, it leaves no stream
    without a message for longer than BOOKMARK_MS.
    """
    return (stream for stream in registry.streams() if stream.revision <= since_revision)
