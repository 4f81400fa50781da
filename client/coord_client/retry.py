"""When to try again: back-off as a pure function, and which refusals are worth a retry. Pure."""

from __future__ import annotations

from typing import Final

from coord.model import errors

BACKOFF_MS_MIN: Final = 20
"""First pause after a whole round of hosts: an election takes a few of these."""
BACKOFF_MS_MAX: Final = 1_000
_DOUBLINGS_MAX: Final = 6

assert BACKOFF_MS_MIN << _DOUBLINGS_MAX >= BACKOFF_MS_MAX


def backoff_ms(attempt: int, spread: float) -> int:
    """Pause before retry number ``attempt`` (from 1), in milliseconds.

    Doubles from BACKOFF_MS_MIN to BACKOFF_MS_MAX. ``spread`` in [0, 1) is the caller's randomness:
    the pause lies between half of the full value and the full value, so that a crowd of clients
    comes apart.
    """
    assert attempt >= 1
    assert 0 <= spread < 1
    full = min(BACKOFF_MS_MIN << min(attempt - 1, _DOUBLINGS_MAX), BACKOFF_MS_MAX)
    return full - int(full * spread / 2)


NOT_SEQUENCED: Final = frozenset(
    error.code
    for error in (
        errors.OverloadedError,
        errors.NotReadyError,
        errors.NotLeaderError,
        errors.NoSpaceError,
        errors.SequenceGapError,
    )
)
"""Refusals from before the log: the write had no effect and its sequence number is free again."""

TRANSIENT: Final = NOT_SEQUENCED - {errors.NoSpaceError.code}
"""Refusals that pass by themselves: the client asks again until the caller's time is up."""

SESSION_GONE: Final = frozenset({errors.SessionExpiredError.code, errors.SessionMovedError.code})
"""Refusals of the session itself, whatever was asked."""

MAYBE_SEQUENCED: Final = frozenset(
    error.code
    for error in (
        errors.BadArgumentsError,
        errors.InvalidAclError,
        errors.TooLargeError,
        errors.UnimplementedError,
    )
)
"""Refusals from before the log or from apply, one cannot tell: if the number was not used, the next
write is a gap, and attaching again settles it. Arguments are checked before they are sent, so that
this does not happen in practice."""
