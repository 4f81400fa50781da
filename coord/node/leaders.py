"""Who has led and why leadership moved, as this node saw it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coord.raft.types import NO_NODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord.node.ports import Clock
    from coord.raft.types import NodeId, Term

KEPT: Final = 64

START: Final = "start"
HANDED_OVER: Final = "handed over"
LINK_LOST: Final = "link lost"
SUPERSEDED: Final = "superseded"
SILENCE: Final = "silent or handed over"
REASONS: Final = (HANDED_OVER, LINK_LOST, SILENCE, SUPERSEDED, START)
"""The first that a node tells is the most it could know: members that saw the same change differ.

handed over: this node led and gave leadership away. link lost: the connection to the leader ended.
silent or handed over: the leader was not heard for an election timeout, or gave leadership to
another.
superseded: this node led, and another was elected. start: the first leader that was heard of.
"""


@dataclass(frozen=True, slots=True)
class Leadership:
    """A leader of a term, since when it was known here, and why it was not the one before."""

    term: int
    leader: int
    since_ms: int
    reason: str


class LeaderBook:
    """The last ``KEPT`` leaders, oldest first. ``elections``: since the start, by reason."""

    def __init__(self, own_id: NodeId, clock: Clock, is_linked: Callable[[NodeId], bool]) -> None:
        self._own_id = own_id
        self._clock = clock
        self._is_linked = is_linked
        self._handed_over: Term | None = None
        self._reason = ""
        """Why the last leader was lost, until another is known."""
        self._last: tuple[Term, NodeId] | None = None
        self.kept: deque[Leadership] = deque(maxlen=KEPT)
        self.elections: Counter[str] = Counter()
        self.on_news: Callable[[], None] = lambda: None
        """Told when ``kept`` has grown."""

    def recall(self, known: Iterable[Leadership]) -> None:
        """What was known before this node was started again, oldest first. Before any change."""
        self.kept.extend(known)

    def handing_over(self, term: Term) -> None:
        """This node leads in ``term`` and has asked another to take over."""
        self._handed_over = term

    def changed(self, term: Term, leader: NodeId) -> None:
        """Term or leader is another one; ``leader`` NO_NODE: none is known."""
        if leader == NO_NODE:
            self._reason = self._reason or self._why()
        elif (term, leader) != self._last:
            reason = self._reason or self._why()
            self.elections[reason] += 1
            self._last, self._reason = (term, leader), ""
            self._keep(Leadership(int(term), int(leader), self._clock.wall_ms(), reason))

    def _keep(self, new: Leadership) -> None:
        last = self.kept[-1] if self.kept else None
        if last is not None and (last.term, last.leader) == (new.term, new.leader):
            return  # It still leads: only this node was started again.
        self.kept.append(new)
        self.on_news()

    def _why(self) -> str:
        if self._last is None:
            return START
        term, leader = self._last
        if leader == self._own_id:
            return HANDED_OVER if self._handed_over == term else SUPERSEDED
        return SILENCE if self._is_linked(leader) else LINK_LOST
