"""Watches without a stream, as ZooKeeper's clients have them, one connection at a time.

Rules, by name: ``once`` (nothing fires that is not armed: a one-shot watch fires at most once),
``filter`` (there was such a change at that revision), ``reliable`` (the first change after arming
fires; standing watches miss none), ``unique`` (a standing watch hears a change once),
``newer-state`` (it fires before any reply that could show the change), ``rearmed`` (watches set
again on a new connection fire for what happened meanwhile, and only for that), ``removed`` (the
service says whether a watch is there, and one that was taken back is not).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.sim.codes import CHILDREN, CREATED, DATA, DELETED
from tests.sim.history import Asked, Fired, Replied, Transcript
from tests.sim.model_reserved import ALWAYS
from tests.sim.replay import Heard, Replay
from tests.sim.zk_watches import KINDS, STANDING, table_of

PERSISTENT: Final = 1
WANTED: Final = {"data": (CREATED, DELETED, DATA), "child": (CHILDREN, DELETED)}
TABLE: Final = {"data": "data", "exist": "data", "child": "child"}
"""Data and exist watches are one table."""
MODES: Final = {name: mode for mode, name in STANDING.items()}
NEVER: Final = 1 << 62


class Timeline:
    """What could fire when, by path; worked out once for a history."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._heard: dict[tuple[str, int], Heard] = {}
        self._once: dict[tuple[str, str], Heard] = {}

    def standing(self, path: str, mode: int) -> Heard:
        """What a standing watch hears."""
        key = (path, mode)
        if key not in self._heard:
            self._heard[key] = self._replay.heard_by(path, mode)
        return self._heard[key]

    def once(self, path: str, table: str) -> Heard:
        """What fires a one-shot watch of this table."""
        key = (path, table)
        if key not in self._once:
            whole = self.standing(path, PERSISTENT)
            self._once[key] = Heard(
                [
                    (revision, event)
                    for revision, events in whole.at.items()
                    for event in events
                    if event[0] in WANTED[table]
                ]
            )
        return self._once[key]

    def exists(self, path: str, revision: int) -> bool:
        """Whether there was such a node."""
        last = self.once(path, "data").before(revision + 1)
        return path in ALWAYS if last is None else last[-1][0] != DELETED


class _Standing:
    """One standing watch. ``told``: everything up to this revision has been heard."""

    def __init__(self, name: str, heard: Heard, told: int) -> None:
        self._name = name
        self._heard = heard
        self._told = told
        self._revision = 0
        self._got: Counter[tuple[object, object]] = Counter()

    def fired(self, event: Fired) -> Iterator[str]:
        """The event is this watch's: what is wrong with it."""
        if event.revision > self._revision:
            yield from self.passed(event.revision - 1)
            self._revision = event.revision
            self._got.clear()
        self._got[event.kind, event.path] += 1
        wanted = self._wanted(event.revision)
        if self._got[event.kind, event.path] > wanted[event.kind, event.path]:
            yield f"watches/unique: {self._name}: {event} more than once"

    def hears(self, event: Fired) -> bool:
        """Whether the event is one of this watch's."""
        return event.revision > self._told and bool(
            self._wanted(event.revision)[event.kind, event.path]
        )

    def _wanted(self, revision: int) -> Counter[tuple[object, object]]:
        return Counter((event[0], event[1]) for event in self._heard.at.get(revision, ()))

    def passed(self, revision: int, rule: str = "reliable") -> Iterator[str]:
        """Everything up to ``revision`` should have been heard."""
        while (owed := self._heard.after(self._told)) <= revision:
            got = self._got if owed == self._revision else Counter[tuple[object, object]]()
            missing = self._wanted(owed) - got
            if missing:
                yield f"watches/{rule}: {self._name}: nothing of {sorted(missing)} at {owed}"
            self._told = owed
        self._told = max(self._told, revision)


class Watches:
    """Walks through the transcript of one connection."""

    def __init__(self, transcript: Transcript, timeline: Timeline) -> None:
        self._client = transcript.client
        self._items = transcript.items
        self._timeline = timeline
        self._asked: dict[int, Asked] = {}
        self._armed: dict[tuple[str, str], int] = {}
        """(table, path) → the revision it was armed at."""
        self._standing: dict[tuple[str, int], _Standing] = {}
        self._meanwhile: list[Fired] = []
        """Fired without a revision, since watches were set again."""

    def problems(self) -> Iterator[str]:
        """Everything wrong on this connection."""
        for item in self._items:
            if isinstance(item, Asked):
                self._asked[item.xid] = item
            elif isinstance(item, Replied):
                yield from self._on_reply(item)
            elif isinstance(item, Fired) and item.revision < 0:
                self._meanwhile.append(item)
            elif isinstance(item, Fired):
                yield from self._on_fired(item)

    # --- firing ---------------------------------------------------------------------------------

    def _on_fired(self, event: Fired) -> Iterator[str]:
        shared = self._timeline.standing(event.path, PERSISTENT).at.get(event.revision, ())
        if not any(event.kind == change[0] for change in shared):
            yield f"watches/filter: {self._client}: {event}, and no such change"
            return
        hearers = [watch for watch in self._standing.values() if watch.hears(event)]
        for watch in hearers:
            yield from watch.fired(event)
        tables = [name for name, kinds in WANTED.items() if event.kind in kinds]
        armed = [(name, event.path) for name in tables if (name, event.path) in self._armed]
        if not armed and not hearers:
            yield f"watches/once: {self._client}: {event}, and nothing armed there"
        for key in armed:
            yield from self._disarm(key, event)

    def _disarm(self, key: tuple[str, str], event: Fired) -> Iterator[str]:
        since = self._armed[key]
        table, path = key
        first = self._timeline.once(path, table).after(since)
        if event.revision <= since:
            return  # a standing watch's, of before this one was armed
        del self._armed[key]
        if first < event.revision:
            name = f"{self._client}'s {table} watch on {path}"
            yield f"watches/reliable: {name}, armed at {since}: {event} instead of {first}"

    # --- replies --------------------------------------------------------------------------------

    def _on_reply(self, reply: Replied) -> Iterator[str]:
        for (table, path), since in tuple(self._armed.items()):
            owed = self._timeline.once(path, table).after(since)
            if owed <= reply.revision:
                del self._armed[table, path]
                name = f"{self._client}'s {table} watch on {path}, armed at {since}"
                yield f"watches/newer-state: {name}: a reply at {reply.revision} before {owed}"
        for watch in self._standing.values():
            yield from watch.passed(reply.revision, "newer-state")
        asked = self._asked.pop(reply.xid, None)
        if asked is None:
            return
        if asked.what == "set_watches":
            yield from self._set_again(asked, reply)
        elif asked.what in ("checkWatches", "removeWatches"):
            yield from self._on_question(asked, reply)
        else:
            armed = table_of(asked, reply.code)
            if armed is not None:
                self._arm(armed, asked.path, reply.revision)

    def _on_question(self, asked: Asked, reply: Replied) -> Iterator[str]:
        """Said to be there if it is; gone from here on if that was asked for."""
        tables = KINDS[asked.mode]
        once = {(TABLE[name], asked.path) for name in tables if name in TABLE} & self._armed.keys()
        modes = {(asked.path, MODES[name]) for name in tables if name in MODES}
        standing = modes & self._standing.keys()
        if bool(once or standing) is bool(reply.code):
            there = sorted(map(str, once | standing)) or "nothing"
            yield f"watches/removed: {self._client}: {asked} told {reply.code}, armed is {there}"
        if asked.what == "removeWatches":
            for key in once:
                del self._armed[key]
            for watch in standing:
                del self._standing[watch]

    def _arm(self, table: str, path: str, revision: int) -> None:
        if table in TABLE:
            self._armed.setdefault((TABLE[table], path), revision)
            return
        mode = MODES[table]
        if (path, mode) not in self._standing:
            name = f"{self._client}'s {table} watch on {path}"
            heard = self._timeline.standing(path, mode)
            self._standing[path, mode] = _Standing(name, heard, revision)

    # --- set again ------------------------------------------------------------------------------

    def _set_again(self, asked: Asked, reply: Replied) -> Iterator[str]:
        fired = Counter((event.kind, event.path) for event in self._meanwhile)
        self._meanwhile = []
        owed: Counter[tuple[int, str]] = Counter()
        for table, path in asked.armed:
            kind = self._missed(table, path, asked.since, reply.revision)
            if kind:
                owed[kind, path] += 1
            elif not reply.code:
                self._arm(table, path, reply.revision)
        for kind, path in sorted(owed - fired):
            yield f"watches/rearmed: {self._client}: no event {kind} for {path} since {asked.since}"
        for kind, path in sorted(fired - owed):
            yield f"watches/rearmed: {self._client}: event {kind} for {path}, unchanged"

    def _missed(self, table: str, path: str, since: int, now: int) -> int:
        """The kind of event that a watch set again fires with at once, 0 if it does not."""
        if table not in TABLE:
            return 0
        exists = self._timeline.exists(path, now)
        if table == "exist":
            return CREATED if exists else 0
        if not exists:
            return DELETED
        changed = self._timeline.once(path, table).after(since) <= now
        return (DATA if table == "data" else CHILDREN) if changed else 0
