"""Clients that are cut off, stand still, or are never heard of again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coord.sim import US_PER_MS, host_name
from tests.sim.faults.networks import cut
from tests.sim.strike import Strike

CLIENTS_LEFT_MIN: Final = 2


def _vanish(strike: Strike) -> None:
    """A client dies for good, if two are left to go on."""
    left = strike.cluster.active()
    if len(left) > CLIENTS_LEFT_MIN:
        strike.stream.choice(left).vanish()


def _clients(strike: Strike) -> None:
    """One client loses its connection, is cut off, or stands still past its time-out."""
    client = strike.stream.choice(strike.cluster.active())
    draw = strike.stream.randrange(3)
    if draw == 0:
        client.hang_up()
    elif draw == 1:
        client.process.pause()
        long_us = 4 * strike.cluster.plan.session_timeout_ms * US_PER_MS
        strike.at(strike.stream.randrange(long_us), client.process.resume)
    else:
        cut(strike, [(client.process.name, host_name(node)) for node in strike.ids()])


TABLE: Final[dict[str, Callable[[Strike], None]]] = {"clients": _clients, "vanish": _vanish}
