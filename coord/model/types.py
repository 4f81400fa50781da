"""Integer identities that must not be mixed up, and the two ways a read may be served.

Plain ``NewType`` integers: they cost nothing at run time and mypy keeps them apart.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NewType

Revision = NewType("Revision", int)
"""Raft index = zxid = revision: one number for everything; it only grows (design decision)."""

SessionId = NewType("SessionId", int)
"""The index of the entry that created the session; 0 means no session."""

Generation = NewType("Generation", int)
"""Grows with every attach of a session; a command of an older generation has no effect."""

Seq = NewType("Seq", int)
"""Dense number of a session's write, from 1: apply accepts last + 1 only."""

NO_SESSION = SessionId(0)


class ReadLevel(IntEnum):
    """What a read may miss.

    LINEARIZABLE: nothing acknowledged before the read was sent (a ReadIndex round).
    SESSION: nothing this session has seen, on any node; served from local state.
    STALE: whatever this node has applied.
    """

    LINEARIZABLE = 0
    SESSION = 1
    STALE = 2
