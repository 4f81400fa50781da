"""Which protocol a new connection on the client port speaks, from its first bytes.

The native hello starts with a byte that is neither ASCII nor a plausible length, as PNG's does, and
carries CR LF so that a transfer in text mode is noticed. A ZooKeeper handshake is a frame of some
forty bytes, so its first byte is 0x00. A four-letter word is text. Anything else is closed.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

HELLO: Final = b"\x89CORD\r\n"
"""89 43 4F 52 44 0D 0A; one version byte follows."""
VERSION: Final = 1
"""The protocol version this build speaks."""
HELLO_BYTES: Final = len(HELLO) + 1

WORD_BYTES: Final = 4
FOUR_LETTER_WORDS: Final = frozenset({
    b"conf", b"cons", b"crst", b"dirs", b"dump", b"envi", b"isro", b"mntr", b"ruok", b"srst",
    b"srvr", b"stat", b"wchc", b"wchp", b"wchs",
})  # fmt: skip
"""Words that get a text answer before any handshake; whether one is enabled is the caller's."""

SNIFF_TIMEOUT_MS: Final = 5_000
"""A connection that has not shown its protocol by then is closed."""


class Front(Enum):
    """Which front door a connection has knocked at."""

    UNDECIDED = "undecided"
    """Too few bytes yet: keep them, and ask again with more."""
    NATIVE = "native"
    ZOOKEEPER = "zookeeper"
    WORD = "word"
    UNKNOWN = "unknown"
    """Close without an answer."""


def sniff(head: bytes) -> Front:
    """Judge a connection by all bytes received so far. The verdict never changes once decided."""
    if not head:
        return Front.UNDECIDED
    if head[0] == HELLO[0]:
        known = min(len(head), len(HELLO))
        if head[:known] != HELLO[:known]:
            return Front.UNKNOWN
        return Front.NATIVE if known == len(HELLO) else Front.UNDECIDED
    if head[0] == 0:
        return Front.ZOOKEEPER
    word = bytes(head[:WORD_BYTES])
    if word in FOUR_LETTER_WORDS:
        return Front.WORD
    if any(candidate.startswith(word) for candidate in FOUR_LETTER_WORDS):
        return Front.UNDECIDED
    return Front.UNKNOWN
