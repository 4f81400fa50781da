"""What an operator does while things go wrong: leadership moved, snapshots taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.sim.strike import Strike


def _transfer(strike: Strike) -> None:
    """A leader is asked to hand over."""
    for member in strike.cluster.running():
        if member.node is not None and member.leads and not member.node.raft.transferee:
            member.node.hand_over()


def _snapshot(strike: Strike) -> None:
    """One node takes a snapshot now."""
    node = strike.whom().node
    if node is not None:
        node.housekeeping.take_snapshot(lambda _outcome: None)


TABLE: Final[dict[str, Callable[[Strike], None]]] = {"transfer": _transfer, "snapshot": _snapshot}
