"""ZooKeeper's wire, stream and replies: golden bytes, pieces, garbage, tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord.model import requests as rq
from coord.model.acl import OPEN, Acl
from coord.model.errors import (
    AuthFailedError,
    BadVersionError,
    CoordError,
    LimitError,
    NoNodeError,
    NotReadyError,
    ProtocolError,
    SessionExpiredError,
    SessionMovedError,
    TransactionError,
)
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.protocol.native import NativeCodec
from coord.protocol.sniff import Front, sniff
from coord.protocol.zookeeper import Decoded, ZooKeeperCodec
from coord.protocol.zookeeper_replies import HANDSHAKE
from tests.protocol import jute
from tests.protocol.jute import Reader, buffer, flag, frame, i32, i64, text

STAT = bytes(range(68))
ZXID = 0x0102_0304


def greeted(request_bytes_max: int = 4_096) -> ZooKeeperCodec:
    """A codec that has read its handshake."""
    codec = ZooKeeperCodec(request_bytes_max)
    ((token, connect, seq, acked),) = codec.feed(jute.handshake())
    assert (token, type(connect), seq, acked) == (HANDSHAKE, rq.Connect, 0, 0)
    return codec


def comparable(decoded: list[Decoded]) -> list[tuple[Any, ...]]:
    """Results with errors as (type, text), since exceptions compare by identity."""

    def plain(item: Any) -> Any:
        if isinstance(item, rq.HangUp):
            return ("hang up", plain(item.error))
        return (type(item), str(item) if isinstance(item, CoordError) else item)

    return [(token, plain(item), *numbers) for token, item, *numbers in decoded]


def fed(stream: bytes, cuts: list[int]) -> tuple[list[Decoded], bool]:
    """What a new codec makes of ``stream`` cut there; and whether it closed the connection."""
    codec = ZooKeeperCodec(4_096)
    found: list[Decoded] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        try:
            found += codec.feed(stream[start:stop])
        except ProtocolError:
            return found, True
    return found, False


# --- handshake ------------------------------------------------------------------------------------


def test_handshake_with_flag() -> None:
    """The 45-byte form of Java, C and kazoo; the reply carries the flag too."""
    raw = bytes.fromhex(
        "0000002d 00000000 0000000000000007 00007530 0000000000000000 00000010"
        "00000000000000000000000000000000 00"
    )
    assert sniff(raw[:1]) is Front.ZOOKEEPER
    codec = ZooKeeperCodec()
    assert codec.feed(raw) == [(HANDSHAKE, rq.Connect(0, b"", 30_000, 7, "zookeeper"), 0, 0)]
    assert codec.read_only_allowed is False
    secret = bytes(range(16))
    assert codec.reply(HANDSHAKE, 9, (5, secret, 1, 20_000, 0, {})) == bytes.fromhex(
        "00000025 00000000 00004e20 0000000000000005 00000010 000102030405060708090a0b0c0d0e0f 00"
    )
    codec.is_read_only = True
    assert codec.reply(HANDSHAKE, 9, (5, secret, 1, 20_000, 0, {}))[-1] == 1


def test_handshake_without_flag() -> None:
    """The 44-byte form of Go and Node; the reply has 36 bytes."""
    codec = ZooKeeperCodec()
    raw = jute.handshake(77, b"p" * 16, 4_000, 12, read_only=None)
    assert raw[:4] == i32(44)
    assert codec.feed(raw) == [(HANDSHAKE, rq.Connect(77, b"p" * 16, 4_000, 12, "zookeeper"), 0, 0)]
    assert codec.read_only_allowed is None
    assert codec.reply(HANDSHAKE, 9, (77, b"q" * 16, 2, 4_000, 0, {})) == frame(
        i32(0) + i32(4_000) + i64(77) + buffer(b"q" * 16)
    )


@pytest.mark.parametrize("password", [b"\0", b"", None, bytes(16)])
def test_a_new_session_needs_no_password(password: bytes | None) -> None:
    """One client, aiozk, sends one byte for a session it does not have yet."""
    ((_, connect, _, _),) = ZooKeeperCodec().feed(jute.handshake(0, password))
    assert connect == rq.Connect(0, b"", 10_000, 0, "zookeeper")


def test_handshake_with_odd_numbers() -> None:
    """A time-out of nothing is the least there is; nobody has seen a negative revision."""
    ((_, connect, _, _),) = ZooKeeperCodec().feed(jute.handshake(-3, b"p" * 16, -5, -9))
    assert connect == rq.Connect(-3, b"p" * 16, 1, 0, "zookeeper")


@pytest.mark.parametrize("with_flag", [True, False])
def test_an_invalid_session(with_flag: bool) -> None:
    """Expired, or another's: time-out 0, id 0, a password of zeros. Anything else: no answer."""
    codec = ZooKeeperCodec()
    codec.feed(jute.handshake(5, bytes(16), read_only=False if with_flag else None))
    expected = frame(bytes(16) + buffer(bytes(16)) + (b"\0" if with_flag else b""))
    assert codec.error(HANDSHAKE, 9, SessionExpiredError("ended")) == expected
    assert codec.error(HANDSHAKE, 9, AuthFailedError("no")) == expected
    assert codec.error(HANDSHAKE, 9, NotReadyError("behind")) == b""
    assert codec.error(HANDSHAKE, 9, LimitError("many")) == b""


@pytest.mark.parametrize(
    "raw",
    [
        i32(1_025),
        i32(-1),
        frame(b""),
        frame(bytes(27)),
        frame(bytes(24) + i32(17) + bytes(16)),
        frame(bytes(24) + i32(-2) + bytes(16)),
    ],
)
def test_a_bad_handshake(raw: bytes) -> None:
    """Closed: nothing is known of who is there."""
    with pytest.raises(ProtocolError):
        ZooKeeperCodec().feed(raw)
    assert fed(raw, list(range(1, len(raw))))[1]


# --- golden replies -------------------------------------------------------------------------------


def answered(
    operation: int, *fields: bytes, body: tuple[Any, ...], xid: int = 9
) -> tuple[Reader, rq.Request | CoordError]:
    """(record of the reply to this request, what it was decoded to); its header is checked."""
    codec = greeted()
    ((token, item, seq, acked),) = codec.feed(jute.request(xid, operation, *fields))
    assert (seq, acked) == (0, 0)
    reply = codec.reply(token, ZXID, body)
    assert reply[:4] == i32(len(reply) - 4)
    assert reply[4:20] == i32(xid) + i64(ZXID) + i32(0)
    return Reader(reply[20:]), item


@pytest.mark.parametrize(
    ("operation", "fields", "body", "record"),
    [
        (1, jute.create_record("/a"), ("/a", STAT), text("/a")),
        (2, text("/a") + i32(-1), (), b""),
        (3, text("/a") + flag(0), (STAT,), STAT),
        (4, text("/a") + flag(0), (b"data", STAT), buffer(b"data") + STAT),
        (4, text("/a") + flag(0), (b"", STAT), i32(0) + STAT),
        (5, text("/a") + buffer(b"x") + i32(3), (STAT,), STAT),
        (6, text("/a"), (OPEN, STAT), jute.acl(jute.OPEN) + STAT),
        (
            6,
            text("/a"),
            ((Acl(1, "ip", "::1"), Acl(31, "digest", "u:h")), STAT),
            jute.acl([(1, "ip", "::1"), (31, "digest", "u:h")]) + STAT,
        ),
        (7, text("/a") + jute.acl(jute.OPEN) + i32(0), (STAT,), STAT),
        (8, text("/a") + flag(0), (["x", "ü"], STAT, False, 7), jute.texts(["x", "ü"])),
        (9, text("/ü"), ("/ü",), text("/ü")),
        (12, text("/a") + flag(1), ([], STAT, False, 7), i32(0) + STAT),
        (12, text("/a") + flag(1), (["n" * 480], STAT, False, 7), jute.texts(["n" * 480]) + STAT),
        (15, jute.create_record("/a"), ("/a", STAT), text("/a") + STAT),
        (16, text("") * 3 + i64(-1), (b"config", STAT), buffer(b"config") + STAT),
        (17, text("/a") + i32(3), (), b""),
        (18, text("/a") + i32(1), (), b""),
        (19, jute.create_record("/a", flags=4), ("/a", STAT), text("/a") + STAT),
        (21, jute.create_record("/a", flags=5, ttl_ms=1), ("/a", STAT), text("/a") + STAT),
        (101, i64(3) + jute.texts([]) * 3, (), b""),
        (103, text("/"), (["/a", "/b"],), jute.texts(["/a", "/b"])),
        (104, text("/"), (3,), i32(3)),
        (105, i64(3) + jute.texts([]) * 5, (), b""),
        (106, text("/a") + i32(1), (), i32(0)),
        (107, b"", ([("ip", "::1")],), i32(1) + text("ip") + text("::1")),
        (-11, b"", (), b""),
    ],
)
def test_golden_replies(
    operation: int, fields: bytes, body: tuple[Any, ...], record: bytes
) -> None:
    """Every operation's reply, byte for byte, after a header that names the request."""
    for xid in (1, 2**31 - 1, -8):
        reader, item = answered(operation, fields, body=body, xid=xid)
        assert not isinstance(item, CoordError)
        assert reader.rest == record


def test_a_reply_of_many_megabytes() -> None:
    """A hundred thousand children come as one reply."""
    names = [f"child-{number:06}" for number in range(100_000)]
    reader, _ = answered(12, text("/a"), flag(0), body=(names, STAT, False, 7))
    assert reader.vector(reader.text) == names
    assert reader.rest == STAT


def test_ping_and_auth_have_fixed_headers() -> None:
    """A ping is answered as xid −2; an authentication with zxid 0, whether it fails or not."""
    codec = greeted()
    stream = jute.request(-2, 11) + jute.request(-4, 100, i32(0), text("digest"), buffer(b"u:p"))
    ping, auth = codec.feed(stream)
    assert (ping[1], auth[1]) == (rq.Ping(), rq.Auth("digest", b"u:p"))
    assert codec.reply(ping[0], ZXID, ()) == frame(i32(-2) + i64(ZXID) + i32(0))
    assert codec.reply(auth[0], ZXID, ()) == frame(i32(-4) + i64(0) + i32(0))
    assert codec.error(auth[0], ZXID, AuthFailedError("no")) == frame(i32(-4) + i64(0) + i32(-115))


def test_errors_are_bare_headers() -> None:
    """A refusal, as an error or as its number, is a header with ZooKeeper's number."""
    codec = greeted()
    ((token, _, _, _),) = codec.feed(jute.request(7, 5, text("/a"), buffer(b""), i32(0)))
    for error in (BadVersionError("3"), BadVersionError.code):
        assert codec.error(token, ZXID, error) == frame(i32(7) + i64(ZXID) + i32(-103))
    assert codec.error(token, ZXID, -203, "too large") == frame(i32(7) + i64(ZXID) + i32(-8))
    assert codec.error(token, ZXID, -999_999) == frame(i32(7) + i64(ZXID) + i32(-1))


def test_what_ends_the_connection() -> None:
    """A client's own code for a lost connection is said by losing it; so is a moved session."""
    codec = greeted()
    ((token, _, _, _),) = codec.feed(jute.request(7, 9, text("/")))
    for error in (NotReadyError("no leader"), NotReadyError.code, SessionMovedError("moved")):
        assert codec.closes_on(error)
        assert codec.error(token, ZXID, error) == b""
    assert not codec.closes_on(NoNodeError("/a"))
    assert not codec.closes_on(SessionExpiredError.code)
    assert not NativeCodec.closes_on(NotReadyError.code)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_golden_event(kind: int) -> None:
    """Header of xid −1 with the causing zxid, then kind, state 3, path."""
    change = Change(kind, "/a/ü", ZXID, STAT, b"", None, None)
    event = WatchEvent(ChangeKind(kind), "/a/ü", ZXID, change)
    assert ZooKeeperCodec.one_shot(event) == frame(
        i32(-1) + i64(ZXID) + i32(0) + i32(kind) + i32(3) + text("/a/ü")
    )


def test_what_this_wire_does_not_have() -> None:
    """Notices and streams are silent."""
    codec = greeted()
    assert codec.is_zookeeper
    assert not NativeCodec.is_zookeeper
    silent = (
        codec.notice(1, "drain", "bye"),
        codec.cancelled(1, 1, NoNodeError("/a")),
        codec.changes([], with_values=True),
        codec.events(1, 1, 0, True, b""),
    )
    assert silent == (b"", b"", b"", b"")


# --- multi ----------------------------------------------------------------------------------------


def result(kind: int, error: int = 0) -> bytes:
    """A MultiHeader that is not the last."""
    return i32(kind) + flag(0) + i32(error)


DONE = i32(-1) + flag(1) + i32(-1)


def test_multi_results() -> None:
    """Each result under the header of its kind; of creates, only container and TTL have a Stat."""
    operations = [
        (1, jute.create_record("/a")),
        (15, jute.create_record("/b", flags=3)),
        (1, jute.create_record("/c", flags=4)),
        (21, jute.create_record("/d", flags=5, ttl_ms=9)),
        (2, text("/e") + i32(2)),
        (5, text("/f") + buffer(b"f") + i32(-1)),
        (13, text("/g") + i32(0)),
    ]
    bodies = (
        (0, "/a", STAT), (0, "/b7", STAT), (0, "/c", STAT), (0, "/d", STAT), (0,), (0, STAT), (0,),
    )  # fmt: skip
    reader, item = answered(14, jute.multi_record(*operations), body=bodies)
    assert item == rq.Multi((
        rq.Create("/a", b"", OPEN, 0, 0),
        rq.Create("/b", b"", OPEN, 3, 0),
        rq.Create("/c", b"", OPEN, 4, 0),
        rq.Create("/d", b"", OPEN, 5, 9),
        rq.Delete("/e", 2),
        rq.Set("/f", b"f", -1),
        rq.Check("/g", 0),
    ))  # fmt: skip
    assert reader.rest == b"".join([
        result(1), text("/a"), result(1), text("/b7"), result(15), text("/c"), STAT,
        result(15), text("/d"), STAT, result(2), result(5), STAT, result(13), DONE,
    ])  # fmt: skip


def test_an_empty_multi() -> None:
    """Legal, and answered with nothing but the end."""
    for operation, empty in ((14, rq.Multi(())), (22, rq.MultiRead((), 1))):
        reader, item = answered(operation, jute.multi_record(), body=())
        assert item == empty
        assert reader.rest == DONE


def test_a_failed_multi() -> None:
    """No error outside; every result is an error: 0 before, its own, −2 behind."""
    codec = greeted()
    record = jute.multi_record(*[(13, text("/a") + i32(0))] * 4)
    ((token, _, _, _),) = codec.feed(jute.request(6, 14, record))
    codes = (0, -203, -2, -2)
    header = i32(6) + i64(ZXID) + i32(0)
    results = b"".join(result(-1, code) + i32(code) for code in (0, -8, -2, -2))
    expected = frame(header + results + DONE)
    assert codec.error(token, ZXID, TransactionError("no", codes)) == expected
    assert codec.error(token, ZXID, TransactionError.code, "no", list(codes)) == expected
    assert codec.error(token, ZXID, -203, "large") == frame(i32(6) + i64(ZXID) + i32(-8))
    assert codec.error(token, ZXID, TransactionError("no")) != b""


def test_multi_read_results() -> None:
    """Reads answer each for itself, and arm nothing."""
    record = jute.multi_record(
        (4, text("/a") + flag(1)), (8, text("/b") + flag(1)), (4, text("/c") + flag(0))
    )
    body = ((0, b"x", STAT), (0, ["k"], STAT, False, 7), (-102, "no"))
    reader, item = answered(22, record, body=body)
    assert item == rq.MultiRead(
        (
            rq.Get("/a", False, 1),
            rq.Children("/b", False, 1, "", 0, 0),
            rq.Get("/c", False, 1),
        ),
        1,
    )
    assert reader.rest == b"".join([
        result(4), buffer(b"x"), STAT, result(8), jute.texts(["k"]),
        result(-1, -102), i32(-102), DONE,
    ])  # fmt: skip


# --- the stream -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        i32(-1),
        i32(0),
        i32(7) + bytes(7),
        i32(7) + bytes(20),
        i32(4_097),
        i32(2**31 - 1),
        i32(4_097) + bytes(4_097),
        frame(b""),
    ],
)
def test_broken_framing(broken: bytes) -> None:
    """A length out of bounds, or no room for a header, closes the connection."""
    stream = jute.handshake() + jute.request(1, 11) + broken
    with pytest.raises(ProtocolError):
        ZooKeeperCodec(4_096).feed(stream)
    found, closed = fed(stream, list(range(1, len(stream))))
    assert closed
    assert [type(item[1]) for item in found] == [rq.Connect, rq.Ping]


def test_the_largest_frame() -> None:
    """As long as the limit and no longer; refused by its length, before its bytes come."""
    value = bytes(4_096 - 8 - 4 - 2 - 4 - 4)
    raw = jute.request(1, 5, text("/a"), buffer(value), i32(-1))
    assert raw[:4] == i32(4_096)
    assert greeted().feed(raw)[0][1] == rq.Set("/a", value, -1)
    with pytest.raises(ProtocolError):
        greeted(4_095).feed(raw[:4])


def test_many_frames_in_one_read() -> None:
    """Requests are decoded in the order sent, short ones among them."""
    stream = b"".join(
        jute.request(xid, 4, text(f"/n{xid}"), flag(xid % 2)) + jute.request(-2, 11)
        for xid in range(100)
    )
    items = greeted().feed(stream)
    assert [item[1] for item in items[::2]] == [
        rq.Get(f"/n{xid}", bool(xid % 2), 1) for xid in range(100)
    ]
    assert all(item[1] == rq.Ping() for item in items[1::2])


ANY_REQUESTS = st.lists(
    st.tuples(
        st.integers(-(2**31), 2**31 - 1),
        st.sampled_from([
            *range(-1, 23), -10, -11, 100, 101, 102, 103, 104, 105, 106, 107, 2**31 - 1,
        ]),
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([
                jute.create_record("/a/b", b"x" * 9, 1),
                jute.create_record("/a//b", None, 2, None),
                text("/a") + flag(1),
                text("/a") + buffer(b"v") + i32(0),
                text(None) + i32(4),
                text("/é") + i32(1),
                i64(9) + jute.texts(["/a", "/b"]) * 5,
                jute.multi_record((1, jute.create_record("a", flags=9)), (13, text("/") + i32(0))),
            ]),
        ),
        st.integers(0, 12),
    ),
    max_size=6,
)  # fmt: skip
"""(xid, operation, record, how many bytes of the record are cut off)."""


def stream_of(chosen: list[tuple[int, int, bytes, int]]) -> bytes:
    """The requests as a stream."""
    return jute.handshake() + b"".join(
        jute.request(xid, operation, record[: max(0, len(record) - cut)])
        for xid, operation, record, cut in chosen
    )


@pytest.mark.fuzz
@settings(max_examples=300)
@given(ANY_REQUESTS, st.data())
def test_pieces_do_not_matter(
    chosen: list[tuple[int, int, bytes, int]], data: st.DataObject
) -> None:
    """Requests, good and bad, are the same however the network cuts their bytes; each names its
    xid, and whatever it came to can be answered."""
    stream = stream_of(chosen)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    whole, closed = fed(stream, [])
    assert not closed
    assert [token & 0xFFFF_FFFF for token, *_ in whole[1:]] == [c[0] & 0xFFFF_FFFF for c in chosen]
    for pieces in (cuts, list(range(1, len(stream)))):
        found, closed = fed(stream, pieces)
        assert not closed
        assert comparable(found) == comparable(whole)
    codec = greeted()
    for (token, *_), (xid, *_) in zip(whole[1:], chosen, strict=True):
        assert codec.error(token, ZXID, NoNodeError("/a"))[4:8] == i32(xid)


@pytest.mark.fuzz
@settings(max_examples=300)
@given(st.binary(max_size=300), st.booleans())
def test_garbage(garbage: bytes, after_handshake: bool) -> None:
    """Any bytes are requests, errors to answer or ProtocolError."""
    fed(jute.handshake() + garbage if after_handshake else garbage, [])


WHOLE = [
    jute.request(1, 1, jute.create_record("/a/b", b"12345", 1, [(5, "digest", "u:h")])),
    jute.request(2, 21, jute.create_record("/a/b", b"12345", 5, ttl_ms=77)),
    jute.request(3, 5, text("/a/b"), buffer(b"12345"), i32(3)),
    jute.request(4, 7, text("/a/b"), jute.acl(jute.OPEN), i32(3)),
    jute.request(5, 14, jute.multi_record((5, text("/a") + buffer(b"v") + i32(0)))),
    jute.request(6, 105, i64(3), jute.texts(["/a", "/b"]) * 5),
    jute.request(7, 16, text("x") * 3, i64(-1)),
    jute.request(9, 4, text("/a/b"), flag(0)),
    jute.request(10, 3, text("/a/b"), flag(0)),
]


@pytest.mark.parametrize("whole", WHOLE)
def test_a_record_cut_short(whole: bytes) -> None:
    """A record that ends too early, wherever, is refused with −5; the stream goes on. What lies
    behind a whole record is ignored, as ZooKeeper ignores it."""
    codec = greeted()
    ((_, expected, _, _),) = codec.feed(whole)
    assert not isinstance(expected, CoordError)
    assert codec.feed(frame(whole[4:] + b"\0extra"))[0][1] == expected
    for stop in range(12, len(whole)):
        cut, ping = codec.feed(frame(whole[4:stop]) + jute.request(-2, 11))
        assert isinstance(cut[1], ProtocolError)
        assert ping[1] == rq.Ping()


@pytest.mark.fuzz
@given(st.sampled_from(WHOLE), st.data())
def test_flipped_bytes(whole: bytes, data: st.DataObject) -> None:
    """Any byte of a record may be anything."""
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(12, len(raw) - 1))] = data.draw(st.integers(0, 255))
    ((_, item, _, _),) = greeted().feed(bytes(raw))
    assert isinstance(item, tuple | CoordError)
