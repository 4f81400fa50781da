"""Watches of ZooKeeper's kind: what a correct service fires passes, the rest is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sim.checkers import watches
from tests.sim.codes import CHILDREN, CREATED, DATA, DELETED, NO_NODE, NO_WATCHER
from tests.sim.handmade import Handmade
from tests.sim.history import Asked, Fired, Replied, Transcript

READ = 99
"""Xid of a read that arms nothing."""


def _log() -> Handmade:
    """2: /t; 3: /t/a; 4, 5: /t/a set; 6: /t/b; 7: /t/a deleted; 8: /x."""
    made = Handmade()
    made.open_session()
    made.create("/t")
    made.create("/t/a")
    made.set("/t/a", b"1")
    made.set("/t/a", b"2")
    made.create("/t/b")
    made.delete("/t/a")
    made.create("/x")
    return made


def _items(made: Handmade, *items: Any) -> list[Any]:
    transcript = Transcript("c1", list(items))
    made.history.transcripts.append(transcript)
    return transcript.items


def _armed(made: Handmade) -> list[Any]:
    """Data, exist and child watches, each fired once, and armed again or not."""
    return _items(
        made,
        Asked(1, "get", "/t/a"),
        Replied(1, 0, 3),
        Asked(2, "children", "/t"),
        Replied(2, 0, 3),
        Asked(3, "exists", "/x"),
        Replied(3, NO_NODE, 3),
        Fired(DATA, "/t/a", 4),
        Replied(READ, 0, 5),
        Fired(CHILDREN, "/t", 6),
        Asked(4, "get", "/t/a"),
        Replied(4, 0, 6),
        Asked(5, "children", "/t/a"),
        Replied(5, 0, 6),
        Fired(DELETED, "/t/a", 7),
        Fired(CREATED, "/x", 8),
        Replied(READ, 0, 8),
    )


def _standing(made: Handmade) -> list[Any]:
    """A persistent watch on /t and a recursive one, as two connections have them."""
    _items(
        made,
        Asked(1, "add_watch", "/t", 1),
        Replied(1, 0, 3),
        Fired(CHILDREN, "/t", 6),
        Fired(CHILDREN, "/t", 7),
        Replied(READ, 0, 8),
    )
    return _items(
        made,
        Asked(1, "add_watch", "/t", 2),
        Replied(1, 0, 3),
        Fired(DATA, "/t/a", 4),
        Replied(READ, 0, 4),
        Fired(DATA, "/t/a", 5),
        Fired(CREATED, "/t/b", 6),
        Fired(DELETED, "/t/a", 7),
        Replied(READ, 0, 8),
    )


def _set_again(made: Handmade) -> list[Any]:
    """A client that had heard everything up to 5 comes back at 8."""
    armed = (
        ("data", "/t/a"),
        ("data", "/t/b"),
        ("data", "/t"),
        ("exist", "/x"),
        ("exist", "/y"),
        ("child", "/t"),
        ("child", "/x"),
        ("persistent", "/t"),
    )
    return _items(
        made,
        Asked(-8, "set_watches", since=5, armed=armed),
        Fired(DELETED, "/t/a", -1),
        Fired(DATA, "/t/b", -1),
        Fired(CREATED, "/x", -1),
        Fired(CHILDREN, "/t", -1),
        Replied(-8, 0, 8),
        Replied(READ, 0, 8),
    )


@pytest.mark.parametrize("told", [_armed, _standing, _set_again])
def test_what_a_correct_service_fires_passes(told: Callable[[Handmade], list[Any]]) -> None:
    """One-shot watches, standing ones, and all of them set again."""
    made = _log()
    told(made)

    assert watches.check(made.history) == []


def test_a_watch_that_was_not_armed_cannot_be_missed() -> None:
    """A refused read arms nothing, except that of a node that does not exist yet."""
    made = _log()
    _items(made, Asked(1, "get", "/x"), Replied(1, NO_NODE, 3), Replied(READ, 0, 8))

    assert watches.check(made.history) == []


def _again(items: list[Any]) -> None:
    items.insert(8, Fired(DATA, "/t/a", 5))


def _skips_the_first(items: list[Any]) -> None:
    items[6:8] = [Fired(DATA, "/t/a", 5)]


def _after_the_reply(items: list[Any]) -> None:
    items[6], items[7] = items[7], items[6]


def _child_forgotten(items: list[Any]) -> None:
    items.remove(Fired(CHILDREN, "/t", 6))


def _creation_forgotten(items: list[Any]) -> None:
    items.remove(Fired(CREATED, "/x", 8))


def _never_happened(items: list[Any]) -> None:
    items.insert(9, Fired(DATA, "/t", 6))


def _of_another_revision(items: list[Any]) -> None:
    items[6] = Fired(DATA, "/t/a", 6)


def _told_twice_of_the_end(items: list[Any]) -> None:
    """Its node and its list of children were watched: one event says both."""
    items.insert(14, Fired(DELETED, "/t/a", 7))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_again, "once"),
        (_skips_the_first, "reliable"),
        (_after_the_reply, "newer-state"),
        (_child_forgotten, "newer-state"),
        (_creation_forgotten, "newer-state"),
        (_never_happened, "filter"),
        (_of_another_revision, "filter"),
        (_told_twice_of_the_end, "once"),
    ],
)
def test_a_false_one_shot_is_named(spoil: Callable[[list[Any]], None], rule: str) -> None:
    """Each way to fire wrongly."""
    made = _log()

    spoil(_armed(made))

    found = watches.check(made.history)
    assert any(problem.startswith(f"watches/{rule}: ") for problem in found), found


def _gap(items: list[Any]) -> None:
    del items[4]


def _not_in_time(items: list[Any]) -> None:
    items[2], items[3] = items[3], items[2]


def _double(items: list[Any]) -> None:
    items.insert(3, items[2])


def _misses_depth(items: list[Any]) -> None:
    items[2:7] = []


def _hears_of_children(items: list[Any]) -> None:
    items.insert(5, Fired(CHILDREN, "/t", 6))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_gap, "reliable"),
        (_not_in_time, "newer-state"),
        (_double, "unique"),
        (_misses_depth, "newer-state"),
        (_hears_of_children, "once"),
    ],
)
def test_a_false_standing_watch_is_named(spoil: Callable[[list[Any]], None], rule: str) -> None:
    """Each way in which a watch that stays may fail to."""
    made = _log()

    spoil(_standing(made))

    found = watches.check(made.history)
    assert any(problem.startswith(f"watches/{rule}: ") for problem in found), found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda items: items.remove(Fired(DATA, "/t/b", -1)),
        lambda items: items.remove(Fired(DELETED, "/t/a", -1)),
        lambda items: items.remove(Fired(CREATED, "/x", -1)),
        lambda items: items.remove(Fired(CHILDREN, "/t", -1)),
        lambda items: items.insert(1, Fired(DATA, "/t", -1)),
        lambda items: items.insert(1, Fired(CHILDREN, "/x", -1)),
        lambda items: items.insert(1, Fired(CREATED, "/y", -1)),
    ],
)
def test_watches_set_again_wrongly_are_named(spoil: Callable[[list[Any]], None]) -> None:
    """What was missed, and what did not happen."""
    made = _log()

    spoil(_set_again(made))

    found = watches.check(made.history)
    assert any(problem.startswith("watches/rearmed: ") for problem in found), found


def test_a_watch_set_again_and_forgotten_is_named() -> None:
    """What did not fire at once is armed."""
    made = _log()
    items = _items(made, Asked(-8, "set_watches", since=3, armed=(("data", "/t/a"),)))
    items += [Replied(-8, 0, 3), Replied(READ, 0, 8)]

    found = watches.check(made.history)
    assert any(problem.startswith("watches/newer-state: ") for problem in found), found


CHILD, NODE, ANY, STANDING = 1, 2, 3, 4
"""Kinds of watch, as one asks for them."""


def _taken_back(made: Handmade) -> list[Any]:
    """A data watch that is asked for and taken back, beside a child watch and a standing one."""
    return _items(
        made,
        Asked(1, "get", "/t/a"),
        Replied(1, 0, 3),
        Asked(2, "children", "/t"),
        Replied(2, 0, 3),
        Asked(3, "add_watch", "/x", 1),
        Replied(3, 0, 3),
        Asked(4, "checkWatches", "/t/a", NODE),
        Replied(4, 0, 3),
        Asked(5, "checkWatches", "/t/a", CHILD),
        Replied(5, NO_WATCHER, 3),
        Asked(6, "removeWatches", "/t/a", ANY),
        Replied(6, 0, 3),
        Asked(7, "removeWatches", "/t/a", NODE),
        Replied(7, NO_WATCHER, 4),
        Fired(CHILDREN, "/t", 6),
        Asked(8, "removeWatches", "/x", STANDING),
        Replied(8, 0, 7),
        Replied(READ, 0, 8),
    )


def test_watches_taken_back_are_silent() -> None:
    """Neither an event nor the lack of one is wrong."""
    made = _log()
    _taken_back(made)

    assert watches.check(made.history) == []


@pytest.mark.parametrize(
    ("place", "item", "rule"),
    [
        (7, Replied(4, NO_WATCHER, 3), "removed"),
        (9, Replied(5, 0, 3), "removed"),
        (11, Replied(6, NO_WATCHER, 3), "removed"),
        (13, Replied(7, 0, 4), "removed"),
        (12, Fired(DATA, "/t/a", 4), "once"),
        (17, Fired(CREATED, "/x", 8), "once"),
    ],
)
def test_a_false_answer_about_watches_is_named(place: int, item: Any, rule: str) -> None:
    """Said to be there or not, fired after it was taken back."""
    made = _log()
    items = _taken_back(made)

    if isinstance(item, Fired):
        items.insert(place, item)
    else:
        items[place] = item

    found = watches.check(made.history)
    assert any(problem.startswith(f"watches/{rule}: ") for problem in found), found


def test_what_nobody_created_is_there() -> None:
    """A watch on a node of the service's own is set again without an event."""
    made = _log()
    _items(
        made,
        Asked(-8, "set_watches", since=3, armed=(("child", "/zookeeper"), ("data", "/"))),
        Replied(-8, 0, 8),
    )

    assert watches.check(made.history) == []
