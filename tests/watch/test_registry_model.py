"""The registry against a model that knows every watch as one row of a list."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coord.model.errors import NoWatcherError
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.model.paths import parent_of
from coord.watch.registry import StreamMode, Table, WatchRegistry, events_for
from tests.watch.strategies import change, changes, paths

owners = st.sampled_from(["c", "d", "e"])
tables = st.sampled_from(["data", "child", "exist"])
modes = st.sampled_from(StreamMode)


class Row(NamedTuple):
    """One watch: ``id`` 0 and table for a one-shot one, else mode."""

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
    if row.mode is StreamMode.RECURSIVE:
        below = row.path == "/" or path.startswith(row.path + "/")
        return [(kind, path)] if own or below else []
    if own and (row.table != "child" or kind == ChangeKind.DELETED):
        events.append((kind, path))
    if child and (row.mode is not None or row.table == "child"):
        events.append((ChangeKind.CHILDREN, row.path))
    return events[:1] if row.mode in (None, StreamMode.ONE_SHOT) else events


class RegistryMachine(RuleBasedStateMachine):
    """Arming, disarming and matching in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = WatchRegistry()
        self.rows: list[Row] = []
        self.next_id = 1
        self.revision = 1

    @rule(owner=owners, path=paths, table=tables)
    def add_once(self, owner: str, path: str, table: Table) -> None:
        """Arm a one-shot watch."""
        self.registry.add_once(owner, path, table)
        row = Row(owner, path, "child" if table == "child" else "data", 0, None)
        if row not in self.rows:
            self.rows.append(row)

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
        """Apply a batch: each owner hears what each of its watches hears, once, in order."""
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
        mourned: set[str] = set()
        for row in list(self.rows):
            events = told(row, at)
            if not events:
                continue
            if row.mode in (None, StreamMode.ONE_SHOT):
                self.rows.remove(row)
            if row.mode is None and events[0] == (ChangeKind.DELETED, row.path):
                if row.owner in mourned:
                    continue
                mourned.add(row.owner)
            heard = expected.setdefault(row.owner, [])
            heard.extend((row.id, kind, path, at.revision) for kind, path in events)

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
