"""What a request may hold: one row per rule, valid and broken."""

from __future__ import annotations

from typing import Any

import pytest

from coord.model import requests as rq
from coord.model.acl import OPEN, READ, Acl
from coord.model.errors import (
    BadArgumentsError,
    InvalidAclError,
    RequestError,
    TooLargeError,
    UnimplementedError,
)
from coord.model.limits import (
    ACL_ENTRIES_MAX,
    DATA_BYTES_MAX,
    REVISION_MAX,
    TTL_MS_MAX,
    TXN_OPERATIONS_MAX,
)
from coord.protocol.native_requests import decode_request

SECRET = bytes(16)


def decode(op: int, *arguments: Any) -> rq.Request:
    """A frame without sequence numbers."""
    return decode_request([1, op, *arguments])[0]


def decode_write(op: int, *arguments: Any) -> rq.Request:
    """A write with seq 2, acked 1."""
    request, seq, acked = decode_request([1, op, 2, 1, *arguments])
    assert (seq, acked) == (2, 1)
    return request


@pytest.mark.parametrize(
    ("op", "arguments", "expected"),
    [
        (rq.CREATE, ["/a"], rq.Create("/a", b"", OPEN, 0, 0)),
        (rq.CREATE, ["/a/", b"x", None, 2], rq.Create("/a/", b"x", OPEN, 2, 0)),
        (rq.CREATE, ["/", b"", None, 3], rq.Create("/", b"", OPEN, 3, 0)),
        (
            rq.CREATE,
            ["/a", b"x", [[READ, "world", "anyone"]], 5, TTL_MS_MAX],
            rq.Create("/a", b"x", (Acl(READ, "world", "anyone"),), 5, TTL_MS_MAX),
        ),
        (rq.DELETE, ["/a"], rq.Delete("/a", -1)),
        (rq.DELETE, ["/a", 7], rq.Delete("/a", 7)),
        (rq.SET, ["/a", b"v"], rq.Set("/a", b"v", -1)),
        (rq.SET, ["/a", bytes(DATA_BYTES_MAX), 0], rq.Set("/a", bytes(DATA_BYTES_MAX), 0)),
        (rq.SET_ACL, ["/a", [[31, "world", "anyone"]]], rq.SetAcl("/a", OPEN, -1)),
        (rq.MULTI, [[]], rq.Multi(())),
        (
            rq.MULTI,
            [[[1, "/a"], [13, "/b", 3], [201, "/c", 9], [200, "/d", "exists", "=", False]]],
            rq.Multi(
                (
                    rq.Create("/a", b"", OPEN, 0, 0),
                    rq.Check("/b", 3),
                    rq.Guard("/c", 9),
                    rq.Compare("/d", "exists", "=", False),
                )
            ),
        ),
        (rq.CLOSE, [], rq.Close()),
    ],
)
def test_writes(op: int, arguments: list[Any], expected: rq.Request) -> None:
    """A write decodes to its request, trailing arguments may be left out."""
    decoded = decode_write(op, *arguments)
    assert decoded == expected
    assert type(decoded) is type(expected)


@pytest.mark.parametrize(
    ("op", "arguments", "expected"),
    [
        (rq.GET, ["/a"], rq.Get("/a", False, 0)),
        (rq.GET, ["/a", True, 2], rq.Get("/a", True, 2)),
        (rq.EXISTS, ["/a", True], rq.Exists("/a", True, 0)),
        (rq.GET_ACL, ["/a"], rq.GetAcl("/a", 0)),
        (rq.CHILDREN, ["/"], rq.Children("/", False, 0, "", 0, 0)),
        (rq.CHILDREN, ["/", False, 1, "x", 10, 5], rq.Children("/", False, 1, "x", 10, 5)),
        (rq.SYNC, [], rq.Sync("/")),
        (rq.AUTH, ["digest", b"a:b"], rq.Auth("digest", b"a:b")),
        (rq.WHO_AM_I, [], rq.WhoAmI()),
        (rq.PING, [], rq.Ping()),
        (rq.WATCH, ["/a"], rq.Watch("/a", 1, False, None)),
        (rq.WATCH, ["/a", 2, True, [2**64 - 1, 8]], rq.Watch("/a", 2, True, (2**64 - 1, 8))),
        (rq.UNWATCH, [4], rq.Unwatch(4)),
        (rq.LIST_WATCH, ["/a"], rq.ListWatch("/a", True, False)),
        (rq.CONNECT, [0, b"", 10_000], rq.Connect(0, b"", 10_000, 0, "")),
        (rq.CONNECT, [5, SECRET, 1, 2, "me"], rq.Connect(5, SECRET, 1, 2, "me")),
        (rq.STATUS, [], rq.Admin(rq.STATUS, {})),
        (rq.HISTORY, [{"path": "/a"}], rq.Admin(rq.HISTORY, {"path": "/a"})),
    ],
)
def test_others(op: int, arguments: list[Any], expected: rq.Request) -> None:
    """Everything else decodes likewise."""
    decoded = decode(op, *arguments)
    assert decoded == expected
    assert type(decoded) is type(expected)


def test_a_credential_is_not_printed() -> None:
    """What a request looks like in a log or an error does not tell its secret."""
    assert repr(rq.Auth("digest", b"alice:secret")) == "Auth(scheme='digest')"


def test_the_open_acl_is_the_shared_value() -> None:
    """Nil and the spelled-out open ACL become OPEN itself, which permits() knows by identity."""
    for acl in (None, [[31, "world", "anyone"]]):
        request = decode_write(rq.CREATE, "/a", b"", acl)
        assert isinstance(request, rq.Create)
        assert request.acl is OPEN


@pytest.mark.parametrize(
    ("op", "arguments", "error"),
    [
        (rq.CREATE, [], BadArgumentsError),
        (rq.CREATE, ["a"], BadArgumentsError),
        (rq.CREATE, ["/a/"], BadArgumentsError),
        (rq.CREATE, ["/a//b"], BadArgumentsError),
        (rq.CREATE, ["/a/../b"], BadArgumentsError),
        (rq.CREATE, ["/a\x00b"], BadArgumentsError),
        (rq.CREATE, [b"/a"], BadArgumentsError),
        (rq.CREATE, ["/" + "n" * 481], BadArgumentsError),
        (rq.CREATE, ["/" + "n" * 470, b"", None, 2], BadArgumentsError),
        (rq.CREATE, ["/a", "text"], BadArgumentsError),
        (rq.CREATE, ["/a", bytes(DATA_BYTES_MAX + 1)], TooLargeError),
        (rq.CREATE, ["/a", b"", []], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[32, "world", "anyone"]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[0, "world", "anyone"]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[True, "world", "anyone"]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[1, "world", "me"]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[1, "nobody", "x"]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[1, ["world"], "anyone"]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[1, "digest", "x" * 1_025]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[1, "world"]]], InvalidAclError),
        (rq.CREATE, ["/a", b"", "open"], InvalidAclError),
        (rq.CREATE, ["/a", b"", [[1, "ip", "::1"]] * (ACL_ENTRIES_MAX + 1)], InvalidAclError),
        (rq.CREATE, ["/a", b"", None, 7], BadArgumentsError),
        (rq.CREATE, ["/a", b"", None, -1], BadArgumentsError),
        (rq.CREATE, ["/a", b"", None, False], BadArgumentsError),
        (rq.CREATE, ["/a", b"", None, 0, 1], BadArgumentsError),
        (rq.CREATE, ["/a", b"", None, 5, 0], BadArgumentsError),
        (rq.CREATE, ["/a", b"", None, 5, TTL_MS_MAX + 1], BadArgumentsError),
        (rq.CREATE, ["/a", b"", None, 0, 0, 0], BadArgumentsError),
        (rq.DELETE, ["/a", -2], BadArgumentsError),
        (rq.DELETE, ["/a", 2**31], BadArgumentsError),
        (rq.DELETE, ["/a", 1.0], BadArgumentsError),
        (rq.SET, ["/a"], BadArgumentsError),
        (rq.SET_ACL, ["/a", []], InvalidAclError),
        (rq.MULTI, [], BadArgumentsError),
        (rq.MULTI, [{}], BadArgumentsError),
        (rq.MULTI, [[[]]], BadArgumentsError),
        (rq.MULTI, [[rq.DELETE]], BadArgumentsError),
        (rq.MULTI, [[[rq.GET, "/a"]]], BadArgumentsError),
        (rq.MULTI, [[[rq.MULTI, []]]], BadArgumentsError),
        (rq.MULTI, [[[[1], "/a"]]], BadArgumentsError),
        (rq.MULTI, [[[rq.DELETE, "/a"]] * (TXN_OPERATIONS_MAX + 1)], TooLargeError),
        (rq.MULTI, [[[rq.SET, "/a", bytes(600_000)]] * 2], TooLargeError),
        (rq.MULTI, [[[rq.CREATE, "/a", bytes(600_000)]] * 2], TooLargeError),
        (rq.MULTI, [[[rq.COMPARE, "/a", "value", "=", bytes(600_000)]] * 2], TooLargeError),
        (rq.MULTI, [[[rq.CHECK, "/" + "/".join("n" * 9) * 900]] * 70], TooLargeError),
        (rq.MULTI, [[[rq.COMPARE, "/a", "size", "=", 1]]], BadArgumentsError),
        (rq.MULTI, [[[rq.COMPARE, "/a", ["x"], "=", 1]]], BadArgumentsError),
        (rq.MULTI, [[[rq.COMPARE, "/a", "version", "<=", 1]]], BadArgumentsError),
        (rq.MULTI, [[[rq.COMPARE, "/a", "version", "=", True]]], BadArgumentsError),
        (rq.MULTI, [[[rq.COMPARE, "/a", "version", "=", 2**63]]], BadArgumentsError),
        (rq.MULTI, [[[rq.COMPARE, "/a", "exists", "<", True]]], BadArgumentsError),
        (rq.MULTI, [[[rq.COMPARE, "/a", "value", "=", "text"]]], BadArgumentsError),
        (rq.MULTI, [[[rq.GUARD, "/a", 0]]], BadArgumentsError),
        (rq.MULTI, [[[rq.GUARD, "/a", REVISION_MAX + 1]]], BadArgumentsError),
        (rq.CLOSE, ["now"], BadArgumentsError),
    ],
)
def test_broken_writes(op: int, arguments: list[Any], error: type[RequestError]) -> None:
    """A broken rule of a write is the error to answer, of the kind clients expect."""
    with pytest.raises(error):
        decode_write(op, *arguments)


@pytest.mark.parametrize(
    ("op", "arguments", "error"),
    [
        (rq.GET, [], BadArgumentsError),
        (rq.GET, ["/a", 1], BadArgumentsError),
        (rq.GET, ["/a", False, 3], BadArgumentsError),
        (rq.GET, ["/a", False, True], BadArgumentsError),
        (rq.GET, ["/a", False, 0, 0], BadArgumentsError),
        (rq.EXISTS, [3], BadArgumentsError),
        (rq.CHILDREN, ["/", False, 0, 5], BadArgumentsError),
        (rq.CHILDREN, ["/", False, 0, "é" * 241], BadArgumentsError),
        (rq.CHILDREN, ["/", False, 0, "", 10_001], BadArgumentsError),
        (rq.CHILDREN, ["/", False, 0, "", 0, -1], BadArgumentsError),
        (rq.PING, [0], BadArgumentsError),
        (rq.WATCH, ["/a", 3], BadArgumentsError),
        (rq.WATCH, ["/a", 1, False, [1]], BadArgumentsError),
        (rq.WATCH, ["/a", 1, False, [1, -1]], BadArgumentsError),
        (rq.WATCH, ["/a", 1, False, "now"], BadArgumentsError),
        (rq.UNWATCH, [0], BadArgumentsError),
        (rq.LIST_WATCH, ["/a", 1], BadArgumentsError),
        (rq.CONNECT, [0, b"x" * 16, 1], BadArgumentsError),
        (rq.CONNECT, [7, b"", 1], BadArgumentsError),
        (rq.CONNECT, [7, "0123456789abcdef", 1], BadArgumentsError),
        (rq.CONNECT, [0, b""], BadArgumentsError),
        (rq.CONNECT, [0, b"", -1], BadArgumentsError),
        (rq.CONNECT, [0, b"", 1, 0, "x" * 257], BadArgumentsError),
        (rq.STATUS, [[]], BadArgumentsError),
        (rq.STATUS, [{b"x": 1}], BadArgumentsError),
        (rq.STATUS, [{str(name): 0 for name in range(17)}], BadArgumentsError),
        (rq.HISTORY, [{"path": "no"}], BadArgumentsError),
        (rq.AUTH, [], BadArgumentsError),
        (rq.AUTH, ["digest", "text"], BadArgumentsError),
        (rq.AUTH, ["x" * 65, b"a:b"], BadArgumentsError),
        (rq.AUTH, ["digest", bytes(4_097)], BadArgumentsError),
        (rq.WHO_AM_I, [1], BadArgumentsError),
        (rq.SET_WATCHES, [], UnimplementedError),
        (10_000, [], UnimplementedError),
    ],
)
def test_broken_others(op: int, arguments: list[Any], error: type[RequestError]) -> None:
    """A broken rule of any other request, or an operation unknown here, likewise."""
    with pytest.raises(error):
        decode(op, *arguments)


@pytest.mark.parametrize(
    "numbers", [[], [1], [0, 0], [1, 1], [1, -1], [True, 0], [2**63, 0], ["1", 0], [1.0, 0]]
)
def test_sequence_numbers(numbers: list[Any]) -> None:
    """Seq is an integer from 1 and acked one below it."""
    with pytest.raises(BadArgumentsError):
        decode_request([1, rq.DELETE, *numbers, *(["/a"] if len(numbers) == 2 else [])])


def test_the_longest_sequential_name_leaves_room_for_its_suffix() -> None:
    """A sequential name of 469 bytes is taken: with sign and ten digits it fills 480."""
    assert decode_write(rq.CREATE, "/" + "n" * 469, b"", None, 2)
