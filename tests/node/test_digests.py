"""DigestBook: who is wrong when replicas differ."""

from __future__ import annotations

from coord.node.digests import DigestBook, Verdict
from coord.raft.types import NodeId

OWN, B, C = NodeId(1), NodeId(2), NodeId(3)
VOTERS = [OWN, B, C]


def test_equal_digests_agree() -> None:
    """Three equal samples of one index are no news."""
    book = DigestBook(OWN)

    verdicts = [book.note(node, 4096, 7, VOTERS) for node in VOTERS]

    assert verdicts == [Verdict.AGREED] * 3


def test_the_one_that_differs_from_a_majority_is_wrong() -> None:
    """Two others that agree against this node make it the minority, whatever came first."""
    for order in ([OWN, B, C], [B, C, OWN], [B, OWN, C]):
        book = DigestBook(OWN)
        said = {OWN: 1, B: 2, C: 2}

        verdicts = [book.note(node, 4096, said[node], VOTERS) for node in order]

        assert verdicts[-1] is Verdict.MINORITY


def test_a_majority_with_this_node_is_not_its_problem() -> None:
    """The odd one out is somebody else, who finds out by itself."""
    book = DigestBook(OWN)
    book.note(B, 4096, 1, VOTERS)
    book.note(OWN, 4096, 1, VOTERS)

    assert book.note(C, 4096, 9, VOTERS) is Verdict.AGREED


def test_two_answers_of_three_that_differ_wait_for_the_third() -> None:
    """Without a majority and without all answers nothing is decided."""
    book = DigestBook(OWN)
    book.note(OWN, 4096, 1, VOTERS)

    assert book.note(B, 4096, 2, VOTERS) is Verdict.AGREED


def test_all_different_is_an_alarm_and_nobody_stops() -> None:
    """Nobody can tell who is right: SPLIT, not MINORITY."""
    book = DigestBook(OWN)
    book.note(OWN, 4096, 1, VOTERS)
    book.note(B, 4096, 2, VOTERS)

    assert book.note(C, 4096, 3, VOTERS) is Verdict.SPLIT


def test_a_learner_does_not_make_a_majority() -> None:
    """Only voters count: a learner that agrees with another node convicts nobody."""
    book = DigestBook(OWN)
    learner = NodeId(9)
    book.note(OWN, 4096, 1, VOTERS)
    book.note(B, 4096, 2, VOTERS)

    assert book.note(learner, 4096, 2, VOTERS) is Verdict.AGREED
