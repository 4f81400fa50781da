"""ZooKeeper's requests: what each decodes to, and which error comes first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model import requests as rq
from coord.model.acl import OPEN, Acl
from coord.model.errors import (
    AuthFailedError,
    BadArgumentsError,
    CoordError,
    NoNodeError,
    ProtocolError,
    TooLargeError,
    UnimplementedError,
)
from coord.model.limits import NAME_BYTES_MAX, TTL_MS_MAX, TXN_OPERATIONS_MAX
from coord.model.znode import CreateMode
from coord.protocol import zookeeper
from coord.protocol.zookeeper import ZooKeeperCodec
from coord.protocol.zookeeper_requests import decode
from tests.protocol import jute
from tests.protocol.jute import buffer, flag, i32, i64, text
from tests.protocol.strategies import acls, data, paths, versions
from tests.protocol.zookeeper_requests import encoded

LONG_NAME = "n" * (NAME_BYTES_MAX + 1)


def decoded(operation: int, *fields: bytes) -> Any:
    """What one request is decoded to."""
    codec = ZooKeeperCodec()
    codec.feed(jute.handshake())
    ((token, item, seq, acked),) = codec.feed(jute.request(5, operation, *fields))
    assert (token & 0xFFFF_FFFF, seq, acked) == (5, 0, 0)
    return item


# --- what well-formed requests become -------------------------------------------------------------


@st.composite
def creates(draw: st.DrawFn) -> rq.Create:
    """A Create of any mode, with or without what the short way takes."""
    mode = draw(st.sampled_from(CreateMode))
    path = draw(paths)
    if mode.is_sequential and path != "/" and draw(st.booleans()):
        path += "/"
    ttl_ms = draw(st.integers(1, TTL_MS_MAX)) if mode.has_ttl else 0
    return rq.Create(path, draw(data), draw(acls), int(mode), ttl_ms)


def _listings(watches: st.SearchStrategy[bool]) -> st.SearchStrategy[rq.Children]:
    return st.builds(rq.Children, paths, watches, st.just(1), st.just(""), st.just(0), st.just(0))


def _gets(watches: st.SearchStrategy[bool]) -> st.SearchStrategy[rq.Get]:
    return st.builds(rq.Get, paths, watches, st.just(1))


unwatched = _gets(st.just(False)) | _listings(st.just(False))
gets = _gets(st.booleans())
listings = _listings(st.booleans())
deletes = st.builds(rq.Delete, paths, versions)
sets = st.builds(rq.Set, paths, data, versions)
texts = st.text(st.characters(codec="utf-8"), max_size=9)
path_tuples = st.lists(paths, max_size=3).map(tuple)
requests = st.one_of(
    creates(),
    deletes,
    sets,
    st.builds(rq.SetAcl, paths, acls, versions),
    st.lists(creates() | deletes | sets | st.builds(rq.Check, paths, versions), max_size=5).map(
        lambda chosen: rq.Multi(tuple(chosen))
    ),
    st.lists((gets | listings).map(lambda read: read._replace(watch=False)), max_size=4).map(
        lambda chosen: rq.MultiRead(tuple(chosen), 1)
    ),
    gets,
    listings,
    st.builds(rq.Exists, paths, st.booleans(), st.just(1)),
    st.builds(rq.GetAcl, paths, st.just(1)),
    st.builds(rq.AddWatch, paths, st.integers(0, 1)),
    st.builds(rq.RemoveWatches, paths, st.integers(1, 5)),
    st.builds(rq.CheckWatches, paths, st.integers(1, 5)),
    st.builds(rq.SetWatches, st.integers(-1, 2**62), *[path_tuples] * 5),
    st.builds(rq.Auth, texts, data),
    st.builds(rq.Reconfig, texts, texts, texts, st.integers(-1, 2**62)),
    st.builds(rq.Ephemerals, paths.filter(lambda path: path != "/")),
    st.builds(rq.CountDescendants, paths),
    st.builds(rq.Sync, paths),
    st.sampled_from([rq.Ping(), rq.Close(), rq.WhoAmI()]),
)


@given(requests)
def test_round_trip(request: Any) -> None:
    """What a client encodes by the book is what it asked for: the first and the second time."""
    operation, record = encoded(request)
    for _ in range(2):
        found = decoded(operation, record)
        assert found == request
        assert type(found) is type(request)


@given(requests)
def test_the_short_way_is_the_long_way(request: Any) -> None:
    """What is decoded in place is what the tables decode."""
    operation, record = encoded(request)
    _, found = decode(5, operation, record, 0, len(record))
    assert decoded(operation, record) == found


PLAIN_PATHS = ["/", "/a", "/a/b c", "/.a", "/a-0000000001", "/" + "n" * 160, "/" + "n" * 469]


@pytest.mark.parametrize(
    ("operation", "fields", "lengths"),
    [
        (3, flag(1), range(1, 161)),
        (4, flag(0), range(1, 161)),
        (5, buffer(b"") + i32(-1), range(2, 470)),
        (1, buffer(b"x") + jute.acl(jute.OPEN) + i32(0), range(2, 470)),
        (15, buffer(b"") + jute.acl(jute.OPEN) + i32(3), range(1, 469)),
    ],
)
def test_what_goes_the_short_way(
    operation: int, fields: bytes, lengths: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain forms of the most frequent requests never reach the tables."""
    taken: list[int] = []

    def counted(*arguments: Any) -> Any:
        taken.append(arguments[1])
        return decode(*arguments)

    monkeypatch.setattr(zookeeper, "decode", counted)
    for path in PLAIN_PATHS:
        taken.clear()
        decoded(operation, text(path), fields)
        is_short = len(path) in lengths and (operation in {3, 4} or not path.startswith("/."))
        assert (not taken) is is_short, path


def test_paths_beyond_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of plain paths is bounded, and makes no difference."""
    monkeypatch.setattr(zookeeper, "_KNOWN_PATHS_MAX", 3)
    zookeeper._known_paths.clear()
    for number in (1, 2, 3, 4, 5, 1, 2):
        assert decoded(5, text(f"/n{number}"), buffer(b""), i32(0)) == rq.Set(f"/n{number}", b"", 0)
        assert 0 < len(zookeeper._known_paths) <= 3


@pytest.mark.parametrize("flags", range(5))
@pytest.mark.parametrize("operation", [1, 15, 19])
def test_flags_decide_what_is_created(operation: int, flags: int) -> None:
    """One client, aiozk, asks for a container with create2."""
    found = decoded(operation, jute.create_record("/a", b"", flags))
    assert found == rq.Create("/a", b"", OPEN, flags, 0)


def test_old_forms() -> None:
    """The first getChildren and setWatches ask what their successors ask."""
    assert decoded(8, text("/a"), flag(1)) == rq.Children("/a", True, 1, "", 0, 0)
    lists = jute.texts(["/d"]) + jute.texts(["/e", "/f"]) + jute.texts([])
    assert decoded(101, i64(7), lists) == rq.SetWatches(7, ("/d",), ("/e", "/f"), (), (), ())


def test_null_data_is_no_data() -> None:
    """A null value is stored as an empty one."""
    assert decoded(1, jute.create_record("/a", None)) == rq.Create("/a", b"", OPEN, 0, 0)
    assert decoded(5, text("/a"), buffer(None), i32(-1)) == rq.Set("/a", b"", -1)
    record = jute.multi_record((5, text("/a") + buffer(None) + i32(-1)))
    assert decoded(14, record) == rq.Multi((rq.Set("/a", b"", -1),))


@pytest.mark.parametrize("entries", [None, []])
def test_no_acl(entries: list[Any] | None) -> None:
    """A null or empty ACL is left to the tree, which refuses it after the path."""
    assert decoded(1, jute.create_record("/a", b"", 0, entries)).acl == ()
    assert decoded(7, text("/a"), jute.acl(entries), i32(-1)) == rq.SetAcl("/a", (), -1)


def test_acl_as_it_came() -> None:
    """Entries are not judged here: permissions and schemes of any kind, null as empty."""
    entries = [(0, "auth", ""), (-1, "nonsense", "x"), (31, None, None), (31, "world", "anyone")]
    assert decoded(1, jute.create_record("/a", b"", 0, entries)).acl == (
        Acl(0, "auth", ""), Acl(-1, "nonsense", "x"), Acl(31, "", ""), Acl(31, "world", "anyone"),
    )  # fmt: skip


@pytest.mark.parametrize("prefix", [None, "", "/", " / "])
def test_all_ephemerals(prefix: str | None) -> None:
    """No prefix, a blank one and the root are the same."""
    assert decoded(103, text(prefix)) == rq.Ephemerals("")


def test_prefixes_are_plain_strings() -> None:
    """A prefix need not be a path."""
    assert decoded(103, text("/a//b")) == rq.Ephemerals("/a//b")


def test_null_names_in_reconfig() -> None:
    """Null means that nothing is asked for."""
    assert decoded(16, text("server.1=x"), text(None), text(None), i64(-1)) == rq.Reconfig(
        "server.1=x", "", "", -1
    )


# --- paths ----------------------------------------------------------------------------------------


READS = [(3, rq.Exists), (4, rq.Get), (6, rq.GetAcl), (8, rq.Children), (104, rq.CountDescendants)]


@pytest.mark.parametrize(("operation", "kind"), READS)
@pytest.mark.parametrize("path", ["a", "//", "/a/", "/a//b", "/.", "/a\x01", "/\ufffd", "/é" * 90])
def test_reads_take_any_path(operation: int, kind: type[Any], path: str) -> None:
    """There is no node at an invalid path: the tree says so, not the codec."""
    found = decoded(operation, text(path), flag(0))
    assert type(found) is kind
    assert found.path == path


@pytest.mark.parametrize(("operation", "kind"), READS)
def test_the_empty_path_reads_the_root(operation: int, kind: type[Any]) -> None:
    """ZooKeeper knows its root by both names."""
    found = decoded(operation, text(""), flag(0))
    assert type(found) is kind
    assert found.path == "/"


@pytest.mark.parametrize(("operation", "kind"), READS)
def test_bytes_that_are_no_text(operation: int, kind: type[Any]) -> None:
    """They become U+FFFD, which no node's name has."""
    found = decoded(operation, buffer(b"/a\xff"), flag(0))
    assert type(found) is kind
    assert found.path == "/a\ufffd"


@pytest.mark.parametrize(("operation", "_kind"), READS)
@pytest.mark.parametrize("raw", [LONG_NAME.encode(), b"\xff" * 200, "é".encode() * 241])
def test_names_too_long_to_look_up(operation: int, _kind: type[Any], raw: bytes) -> None:
    """No node has such a name, and the store cannot even be asked."""
    assert isinstance(decoded(operation, buffer(b"/a/" + raw), flag(0)), NoNodeError)


@pytest.mark.parametrize("operation", [2, 3, 4, 6, 8, 9, 12, 104])
def test_null_paths(operation: int) -> None:
    """A null path is −5 where ZooKeeper stumbles over it …"""
    assert isinstance(decoded(operation, text(None), i32(0)), ProtocolError)
    assert isinstance(decoded(1, jute.create_record(None)), ProtocolError)


def test_null_paths_that_are_checked() -> None:
    """… and −8 where it checks paths first."""
    assert isinstance(decoded(5, text(None), buffer(b""), i32(0)), BadArgumentsError)
    assert isinstance(decoded(7, text(None), jute.acl([]), i32(0)), BadArgumentsError)
    assert isinstance(decoded(1, jute.create_record(None, flags=9)), BadArgumentsError)


def test_exists_refuses_nul() -> None:
    """The one read that judges its path."""
    assert isinstance(decoded(3, text("/a\0"), flag(0)), BadArgumentsError)
    assert decoded(4, text("/a\0"), flag(0)) == rq.Get("/a\0", False, 1)


@pytest.mark.parametrize("path", ["", "a", "/a/", "//", "/a/..", "/\x7f", f"/{LONG_NAME}"])
def test_writes_to_invalid_paths(path: str) -> None:
    """Set and setACL check the whole path first."""
    assert isinstance(decoded(5, text(path), buffer(b""), i32(0)), BadArgumentsError)
    assert isinstance(decoded(7, text(path), jute.acl([]), i32(0)), BadArgumentsError)


def test_delete_looks_for_a_parent_only() -> None:
    """Without a slash, or with NUL: −8. Otherwise invalid: there is no such node."""
    for path in ("", "a", "/a\0"):
        assert isinstance(decoded(2, text(path), i32(0)), BadArgumentsError)
    for path in ("a/b", "/a/", "//", "/"):
        assert decoded(2, text(path), i32(0)) == rq.Delete(path, 0)
    for path in (f"/{LONG_NAME}", f"/{LONG_NAME}/b"):
        assert isinstance(decoded(2, text(path), i32(0)), NoNodeError)


# --- create: which error comes first --------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "a", "/a\0b"])
def test_create_without_a_parent(path: str) -> None:
    """No slash, or NUL: −8 at once."""
    assert isinstance(decoded(1, jute.create_record(path)), BadArgumentsError)


@pytest.mark.parametrize(
    ("path", "parent"),
    [("/a/", "/a"), ("/a/..", "/a"), ("/.", ""), ("/a//b", "/a/"), ("a/b", "a"), ("/a/\x7f", "/a")],
)
def test_create_at_an_invalid_path(path: str, parent: str) -> None:
    """The parent's errors come before −8: the tree gets a name that it refuses there."""
    entries = [(1, "world", "anyone")]
    found = decoded(1, jute.create_record(path, b"data", 1, entries))
    assert isinstance(found, rq.Create)
    assert found.path.rpartition("/")[0] == parent
    assert len(found.path.rpartition("/")[2]) > NAME_BYTES_MAX
    assert found[1:] == (b"", (Acl(1, "world", "anyone"),), 0, 0)


def test_create_with_a_name_too_long() -> None:
    """−8 after the parent's errors; with a number behind it, a shorter name is too long already."""
    for name, flags in ((LONG_NAME, 0), ("n" * (NAME_BYTES_MAX - 10), 2)):
        found = decoded(1, jute.create_record(f"/a/{name}", b"", flags))
        assert found.path == f"/a/{LONG_NAME.replace('n', 'x')}"
    for name, flags in (("n" * NAME_BYTES_MAX, 0), ("n" * (NAME_BYTES_MAX - 11), 2)):
        found = decoded(1, jute.create_record(f"/a/{name}", b"", flags))
        assert found.path == f"/a/{name}"
    assert isinstance(decoded(1, jute.create_record(f"/{LONG_NAME}/b")), NoNodeError)


@pytest.mark.parametrize("flags", [-1, 7, 2**31 - 1])
@pytest.mark.parametrize("operation", [1, 15, 19, 21])
def test_unknown_flags(operation: int, flags: int) -> None:
    """−8, whatever else is wrong."""
    record = jute.create_record("", b"", flags, None, ttl_ms=0)
    assert isinstance(decoded(operation, record), BadArgumentsError)


@pytest.mark.parametrize("ttl_ms", [1, TTL_MS_MAX])
def test_times_to_live_at_their_bounds(ttl_ms: int) -> None:
    """The shortest and the longest."""
    record = jute.create_record("/a", b"", 5, ttl_ms=ttl_ms)
    assert decoded(21, record) == rq.Create("/a", b"", OPEN, 5, ttl_ms)


@pytest.mark.parametrize("ttl_ms", [0, -1, TTL_MS_MAX + 1])
def test_times_to_live_out_of_bounds(ttl_ms: int) -> None:
    """−8."""
    record = jute.create_record("/a", b"", 5, ttl_ms=ttl_ms)
    assert isinstance(decoded(21, record), BadArgumentsError)


@pytest.mark.parametrize(
    ("operation", "flags"),
    [(1, 5), (1, 6), (15, 5), (15, 6), (19, 5), (21, 0), (21, 4)],
)
def test_modes_of_another_operation(operation: int, flags: int) -> None:
    """A time to live comes with its own operation alone."""
    record = jute.create_record("/a", b"", flags, ttl_ms=1_000)
    assert isinstance(decoded(operation, record), BadArgumentsError)


# --- multi ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ((1, jute.create_record("a")), -8),
        ((1, jute.create_record("/a", flags=9)), -8),
        ((15, jute.create_record("/a", flags=-1)), -8),
        ((21, jute.create_record("/a", flags=5, ttl_ms=0)), -8),
        ((2, text("a") + i32(0)), -8),
        ((5, text("/a/") + buffer(b"") + i32(0)), -8),
        ((5, text(None) + buffer(b"") + i32(0)), -8),
        ((13, text("//") + i32(0)), -8),
        ((2, text("/" + LONG_NAME) + i32(0)), -101),
    ],
)
def test_refused_inside_a_multi(operation: tuple[int, bytes], code: int) -> None:
    """A bad operation keeps its place: what fails before it wins."""
    found = decoded(14, jute.multi_record((2, text("/x") + i32(-1)), operation))
    first, second = found.operations
    assert first == rq.Delete("/x", -1)
    assert (type(second), second.code) == (rq.Refuse, code)


def test_flags_decide_inside_a_multi() -> None:
    """Whichever create it is; only a time to live needs its own."""
    for kind in (1, 15, 19):
        for flags in range(5):
            record = jute.multi_record((kind, jute.create_record("/a", b"", flags)))
            assert decoded(14, record).operations == (rq.Create("/a", b"", OPEN, flags, 0),)
    record = jute.multi_record((21, jute.create_record("/a", b"", 1, ttl_ms=5)))
    assert decoded(14, record).operations == (rq.Create("/a", b"", OPEN, 1, 0),)


@pytest.mark.parametrize(
    "operation",
    [
        (1, jute.create_record("/a", flags=5)),
        (19, jute.create_record("/a", flags=6)),
        (1, jute.create_record(None)),
        (4, text("/a") + flag(0)),
        (8, text("/a") + flag(0)),
        (7, text("/a") + jute.acl(jute.OPEN) + i32(0)),
        (99, b""),
        (205, i32(-8) + text("refuse")),
        (0, b""),
    ],
)
def test_what_spoils_a_multi(operation: tuple[int, bytes]) -> None:
    """Reads among writes, unknown operations and null paths: −5 for the whole."""
    record = jute.multi_record((2, text("/x") + i32(-1)), operation)
    assert isinstance(decoded(14, record), ProtocolError)


@pytest.mark.parametrize(
    "operation", [(2, text("/a") + i32(0)), (12, text("/a") + flag(0)), (4, text(None) + flag(0))]
)
def test_what_spoils_a_multi_read(operation: tuple[int, bytes]) -> None:
    """Anything but get and the first getChildren: −5 for the whole."""
    record = jute.multi_record((4, text("/x") + flag(0)), operation)
    assert isinstance(decoded(22, record), ProtocolError)


def test_as_many_operations_as_allowed() -> None:
    """One more is refused, without decoding what follows."""
    operation = (13, text("/") + i32(-1))
    found = decoded(14, jute.multi_record(*[operation] * TXN_OPERATIONS_MAX))
    assert len(found.operations) == TXN_OPERATIONS_MAX
    record = jute.multi_record(*[operation] * TXN_OPERATIONS_MAX, (13, b""))
    assert isinstance(decoded(14, record), TooLargeError)


def test_a_multi_without_end() -> None:
    """−5."""
    record = jute.multi_record((13, text("/") + i32(-1)))[:-9]
    assert isinstance(decoded(14, record), ProtocolError)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [0, 10, 13, 20, 23, 99, 108, 205, -1, -10, -12, 2**31 - 1])
def test_unknown_operations_end_the_connection(operation: int) -> None:
    """−6, then closed; check is known inside a multi alone."""
    found = decoded(operation, text("/a"), i32(0))
    assert isinstance(found, rq.HangUp)
    assert isinstance(found.error, UnimplementedError)


def test_sasl() -> None:
    """−115, and the connection stays."""
    assert isinstance(decoded(102, buffer(b"token")), AuthFailedError)


@pytest.mark.parametrize(
    ("operation", "record"),
    [
        (106, text("/a") + i32(2)),
        (106, text("/a") + i32(-1)),
        (17, text("/a") + i32(0)),
        (18, text("/a") + i32(6)),
        (101, i64(1) + i32(-1) + jute.texts([]) * 2),
        (105, i64(1) + jute.vector([text(None)]) + jute.texts([]) * 4),
        (4, i32(-2)),
        (4, i32(2**31 - 1)),
        (105, i64(1) + i32(2**31 - 1)),
        (1, text("/a") + buffer(b"") + i32(2**31 - 1)),
        (6, b""),
    ],
)
def test_undecodable_records(operation: int, record: bytes) -> None:
    """Numbers that mean nothing, null where there is none, lengths beyond the frame: −5."""
    assert isinstance(decoded(operation, record), ProtocolError)


def test_a_negative_count_is_an_empty_vector() -> None:
    """As in Java: the loop over it does not run."""
    found = decoded(105, i64(1) + i32(-7) + jute.texts([]) * 4)
    assert found == rq.SetWatches(1, (), (), (), (), ())


def test_auth_without_a_scheme() -> None:
    """A null scheme is one that nobody knows."""
    assert decoded(100, i32(0), text(None), buffer(b"x")) == rq.Auth("", b"x")


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (i32(0) + text("digest") + buffer(None), AuthFailedError),
        (i32(0) + text("digest") + i32(9) + b"short", ProtocolError),
        (b"", ProtocolError),
    ],
)
def test_auth_without_a_credential(record: bytes, error: type) -> None:
    """The connection ends."""
    found = decoded(100, record)
    assert isinstance(found, rq.HangUp)
    assert isinstance(found.error, error)


def test_every_error_has_a_number_of_zookeepers() -> None:
    """What the codec refuses by itself has the numbers that ZooKeeper's clients know."""
    refused = [ProtocolError, BadArgumentsError, NoNodeError, TooLargeError, AuthFailedError]
    assert [error.zookeeper_code for error in refused] == [-5, -8, -101, -8, -115]
    assert all(issubclass(error, CoordError) for error in refused)
