"""The watch checker accepts what a correct service tells and names what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sim.checkers import watches
from tests.sim.codes import CREATE, SET
from tests.sim.handmade import WORLD, Handmade
from tests.sim.history import Asked, Ended, Pushed, Replied, Subscription, Transcript
from tests.sim.replay import RECURSIVE, replay_of

STREAM = 3


def _log() -> Handmade:
    """/t made at 2, then changes below it at 3 (two of them), 4, 5 and one elsewhere at 6."""
    made = Handmade()
    made.open_session()
    made.create("/t")
    made.multi((CREATE, "/t/a", b"a", WORLD, 0, 0), (CREATE, "/t/b", b"b", WORLD, 0, 0))
    made.set("/t/a", b"new")
    made.delete("/t/b")
    made.create("/u")
    return made


def _changes(made: Handmade, revision: int, mode: int = RECURSIVE) -> tuple[Any, ...]:
    heard = replay_of(made.history).heard_by("/t", mode)
    return tuple(heard.at[revision])


def _told(made: Handmade) -> Transcript:
    """A stream on /t resumed after 2, that has heard all of it, and a read that shows it."""
    transcript = Transcript("c1")
    transcript.items += [
        Asked(STREAM, "watch", "/t", RECURSIVE, values=True, since=2),
        Replied(STREAM, 0, 4),
        *(Pushed(STREAM, at, 0, True, _changes(made, at)) for at in (3, 4)),
        Pushed(STREAM, 4, 0, True, ()),
        Pushed(STREAM, 5, 0, True, _changes(made, 5)),
        Replied(9, 0, 6),
    ]
    made.history.transcripts.append(transcript)
    return transcript


def _subscribed(made: Handmade) -> Subscription:
    """What a program heard that began with a listing at 2, and what it read meanwhile."""
    told = Subscription("c1", "/t", RECURSIVE, values=True)
    node = made.history.ops[0]
    told.heard = [(2, None), *((at, _changes(made, at)) for at in (3, 4, 5))]
    told.listings = {2: {"/t": (b"", node.body[1])}}
    told.seen = [(1, 2), (3, 4), (4, 6)]
    made.history.subscriptions.append(told)
    return told


def test_what_a_correct_service_tells_passes() -> None:
    """On the wire and through the library, in one part and in several."""
    made = _log()
    items = _told(made).items
    _subscribed(made)
    whole = items[2]
    assert isinstance(whole, Pushed)
    items[2:3] = [
        whole._replace(complete=False, changes=whole.changes[:1]),
        whole._replace(part=1, changes=whole.changes[1:]),
    ]

    assert watches.check(made.history) == []


def test_a_stream_without_values_hears_no_values() -> None:
    """Stats stay, data goes."""
    made = _log()
    items = _told(made).items
    asked = items[0]
    assert isinstance(asked, Asked)
    items[0] = asked._replace(values=False)

    assert any(problem.startswith("watches/changes: ") for problem in watches.check(made.history))


def test_what_a_client_has_ended_may_still_tell() -> None:
    """Messages under way when the client unwatches, and the end of a stream, break no rule."""
    made = _log()
    items = _told(made).items
    items[4:5] = [Asked(STREAM, "unwatch")]
    assert watches.check(made.history) == []
    items[4:5] = [Ended(STREAM, 4, -208)]
    del items[5]

    assert watches.check(made.history) == []


def test_a_persistent_stream_hears_its_list_of_children() -> None:
    """Once for each child that comes or goes, and not their values."""
    made = _log()
    transcript = Transcript("c1")
    transcript.items += [Asked(STREAM, "watch", "/t", 1, since=2), Replied(STREAM, 0, 6)]
    made.history.transcripts.append(transcript)
    listed = (4, "/t", None, None, None, None)
    transcript.items += [
        Pushed(STREAM, 3, 0, True, (listed, listed)),
        Pushed(STREAM, 5, 0, True, (listed,)),
        Replied(9, 0, 6),
    ]

    assert watches.check(made.history) == []


def _push(items: list[Any], at: int) -> Pushed:
    push = items[at]
    assert isinstance(push, Pushed)
    return push


def _gap(items: list[Any]) -> None:
    del items[3:5]


def _gap_before_bookmark(items: list[Any]) -> None:
    del items[3]


def _gap_after_resume(items: list[Any]) -> None:
    del items[2]


def _twice(items: list[Any]) -> None:
    items.insert(4, items[3])


def _backwards(items: list[Any]) -> None:
    items[2], items[3] = items[3], items[2]


def _bookmark_goes_back(items: list[Any]) -> None:
    items[4] = Pushed(STREAM, 3, 0, True, ())


def _unasked(items: list[Any]) -> None:
    items.insert(6, Pushed(STREAM, 6, 0, True, (_push(items, 5).changes[0],)))


def _unknown_stream(items: list[Any]) -> None:
    items.append(Pushed(STREAM + 1, 6, 0, True, ()))


def _after_the_read(items: list[Any]) -> None:
    items[5], items[6] = items[6], items[5]


def _half(items: list[Any]) -> None:
    items[2] = _push(items, 2)._replace(changes=_push(items, 2).changes[:1])


def _part_missing(items: list[Any]) -> None:
    items[2] = _push(items, 2)._replace(part=1)


def _interrupted(items: list[Any]) -> None:
    items[2] = _push(items, 2)._replace(complete=False)


def _wrong_value(items: list[Any]) -> None:
    (change,) = _push(items, 3).changes
    items[3] = _push(items, 3)._replace(changes=((*change[:3], b"?", *change[4:]),))


def _wrong_kind(items: list[Any]) -> None:
    (change,) = _push(items, 5).changes
    items[5] = _push(items, 5)._replace(changes=((1, *change[1:]),))


def _wrong_previous_stat(items: list[Any]) -> None:
    (change,) = _push(items, 3).changes
    items[3] = _push(items, 3)._replace(changes=((*change[:4], change[2], change[5]),))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_gap, "reliable"),
        (_gap_before_bookmark, "reliable"),
        (_gap_after_resume, "reliable"),
        (_twice, "unique"),
        (_backwards, "ordered"),
        (_bookmark_goes_back, "ordered"),
        (_unasked, "filter"),
        (_unknown_stream, "filter"),
        (_after_the_read, "newer-state"),
        (_half, "atomic"),
        (_part_missing, "atomic"),
        (_interrupted, "atomic"),
        (_wrong_value, "changes"),
        (_wrong_kind, "changes"),
        (_wrong_previous_stat, "changes"),
    ],
)
def test_a_false_stream_is_named(spoil: Callable[[list[Any]], None], rule: str) -> None:
    """Each way to tell a connection something wrong."""
    made = _log()
    items = _told(made).items

    spoil(items)

    found = watches.check(made.history)
    assert any(problem.startswith(f"watches/{rule}: ") for problem in found), found


def _resumed_too_late(told: Subscription) -> None:
    del told.heard[1]


def _repeated_across_a_resume(told: Subscription) -> None:
    told.heard.insert(2, told.heard[1])
    told.seen = []


def _read_before_the_event(told: Subscription) -> None:
    told.seen[1] = (2, 4)


def _listing_in_the_past(told: Subscription) -> None:
    told.heard.append((3, None))


def _listing_lacks_a_node(told: Subscription) -> None:
    told.listings[2] = {}


def _listing_of_another_time(told: Subscription) -> None:
    told.listings[3] = told.listings.pop(2)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_resumed_too_late, "reliable"),
        (_repeated_across_a_resume, "unique"),
        (_read_before_the_event, "newer-state"),
        (_listing_in_the_past, "ordered"),
        (_listing_lacks_a_node, "listing"),
        (_listing_of_another_time, "listing"),
    ],
)
def test_a_false_subscription_is_named(spoil: Callable[[Subscription], None], rule: str) -> None:
    """Each way in which the library could hand a program something wrong."""
    made = _log()
    told = _subscribed(made)

    spoil(told)

    found = watches.check(made.history)
    assert any(problem.startswith(f"watches/{rule}: ") for problem in found), found


def _cut_after_4(told: Subscription, made: Handmade) -> None:
    """Resumed after 4, refused, and a read at 6 answered before anything else came."""
    transcript = Transcript("c1")
    transcript.items += [Asked(7, "watch", "/t", RECURSIVE, values=True, since=4)]
    transcript.items += [Replied(7, watches.COMPACTED, 6)]
    made.history.transcripts.append(transcript)
    del told.heard[3]
    told.seen[2] = (3, 6)


def test_a_read_may_precede_the_listing_of_a_stream_that_was_cut_off() -> None:
    """What happened meanwhile can be told by nobody; a stream that was not refused owes it."""
    made = _log()
    told = _subscribed(made)
    _cut_after_4(told, made)
    assert watches.check(made.history) == []
    made.history.transcripts.clear()

    assert any("watches/newer-state: " in problem for problem in watches.check(made.history))


def test_a_stream_that_was_cut_off_tells_a_listing_next() -> None:
    """If it goes on with events, nothing was lost that would excuse it."""
    made = _log()
    told = _subscribed(made)
    _cut_after_4(told, made)
    told.heard.append((5, _changes(made, 5)))

    assert any("watches/newer-state: " in problem for problem in watches.check(made.history))


def test_a_cut_excuses_nothing_that_was_told_before_it() -> None:
    """The read precedes an event that the resumed stream had already been told to be past."""
    made = _log()
    told = _subscribed(made)
    _cut_after_4(told, made)
    told.seen[1:] = [(2, 4), (3, 6)]

    assert any("watches/newer-state: " in problem for problem in watches.check(made.history))


def test_nothing_is_lost_after_a_stream_is_established() -> None:
    """Without a listing, everything applied later than the service said that it listens is owed."""
    made = _log()
    told = Subscription("c1", "/t", RECURSIVE, values=True)
    told.established_us = made.history.applied_us[3]
    made.history.subscriptions.append(told)
    told.heard = [(at, _changes(made, at)) for at in (4, 5)]
    told.seen = [(2, 6)]
    assert watches.check(made.history) == []
    del told.heard[0]
    told.seen = [(1, 6)]

    assert any(problem.startswith("watches/reliable: ") for problem in watches.check(made.history))


def test_a_change_twice_in_a_transaction_is_told_twice() -> None:
    """Atomic does not mean merged."""
    made = _log()
    made.multi((SET, "/t/a", b"1", -1), (SET, "/t/a", b"2", -1))
    last = made.model.index

    assert [change[3] for change in _changes(made, last)] == [b"1", b"2"]
