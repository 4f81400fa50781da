"""The kinds of fault, by class: each is a function of the strike (``tests.sim.strike``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.sim.faults import clients, clocks, disks, members, networks, processes
from tests.sim.strike import Strike

TABLE: Final[dict[str, Callable[[Strike], None]]] = {
    **processes.TABLE,
    **networks.TABLE,
    **disks.TABLE,
    **clocks.TABLE,
    **members.TABLE,
    **clients.TABLE,
}
"""What each kind in ``plan.FAULTS``, ``plan.DIRECTED`` and ``plan.MORE_FAULTS`` does."""
