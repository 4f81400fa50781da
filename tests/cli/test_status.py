"""Reading the answers of several nodes: digests, seats, what JSON shows."""

from __future__ import annotations

from coord.cli.ask import Answer
from coord.cli.diagnosis import NodeView
from coord.cli.member import seats_of
from coord.cli.status import DigestView, compare_digests, plain
from coord.model.fault_tolerance import Seat


def _digest(address: str, applied: int, digest: str, *samples: tuple[int, str]) -> DigestView:
    view = DigestView.of(Answer(address, (applied, digest, [list(one) for one in samples])))
    assert view is not None
    return view


def test_replicas_agree_where_they_overlap() -> None:
    """Nodes at different indexes are compared where both know a digest."""
    one = _digest("h1", 5_000, "aa", (4_096, "cc"))
    two = _digest("h2", 4_999, "bb", (4_096, "cc"))

    assert compare_digests([one, two]) == ([4_096], [])


def test_difference_is_found_at_its_index() -> None:
    """A replica that differs is found, though another pair agrees."""
    views = [_digest("h1", 10, "aa"), _digest("h2", 10, "aa"), _digest("h3", 10, "bb")]

    assert compare_digests(views) == ([], [10])


def test_nothing_in_common_is_no_verdict() -> None:
    """Without a common index nothing is claimed."""
    assert compare_digests([_digest("h1", 10, "aa"), _digest("h2", 11, "bb")]) == ([], [])


def test_silent_node_has_no_digest() -> None:
    """A node that did not answer takes no part."""
    assert DigestView.of(Answer("h1", None, "refused")) is None


def test_seats_combine_configuration_and_answers() -> None:
    """Who is a member comes from the configuration, who is up from who answered."""
    members = [
        {"id": 1, "role": "voter"},
        {"id": 2, "role": "voter"},
        {"id": 3, "role": "learner"},
    ]
    fields = {"leader": 2, "term": 1, "applied": 5, "members": members}
    views = [
        NodeView.of(Answer("h1", ({"node": 1, **fields},))),
        NodeView.of(Answer("h2", ({"node": 2, **fields},))),
        NodeView.of(Answer("h3", None, "refused")),
    ]

    assert seats_of(views) == [
        Seat(1, voter=True, up=True),
        Seat(2, voter=True, up=True, leader=True),
        Seat(3, voter=False, up=False),
    ]


def test_json_holds_whatever_a_node_says() -> None:
    """Bytes and keys that JSON does not know are written as text."""
    assert plain({1: b"\xff", "list": (b"\x00", {"deep": None})}) == {
        "1": "ff",
        "list": ["00", {"deep": None}],
    }
