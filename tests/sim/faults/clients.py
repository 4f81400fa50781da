"""Clients that are cut off, stand still, or are never heard of again; and one who asks after their
writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from coord.model import requests as rq
from coord.protocol.native_client import Reply
from coord.sim import US_PER_MS, host_name
from tests.sim.faults.networks import cut
from tests.sim.history import Fate
from tests.sim.strike import Strike

CLIENTS_LEFT_MIN: Final = 2
NUMBERS_ASKED: Final = 4
"""So many of a session's last numbers, and the one that would come next."""
SESSIONS_ASKED: Final = 12
"""So many of those opened last, by all clients."""


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


def _mute(strike: Strike) -> None:
    """What one client asks for is done, and it hears nothing of it."""
    name = strike.stream.choice(strike.cluster.active()).process.name
    cut(strike, [(host_name(node), name) for node in strike.ids()])


def _absent(strike: Strike) -> None:
    """One client and all nodes are out of each other's reach."""
    name = strike.stream.choice(strike.cluster.active()).process.name
    nodes = [host_name(node) for node in strike.ids()]
    cut(strike, [pair for node in nodes for pair in ((name, node), (node, name))])


def _fates(strike: Strike) -> None:
    """Somebody who knows the secret of a session, open or ended, asks any node what became of its
    last writes."""
    history, operator = strike.cluster.history, strike.cluster.operator
    known = [life for life in history.sessions.values() if life.secret][-SESSIONS_ASKED:]
    running = [member.id for member in strike.cluster.running()]
    if not known or not running:
        return
    life = strike.stream.choice(known)
    last = max((op.seq for op in history.ops if op.session == life.session), default=0)
    for seq in range(max(1, last - NUMBERS_ASKED), last + 2):
        told = partial(_told, strike, life.session, seq)
        asked: dict[str, object] = {"session": life.session, "seq": seq, "secret": life.secret}
        operator.ask(strike.stream.choice(running), rq.RESULT_OF, asked, told)


def _told(strike: Strike, session: int, seq: int, reply: Reply) -> None:
    outcome, code, revision, body = reply.body
    told = Fate(session, seq, outcome, code, revision, tuple(body))
    strike.cluster.history.fates.append(told)


TABLE: Final[dict[str, Callable[[Strike], None]]] = {
    "clients": _clients,
    "vanish": _vanish,
    "mute": _mute,
    "absent": _absent,
    "fates": _fates,
}
