"""Order of one connection's messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.protocol.outbox import Outbox


def test_events_first_at_each_revision() -> None:
    """An event precedes every reply of its revision or a later one, and only those need wait."""
    outbox = Outbox()
    outbox.event(5, b"e5")
    outbox.event(7, b"e7")
    outbox.reply(4, b"r4")
    outbox.reply(6, b"r6")
    outbox.reply(7, b"r7")
    assert outbox.take() == b"r4e5r6e7r7"
    assert not outbox
    assert outbox.size == 0


def test_what_no_reply_waits_for_goes_last() -> None:
    """Events above every reply leave with the same write, after the replies."""
    outbox = Outbox()
    outbox.event(9, b"e9")
    outbox.reply(3, b"r3")
    assert outbox
    assert outbox.size == 4
    assert outbox.take() == b"r3e9"


def test_an_event_after_its_reply_is_a_defect() -> None:
    """An event at a revision that a reply has shown trips the invariant, even one write later."""
    outbox = Outbox()
    outbox.reply(6, b"r6")
    outbox.take()
    outbox.event(7, b"e7")
    with pytest.raises(AssertionError):
        outbox.event(6, b"e6")


def test_events_descending_are_a_defect() -> None:
    """Events are handed over in revision order."""
    outbox = Outbox()
    outbox.event(7, b"e7")
    with pytest.raises(AssertionError):
        outbox.event(6, b"e6")


def test_a_stored_result_does_not_turn_back_time() -> None:
    """A repeated write's old result may follow newer replies; events still keep to the newest."""
    outbox = Outbox()
    outbox.reply(9, b"r9")
    outbox.reply(2, b"r2")
    with pytest.raises(AssertionError):
        outbox.event(5, b"e5")
    assert outbox.take() == b"r9r2"


def test_aside_comes_after_what_waits() -> None:
    """A notice is the last thing said: events that wait go before it."""
    outbox = Outbox()
    outbox.event(9, b"e9")
    outbox.aside(b"bye")
    assert outbox.take() == b"e9bye"
    assert outbox.take() == b""


@given(st.lists(st.tuples(st.sampled_from("erat"), st.integers(0, 3)), max_size=40))
def test_order_holds(steps: list[tuple[str, int]]) -> None:
    """Replies keep their order, and none overtakes an event that it reflects."""
    outbox, event_revision, shown, sent = Outbox(), 1, 0, b""
    expected_replies: list[Any] = []
    for step_kind, step in steps:
        if step_kind == "e":
            event_revision = max(event_revision, shown + 1) + step
            outbox.event(event_revision, b"e%d " % event_revision)
        elif step_kind == "r":
            shown = max(shown, event_revision + step - 1)
            revision = event_revision + step - 1
            outbox.reply(revision, b"r%d " % revision)
            expected_replies.append(revision)
        elif step_kind == "a":
            outbox.aside(b"a0 ")
        else:
            sent += outbox.take()
    sent += outbox.take()
    messages = [(part[:1], int(part[1:])) for part in sent.decode().split()]
    assert [revision for kind, revision in messages if kind == "r"] == expected_replies
    for at, (kind, revision) in enumerate(messages):
        if kind == "e":
            assert all(earlier < revision for other, earlier in messages[:at] if other == "r")
