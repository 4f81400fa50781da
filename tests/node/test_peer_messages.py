"""Node-to-node messages on the wire."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from coord.node.peer_messages import (
    AdminAnswer,
    AdminCall,
    DigestSample,
    Forward,
    ForwardRefused,
    PeerMessage,
    Touches,
    TouchesConfirmed,
    from_wire,
    to_wire,
)

SAMPLES: list[PeerMessage] = [
    Forward([b"a", b"b"]),
    ForwardRefused(7),
    Touches(3, [[1, 20], [2, 0]]),
    TouchesConfirmed(3, [2]),
    AdminCall(1, 220, {"a": 1}),
    AdminAnswer(1, -101, "gone", []),
    DigestSample(4096, 2**64 - 1),
]


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_wire(message: PeerMessage) -> None:
    """Packing and unpacking gives an equal message."""
    fields = msgpack.unpackb(msgpack.packb(to_wire(message)))

    assert from_wire(fields) == message


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [99, 1],
        ["100", []],
        [100],
        [100, [1]],
        [100, [], []],
        [101, "7"],
        [102, 1, [[1]]],
        [102, 1, [["a", 2]]],
        [104, 1, 2, []],
    ],
)
def test_malformed_messages_are_refused(fields: list[Any]) -> None:
    """Whatever a peer sends, the answer is ValueError."""
    with pytest.raises(ValueError, match=r"peer message|must be"):
        from_wire(fields)
