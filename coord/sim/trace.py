"""What happened in a run, as lines and as one hash.

Two runs are the same run if and only if their hashes are equal. A line is
``time_us actor kind text``; what it says must be a function of the seed alone: no addresses, no
default ``repr``, no order of a set.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

TAIL_LINES = 400
"""Lines kept for a failure report when nothing else consumes the trace."""


class Trace:
    """Collects lines. ``sink`` (if any) gets each as it comes; the last ones are always kept."""

    def __init__(self, sink: Callable[[str], None] | None = None) -> None:
        self.lines = 0
        self._last: deque[str] = deque(maxlen=TAIL_LINES)
        self._hash = hashlib.blake2b(digest_size=16)
        self._sink = sink

    def emit(self, time_us: int, actor: str, kind: str, text: str = "") -> None:
        """Add one line. Nothing is aligned before somebody looks: this runs for every event."""
        line = f"{time_us} {actor} {kind} {text}\n"
        self.lines += 1
        self._hash.update(line.encode())
        self._last.append(line)
        if self._sink is not None:
            self._sink(_aligned(line))

    @property
    def tail(self) -> list[str]:
        """The last lines."""
        return [_aligned(line) for line in self._last]

    @property
    def is_watched(self) -> bool:
        """Somebody reads along: notes are worth making."""
        return self._sink is not None

    def note(self, time_us: int, actor: str, text: str) -> None:
        """A remark for whoever reads along; not part of the hash."""
        if self._sink is not None:
            self._sink(_aligned(f"{time_us} {actor} . {text}"))

    def hexdigest(self) -> str:
        """Hash of every line so far."""
        return self._hash.hexdigest()


def _aligned(line: str) -> str:
    time_us, actor, kind, text = line.rstrip("\n").split(" ", 3)
    return f"{time_us:>12} {actor:<8} {kind:<12} {text}"
