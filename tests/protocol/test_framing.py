"""The splitter: whatever the pieces, the same payloads; and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model.errors import ProtocolError
from coord.protocol.framing import LENGTH, FrameSplitter, frame


@given(st.lists(st.binary(max_size=300), max_size=12), st.data())
def test_pieces_do_not_matter(payloads: list[bytes], data: st.DataObject) -> None:
    """Any cutting of a stream of frames gives back the payloads, in order."""
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    splitter = FrameSplitter()
    found: list[bytes] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:stop])
    assert found == payloads


def test_byte_by_byte() -> None:
    """A frame that arrives one byte at a time comes out with its last byte, not before."""
    splitter = FrameSplitter()
    stream = frame(b"abc") + frame(b"")
    outputs = [splitter.feed(stream[at : at + 1]) for at in range(len(stream))]
    assert [index for index, output in enumerate(outputs) if output] == [6, 10]
    assert outputs[6] == [b"abc"]
    assert outputs[10] == [b""]


def test_too_long_is_refused_at_the_length() -> None:
    """A length above the maximum is refused before any of the frame's bytes are kept."""
    splitter = FrameSplitter(frame_bytes_max=10)
    assert splitter.feed(frame(b"0123456789")) == [b"0123456789"]
    with pytest.raises(ProtocolError, match="11 bytes"):
        splitter.feed(LENGTH.pack(11))


def test_a_trickled_large_frame_is_copied_once() -> None:
    """While a frame is incomplete, more bytes are only appended, never split again."""
    splitter = FrameSplitter()
    stream = frame(bytes(100_000))
    splitter.feed(stream[:4])
    for at in range(4, len(stream) - 1, 10_000):
        assert splitter.feed(stream[at : min(at + 10_000, len(stream) - 1)]) == []
    assert splitter.feed(stream[-1:]) == [bytes(100_000)]
