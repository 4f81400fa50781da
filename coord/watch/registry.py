"""Watches of one node's connections, by path; matching applied changes with them.

Rules (ZooKeeper's, ``field-notes`` 5.6):
  * A creation is CREATED for watches of the path, then CHILDREN for those of the parent; a deletion
    is DELETED, then CHILDREN of the parent; a new value is DATA; a new ACL is nothing.
  * One-shot watches are removed by firing. Data and exist watches share a table: an exist watch
    fires on creation, a data watch on deletion too. A child watch fires on the deletion of its own
    node, but a connection with both hears DELETED once.
  * A persistent stream hears its node and its list of children; a recursive one hears its node and
    everything below and never CHILDREN; a one-shot stream ends with its first event.
  * A connection's one-shot and standing watches (``standing``) share one event of a change.

Cost: nothing without watches, else one walk up each changed path plus the matches. Event objects
are shared by all who hear them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import IntEnum
from itertools import chain
from typing import Final, Literal, NamedTuple, TypeVar

from coord.model.errors import LimitError, NoWatcherError
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.limits import PATH_BYTES_MAX, WATCHES_PER_CONNECTION_MAX
from coord.model.paths import parent_of
from coord.watch.standing import StandingWatches

Owner = Hashable
"""Whoever the caller delivers to; the registry only compares it."""

Table = Literal["data", "child", "exist"]
ONE_SHOT_ID: Final = 0
"""The watch id under which one-shot and standing watches fire."""

_Key = TypeVar("_Key", bound=Hashable)

_CREATED: Final = int(ChangeKind.CREATED)
_DELETED: Final = int(ChangeKind.DELETED)
_DATA: Final = int(ChangeKind.DATA)
_CHILDREN: Final = int(ChangeKind.CHILDREN)


class StreamMode(IntEnum):
    """What a stream hears; the wire's numbers."""

    ONE_SHOT = 0
    PERSISTENT = 1
    RECURSIVE = 2


class Stream:
    """One open watch stream."""

    __slots__ = ("mode", "owner", "path", "revision", "watch_id", "with_values")

    def __init__(
        self, owner: Owner, watch_id: int, path: str, mode: StreamMode, *, with_values: bool
    ) -> None:
        self.owner = owner
        self.watch_id = watch_id
        self.path = path
        self.mode = mode
        self.with_values = with_values
        self.revision = 0
        """Of the last event that matched; 0 before the first."""


class Counts(NamedTuple):
    """Totals of a registry."""

    owners: int
    paths: int
    watches: int


class _Owned:
    """One owner's watches. The path sets are dicts, so that iteration has an order."""

    __slots__ = ("child", "data", "streams")

    def __init__(self) -> None:
        self.data: dict[str, None] = {}
        self.child: dict[str, None] = {}
        self.streams: dict[int, Stream] = {}

    def __len__(self) -> int:
        return len(self.data) + len(self.child) + len(self.streams)


Matches = list[tuple[Owner, list[tuple[int, WatchEvent]]]]
_ByOwner = dict[Owner, list[tuple[int, WatchEvent]]]


class WatchRegistry:
    """Every watch of this node.

    Invariants:
      * A path stands in one of the four path tables iff somebody watches it there.
      * What an owner holds in ``_owned`` and what the path tables hold are the same watches.
      * No owner holds more than ``watches_max``.
    """

    def __init__(self, watches_max: int = WATCHES_PER_CONNECTION_MAX) -> None:
        self._watches_max = watches_max
        self._owned: dict[Owner, _Owned] = {}
        self._data: dict[str, dict[Owner, None]] = {}
        self._child: dict[str, dict[Owner, None]] = {}
        self._exact: dict[str, dict[Stream, None]] = {}
        self._recursive: dict[str, dict[Stream, None]] = {}
        self.standing = StandingWatches()
        """Read-only to others: they arm through ``add_standing``."""
        self._ended: dict[tuple[Owner, int], Stream] = {}
        """One-shot streams that the newest match ended: whoever delivers still asks about them."""

    # --- arming ----------------------------------------------------------------------------------

    def add_once(self, owner: Owner, path: str, table: Table) -> None:
        """Arm a one-shot watch; arming it again changes nothing. Raises LimitError."""
        owned = self._owned.get(owner)
        mine = None if owned is None else (owned.child if table == "child" else owned.data)
        if mine is not None and path in mine:
            return
        owned = self._room_for_one(owner, path)
        if table == "child":
            owned.child[path] = None
            self._child.setdefault(path, {})[owner] = None
        else:
            owned.data[path] = None
            self._data.setdefault(path, {})[owner] = None

    def add_stream(
        self, owner: Owner, watch_id: int, path: str, mode: int, with_values: bool = False
    ) -> Stream:
        """Open a stream. Raises LimitError; the id must be new to this owner."""
        assert watch_id != ONE_SHOT_ID, "id 0 is that of one-shot watches"
        owned = self._room_for_one(owner, path)
        assert watch_id not in owned.streams, "a stream's id is the xid of its request: unique"
        stream = Stream(owner, watch_id, path, StreamMode(mode), with_values=with_values)
        owned.streams[watch_id] = stream
        self._table_of(stream).setdefault(path, {})[stream] = None
        return stream

    def add_standing(self, owner: Owner, path: str, *, recursive: bool) -> None:
        """Arm a watch that stays; arming it again changes nothing. Raises LimitError."""
        if not self.standing.has(owner, path, recursive=recursive):
            self._check_room(owner, path)
            self.standing.add(owner, path, recursive=recursive)

    def _check_room(self, owner: Owner, path: str) -> None:
        if len(path) > PATH_BYTES_MAX:
            raise LimitError(f"no path has more than {PATH_BYTES_MAX} bytes: nothing can happen")
        if self.count_of(owner) >= self._watches_max:
            raise LimitError(
                f"this connection has {self._watches_max} watches, the most allowed; close some"
            )

    def _room_for_one(self, owner: Owner, path: str) -> _Owned:
        self._check_room(owner, path)
        owned = self._owned.get(owner)
        if owned is None:
            owned = self._owned[owner] = _Owned()
        return owned

    def _table_of(self, stream: Stream) -> dict[str, dict[Stream, None]]:
        return self._recursive if stream.mode is StreamMode.RECURSIVE else self._exact

    # --- disarming -------------------------------------------------------------------------------

    def remove_once(self, owner: Owner, path: str, table: Table) -> None:
        """Disarm a one-shot watch. Raises NoWatcherError."""
        owned = self._owned.get(owner)
        mine = None if owned is None else (owned.child if table == "child" else owned.data)
        if owned is None or mine is None or path not in mine:
            raise NoWatcherError(f"there is no {table} watch on {path} here")
        del mine[path]
        _discard(self._child if table == "child" else self._data, path, owner)
        self._forget_if_empty(owner, owned)

    def remove_stream(self, owner: Owner, watch_id: int) -> None:
        """Close a stream. Raises NoWatcherError."""
        owned = self._owned.get(owner)
        stream = None if owned is None else owned.streams.pop(watch_id, None)
        if owned is None or stream is None:
            raise NoWatcherError(f"there is no watch stream {watch_id} here")
        _discard(self._table_of(stream), stream.path, stream)
        self._forget_if_empty(owner, owned)

    def drop_owner(self, owner: Owner) -> None:
        """Forget a connection and all its watches; an unknown one is no error."""
        self.standing.drop_owner(owner)
        owned = self._owned.pop(owner, None)
        if owned is None:
            return
        for path in owned.data:
            _discard(self._data, path, owner)
        for path in owned.child:
            _discard(self._child, path, owner)
        for stream in owned.streams.values():
            _discard(self._table_of(stream), stream.path, stream)

    def _forget_if_empty(self, owner: Owner, owned: _Owned) -> None:
        if not len(owned):
            del self._owned[owner]

    # --- matching --------------------------------------------------------------------------------

    def match(self, changes: list[Change]) -> Matches:
        """Who hears what of ``changes``, in revision order for each; one-shot watches that fire go.

        Each owner comes once, with its (watch id, event) pairs; id 0 is the one-shot watches.
        """
        if self._ended:
            self._ended.clear()
        if not self._owned and not self.standing:
            return []
        heard: _ByOwner = {}
        for change in changes:
            kind = change.kind
            if kind == _DATA:
                self._at_node(change, heard)
            elif kind in {_CREATED, _DELETED}:
                self._at_node(change, heard)
                if change.path != "/":
                    self._at_parent(change, parent_of(change.path), heard)
        return list(heard.items())

    def _at_node(self, change: Change, heard: _ByOwner) -> None:
        path, kind = change.path, change.kind
        once = self._data.pop(path, None)
        exact = self._exact.get(path)
        mourners = self._child.pop(path, None) if kind == _DELETED else None
        standing = self.standing.at_node(path) if self.standing else None
        if once or exact or mourners or standing or self._recursive:
            event = WatchEvent(kind, path, change.revision, change)
            if once:
                self._fire_once(once, path, event, heard)
            if mourners:
                self._fire_mourners(mourners, once or {}, path, event, heard)
            if standing:
                _fire_standing(standing, {**(once or {}), **(mourners or {})}, event, heard)
            if exact:
                self._fire_streams(exact, event, heard)
            if self._recursive:
                self._fire_ancestors(path, event, heard)

    def _at_parent(self, change: Change, parent: str, heard: _ByOwner) -> None:
        once = self._child.pop(parent, None)
        exact = self._exact.get(parent)
        standing = self.standing.at_parent(parent) if self.standing else None
        if once or exact or standing:
            event = WatchEvent(_CHILDREN, parent, change.revision, change)
            if once:
                for owner in once:
                    del self._owned[owner].child[parent]
                    heard.setdefault(owner, []).append((ONE_SHOT_ID, event))
                    self._forget_if_empty(owner, self._owned[owner])
            if standing:
                _fire_standing(standing, once or {}, event, heard)
            if exact:
                self._fire_streams(exact, event, heard)

    def _fire_once(
        self, owners: dict[Owner, None], path: str, event: WatchEvent, heard: _ByOwner
    ) -> None:
        fired = (ONE_SHOT_ID, event)
        for owner in owners:
            owned = self._owned[owner]
            del owned.data[path]
            heard.setdefault(owner, []).append(fired)
            self._forget_if_empty(owner, owned)

    def _fire_mourners(
        self,
        owners: dict[Owner, None],
        told: dict[Owner, None],
        path: str,
        event: WatchEvent,
        heard: _ByOwner,
    ) -> None:
        """Child watches of a deleted node: gone, and told unless the data watch told them."""
        for owner in owners:
            owned = self._owned.get(owner)
            assert owned is not None, "a child watch keeps its owner known"
            del owned.child[path]
            if owner not in told:
                heard.setdefault(owner, []).append((ONE_SHOT_ID, event))
            self._forget_if_empty(owner, owned)

    def _fire_streams(
        self, streams: dict[Stream, None], event: WatchEvent, heard: _ByOwner
    ) -> None:
        revision = event.revision
        ended: list[Stream] = []
        for stream in streams:
            stream.revision = revision
            heard.setdefault(stream.owner, []).append((stream.watch_id, event))
            if stream.mode is StreamMode.ONE_SHOT:
                ended.append(stream)
        for stream in ended:
            self.remove_stream(stream.owner, stream.watch_id)
            self._ended[stream.owner, stream.watch_id] = stream

    def _fire_ancestors(self, path: str, event: WatchEvent, heard: _ByOwner) -> None:
        recursive = self._recursive
        at = path
        while True:
            streams = recursive.get(at)
            if streams:
                self._fire_streams(streams, event, heard)
            if at == "/":
                return
            at = parent_of(at)

    # --- looking ---------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """Owners, watched paths and watches."""
        standing = self.standing
        tables = (self._data, self._child, self._exact, self._recursive)
        paths = {*chain(*tables), *standing.paths()}
        watches = sum(map(len, self._owned.values())) + len(standing)
        return Counts(len({*self._owned, *standing.owners()}), len(paths), watches)

    def count_of(self, owner: Owner) -> int:
        """Watches of one owner."""
        owned = self._owned.get(owner)
        return self.standing.count_of(owner) + (0 if owned is None else len(owned))

    def has_once(self, owner: Owner, path: str, table: Table) -> bool:
        """Whether a one-shot watch is armed."""
        owned = self._owned.get(owner)
        if owned is None:
            return False
        return path in (owned.child if table == "child" else owned.data)

    def stream(self, owner: Owner, watch_id: int) -> Stream | None:
        """An open stream, or a one-shot one that the newest match ended; else None."""
        owned = self._owned.get(owner)
        stream = None if owned is None else owned.streams.get(watch_id)
        return stream or self._ended.get((owner, watch_id))

    def streams(self) -> Iterator[Stream]:
        """Every open stream, owner by owner."""
        for owned in self._owned.values():
            yield from owned.streams.values()

    def watchers_of(self, path: str) -> dict[Owner, bool]:
        """Who hears of changes of a node, and whether only because it watches all below a path."""
        found = dict.fromkeys(self.standing.at_node(path), True)
        at = path
        while True:
            found.update(dict.fromkeys((it.owner for it in self._recursive.get(at, ())), True))
            if at == "/":
                break
            at = parent_of(at)
        for table in (self._data, self._child):
            found.update(dict.fromkeys(table.get(path, ()), False))
        found.update(dict.fromkeys(self.standing.at_parent(path), False))
        found.update(dict.fromkeys((it.owner for it in self._exact.get(path, ())), False))
        return found

    def paths_of(self, owner: Owner) -> list[str]:
        """Paths one owner watches, sorted."""
        paths = set(self.standing.paths_of(owner))
        owned = self._owned.get(owner)
        if owned is not None:
            paths.update(owned.data, owned.child)
            paths.update(stream.path for stream in owned.streams.values())
        return sorted(paths)

    def owners(self) -> list[Owner]:
        """Owners with at least one watch, in the order they came."""
        return list(dict.fromkeys(chain(self._owned, self.standing.owners())))


def _fire_standing(
    owners: dict[Owner, None], told: dict[Owner, None], event: WatchEvent, heard: _ByOwner
) -> None:
    """Standing watches, but for connections whose one-shot watches have told them."""
    fired = (ONE_SHOT_ID, event)
    for owner in owners:
        if owner not in told:
            heard.setdefault(owner, []).append(fired)


def _discard(table: dict[str, dict[_Key, None]], path: str, key: _Key) -> None:
    holders = table.get(path)
    assert holders is not None, "the tables of paths and owners agree"
    del holders[key]
    if not holders:
        del table[path]
