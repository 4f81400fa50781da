"""What the state machine hands up to the node, and the limits it was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from coord.model import limits
from coord.model.events import Change


class Applied(NamedTuple):
    """Outcome of one command. ``index`` is its entry's, ``kind`` its operation number.

    ``code`` 0: ``body`` is the reply as ``coord.model.requests`` describes it. Otherwise ``code``
    is that of a RequestError and ``body`` is () or (message,); a failed transaction's is
    (message, (one code per operation)). A repeated write carries its first code and body again.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls here
    kind: int
    session: int
    generation: int
    seq: int
    code: int
    body: tuple[Any, ...]


@dataclass(slots=True)
class AppliedBatch:
    """What applying the entries first..last did. Invariant: results and changes in log order.

    Entries that are not commands (a leader's empty one, a membership) have no result.
    """

    first: int
    last: int
    term: int
    results: list[Applied] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    over_quota: dict[str, str] = field(default_factory=dict)
    """Roots of subtrees that a write took, or would have taken, past a limit, and which."""

    def absorb(self, later: AppliedBatch) -> None:
        """Take over the batch that followed."""
        self.last, self.term = later.last, later.term
        self.results += later.results
        self.changes += later.changes
        self.over_quota |= later.over_quota


@dataclass(frozen=True, slots=True)
class ApplyLimits:
    """Bounds that decide outcomes: every member of a cluster must use the same values."""

    history_entries: int = limits.HISTORY_ENTRIES_MAX
    history_bytes: int = limits.HISTORY_BYTES_MAX
    history_age_ms: int = limits.HISTORY_AGE_MS_MAX
    results_after_end_ms: int = limits.RESULTS_AFTER_END_MS
    sessions: int = limits.SESSIONS_MAX
    ephemerals_per_session: int = limits.EPHEMERALS_PER_SESSION_MAX
    writes_in_flight: int = limits.WRITES_IN_FLIGHT_MAX
