"""ZooKeeper's persistent watches: they stay armed when they fire, until removed.

A plain one hears its node and the node's list of children; a recursive one hears its node and
everything below, never a list of children. They have no id and no stream: a connection arms a path
once in each mode, and hears one event of a change however many of its watches match.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Final

from coord.model.paths import parent_of

Owner = Hashable

_NOBODY: Final[dict[Owner, None]] = {}


class _Standing:
    """One owner's paths, by mode; dicts, so that iteration has an order."""

    __slots__ = ("plain", "recursive")

    def __init__(self) -> None:
        self.plain: dict[str, None] = {}
        self.recursive: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.plain) + len(self.recursive)


class StandingWatches:
    """The persistent watches of one node's connections.

    Invariants: what ``_owned`` and the two path tables hold are the same watches; neither keeps an
    empty entry, so that an instance without watches is false.
    """

    def __init__(self) -> None:
        self._owned: dict[Owner, _Standing] = {}
        self._plain: dict[str, dict[Owner, None]] = {}
        self._recursive: dict[str, dict[Owner, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._owned)

    # --- arming and disarming --------------------------------------------------------------------

    def has(self, owner: Owner, path: str, *, recursive: bool) -> bool:
        """Whether this watch is armed."""
        return owner in self._table(recursive).get(path, _NOBODY)

    def add(self, owner: Owner, path: str, *, recursive: bool) -> None:
        """Arm; arming again changes nothing."""
        owned = self._owned.setdefault(owner, _Standing())
        (owned.recursive if recursive else owned.plain)[path] = None
        self._table(recursive).setdefault(path, {})[owner] = None

    def remove(self, owner: Owner, path: str, *, recursive: bool) -> bool:
        """Disarm; False if there was nothing."""
        if not self.has(owner, path, recursive=recursive):
            return False
        owned = self._owned[owner]
        del (owned.recursive if recursive else owned.plain)[path]
        self._discard(owner, path, recursive)
        if not len(owned):
            del self._owned[owner]
        return True

    def drop_owner(self, owner: Owner) -> None:
        """Forget a connection's watches."""
        owned = self._owned.pop(owner, None)
        if owned is not None:
            for path in owned.plain:
                self._discard(owner, path, False)
            for path in owned.recursive:
                self._discard(owner, path, True)

    def _discard(self, owner: Owner, path: str, recursive: bool) -> None:
        table = self._table(recursive)
        holders = table[path]
        del holders[owner]
        if not holders:
            del table[path]

    def _table(self, recursive: bool) -> dict[str, dict[Owner, None]]:
        return self._recursive if recursive else self._plain

    # --- matching --------------------------------------------------------------------------------

    def at_node(self, path: str) -> dict[Owner, None]:
        """Who hears that the node itself changed, each once."""
        heard = dict(self._plain.get(path, _NOBODY))
        if self._recursive:
            at = path
            while True:
                heard.update(self._recursive.get(at, _NOBODY))
                if at == "/":
                    break
                at = parent_of(at)
        return heard

    def at_parent(self, path: str) -> dict[Owner, None]:
        """Who hears that the list of children of ``path`` changed."""
        return self._plain.get(path, _NOBODY)

    # --- looking ---------------------------------------------------------------------------------

    def count_of(self, owner: Owner) -> int:
        """Watches of one owner."""
        owned = self._owned.get(owner)
        return 0 if owned is None else len(owned)

    def paths_of(self, owner: Owner) -> Iterator[str]:
        """Paths that one owner watches; one watched in both modes comes twice."""
        owned = self._owned.get(owner)
        return iter(()) if owned is None else chain(owned.plain, owned.recursive)

    def paths(self) -> Iterator[str]:
        """Every watched path; one watched in both modes comes twice."""
        return chain(self._plain, self._recursive)

    def owners(self) -> Iterator[Owner]:
        """Owners with at least one watch."""
        return iter(self._owned)

    def __len__(self) -> int:
        return sum(map(len, self._owned.values()))
