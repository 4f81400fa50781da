"""Watch rules, one test each; ``field-notes`` 5.6 is ZooKeeper's list of them."""

from __future__ import annotations

import pytest

from coord.model.errors import LimitError, NoWatcherError
from coord.model.events import Change, ChangeKind, WatchEvent
from coord.watch.registry import Counts, StreamMode, WatchRegistry
from tests.watch.strategies import change

CREATED, DELETED = ChangeKind.CREATED, ChangeKind.DELETED
DATA, CHILDREN, ACL = ChangeKind.DATA, ChangeKind.CHILDREN, ChangeKind.ACL


def heard(registry: WatchRegistry, *changes: Change) -> dict[object, list[tuple[int, int, str]]]:
    """Owner → (watch id, kind, path) in order."""
    return {
        owner: [(watch_id, event.kind, event.path) for watch_id, event in events]
        for owner, events in registry.match(list(changes))
    }


# --- one-shot watches -----------------------------------------------------------------------------


def test_data_watch_fires_once() -> None:
    """A data watch hears the next value and is gone."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "data")
    assert heard(registry, change(DATA, "/a", 1)) == {"c": [(0, DATA, "/a")]}
    assert heard(registry, change(DATA, "/a", 2)) == {}
    assert registry.counts() == Counts(0, 0, 0)


def test_data_watch_hears_the_deletion() -> None:
    """A data watch fires when its node goes."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "data")
    assert heard(registry, change(DELETED, "/a", 1)) == {"c": [(0, DELETED, "/a")]}


def test_exist_watch_hears_the_creation() -> None:
    """An exist watch on a missing node fires when it is created."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "exist")
    assert heard(registry, change(CREATED, "/a", 1)) == {"c": [(0, CREATED, "/a")]}


def test_data_and_exist_watches_are_one() -> None:
    """Watching data and existence of one node is one watch, which fires once."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "exist")
    registry.add_once("c", "/a", "data")
    assert registry.count_of("c") == 1
    assert heard(registry, change(DATA, "/a", 1), change(DATA, "/a", 2)) == {"c": [(0, DATA, "/a")]}


@pytest.mark.parametrize("kind", [CREATED, DELETED])
def test_child_watch_hears_births_and_deaths(kind: ChangeKind) -> None:
    """A child watch fires when a child of its node comes or goes."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "child")
    assert heard(registry, change(kind, "/a/b", 1)) == {"c": [(0, CHILDREN, "/a")]}
    assert heard(registry, change(kind, "/a/b", 2)) == {}


def test_child_watch_on_the_root() -> None:
    """The root is the parent of the first level."""
    registry = WatchRegistry()
    registry.add_once("c", "/", "child")
    assert heard(registry, change(CREATED, "/a/b", 1)) == {}
    assert heard(registry, change(CREATED, "/a", 1)) == {"c": [(0, CHILDREN, "/")]}


def test_child_watch_ignores_values() -> None:
    """A child watch hears neither its node's value nor its children's."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "child")
    assert heard(registry, change(DATA, "/a", 1), change(DATA, "/a/b", 2)) == {}
    assert registry.has_once("c", "/a", "child")


def test_child_watch_hears_its_own_node_go() -> None:
    """A child watch fires as DELETED when its node goes."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "child")
    assert heard(registry, change(DELETED, "/a", 1)) == {"c": [(0, DELETED, "/a")]}


def test_deleted_comes_once_with_both_watches() -> None:
    """Data and child watch of one connection: DELETED once, and both are gone."""
    registry = WatchRegistry()
    for owner in ("both", "child"):
        registry.add_once(owner, "/a", "child")
    registry.add_once("both", "/a", "data")
    assert heard(registry, change(DELETED, "/a", 1)) == {
        "both": [(0, DELETED, "/a")],
        "child": [(0, DELETED, "/a")],
    }
    assert registry.counts() == Counts(0, 0, 0)


@pytest.mark.parametrize("kind", [CREATED, DELETED])
def test_the_node_before_its_parent(kind: ChangeKind) -> None:
    """A creation or deletion is told of the node first, then as CHILDREN of the parent."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "child")
    registry.add_once("c", "/a/b", "exist")
    assert heard(registry, change(kind, "/a/b", 1)) == {
        "c": [(0, kind, "/a/b"), (0, CHILDREN, "/a")]
    }


def test_acl_changes_fire_nothing() -> None:
    """A new ACL is nobody's event."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "data")
    registry.add_stream("c", 1, "/a", StreamMode.PERSISTENT)
    registry.add_stream("c", 2, "/", StreamMode.RECURSIVE)
    assert heard(registry, change(ACL, "/a", 1)) == {}


# --- streams --------------------------------------------------------------------------------------


def test_persistent_stream_hears_node_and_children() -> None:
    """A persistent stream hears its node's life and its list of children, again and again."""
    registry = WatchRegistry()
    registry.add_stream("c", 9, "/a", StreamMode.PERSISTENT)
    assert heard(
        registry,
        change(CREATED, "/a", 1),
        change(CREATED, "/a/b", 2),
        change(DATA, "/a/b", 3),
        change(CREATED, "/a/b/c", 4),
        change(DATA, "/a", 5),
        change(DELETED, "/a/b", 6),
        change(DELETED, "/a", 7),
    ) == {
        "c": [
            (9, CREATED, "/a"),
            (9, CHILDREN, "/a"),
            (9, DATA, "/a"),
            (9, CHILDREN, "/a"),
            (9, DELETED, "/a"),
        ]
    }
    assert registry.stream("c", 9) is not None


def test_recursive_stream_hears_everything_below_and_never_children() -> None:
    """A recursive stream hears its node and all below it, once each, as what they are."""
    registry = WatchRegistry()
    registry.add_stream("c", 9, "/a", StreamMode.RECURSIVE)
    assert heard(
        registry,
        change(CREATED, "/a", 1),
        change(CREATED, "/a/b/c", 2),
        change(DELETED, "/a/b/c", 3),
        change(DATA, "/ab", 4),
        change(DATA, "/", 5),
    ) == {"c": [(9, CREATED, "/a"), (9, CREATED, "/a/b/c"), (9, DELETED, "/a/b/c")]}


def test_recursive_stream_on_the_root_hears_all() -> None:
    """A recursive stream on the root hears every change."""
    registry = WatchRegistry()
    registry.add_stream("c", 9, "/", StreamMode.RECURSIVE)
    assert heard(registry, change(DATA, "/", 1), change(CREATED, "/a/b", 2)) == {
        "c": [(9, DATA, "/"), (9, CREATED, "/a/b")]
    }


def test_one_shot_stream_ends_with_its_first_event() -> None:
    """A one-shot stream hears one event; whoever delivers it can still look the stream up."""
    registry = WatchRegistry()
    registry.add_stream("c", 9, "/a", StreamMode.ONE_SHOT, with_values=True)
    assert heard(registry, change(CREATED, "/a/b", 1), change(DATA, "/a", 2)) == {
        "c": [(9, CHILDREN, "/a")]
    }
    ended = registry.stream("c", 9)
    assert ended is not None
    assert ended.with_values
    assert registry.count_of("c") == 0
    registry.match([])
    assert registry.stream("c", 9) is None


def test_each_stream_hears_for_itself() -> None:
    """Two streams and a one-shot watch of one connection are three watches."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "data")
    registry.add_stream("c", 1, "/a", StreamMode.PERSISTENT)
    registry.add_stream("c", 2, "/", StreamMode.RECURSIVE)
    assert heard(registry, change(DATA, "/a", 1)) == {
        "c": [(0, DATA, "/a"), (1, DATA, "/a"), (2, DATA, "/a")]
    }


def test_events_keep_the_order_of_revisions() -> None:
    """What one connection hears through several watches is in revision order."""
    registry = WatchRegistry()
    registry.add_stream("c", 1, "/b", StreamMode.PERSISTENT)
    registry.add_stream("c", 2, "/a", StreamMode.PERSISTENT)
    batch = [change(DATA, path, number) for number, path in enumerate(["/a", "/b", "/a"], 1)]
    ((_, events),) = registry.match(batch)
    assert [event.revision for _, event in events] == [1, 2, 3]


def test_a_stream_knows_its_last_revision() -> None:
    """A stream remembers the revision of its last event, for bookmarks."""
    registry = WatchRegistry()
    stream = registry.add_stream("c", 1, "/a", StreamMode.PERSISTENT)
    assert stream.revision == 0
    registry.match([change(DATA, "/a", 7), change(DATA, "/b", 8)])
    assert stream.revision == 7


def test_a_crowd_shares_one_event() -> None:
    """Everybody on one path hears the same event object: a crowd costs no copies."""
    registry = WatchRegistry()
    for owner in range(5_000):
        registry.add_once(owner, "/a", "data")
        registry.add_stream(owner, 1, "/a", StreamMode.PERSISTENT)
    matches = registry.match([change(DATA, "/a", 1)])
    assert [owner for owner, _ in matches] == list(range(5_000))
    events = {id(event) for _, events in matches for _, event in events}
    assert len(events) == 1
    assert isinstance(matches[0][1][0][1], WatchEvent)


# --- closing and bounds ---------------------------------------------------------------------------


def test_closed_watches_hear_nothing() -> None:
    """A watch that was closed is silent; closing it again is NoWatcher."""
    registry = WatchRegistry()
    registry.add_once("c", "/a", "data")
    registry.add_once("c", "/a", "child")
    registry.add_stream("c", 1, "/a", StreamMode.RECURSIVE)
    registry.remove_once("c", "/a", "exist")
    registry.remove_once("c", "/a", "child")
    registry.remove_stream("c", 1)
    assert heard(registry, change(DELETED, "/a", 1)) == {}
    assert registry.counts() == Counts(0, 0, 0)
    with pytest.raises(NoWatcherError):
        registry.remove_once("c", "/a", "data")
    with pytest.raises(NoWatcherError):
        registry.remove_stream("c", 1)


def test_a_lost_connection_takes_its_watches() -> None:
    """Dropping an owner drops all it watches and nothing of others; dropping it twice is fine."""
    registry = WatchRegistry()
    for owner in ("c", "d"):
        registry.add_once(owner, "/a", "data")
        registry.add_once(owner, "/a", "child")
        registry.add_stream(owner, 1, "/a", StreamMode.PERSISTENT)
        registry.add_stream(owner, 2, "/a", StreamMode.RECURSIVE)
    registry.drop_owner("c")
    registry.drop_owner("c")
    assert registry.owners() == ["d"]
    assert heard(registry, change(DATA, "/a", 1)) == {
        "d": [(0, DATA, "/a"), (1, DATA, "/a"), (2, DATA, "/a")]
    }


def test_limit_per_connection() -> None:
    """A connection at its limit is refused one more watch, but may repeat one; others may go on."""
    registry = WatchRegistry(watches_max=2)
    registry.add_once("c", "/a", "data")
    registry.add_stream("c", 1, "/a", StreamMode.PERSISTENT)
    registry.add_once("c", "/a", "data")
    with pytest.raises(LimitError):
        registry.add_once("c", "/a", "child")
    with pytest.raises(LimitError):
        registry.add_stream("c", 2, "/a", StreamMode.PERSISTENT)
    registry.add_once("d", "/a", "data")
    registry.remove_stream("c", 1)
    registry.add_once("c", "/b", "child")
    assert registry.counts() == Counts(owners=2, paths=2, watches=3)


def test_a_refused_first_watch_leaves_no_owner() -> None:
    """A registry that allows nothing keeps nothing of who asked."""
    registry = WatchRegistry(watches_max=0)
    with pytest.raises(LimitError):
        registry.add_once("c", "/a", "data")
    assert registry.owners() == []


def test_stream_ids_are_not_reused() -> None:
    """A stream id in use, or the id of one-shot watches, is a defect of the caller."""
    registry = WatchRegistry()
    registry.add_stream("c", 1, "/a", StreamMode.PERSISTENT)
    with pytest.raises(AssertionError):
        registry.add_stream("c", 1, "/b", StreamMode.PERSISTENT)
    with pytest.raises(AssertionError):
        registry.add_stream("c", 0, "/b", StreamMode.PERSISTENT)


def test_looking() -> None:
    """Paths of an owner come sorted and once; streams come owner by owner."""
    registry = WatchRegistry()
    registry.add_once("c", "/b", "data")
    registry.add_once("c", "/b", "child")
    registry.add_stream("c", 1, "/a", StreamMode.PERSISTENT)
    registry.add_stream("d", 1, "/c", StreamMode.PERSISTENT)
    assert registry.paths_of("c") == ["/a", "/b"]
    assert registry.paths_of("nobody") == []
    assert [stream.path for stream in registry.streams()] == ["/a", "/c"]
    assert not registry.has_once("nobody", "/b", "data")
    assert registry.counts() == Counts(owners=2, paths=3, watches=4)
