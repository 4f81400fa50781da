"""Randomness by name: one seed, one independent stream for each concern.

Adding a draw to one stream (a new fault, say) leaves every other stream as it was, so that the
rest of a run stays comparable.
"""

from __future__ import annotations

import hashlib
import random


class Streams:
    """All randomness of a run. Equal seeds give equal streams on every machine and Python."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._made: dict[str, random.Random] = {}

    def get(self, name: str) -> random.Random:
        """The stream called ``name``; the same object for the same name."""
        stream = self._made.get(name)
        if stream is None:
            # Not hash(): it differs between processes unless PYTHONHASHSEED is pinned.
            digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
            stream = self._made[name] = random.Random(int.from_bytes(digest, "big"))
        return stream


def spread(stream: random.Random, low: int, high: int) -> int:
    """A duration in [low, high], mostly near ``low``: real delays have a long thin tail."""
    if high <= low:
        return low
    draw = stream.random()
    return low + int((high - low) * draw * draw * draw)
