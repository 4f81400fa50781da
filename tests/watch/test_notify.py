"""Pushes: grouped by revision, cut at a bound, complete on the last part; bookmarks."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from coord.model.events import ChangeKind, WatchEvent
from coord.protocol.native import NativeCodec
from coord.protocol.native_client import ClientCodec, StreamPush
from coord.watch.notify import (
    PART_BYTES_MAX,
    Shared,
    event_bytes,
    idle_streams,
    pushes,
    split,
)
from coord.watch.registry import StreamMode, WatchRegistry
from tests.watch.strategies import change


def event(revision: int, path: str = "/a", data: bytes = b"") -> WatchEvent:
    """A new value."""
    return WatchEvent(ChangeKind.DATA, path, revision, change(3, path, revision, data))


def received(events: Sequence[WatchEvent], *, with_values: bool) -> list[StreamPush]:
    """What a client gets."""
    frames = pushes(NativeCodec(), 5, events, with_values=with_values)
    found = ClientCodec().feed(b"".join(frame for _, frame in frames))
    assert all(isinstance(push, StreamPush) for push in found)
    return [push for push in found if isinstance(push, StreamPush)]


def test_a_revision_is_one_push() -> None:
    """Events of one revision share a push; the next revision starts another."""
    events = [event(1, "/a"), event(1, "/b"), event(2, "/a")]
    found = received(events, with_values=False)
    assert [(push.revision, push.part, push.complete, len(push.changes)) for push in found] == [
        (1, 0, True, 2),
        (2, 0, True, 1),
    ]


def test_a_large_revision_comes_in_parts() -> None:
    """A revision above the bound is cut; only its last part is complete."""
    events = [event(7, f"/n{number}", bytes(50_000)) for number in range(6)]
    found = received(events, with_values=True)
    assert [(push.part, push.complete) for push in found] == [(0, False), (1, False), (2, True)]
    assert {push.revision for push in found} == {7}
    assert [one.path for push in found for one in push.changes] == [e.path for e in events]


def test_values_only_where_asked() -> None:
    """Without values a large revision is small, and carries Stats only."""
    events = [event(7, f"/n{number}", bytes(50_000)) for number in range(6)]
    (push,) = received(events, with_values=False)
    assert push.complete
    assert all(one.data is None and one.prev_data is None and one.stat for one in push.changes)


def test_frames_name_their_revision() -> None:
    """The caller gets each frame with its revision, to merge it into the connection's order."""
    frames = list(pushes(NativeCodec(), 5, [event(3), event(4)], with_values=False))
    assert [revision for revision, _ in frames] == [3, 4]


def test_no_events_no_push() -> None:
    """Nothing heard is nothing sent: bookmarks are somebody else's decision."""
    assert list(pushes(NativeCodec(), 5, [], with_values=True)) == []


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=30), st.integers(500, 5_000))
def test_split_loses_nothing(sizes: list[int], bytes_max: int) -> None:
    """Parts keep order and events, and hold at most the bound unless they hold one event."""
    events = [event(1, f"/{at}", bytes(size)) for at, size in enumerate(sizes)]
    parts = split(events, with_values=True, bytes_max=bytes_max)
    assert [one for part in parts for one in part] == events
    for part in parts:
        assert part
        total = sum(event_bytes(one, with_values=True) for one in part)
        assert len(part) == 1 or total <= bytes_max


@given(st.text(st.characters(codec="utf-8"), max_size=80), st.binary(max_size=400), st.booleans())
def test_an_event_never_takes_more_than_counted(name: str, data: bytes, values: bool) -> None:
    """The estimate that cuts parts bounds the real size from above."""
    one = event(2**53 - 1, "/" + name, data)
    encoded = NativeCodec.changes([one], with_values=values)
    assert len(encoded) <= event_bytes(one, with_values=values)


def test_a_crowd_is_encoded_once() -> None:
    """Streams that hear the same single change share its encoding, apart for values."""

    class Counting(NativeCodec):
        __slots__ = ()
        encoded = 0

        @staticmethod
        def changes(events: Sequence[WatchEvent], *, with_values: bool) -> bytes:
            Counting.encoded += 1
            return NativeCodec.changes(events, with_values=with_values)

    shared: Shared = {}
    one, codec = event(1), Counting()
    for watch_id in range(100):
        for with_values in (False, True):
            frames = pushes(codec, watch_id, [one], with_values=with_values, shared=shared)
            ((_, frame),) = frames
            ((_, alone),) = pushes(codec, watch_id, [one], with_values=with_values)
            assert frame == alone
    assert Counting.encoded == 2 + 200


def test_runs_of_events_are_not_mixed_up() -> None:
    """Two streams whose runs start alike but go on differently each get their own."""
    shared: Shared = {}
    first, second, third = event(1, "/a"), event(1, "/b"), event(1, "/c")
    frames = [
        list(pushes(NativeCodec(), 5, run, with_values=False, shared=shared))
        for run in ([first, second], [first, third], [first])
    ]
    paths = [
        [one.path for one in push.changes]
        for ((_, frame),) in frames
        for push in ClientCodec().feed(frame)
        if isinstance(push, StreamPush)
    ]
    assert paths == [["/a", "/b"], ["/a", "/c"], ["/a"]]


def test_only_idle_streams_need_a_bookmark() -> None:
    """A stream that has heard something since the last round is left out of this one."""
    registry = WatchRegistry()
    busy = registry.add_stream("c", 1, "/a", StreamMode.PERSISTENT)
    idle = registry.add_stream("c", 2, "/b", StreamMode.PERSISTENT)
    assert list(idle_streams(registry, 5)) == [busy, idle]
    registry.match([change(ChangeKind.DATA, "/a", 6)])
    assert list(idle_streams(registry, 5)) == [idle]
    assert list(idle_streams(registry, 6)) == [busy, idle]


def test_the_bound_is_as_documented() -> None:
    """Parts are cut at 256 KiB."""
    assert PART_BYTES_MAX == 262_144
