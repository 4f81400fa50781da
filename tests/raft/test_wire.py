"""Messages and memberships as bytes: round trips, and refusal of anything else."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord.raft import (
    MESSAGE_TYPES,
    EntryKind,
    Incarnation,
    Index,
    LogSlice,
    Member,
    MemberRole,
    Membership,
    Message,
    NodeId,
    SnapshotMeta,
    Term,
    from_wire,
    to_wire,
)
from coord.raft import messages as m
from coord.raft.describe import describe_message
from tests.raft.lab import member, run, say, voters

numbers = st.integers(0, 2**63)
runs = st.builds(
    LogSlice,
    numbers.map(lambda n: Index(n + 1)),
    numbers.map(Term),
    st.sampled_from([EntryKind.NORMAL, EntryKind.NOOP]),
    st.lists(st.binary(max_size=20), min_size=1, max_size=5),
)
members = st.builds(
    Member,
    st.integers(1, 20).map(NodeId),
    numbers.map(Incarnation),
    st.sampled_from(MemberRole),
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
)
groups = st.lists(members, max_size=4, unique_by=lambda each: each.id).map(
    lambda group: tuple(sorted(group, key=lambda each: each.id))
)
memberships = st.builds(Membership, groups, groups)
metas = st.builds(
    SnapshotMeta,
    numbers.map(Index),
    numbers.map(Term),
    memberships,
    st.binary(max_size=32),
    numbers,
)
BY_FIELD: dict[str, st.SearchStrategy[Any]] = {
    "entries": st.none() | runs,
    "meta": metas,
    "data": st.none() | st.binary(max_size=30),
    "checksum": st.binary(max_size=32),
    "granted": st.booleans(),
    "transfer": st.booleans(),
    "failed": st.booleans(),
    "accepted": st.booleans(),
}


def in_place(message: Message) -> Message:
    """Let entries follow their predecessor."""
    if isinstance(message, m.AppendEntries) and message.entries is not None:
        message.entries.first = Index(message.prev_index + 1)
        terms = sorted((message.prev_term, message.entries.term, message.term))
        message.prev_term, message.entries.term, message.term = terms
    return message


def message_of(cls: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of a class."""
    every = {f.name: BY_FIELD.get(f.name, numbers) for f in fields(cls)}
    return st.builds(cls, **every).map(in_place)


messages = st.one_of([message_of(cls) for cls in MESSAGE_TYPES.values()])
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**64)
    | st.binary(max_size=4)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=8,
)


@pytest.mark.parametrize("cls", MESSAGE_TYPES.values(), ids=lambda cls: cls.__name__)
@settings(max_examples=30)
@given(st.data())
def test_messages_survive_the_wire(cls: type[Message], data: st.DataObject) -> None:
    """Packed by msgpack, unpacked as lists, the message is the same."""
    message = data.draw(message_of(cls))
    packed = msgpack.packb(to_wire(message))

    assert from_wire(msgpack.unpackb(packed)) == message


@pytest.mark.parametrize("cls", MESSAGE_TYPES.values(), ids=lambda cls: cls.__name__)
@settings(max_examples=10)
@given(st.data())
def test_every_message_has_a_description(cls: type[Message], data: st.DataObject) -> None:
    """One line, naming kind and term."""
    message = data.draw(message_of(cls))
    line = describe_message(message)

    assert f"{type(message).__name__} t{message.term}" in line


@given(messages, st.data())
def test_damaged_messages_are_refused(message: Message, data: st.DataObject) -> None:
    """A field replaced by junk either is a message of that kind still, or a ValueError."""
    wire = list(to_wire(message))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] = data.draw(junk)

    try:
        other = from_wire(wire)
    except ValueError:
        return
    assert from_wire(to_wire(other)) == other


@given(junk)
def test_junk_is_refused(value: Any) -> None:
    """Whatever is not a message is a ValueError, never another exception."""
    with pytest.raises(ValueError):
        from_wire(value)


@pytest.mark.parametrize(
    "wire",
    [
        [],
        [99, 1, 2, 3, 4],
        [True, 1, 2, 3, 4],
        [12, 1, 2, 3],
        [12, 1, 2, 3, 4, 5],
        [12, 1, 2, 3, -4],
        [12, 1, 2, 3, 2**64],
        [12, 1, 2, 3, 1.0],
        [5, 1, 2, 3, 4, 1, 1, 1, [1, 1, 0, []]],
        [5, 1, 2, 3, 4, 1, 1, 1, [0, 1, 0, [b"x"]]],
        [5, 1, 2, 3, 4, 1, 1, 1, [1, 1, 7, [b"x"]]],
        [5, 1, 2, 3, 4, 1, 1, 1, [1, 1, 0, ["x"]]],
        [5, 1, 2, 3, 4, 1, 1, 1, [3, 1, 0, [b"x"]]],
        [5, 1, 2, 3, 4, 1, 2, 1, [2, 1, 0, [b"x"]]],
        [5, 1, 2, 3, 4, 1, 1, 1, [2, 9, 0, [b"x"]]],
        [4, 1, 2, 3, 4, 1],
        [11, 1, 2, 3, 4, "sum", 5, False],
    ],
    ids=str,
)
def test_malformed_messages_are_refused(wire: list[Any]) -> None:
    """Wrong tags, counts, ranges and types, each on its own."""
    with pytest.raises(ValueError):
        from_wire(wire)


@given(memberships)
def test_memberships_survive_encoding(membership: Membership) -> None:
    """The payload of a CONFIG entry gives back the configuration."""
    assert Membership.decode(membership.encode()) == membership


@given(memberships, st.data())
def test_damaged_memberships_are_refused(membership: Membership, data: st.DataObject) -> None:
    """Cutting or changing bytes gives another membership or a ValueError."""
    encoded = bytearray(membership.encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    if data.draw(st.booleans()):
        del encoded[at:]
    else:
        encoded[at] = data.draw(st.integers(0, 255))

    try:
        other = Membership.decode(bytes(encoded))
    except ValueError:
        return
    assert other.encode() == bytes(encoded)


def test_the_format_of_a_membership_is_fixed() -> None:
    """Logs outlive versions: these bytes must be read for ever."""
    membership = Membership(
        (Member(NodeId(1), Incarnation(7), MemberRole.JOINING, "a:1", "", "é"),)
    )

    encoded = membership.encode()

    assert encoded.hex() == ("010001000000000000000000010000000000000007020003613a3100000002c3a9")


def test_tags_on_the_wire_are_fixed() -> None:
    """Peers of another version know messages by these numbers."""
    assert {tag: cls.__name__ for tag, cls in MESSAGE_TYPES.items()} == {
        1: "PreVoteRequest",
        2: "PreVoteResponse",
        3: "VoteRequest",
        4: "VoteResponse",
        5: "AppendEntries",
        6: "AppendAccepted",
        7: "AppendRejected",
        8: "Heartbeat",
        9: "HeartbeatResponse",
        10: "InstallSnapshot",
        11: "SnapshotProgress",
        12: "TimeoutNow",
        13: "ReadRequest",
        14: "ReadResponse",
    }


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            say(m.AppendEntries, 1, 2, 3, 4, 2, 1, run(5, 3, b"a", b"a payload that is long")),
            "1→2 AppendEntries t3 prev=4@2 commit=1 5..6@3 a a payload th…(22)",
        ),
        (
            say(m.AppendEntries, 1, 2, 3, 4, 2, 1, None),
            "1→2 AppendEntries t3 prev=4@2 commit=1 nothing",
        ),
        (say(m.VoteRequest, 1, 2, 3, 4, 2, True), "1→2 VoteRequest t3 log=4@2 transfer"),
        (say(m.SnapshotProgress, 1, 2, 3, b"", 0, True), "1→2 SnapshotProgress t3 failed"),
        (say(m.ReadResponse, 1, 2, 3, 9, 0, False), "1→2 ReadResponse t3 context=9 refused"),
        (say(m.TimeoutNow, 1, 2, 3), "1→2 TimeoutNow t3"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_descriptions_are_stable(message: Message, line: str) -> None:
    """Scripts and traces are compared with these lines."""
    assert describe_message(message) == line


def test_a_membership_finds_its_members() -> None:
    """Looked up among the incoming first, then among those being left."""
    joint = Membership(voters(1, 2, learners=(4,)).members, voters(1, 3).members)

    assert joint.find(NodeId(3)) == member(3)
    assert joint.find(NodeId(9)) is None
    assert [each.id for each in joint.voters] == [1, 2]
    assert [each.id for each in joint.learners] == [4]
