"""Frames between nodes: round trips, splitting at every byte, and refusal of everything else."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model.errors import ProtocolError
from coord.model.limits import PEER_FRAME_BYTES_MAX
from coord.node import peer_codec
from coord.node.peer_codec import FrameSplitter, decode_body, encode_batch, encode_control
from coord.node.peer_messages import DigestSample, Forward, Touches
from coord.raft.messages import AppendEntries, Heartbeat
from coord.raft.types import EntryKind, Incarnation, Index, LogSlice, NodeId, Term


def heartbeat(commit: int = 7) -> Heartbeat:
    """A small Raft message."""
    return Heartbeat(
        NodeId(2), NodeId(1), Incarnation(2**63 + 5), Term(3), Index(commit), Term(3), 9
    )


def append(*payloads: bytes) -> AppendEntries:
    """A Raft message that holds entries."""
    run = LogSlice(Index(5), Term(3), EntryKind.NORMAL, list(payloads))
    return AppendEntries(
        NodeId(2), NodeId(1), Incarnation(1), Term(3), Index(4), Term(2), Index(4), run
    )


MIXED = [heartbeat(), append(b"a", b"bc"), Forward([b"x", b"y"]), Touches(1, [[5, 20]])]


def bodies(data: bytes, size: int, bytes_max: int = PEER_FRAME_BYTES_MAX) -> list[bytes]:
    """Split ``data`` as if it arrived in reads of ``size`` bytes."""
    splitter = FrameSplitter(bytes_max)
    found: list[bytes] = []
    for at in range(0, len(data), size):
        found += [bytes(body) for body in splitter.feed(data[at : at + size])]
    return found


def test_a_batch_of_both_kinds_of_message_survives_the_wire() -> None:
    """Raft's messages and the node's own travel together, in order."""
    (body,) = bodies(encode_batch(MIXED), 1_000)

    assert decode_body(body) == MIXED


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 10_000])
def test_frames_are_found_however_the_stream_is_cut(size: int) -> None:
    """Splitting does not depend on where reads end, headers included."""
    batches = [[heartbeat(n)] * n for n in range(1, 5)]
    stream = b"".join(map(encode_batch, batches))

    assert [decode_body(body) for body in bodies(stream, size)] == batches


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 400))
def test_any_stream_cut_anywhere_gives_its_frames(payloads: list[bytes], size: int) -> None:
    """Frames come out as they went in, for any sizes and any read size."""
    stream = b"".join(peer_codec.HEADER.pack(len(p)) + p for p in payloads)

    assert bodies(stream, size) == payloads


def test_a_batch_above_the_limit_becomes_several_frames() -> None:
    """A flush of large messages is cut between messages, order kept."""
    messages = [append(bytes([n]) * (PEER_FRAME_BYTES_MAX // 3)) for n in range(5)]
    found = bodies(encode_batch(messages), 1 << 20)

    assert len(found) > 1
    assert [message for body in found for message in decode_body(body)] == messages


def test_a_single_message_above_the_limit_is_its_producers_fault() -> None:
    """It cannot be cut and must not be sent."""
    with pytest.raises(ValueError, match="exceeds"):
        encode_batch([append(bytes(PEER_FRAME_BYTES_MAX))])


def test_a_control_map_comes_back_as_a_map() -> None:
    """Control messages are told from batches by their type."""
    (body,) = bodies(encode_control({"probe": 1}), 3)

    assert decode_body(body) == {"probe": 1}


@pytest.mark.parametrize(
    "plain",
    [
        7,
        "text",
        [[]],
        [7],
        [["tag"]],
        [[99]],
        [[1]],
        [[250, 1]],
        [[True, 1, 2]],
        [[100, [1]]],
        [[106, 1, "digest"]],
        [[8, 1, 2, 3, 4, -1, 6]],
    ],
)
def test_a_malformed_body_is_a_protocol_error(plain: object) -> None:
    """Whatever msgpack can hold and is no batch is refused with the error that closes the link."""
    with pytest.raises(ProtocolError):
        decode_body(msgpack.packb(plain))


@given(st.binary(max_size=200))
def test_noise_is_a_protocol_error_or_a_frame(noise: bytes) -> None:
    """No input makes the decoder raise anything else."""
    try:
        decode_body(noise)
    except ProtocolError:
        return


def test_an_oversized_frame_is_refused_from_its_header_alone() -> None:
    """Nothing of it is buffered first."""
    splitter = FrameSplitter(100)

    with pytest.raises(ProtocolError, match="exceeds 100"):
        splitter.feed(peer_codec.HEADER.pack(101))


def test_a_frame_of_exactly_the_limit_passes() -> None:
    """The limit itself is allowed."""
    frame = peer_codec.HEADER.pack(100) + bytes(100)

    assert bodies(frame, 17, bytes_max=100) == [bytes(100)]


def test_node_messages_of_every_type_are_told_from_rafts() -> None:
    """A NamedTuple of the node is not handed to Raft's codec."""
    (body,) = bodies(encode_batch([DigestSample(4096, 2**64 - 1)]), 50)

    assert decode_body(body) == [DigestSample(4096, 2**64 - 1)]
