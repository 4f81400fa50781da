"""First bytes of the client port."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.protocol.sniff import FOUR_LETTER_WORDS, HELLO, VERSION, Front, sniff


def test_hello_is_the_documented_one() -> None:
    """The native hello is 89 43 4F 52 44 0D 0A, and the version this build speaks is 1."""
    assert HELLO.hex() == "89434f52440d0a"
    assert VERSION == 1


@pytest.mark.parametrize(
    ("head", "front"),
    [
        (b"", Front.UNDECIDED),
        (HELLO[:1], Front.UNDECIDED),
        (HELLO[:6], Front.UNDECIDED),
        (HELLO, Front.NATIVE),
        (HELLO + b"\x01\x00", Front.NATIVE),
        (b"\x89PNG", Front.UNKNOWN),
        (HELLO[:4] + b"\x00", Front.UNKNOWN),
        (b"\x00", Front.ZOOKEEPER),
        (b"\x00\x00\x00\x2d", Front.ZOOKEEPER),
        (b"r", Front.UNDECIDED),
        (b"ruo", Front.UNDECIDED),
        (b"ruok", Front.WORD),
        (b"ruok\n", Front.WORD),
        (b"ruox", Front.UNKNOWN),
        (b"GET ", Front.UNKNOWN),
        (b"G", Front.UNKNOWN),
        (b"\x16\x03\x01", Front.UNKNOWN),
        (b"\xff", Front.UNKNOWN),
    ],
)
def test_verdict(head: bytes, front: Front) -> None:
    """Each protocol is told by its first bytes; everything else is closed."""
    assert sniff(head) is front


@given(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(sorted(FOUR_LETTER_WORDS)),
        st.binary(max_size=4).map(HELLO.__add__),
    )
)
def test_a_verdict_is_final(stream: bytes) -> None:
    """More bytes never change a verdict, so that asking early and often is safe."""
    verdicts = [sniff(stream[:size]) for size in range(len(stream) + 1)]
    decided = [verdict for verdict in verdicts if verdict is not Front.UNDECIDED]
    assert len(set(decided)) <= 1
    assert verdicts == [Front.UNDECIDED] * (len(verdicts) - len(decided)) + decided


@given(st.binary(min_size=7, max_size=12))
def test_seven_bytes_decide(stream: bytes) -> None:
    """No connection is undecided once as many bytes as the hello has are there."""
    assert sniff(stream) is not Front.UNDECIDED
