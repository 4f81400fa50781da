"""The book of leaders: who, since when, and what this node knows of why."""

from __future__ import annotations

from coord.node.leaders import HANDED_OVER, KEPT, LINK_LOST, SILENCE, START, SUPERSEDED, LeaderBook
from coord.raft.types import NO_NODE, NodeId, Term
from tests.node.single import Hands, Single

ME, OTHER, THIRD = NodeId(1), NodeId(2), NodeId(3)


class Scene:
    """A book and the links it asks about."""

    def __init__(self) -> None:
        self.linked = {OTHER, THIRD}
        self.book = LeaderBook(ME, Hands(), self.linked.__contains__)

    def lead(self, term: int, leader: NodeId) -> str:
        """Somebody leads; the reason that is noted."""
        self.book.changed(Term(term), leader)
        return self.book.kept[-1].reason


def test_each_cause_has_its_word() -> None:
    """As far as this node can know."""
    scene = Scene()
    assert scene.lead(1, OTHER) == START
    scene.book.changed(Term(2), NO_NODE)
    assert scene.lead(2, THIRD) == SILENCE
    scene.linked.discard(THIRD)
    assert scene.lead(3, ME) == LINK_LOST
    assert scene.lead(4, OTHER) == SUPERSEDED
    assert scene.lead(5, ME) == SILENCE
    scene.book.handing_over(Term(5))
    assert scene.lead(6, OTHER) == HANDED_OVER
    assert scene.book.elections[SILENCE] == 2


def test_the_cause_is_that_of_the_loss() -> None:
    """A link that is back when the next leader is known was lost all the same."""
    scene = Scene()
    scene.lead(1, OTHER)
    scene.linked.discard(OTHER)
    scene.book.changed(Term(1), NO_NODE)
    scene.linked.add(OTHER)
    assert scene.lead(2, THIRD) == LINK_LOST


def test_the_same_leader_again_is_no_change() -> None:
    """Contact that was lost and found."""
    scene = Scene()
    scene.lead(1, OTHER)
    scene.book.changed(Term(1), NO_NODE)
    scene.lead(1, OTHER)
    assert len(scene.book.kept) == 1


def test_the_book_is_bounded() -> None:
    """The oldest go."""
    scene = Scene()
    for term in range(1, KEPT + 10):
        scene.lead(term, OTHER)
    assert (len(scene.book.kept), scene.book.kept[0].term) == (KEPT, 10)


def test_what_was_known_before_is_recalled() -> None:
    """A leader that goes on leading is no news; another one is."""
    known = Scene()
    known.lead(1, OTHER)
    known.lead(2, THIRD)
    scene, news = Scene(), []
    scene.book.recall(known.book.kept)
    scene.book.on_news = lambda: news.append(len(scene.book.kept))
    scene.lead(2, THIRD)
    assert list(scene.book.kept) == list(known.book.kept)
    assert scene.book.elections[START] == 1
    assert not news
    assert scene.lead(3, OTHER) == SILENCE
    assert [it.term for it in scene.book.kept] == [1, 2, 3]
    assert news == [3]


def test_the_status_tells_it() -> None:
    """With disk, snapshots and digest."""
    told = Single().node.statistics().as_dict()
    (leader,) = told["leaders"]
    assert (leader["leader"], leader["reason"]) == (1, START)
    assert told["disk"]["tree"] > 0
    assert told["snapshots"] == []
    assert told["digest"] is None
