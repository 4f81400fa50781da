"""The native codec: what it decodes and answers; neither pieces nor garbage matter."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coord.model import requests as rq
from coord.model.errors import (
    BadArgumentsError,
    BadVersionError,
    CompactedError,
    CoordError,
    ProtocolError,
    RequestError,
    TooLargeError,
    TransactionError,
)
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.limits import FRAME_BYTES_MAX
from coord.protocol.framing import LENGTH, REPLY_FRAME_BYTES_MAX, FrameSplitter, frame
from coord.protocol.native import Decoded, NativeCodec
from coord.protocol.native_client import (
    OPENING,
    CancelledPush,
    ClientCodec,
    NoticePush,
    OneShotPush,
    Reply,
    StreamPush,
    encode_request,
)
from coord.protocol.native_requests import decode_request
from tests.protocol.strategies import near_requests, others, writes

STAT = bytes(range(68))


def greeted() -> NativeCodec:
    """A codec that has read its hello."""
    codec = NativeCodec()
    assert codec.feed(OPENING) == []
    return codec


def packed(*fields: Any) -> bytes:
    """One frame."""
    return frame(msgpack.packb(fields))


def comparable(decoded: list[Decoded]) -> list[tuple[Any, ...]]:
    """Results with errors as (type, text), since exceptions compare by identity."""
    return [
        (xid, (type(item), str(item)) if isinstance(item, CoordError) else (type(item), item), *n)
        for xid, item, *n in decoded
    ]


def fed(stream: bytes, cuts: list[int]) -> tuple[list[Decoded], bool]:
    """What a new codec makes of ``stream`` cut there; and whether it closed the connection."""
    codec = NativeCodec()
    found: list[Decoded] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        try:
            found += codec.feed(stream[start:stop])
        except ProtocolError:
            return found, True
    return found, False


# --- requests -------------------------------------------------------------------------------------


@given(st.lists(writes | others, max_size=8))
def test_round_trip(chosen: list[rq.Request]) -> None:
    """Whatever a client encodes is what the server decodes, with its numbers."""
    stream, expected = OPENING, []
    for xid, request in enumerate(chosen, 1):
        sequenced = isinstance(request, rq.Write | rq.Close)
        seq, acked = (xid, xid - 1) if sequenced else (0, 0)
        stream += encode_request(xid, request, seq, acked)
        expected.append((xid, (type(request), request), seq, acked))
    assert comparable(NativeCodec().feed(stream)) == expected


@given(writes | others)
def test_the_short_way_is_the_long_way(request: rq.Request) -> None:
    """Get and Set decoded in place are what the tables decode: first, second and third time."""
    sequenced = isinstance(request, rq.Write | rq.Close)
    codec = greeted()
    for xid in (1, 2, 3):
        encoded = encode_request(xid, request, 5 if sequenced else 0, 0)
        (found,) = codec.feed(encoded)
        assert found[1:] == decode_request(msgpack.unpackb(encoded[4:]))
        assert type(found[1]) is type(request)


@pytest.mark.parametrize(
    "fields",
    [
        [5, 1, 0, "/un//known", b"", 0],
        [5, 1, -1, "/known", b"", 0],
        [5, 1, 0, "/known", b"", -2],
        [5, 1, 0, "/known", b"", 2**31],
        [5, 1, 0, "/known", b"", 0.0],
        [5, 1, 0, "/known", "", 0],
        [5, 1, 1, "/known", b"", 0],
        [5, True, 0, "/known", b"", 0],
        [5, 1.0, 0, "/known", b"", 0],
        [5, 2**63, 0, "/known", b"", 0],
        [4, "/un//known", False, 0],
        [4, "/known", 0, 0],
        [4, "/known", False, 3],
        [4, "/known", False, -1],
        [4, "/known", False, False],
        [4, b"/known", False, 0],
        [4, ["/known"], False, 0],
    ],
)
def test_the_short_way_checks_what_the_long_way_checks(fields: list[Any]) -> None:
    """A path seen before does not let a malformed Get or Set through."""
    codec = greeted()
    codec.feed(packed(1, rq.GET, "/known", False, 0))
    ((xid, error, seq, acked),) = codec.feed(packed(2, *fields))
    assert isinstance(error, BadArgumentsError)
    assert (xid, seq, acked) == (2, 0, 0)


def test_an_error_does_not_stop_the_pipeline() -> None:
    """A malformed request is answered in its place; those around it are served."""
    stream = packed(1, rq.GET, "/a") + packed(2, rq.GET, "a") + packed(3, rq.GET, "/b")
    first, second, third = greeted().feed(stream)
    assert first[1] == rq.Get("/a", False, 0)
    assert isinstance(second[1], BadArgumentsError)
    assert third[1] == rq.Get("/b", False, 0)


# --- what closes the connection -------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n",
        OPENING[:-1] + b"\x02",
        OPENING[:3] + b"x",
    ],
)
def test_bad_hello(stream: bytes) -> None:
    """A connection that does not open with the hello of a known version is closed."""
    with pytest.raises(ProtocolError):
        NativeCodec().feed(stream)
    assert fed(stream, list(range(1, len(stream))))[1]


@pytest.mark.parametrize(
    "broken",
    [
        LENGTH.pack(FRAME_BYTES_MAX + 1),
        LENGTH.pack(0),
        LENGTH.pack(2) + b"\x90\x90",
        LENGTH.pack(0xFFFFFFFF),
        frame(b"\xc1\xc1\xc1"),
        frame(b"\x93\x01\x04"),
        frame(b"\x90\x90\x90"),
        frame(msgpack.packb({"xid": 1})),
        frame(msgpack.packb([2])),
        frame(msgpack.packb([])) + b"\x00",
        frame(msgpack.packb([2, 11]) + b"\x00"),
        packed("2", rq.PING),
        packed(True, rq.PING),
        packed(2.0, rq.PING),
        packed(2, "ping"),
        packed(2, float(rq.PING)),
        packed(2, [5]),
        packed(2, None),
        packed(-1, rq.PING),
        packed(0, rq.PING),
        packed(1, rq.PING),
        packed(2**63, rq.PING),
        frame(b"\x93\x02\x0b\xa1\xff"),
        frame(b"\xdd\xff\xff\xff\xff\x01\x02"),
        frame(b"\x91" * 4_000),
        frame(b"\x93\x02\x0b\x82\x01\x01\x02\x02"),
    ],
)
def test_broken_framing(broken: bytes) -> None:
    """What leaves no trust in the following bytes raises ProtocolError, whole or in pieces."""
    stream = OPENING + packed(1, rq.PING) + broken
    with pytest.raises(ProtocolError):
        NativeCodec().feed(stream)
    found, closed = fed(stream, list(range(1, len(stream))))
    assert closed
    assert [item[0] for item in found] == [1]


def test_an_oversized_length_is_refused_before_its_bytes_come() -> None:
    """Four bytes are enough to refuse; nothing is kept for a frame that may never be read."""
    codec = greeted()
    with pytest.raises(ProtocolError, match="bytes is above"):
        codec.feed(LENGTH.pack(FRAME_BYTES_MAX + 1))


def test_a_claimed_giant_array_is_refused_unallocated() -> None:
    """Nested arrays that each claim a million items are refused at the first claim."""
    claims = b"\xdd\x00\x0f\xff\xff" * 900 + bytes(200_000)
    with pytest.raises(ProtocolError, match="not msgpack"):
        greeted().feed(frame(claims))


def test_the_largest_frame_is_read() -> None:
    """A transaction that fills the frame limit is decoded (and refused for its size)."""
    operations = [[rq.SET, "/a", bytes(50_000)]] * 26
    payload = msgpack.packb([1, rq.MULTI, 1, 0, operations])
    assert len(payload) <= FRAME_BYTES_MAX
    ((_, error, _, _),) = greeted().feed(frame(payload))
    assert isinstance(error, TooLargeError)


# --- pieces and garbage ---------------------------------------------------------------------------


@given(st.lists(near_requests, min_size=1, max_size=6), st.data())
def test_pieces_do_not_matter(bodies: list[list[Any]], data: st.DataObject) -> None:
    """Requests, good and bad, are the same however the network cuts their bytes."""
    stream = OPENING + b"".join(packed(xid, *body) for xid, body in enumerate(bodies, 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    whole = fed(stream, [])
    assert not whole[1]
    for pieces in (cuts, list(range(1, len(stream)))):
        found, closed = fed(stream, pieces)
        assert comparable(found) == comparable(whole[0])
        assert not closed


@pytest.mark.fuzz
@settings(max_examples=400)
@given(st.lists(near_requests, max_size=4))
@example([[5, 1, 0, "/a", b"", -1, 7]])
def test_arguments_of_any_kind(bodies: list[list[Any]]) -> None:
    """Any arguments give requests or errors to answer, never another exception."""
    stream = b"".join(packed(xid, *body) for xid, body in enumerate(bodies, 1))
    decoded = greeted().feed(stream)
    assert [item[0] for item in decoded] == list(range(1, len(bodies) + 1))
    for _, item, seq, acked in decoded:
        assert isinstance(item, tuple | RequestError)
        assert 0 <= acked <= seq


@pytest.mark.fuzz
@settings(max_examples=400)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes(noise: bytes, hello: bool) -> None:
    """Random bytes give requests, errors to answer or ProtocolError, never another exception."""
    codec = greeted() if hello else NativeCodec()
    try:
        decoded = codec.feed(noise)
    except ProtocolError:
        return
    assert all(isinstance(item[1], tuple | RequestError) for item in decoded)


@pytest.mark.fuzz
@settings(max_examples=400)
@given(
    st.lists(writes | others, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_mutated_frames(chosen: list[rq.Request], mutations: list[tuple[int, int]]) -> None:
    """A valid stream with some bytes changed does no more than random bytes do, cut or whole."""
    stream = bytearray(OPENING)
    for xid, request in enumerate(chosen, 1):
        seq = xid if isinstance(request, rq.Write | rq.Close) else 0
        stream += encode_request(xid, request, seq, 0)
    for position, value in mutations:
        stream[position % len(stream)] = value
    whole, closed = fed(bytes(stream), [])
    trickled, closed_too = fed(bytes(stream), list(range(1, len(stream))))
    assert closed == closed_too
    assert comparable(trickled)[: len(whole)] == comparable(whole)
    assert all(isinstance(item[1], tuple | RequestError) for item in trickled)


@pytest.mark.fuzz
@given(st.binary(max_size=60))
def test_the_client_survives_any_server(noise: bytes) -> None:
    """A client takes any frame as a message or a ProtocolError."""
    try:
        messages = ClientCodec().feed(frame(noise) + noise)
    except ProtocolError:
        return
    assert all(isinstance(message, tuple) for message in messages)


# --- replies and pushes ---------------------------------------------------------------------------


def received(*frames: bytes) -> list[Any]:
    """What a client makes of them."""
    return list(ClientCodec().feed(b"".join(frames)))


def test_reply() -> None:
    """A reply carries xid, revision and body; a long one too."""
    assert received(
        NativeCodec.reply(3, 9, (STAT,)), NativeCodec.reply(4, 10, (bytes(5_000), STAT))
    ) == [Reply(3, 0, 9, (STAT,)), Reply(4, 0, 10, (bytes(5_000), STAT))]


@pytest.mark.parametrize("size", [0, 1_000, 1_013, 1_014, 1_015, 1_016, 1_017, 1_018, 70_000])
def test_frame_lengths(size: int) -> None:
    """Lengths from the table and beyond it agree with the bytes that follow."""
    encoded = NativeCodec.reply(1, 1, (bytes(size),))
    assert struct.unpack(">I", encoded[:4])[0] == len(encoded) - 4
    assert FrameSplitter().feed(encoded) == [encoded[4:]]


def test_error_replies() -> None:
    """An error travels as code and message and comes back as the same exception."""
    first, second, third = received(
        NativeCodec.error(3, 9, BadVersionError("version is 4")),
        NativeCodec.error(4, 9, BadVersionError.code, "from the log"),
        NativeCodec.error(5, 9, TransactionError("operation 1 failed", (0, -103, -2))),
    )
    assert isinstance(first.error(), BadVersionError)
    assert str(first.error()) == "version is 4"
    assert isinstance(second.error(), BadVersionError)
    error = third.error()
    assert isinstance(error, TransactionError)
    assert error.results == (0, -103, -2)


def test_a_reply_too_large_to_read_is_a_refusal() -> None:
    """What a client would have to close the connection for is refused instead."""
    (largest,) = received(NativeCodec.reply(1, 9, (bytes(REPLY_FRAME_BYTES_MAX - 10),)))
    assert largest.code == 0
    (refused,) = received(NativeCodec.reply(1, 9, (bytes(REPLY_FRAME_BYTES_MAX),)))
    assert isinstance(refused.error(), TooLargeError)
    assert refused.revision == 9


def test_zero_is_not_an_error() -> None:
    """An error reply cannot be made with the code of success."""
    with pytest.raises(AssertionError):
        NativeCodec.error(1, 1, 0)


def test_stream_push() -> None:
    """Events with and without values; a CHILDREN event names the parent only."""
    change = Change(ChangeKind.DATA, "/a/b", 7, STAT, b"new", STAT[::-1], b"old")
    birth = Change(ChangeKind.CREATED, "/a/c", 7, STAT, b"x", None, None)
    events = [
        WatchEvent(ChangeKind.DATA, "/a/b", 7, change),
        WatchEvent(ChangeKind.CHILDREN, "/a", 7, birth),
    ]
    bare = NativeCodec.changes(events, with_values=False)
    full = NativeCodec.changes(events, with_values=True)
    children = Change(ChangeKind.CHILDREN, "/a", 7, None, None, None, None)
    assert received(
        NativeCodec.events(40, 7, 0, False, bare), NativeCodec.events(41, 7, 1, True, full)
    ) == [
        StreamPush(40, 7, 0, False, (change._replace(data=None, prev_data=None), children)),
        StreamPush(41, 7, 1, True, (change, children)),
    ]


@pytest.mark.parametrize("with_values", [False, True])
def test_the_acl_of_a_change_is_not_told(*, with_values: bool) -> None:
    """It decides who hears of the change and stays on the server."""
    change = Change(ChangeKind.DATA, "/a/b", 7, STAT, b"new", STAT[::-1], b"old")
    frames = {
        NativeCodec.changes(
            [WatchEvent(ChangeKind.DATA, "/a/b", 7, cause)], with_values=with_values
        )
        for cause in (change, change._replace(acl=b"who may read"))
    }
    assert len(frames) == 1


def test_bookmark() -> None:
    """A push without changes is complete: the stream has got that far."""
    assert received(NativeCodec.events(2**40, 9, 0, True)) == [StreamPush(2**40, 9, 0, True, ())]


def test_other_pushes() -> None:
    """One-shot events, notices and cancellations come back as they were sent."""
    change = Change(ChangeKind.DELETED, "/a", 8, None, None, STAT, b"")
    assert received(
        NativeCodec.one_shot(WatchEvent(ChangeKind.DELETED, "/a", 8, change)),
        NativeCodec.notice(8, "draining", "reconnect elsewhere"),
        NativeCodec.cancelled(5, 8, CompactedError("too old")),
    ) == [
        OneShotPush(8, 2, "/a"),
        NoticePush(8, "draining", "reconnect elsewhere"),
        CancelledPush(5, 8, CompactedError.code, "too old"),
    ]
    assert isinstance(CancelledPush(5, 8, CompactedError.code, "old").error(), CompactedError)


def test_messages_may_grow_at_their_end() -> None:
    """A client leaves alone what a newer server appends."""
    change = [3, "/a", None, None, None, None, "new"]
    assert received(
        packed(-1, 5, 7, 0, True, [change], "new"),
        packed(-2, 0, 7, 3, "/a", "new"),
        packed(-3, 0, 7, "moved", "text", "new"),
        packed(-4, 5, 7, -208, "text", "new"),
    ) == [
        StreamPush(5, 7, 0, True, (Change(3, "/a", 7, None, None, None, None),)),
        OneShotPush(7, 3, "/a"),
        NoticePush(7, "moved", "text"),
        CancelledPush(5, 7, -208, "text"),
    ]


@pytest.mark.parametrize(
    "payload", [b"\xc1", b"\x80", b"\x92\x01\x00", b"\x93\x00\x00\x00", b"\x93\xfb\x00\x00",
                b"\x93\xa1x\x00\x00", b"\x93\xff\x01\x02", b"\x96\xff\x01\x02\x00\xc3\x91\x91\x01"]
)  # fmt: skip
def test_broken_server(payload: bytes) -> None:
    """A client does not guess at a frame that breaks the rules."""
    with pytest.raises(ProtocolError):
        ClientCodec().feed(frame(payload))


def test_a_request_too_large_to_send_is_refused_at_home() -> None:
    """The client says TooLarge itself: sending would cost it the connection."""
    operations = tuple(rq.Set("/a", bytes(1_000_000), -1) for _ in range(2))
    with pytest.raises(TooLargeError):
        encode_request(1, rq.Multi(operations), 1, 0)
