"""Stats, create modes, ACLs, errors, commands."""

from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model import commands, errors
from coord.model import requests as rq
from coord.model.acl import OPEN, READ, READ_ONLY, WRITE, Acl, permits, permits_packed, unpack
from coord.model.errors import BY_CODE, CoordError, CorruptionError, RequestError, from_code
from coord.model.znode import STAT_BYTES, CreateMode, Stat

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
STATS = st.builds(Stat, INT64, INT64, INT64, INT64, INT32, INT32, INT32, INT64, INT32, INT32, INT64)


@given(STATS)
def test_a_stat_is_68_bytes_and_comes_back(stat: Stat) -> None:
    """ZooKeeper's layout, on both wires and on disk."""
    packed = stat.pack()

    assert len(packed) == STAT_BYTES == 68
    assert Stat.unpack(packed) == stat
    assert Stat.unpack(b"xx" + packed, 2) == stat
    assert struct.unpack_from(">q", packed)[0] == stat.czxid


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_sequence_counter_follows_from_the_clients_cversion(made: int, deleted: int) -> None:
    """Cversion is 2 × creations − children, so creations need no field of their own."""
    deleted = min(made, deleted)
    left = made - deleted
    stat = Stat(0, 0, 0, 0, 0, 2 * made - left, 0, 0, 0, left, 0)

    assert stat.children_created == made


def test_create_modes_know_their_kind() -> None:
    """Seven modes, ZooKeeper's numbers."""
    assert [mode.value for mode in CreateMode] == list(range(7))
    assert [mode for mode in CreateMode if mode.is_ephemeral] == [1, 3]
    assert [mode for mode in CreateMode if mode.is_sequential] == [2, 3, 6]
    assert [mode for mode in CreateMode if mode.has_ttl] == [5, 6]


@pytest.mark.parametrize(
    ("acl", "wanted", "who", "allowed"),
    [
        (OPEN, WRITE, (), True),
        (READ_ONLY, READ, (), True),
        (READ_ONLY, WRITE, (("digest", "a:b"),), False),
        ((Acl(WRITE, "digest", "a:b"),), WRITE, (("digest", "a:b"),), True),
        ((Acl(WRITE, "digest", "a:b"),), WRITE, (("digest", "a:c"),), False),
        ((Acl(WRITE, "digest", "a:b"),), READ, (("digest", "a:b"),), False),
        ((Acl(READ, "ip", "10.0.0.1"),), READ | WRITE, (("ip", "10.0.0.1"),), True),
        ((Acl(READ, "ip", "10.0.0.0/8"),), READ, (("ip", "10.200.3.4"),), True),
        ((Acl(READ, "ip", "10.0.0.0/8"),), READ, (("ip", "11.0.0.1"),), False),
        ((Acl(READ, "ip", "10.0.0.0/8"),), WRITE, (("ip", "10.0.0.1"),), False),
        ((Acl(READ, "ip", "10.9.9.9/8"),), READ, (("digest", "a:b"), ("ip", "10.0.0.1")), True),
        ((Acl(READ, "ip", "0.0.0.0/0"),), READ, (("ip", "::1"),), False),
        ((Acl(READ, "ip", "fd00::/8"),), READ, (("ip", "fd12::1"),), True),
        ((Acl(READ, "ip", "nonsense"),), READ, (("ip", "10.0.0.1"),), False),
        ((Acl(READ, "ip", "nonsense"),), READ, (("ip", "nonsense"),), False),
        ((Acl(READ, "ip", "0.0.0.0/0"),), READ, (("digest", "10.0.0.1"),), False),
        ((), READ, (("super", ""),), True),
        ((), READ, (), False),
    ],
)
def test_permissions(
    acl: tuple[Acl, ...], wanted: int, who: tuple[tuple[str, str], ...], allowed: bool
) -> None:
    """Any entry that names the caller and holds any wanted permission; super bypasses."""
    assert permits(acl, wanted, who) is allowed


@pytest.mark.parametrize("entries", [1, 200])
def test_a_packed_acl_decides_like_the_acl(entries: int) -> None:
    """As a change carries it: empty is open; short ones are remembered, long ones are not."""
    acl = tuple(Acl(READ, "digest", f"user{n}:b") for n in range(entries))
    packed = msgpack.packb(acl)

    assert unpack(packed) == unpack(packed) == acl
    assert permits_packed(packed, READ, (("digest", "user0:b"),))
    assert not permits_packed(packed, WRITE, (("digest", "user0:b"),))
    assert not permits_packed(packed, READ, ())
    assert unpack(b"") is OPEN
    assert permits_packed(b"", WRITE, ())


def test_every_error_has_its_own_code_and_comes_back_from_it() -> None:
    """The wire carries the code; the client raises the same class."""
    for code, cls in BY_CODE.items():
        assert cls.code == code
        assert isinstance(from_code(code, "why"), cls)
    assert type(from_code(-9_999, "new")) is CoordError


def test_refusals_are_definite_and_losses_are_not() -> None:
    """``definite``: the operation certainly did not happen."""
    unclear = {errors.ResultUnknownError}
    for cls in BY_CODE.values():
        if issubclass(cls, RequestError) and cls not in unclear:
            assert cls.definite, cls
    assert not errors.ConnectionLostError("").definite
    assert errors.ConnectionLostError("", definite=True).definite
    assert not errors.OperationTimeoutError("").definite


def test_a_stamped_command_decodes_to_what_was_asked() -> None:
    """Stamp first, then the packed command as the gateway made it."""
    request = rq.Create("/a", b"data", OPEN, 1, 0)
    command = commands.encode_write(request, 7, 2, 9, 8, (("digest", "a:b"),))
    wall_ms, log_ms, fields = commands.decode(
        commands.stamped(commands.STAMP.pack(111, 222), command)
    )

    assert (wall_ms, log_ms) == (111, 222)
    assert fields[:6] == [rq.CREATE, 7, 2, 9, 8, [["digest", "a:b"]]]
    assert fields[6:] == ["/a", b"data", [[31, "world", "anyone"]], 1, 0]


def test_a_transaction_names_the_kind_of_each_operation() -> None:
    """So that apply needs no guess."""
    multi = rq.Multi((rq.Check("/a", 1), rq.Guard("/lock", 5), rq.Delete("/b", -1)))
    fields = msgpack.unpackb(commands.encode_write(multi, 1, 1, 1, 0, None))

    assert fields[0] == rq.MULTI
    assert fields[6] == [[rq.CHECK, "/a", 1], [rq.GUARD, "/lock", 5], [rq.DELETE, "/b", -1]]


@pytest.mark.parametrize(
    "payload", [b"", b"short", bytes(16), bytes(16) + b"\xc1", bytes(16) + b"\x01x"]
)
def test_a_committed_entry_that_does_not_decode_is_damage(payload: bytes) -> None:
    """Never a result, never skipped."""
    with pytest.raises(CorruptionError):
        commands.decode(payload)
