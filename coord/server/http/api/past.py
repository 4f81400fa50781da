"""The tree as of a revision, from what is there now and what history says has changed since."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from coord.model.acl import READ, Identity, permits
from coord.model.errors import BadArgumentsError, CoordError, LimitError, NoAuthError, NoNodeError
from coord.model.paths import name_of, parent_of
from coord.model.znode import Stat
from coord.server.http.api.waiting import Pace

if TYPE_CHECKING:
    from coord.node.node import Node
    from coord.store.history import Touched

KEPT_MAX: Final = 4
"""Revisions that are looked at by turns without starting over."""
PATHS_MAX: Final = 200_000
"""Nodes changed since a revision; with more it is too far back to be shown."""
SCANNED_AT_ONCE: Final = 500
"""Changes of history looked at before others have a turn: about 3 ms."""
NAMES_AT_ONCE: Final = 1_000


class Then(NamedTuple):
    """What a path was. ``changed``: the first revision after that which changed it; until then
    ``created`` children had been created. ``stat``: just before ``changed``."""

    changed: int
    stat: bytes | None
    created: int


class Names(NamedTuple):
    """A page of children as they were."""

    names: list[str]
    more: bool


class Past:
    """One revision. ``caught_up`` first, and then look without letting others run."""

    def __init__(self, node: Node, revision: int) -> None:
        self.revision = revision
        self._node = node
        self._seen = revision
        self._then: dict[str, Then] = {}
        self._gone: dict[str, set[str]] = {}
        """Parent → names of children that existed then and do not exist now."""
        self._made: dict[str, set[str]] = {}
        """Parent → names of children that exist now and did not exist then."""
        self._created: Counter[str] = Counter()
        """Parent → how many children have been created since, whatever became of them."""
        self._scanning = asyncio.Lock()

    async def caught_up(self) -> None:
        """Know of every change that the node has applied. Raises CompactedError, LimitError."""
        async with self._scanning:
            pace = Pace()
            while self._scan():
                await pace.pause()

    def _scan(self) -> bool:
        """One slice; whether there is more."""
        scanned = 0
        for touched in self._node.reader.touched_after(self._seen, SCANNED_AT_ONCE):
            scanned += 1
            self._seen = touched.revision
            if touched.path not in self._then:
                if len(self._then) >= PATHS_MAX:
                    raise LimitError(
                        f"more than {PATHS_MAX} nodes have changed since {self.revision}"
                    )
                created = self._created[touched.path]
                self._then[touched.path] = Then(touched.revision, touched.old, created)
            self._note(touched)
        return scanned >= SCANNED_AT_ONCE

    def _note(self, touched: Touched) -> None:
        """What it does to the list of children that it stands in."""
        parent, name = parent_of(touched.path), name_of(touched.path)
        existed = self._then[touched.path].stat is not None
        below = (self._gone if existed else self._made).setdefault(parent, set())
        if existed != touched.exists:
            below.add(name)
        else:
            below.discard(name)
        if touched.old is None:
            self._created[parent] += 1

    def stat(self, path: str) -> bytes | None:
        """Packed Stat; None: it did not exist. ``pzxid`` is exact if no child has come or gone
        since, else the revision looked at: the last before it is not known."""
        then = self._then.get(path)
        today = self._node.reader.stat(path)
        packed = today if then is None else then.stat
        if packed is None:
            return None
        stat = Stat.unpack(packed)
        children = Stat.unpack(today).num_children if today is not None else 0
        children += len(self._gone.get(path, ())) - len(self._made.get(path, ()))
        created = stat.children_created - (self._created[path] if then is None else then.created)
        return stat._replace(
            num_children=children,
            cversion=2 * created - children,
            pzxid=min(stat.pzxid, self.revision),
        ).pack()

    def read(self, path: str, who: tuple[Identity, ...]) -> tuple[bytes, bytes]:
        """(data, packed Stat), if its ACL then and today let ``who`` read it. Raises NoNodeError,
        NoAuthError, CompactedError."""
        reader = self._node.reader
        today = reader.acl(path)
        if today is not None and not permits(today[0], READ, who):
            raise NoAuthError(f"the ACL of {path} does not allow this")
        then = self._then.get(path)
        if then is None:
            found = reader.get(path)
        else:
            before = reader.node_before(path, then.changed)
            if before is not None and not permits(before[2], READ, who):
                raise NoAuthError(f"the ACL of {path} did not allow this")
            found = before and before[:2]
        stat = self.stat(path)
        if found is None or stat is None:
            raise NoNodeError(f"node {path} did not exist at revision {self.revision}")
        return found[0], stat

    async def children(self, path: str, after: str, limit: int) -> Names:
        """A page of the names behind ``after``, in byte order. Raises CompactedError."""
        names: list[str] = []
        while True:
            await self.caught_up()
            pace = Pace()
            listed = self._node.reader.children(path, after, NAMES_AT_ONCE)
            today, more = (listed[0], listed[2]) if listed else ([], False)
            last = today[-1] if more else None
            names += self._names_then(path, today, after, last)
            if len(names) > limit or last is None:
                return Names(names[:limit], len(names) > limit)
            after = last
            await pace.pause()

    def _names_then(self, path: str, today: list[str], after: str, last: str | None) -> list[str]:
        """Of the names behind ``after``, up to ``last``, of which ``today`` are there now."""
        made = self._made.get(path, set())
        gone = [
            name
            for name in self._gone.get(path, ())
            if name > after and (last is None or name <= last)
        ]
        return sorted({*gone, *(name for name in today if name not in made)})


class Pasts:
    """The revisions that were asked for last."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._kept: dict[int, Past] = {}

    async def at(self, revision: int) -> Past:
        """Ready to be looked at until the caller lets others run. Raises CoordError."""
        if not 0 < revision <= self._node.reader.revision:
            raise BadArgumentsError(f"this node has applied up to {self._node.reader.revision}")
        past = self._kept.pop(revision, None) or Past(self._node, revision)
        self._kept[revision] = past
        while len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        try:
            await past.caught_up()
        except CoordError:
            self._kept.pop(revision, None)
            raise
        return past
