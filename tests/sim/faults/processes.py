"""Processes that are killed, hang, lose their machine's power or their disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.sim.strike import Strike


def _kill(strike: Strike, ids: list[int], *, power: bool) -> None:
    for node in ids:
        member = strike.cluster.members[node]
        member.process.crash(power=power)
        strike.later(member.start)


def _pause(strike: Strike) -> None:
    process = strike.whom().process
    process.pause()
    strike.later(process.resume)


def _wipe(strike: Strike) -> None:
    """One node loses its disk, if the others are well enough for it to be nobody's loss."""
    member = strike.whom()
    if strike.cluster.survives_without(member.id):
        member.wipe()
        strike.later(member.start)


TABLE: Final[dict[str, Callable[[Strike], None]]] = {
    "kill": lambda strike: _kill(strike, [strike.whom().id], power=False),
    "kill-all": lambda strike: _kill(strike, strike.ids(), power=False),
    "power": lambda strike: _kill(strike, [strike.whom().id], power=True),
    "power-all": lambda strike: _kill(strike, strike.ids(), power=True),
    "pause": _pause,
    "wipe": _wipe,
}
