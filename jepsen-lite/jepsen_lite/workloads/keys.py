"""Keys that are used for a while and then give way to new ones: histories stay short per key."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jepsen_lite.clients.store import Store


class Keys:
    """``active`` keys at a time, each retired after ``uses``."""

    def __init__(self, active: int, uses: int) -> None:
        self._uses = uses
        self._left = dict.fromkeys(range(active), uses)
        self._next = active
        self._made: set[int] = set()

    def choose(self, dice: random.Random) -> int:
        """A key for the next operation."""
        key = dice.choice(list(self._left))
        self._left[key] -= 1
        if not self._left[key]:
            del self._left[key]
            self._left[self._next] = self._uses
            self._next += 1
        return key

    @property
    def used(self) -> range:
        """Every key so far."""
        return range(self._next)

    async def make(self, store: Store, key: int, path: str, data: bytes = b"") -> None:
        """See to it that the node of a key is there. Raises StoreError."""
        if key not in self._made:
            await store.ensure(path, data)
            self._made.add(key)
