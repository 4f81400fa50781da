"""TTL and container nodes go when the leader looks for them, as often as it is told to."""

from __future__ import annotations

import pytest

from coord.model import requests as rq
from coord.model.acl import OPEN
from coord.model.limits import TICK_MS
from coord.node.housekeeping import REAP_BATCH
from tests.node.single import Peer, Single, create

CONTAINER = 4
TTL = 5
STEP_MS = 10
LOOK_MS = 10_000


def age_when_gone(single: Single, client: Peer, *paths: str) -> int:
    """Milliseconds until none of the nodes is there any more."""
    started_ms = single.hands.now_ms
    while any(client.call(rq.Exists(path, False, 1)).code == 0 for path in paths):
        assert single.hands.now_ms - started_ms < 60_000
        single.pass_ms(STEP_MS)
    return single.hands.now_ms - started_ms


@pytest.mark.parametrize("interval_ms", [500, 4_000])
def test_nodes_are_reaped_at_the_next_look(interval_ms: int) -> None:
    """Not before, however long their time has been over; and one look is an interval after the
    other."""
    single = Single(reap_interval_ms=interval_ms)
    client = single.client()
    client.call(rq.Create("/first", b"", OPEN, TTL, 100))
    age_when_gone(single, client, "/first")

    client.call(rq.Create("/ttl", b"", OPEN, TTL, 100))
    client.call(rq.Create("/container", b"", OPEN, CONTAINER, 0))
    client.call(create("/container/child"))
    client.call(rq.Delete("/container/child", -1))
    assert age_when_gone(single, client, "/ttl", "/container") == pytest.approx(
        interval_ms, abs=TICK_MS + STEP_MS
    )


def test_one_look_is_enough_for_many_nodes() -> None:
    """They go batch by batch, without waiting for the next look each time."""
    single = Single(reap_interval_ms=LOOK_MS)
    client = single.client()
    client.call(rq.Create("/first", b"", OPEN, TTL, 100))
    age_when_gone(single, client, "/first")

    paths = [f"/ttl-{number}" for number in range(2 * REAP_BATCH + 1)]
    for path in paths:
        client.call(rq.Create(path, b"", OPEN, TTL, 100))
    assert LOOK_MS <= age_when_gone(single, client, *paths) < 2 * LOOK_MS
