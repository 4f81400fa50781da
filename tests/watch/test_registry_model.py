"""The registry against a model that knows every watch as one row of a list."""

from __future__ import annotations

from typing import NamedTuple, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coord.model.errors import NoWatcherError
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.paths import parent_of
from coord.watch import kinds
from coord.watch.registry import StreamMode, Table, WatchRegistry
from coord.watch.replay import events_for
from tests.watch.strategies import change, changes, paths

owners = st.sampled_from(["c", "d"])
tables = st.sampled_from(["data", "child", "exist"])
armed = st.sampled_from(["data", "child", "exist", "plain", "recursive"])
modes = st.sampled_from(StreamMode)
ONE_SHOT_TABLES = ("data", "child")
NAMED_BY = {
    kinds.CHILD: ("child",),
    kinds.DATA: ("data",),
    kinds.ANY: ("child", "data", "plain", "recursive"),
    kinds.PERSISTENT: ("plain",),
    kinds.PERSISTENT_RECURSIVE: ("recursive",),
}


class Row(NamedTuple):
    """One watch: ``id`` 0 and table for one without a stream, else mode.

    Tables: "data" and "child" are one-shot; "plain" and "recursive" stand.
    """

    owner: str
    path: str
    table: str
    id: int
    mode: StreamMode | None


def told(row: Row, at: Change) -> list[tuple[int, str]]:
    """(kind, path) that one watch hears of one change, straight from the rules."""
    kind, path = at.kind, at.path
    if kind == ChangeKind.ACL:
        return []
    own = path == row.path
    births = kind in (ChangeKind.CREATED, ChangeKind.DELETED)
    child = births and path != "/" and parent_of(path) == row.path
    events: list[tuple[int, str]] = []
    if row.mode is StreamMode.RECURSIVE or row.table == "recursive":
        below = row.path == "/" or path.startswith(row.path + "/")
        return [(kind, path)] if own or below else []
    if own and (row.table != "child" or kind == ChangeKind.DELETED):
        events.append((kind, path))
    if child and (row.mode is not None or row.table in ("child", "plain")):
        events.append((ChangeKind.CHILDREN, row.path))
    return events[:1] if is_once(row) else events


def is_once(row: Row) -> bool:
    """It ends with its first event."""
    return row.mode is StreamMode.ONE_SHOT or row.table in ONE_SHOT_TABLES


class RegistryMachine(RuleBasedStateMachine):
    """Arming, disarming and matching in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = WatchRegistry()
        self.rows: list[Row] = []
        self.next_id = 1
        self.revision = 1

    @rule(drawn=st.lists(st.tuples(owners, paths, armed), min_size=1, max_size=10))
    def arm(self, drawn: list[tuple[str, str, str]]) -> None:
        """Arm watches without a stream; some of them are armed already."""
        for owner, path, table in drawn:
            if table in ("plain", "recursive"):
                self.registry.add_standing(owner, path, recursive=table == "recursive")
            else:
                self.registry.add_once(owner, path, cast("Table", table))
            row = Row(owner, path, "data" if table == "exist" else table, 0, None)
            if row not in self.rows:
                self.rows.append(row)

    @rule(owner=owners, path=paths, kind=st.sampled_from(sorted(NAMED_BY)))
    def remove_by_kind(self, owner: str, path: str, kind: int) -> None:
        """Disarm all that a ZooKeeper client names, if there is any."""
        meant = [
            row
            for row in self.rows
            if (row.owner, row.path, row.id) == (owner, path, 0) and row.table in NAMED_BY[kind]
        ]
        try:
            kinds.check(self.registry, owner, path, kind)
            kinds.remove(self.registry, owner, path, kind)
        except NoWatcherError:
            assert not meant
        else:
            assert meant
            self.rows = [row for row in self.rows if row not in meant]

    @rule(owner=owners, path=paths, mode=modes)
    def add_stream(self, owner: str, path: str, mode: StreamMode) -> None:
        """Open a stream."""
        self.registry.add_stream(owner, self.next_id, path, mode)
        self.rows.append(Row(owner, path, "", self.next_id, mode))
        self.next_id += 1

    @rule(owner=owners, path=paths, table=tables)
    def remove_once(self, owner: str, path: str, table: Table) -> None:
        """Disarm a one-shot watch that may not be there."""
        row = Row(owner, path, "child" if table == "child" else "data", 0, None)
        try:
            self.registry.remove_once(owner, path, table)
        except NoWatcherError:
            assert row not in self.rows
        else:
            self.rows.remove(row)

    @rule(data=st.data())
    def remove_stream(self, data: st.DataObject) -> None:
        """Close one of the open streams."""
        streams = [row for row in self.rows if row.id]
        if streams:
            row = data.draw(st.sampled_from(streams))
            self.registry.remove_stream(row.owner, row.id)
            self.rows.remove(row)

    @rule(owner=owners)
    def drop_owner(self, owner: str) -> None:
        """Lose a connection."""
        self.registry.drop_owner(owner)
        self.rows = [row for row in self.rows if row.owner != owner]

    @rule(drawn=changes)
    def match(self, drawn: list[tuple[int, str, int]]) -> None:
        """Apply a batch: each owner hears what each of its streams hears, and one event of a
        change for all watches without one, in order."""
        batch = []
        for kind, path, step in drawn:
            self.revision += step
            batch.append(change(kind, path, self.revision))
        expected: dict[str, list[tuple[int, int, str, int]]] = {}
        for at in batch:
            self._expect(at, expected)
        found = {
            str(owner): [(number, event.kind, event.path, event.revision) for number, event in some]
            for owner, some in self.registry.match(batch)
        }
        assert {owner: sorted(events) for owner, events in found.items()} == {
            owner: sorted(events) for owner, events in expected.items()
        }
        for events in found.values():
            order = [revision for *_, revision in events]
            assert order == sorted(order)

    def _expect(self, at: Change, expected: dict[str, list[tuple[int, int, str, int]]]) -> None:
        shared: set[tuple[str, int, str]] = set()
        for row in list(self.rows):
            events = told(row, at)
            if events and is_once(row):
                self.rows.remove(row)
            for kind, path in events:
                if row.id == 0 and (row.owner, kind, path) in shared:
                    continue
                if row.id == 0:
                    shared.add((row.owner, kind, path))
                expected.setdefault(row.owner, []).append((row.id, kind, path, at.revision))

    @invariant()
    def counted(self) -> None:
        """The registry holds the model's watches and no more."""
        counts = self.registry.counts()
        assert counts.watches == len(self.rows)
        assert counts.owners == len({row.owner for row in self.rows})
        assert counts.paths == len({row.path for row in self.rows})


RegistryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestRegistry = RegistryMachine.TestCase


def test_replay_follows_the_same_rules() -> None:
    """What a resuming stream is told of history is what it would have heard live."""
    history = [
        change(kind, path, revision)
        for revision, (kind, path) in enumerate(
            [
                (kind, path)
                for kind in (1, 2, 3, 20)
                for path in ("/", "/a", "/a/b", "/a/b/c", "/ab")
            ],
            1,
        )
    ]
    for mode in (StreamMode.PERSISTENT, StreamMode.RECURSIVE):
        for path in ("/", "/a", "/a/b"):
            registry = WatchRegistry()
            registry.add_stream("c", 1, path, mode)
            live = [event for _, events in registry.match(history) for _, event in events]
            replayed: list[WatchEvent] = []
            for at in history:
                replayed.extend(events_for(path, mode, at))
            assert replayed == live
            assert live
