"""Paths that are cut, in one direction or both, between some and not others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from coord.sim import US_PER_MS, US_PER_S, host_name
from tests.sim.app_client import AppClient
from tests.sim.strike import Cut, Strike, both_ways

FLAP_US_MAX: Final = 300_000
BURST_THINK_MS: Final = 100
BURST_US: Final = 600_000
"""A leader that hears nobody leaves a little earlier."""
GATHERED_US: Final = US_PER_S
"""A client that has lost patience with one node is with another by then."""
SUCCEEDED_US: Final = 3 * US_PER_S // 2
"""Another leads by then."""
LOSSY_PPM: Final = 200_000


def cut(strike: Strike, pairs: Cut) -> None:
    """Cut these directions, and heal them in time."""
    network = strike.cluster.network
    _each(network.cut, pairs)
    strike.later(partial(_each, network.heal, pairs))


def _isolate(strike: Strike) -> None:
    """One node from all others; its clients can still reach it."""
    one = strike.whom().id
    cut(strike, both_ways([one], strike.others(one)))


def _diverge(strike: Strike) -> None:
    """The leader is cut off from the others while its clients write as fast as they can: it goes on
    appending what can never be committed, and must give it up when it comes back."""
    leaders = [member.id for member in strike.cluster.running() if member.leads]
    for client in strike.cluster.active():
        if not isinstance(client, AppClient) and client.process.alive:
            usual_ms = client.think_ms
            client.hurry()
            client.think_ms = min(client.think_ms, BURST_THINK_MS)
            strike.at(BURST_US, partial(setattr, client, "think_ms", usual_ms))
    one = leaders[0] if leaders else strike.whom().id
    cut(strike, both_ways([one], strike.others(one)))


def _strand(strike: Strike) -> None:
    """All clients gather at the leader, and it is cut off together with them: its log grows while
    the others elect another, whom one client finds. They meet when both have much to say."""
    leaders = [member.id for member in strike.cluster.running() if member.leads]
    one = leaders[0] if leaders else strike.whom().id
    others, network = strike.others(one), strike.cluster.network
    clients = [client.process.name for client in strike.cluster.active()]
    away = {
        name: [pair for node in map(host_name, others) for pair in ((name, node), (node, name))]
        for name in clients
    }
    apart = both_ways([one], others)
    alone_us = GATHERED_US + strike.cluster.plan.patience_ms * US_PER_MS
    found_us = alone_us + SUCCEEDED_US
    for pairs in away.values():
        _each(network.cut, pairs)
        strike.at(found_us + strike.length_us, partial(_each, network.heal, pairs))
    strike.at(alone_us, partial(_each, network.cut, apart))
    strike.at(found_us, partial(_each, network.heal, away[strike.stream.choice(clients)]))
    # What waits for the path is lost: the others' log is told from its end.
    strike.at(found_us + strike.length_us, partial(_each, network.break_streams, apart))
    strike.at(found_us + strike.length_us, partial(_each, network.heal, apart))


def _one_way(strike: Strike) -> None:
    """One node hears nobody, or nobody hears it."""
    one = strike.whom().id
    pairs = both_ways([one], strike.others(one))
    cut(strike, pairs[strike.stream.randrange(2) :: 2])


def _halves(strike: Strike) -> None:
    ids = strike.ids()
    strike.stream.shuffle(ids)
    middle = len(ids) // 2
    cut(strike, both_ways(ids[:middle], ids[middle:]))


def _partial(strike: Strike) -> None:
    """Not everybody sees everybody, and yet nobody is alone: a pair is cut and both see the rest;
    two halves meet in one node; or each sees the next in a ring and not those across."""
    ids = strike.ids()
    strike.stream.shuffle(ids)
    draw = strike.stream.randrange(3)
    if draw == 0:
        pairs = both_ways(ids[:1], ids[1:2])
    elif draw == 1:
        middle = len(ids) // 2
        pairs = both_ways(ids[:middle], ids[middle + 1 :])
    else:
        pairs = [
            pair
            for at, one in enumerate(ids)
            for two in ids[at + 2 : len(ids) - (at == 0)]
            for pair in both_ways([one], [two])
        ]
    cut(strike, pairs)


def _clog(strike: Strike) -> None:
    """What one node sends to another arrives much later, in order, then what the other sends."""
    one = strike.whom().id
    two = strike.stream.choice(strike.others(one))
    for frm, to in both_ways([one], [two])[: strike.stream.randrange(1, 3)]:
        strike.cluster.network.clog(frm, to, strike.length_us)


def _swizzle(strike: Strike) -> None:
    """Nodes are cut off one after the other and come back in another order."""
    ids = strike.ids()
    strike.stream.shuffle(ids)
    back = ids.copy()
    strike.stream.shuffle(back)
    network, step_us = strike.cluster.network, strike.length_us // (2 * len(ids))
    for at, one in enumerate(ids):
        pairs = both_ways([one], [node for node in ids if node != one])
        opened_us = strike.length_us // 2 + back.index(one) * step_us
        strike.at(at * step_us, partial(_each, network.cut, pairs))
        strike.at(opened_us, partial(_each, network.heal, pairs))


def _flap(strike: Strike) -> None:
    """The paths of one node are there, gone, there, gone."""
    one = strike.whom().id
    pairs = both_ways([one], strike.others(one))
    network, at_us = strike.cluster.network, 0
    while at_us < strike.length_us:
        strike.at(at_us, partial(_each, network.cut, pairs))
        at_us += strike.stream.randrange(FLAP_US_MAX)
        strike.at(at_us, partial(_each, network.heal, pairs))
        at_us += strike.stream.randrange(FLAP_US_MAX)


def _each(act: Callable[[str, str], None], pairs: Cut) -> None:
    for frm, to in pairs:
        act(frm, to)


def _break(strike: Strike) -> None:
    """Reset all streams between two nodes."""
    one = strike.whom().id
    two = strike.stream.choice(strike.others(one))
    strike.cluster.network.break_streams(host_name(one), host_name(two))


def _lossy(strike: Strike) -> None:
    """Batches are lost, doubled and overtaken everywhere, streams break."""
    cluster, chances = strike.cluster, (0, LOSSY_PPM // 4, LOSSY_PPM)
    cluster.network.conditions = replace(
        cluster.plan.weather,
        break_ppm=strike.stream.choice(chances) // 10,
        drop_ppm=strike.stream.choice(chances),
        duplicate_ppm=strike.stream.choice(chances),
        reorder_ppm=strike.stream.choice(chances),
    )
    strike.later(cluster.usual_weather)


TABLE: Final[dict[str, Callable[[Strike], None]]] = {
    "isolate": _isolate,
    "diverge": _diverge,
    "strand": _strand,
    "one-way": _one_way,
    "halves": _halves,
    "partial": _partial,
    "clog": _clog,
    "swizzle": _swizzle,
    "flap": _flap,
    "break": _break,
    "lossy": _lossy,
}
