"""What is counted of a node's connections, and that counting is per read and write."""

from __future__ import annotations

import pytest

from coord.model import requests as rq
from tests.node.single import Single, create, get, put


@pytest.fixture
def single() -> Single:
    """A fresh node that leads itself."""
    return Single()


def test_requests_and_replies_are_counted(single: Single) -> None:
    """The handshake is one of each; what is in flight has been received and not sent."""
    client = single.client()
    client.send(create("/a"), put("/a", b"1"), get("/a"))
    traffic = client.conn.traffic
    assert (traffic.received, traffic.sent) == (4, 1)

    single.run()
    assert (traffic.received, traffic.sent) == (4, 4)
    assert single.node.gateway.traffic.totals(single.node.gateway.connections) == (4, 4)


def test_an_event_counts_as_sent(single: Single) -> None:
    """As in ZooKeeper, where it is a packet."""
    client = single.client()
    client.call(create("/a"))
    client.call(get("/a", watch=True))
    before = client.conn.traffic.sent
    client.call(put("/a", b"1"))

    assert client.conn.traffic.sent == before + 2


def test_totals_outlive_their_connections(single: Single) -> None:
    """A client that leaves takes nothing with it."""
    first, second = single.client(), single.client()
    first.call(create("/a"))
    before = single.node.gateway.traffic.totals(single.node.gateway.connections)
    single.node.gateway.lost(first.conn)

    assert single.node.gateway.traffic.totals(single.node.gateway.connections) == before
    assert second.conn.traffic.received == 1


def test_latency_lasts_until_the_reply_leaves(single: Single) -> None:
    """A write that waits for the disk for 40 ms took 40 ms; one answered at once none."""
    client = single.client()
    client.call(create("/a"))
    single.pass_ms(100)
    single.hands.disk_works = False
    client.send(put("/a", b"1"))
    single.pass_ms(40)
    single.hands.disk_works = True
    single.run()
    latencies = client.conn.traffic.latencies
    assert latencies.last == latencies.max == 40

    single.pass_ms(100)
    client.call(get("/a", level=0))
    assert (latencies.last, latencies.min, latencies.max) == (0, 0, 40)
    assert 0 < latencies.average < 40
    assert single.node.gateway.traffic.latencies.max == 40


def test_one_request_is_timed_at_a_time_and_one_begins_per_tick(single: Single) -> None:
    """However many are asked for: the clock is not read for each of them."""
    client = single.client()
    client.call(create("/a"))
    single.pass_ms(100)
    before = client.conn.traffic.latencies.count
    for _ in range(50):
        client.call(get("/a", level=0))

    assert client.conn.traffic.latencies.count == before + 1
    single.pass_ms(100)
    client.call(get("/a", level=0))
    assert client.conn.traffic.latencies.count == before + 2


def test_the_last_request_is_known_by_its_kind_and_revision(single: Single) -> None:
    """For whoever asks what a client is doing."""
    client = single.client()
    client.call(create("/a"))
    single.pass_ms(100)
    client.call(put("/a", b"1"))

    traffic = client.conn.traffic
    assert traffic.last_request is rq.Set
    assert traffic.last_revision == single.node.reader.revision
    assert traffic.last_sent_ms == single.hands.now_ms
    assert traffic.opened_wall_ms > 1_700_000_000_000


def test_a_reset_of_connections_leaves_the_totals(single: Single) -> None:
    """And one of the totals leaves the connections."""
    client = single.client()
    client.call(create("/a"))
    gateway = single.node.gateway

    gateway.traffic.reset_connections(gateway.connections)
    assert (client.conn.traffic.received, client.conn.traffic.sent) == (0, 0)
    assert client.conn.traffic.latencies.count == 0
    assert gateway.traffic.totals(gateway.connections) == (2, 2)

    client.call(put("/a", b"1"))
    gateway.traffic.reset(gateway.connections)
    assert gateway.traffic.totals(gateway.connections) == (0, 0)
    assert gateway.traffic.latencies.count == 0
    assert client.conn.traffic.received == 1

    client.call(put("/a", b"2"))
    assert gateway.traffic.totals(gateway.connections) == (1, 1)
    single.node.gateway.lost(client.conn)
    assert gateway.traffic.totals(gateway.connections) == (1, 1)


def test_a_reset_while_a_request_is_timed_forgets_it(single: Single) -> None:
    """Its time began before the reset."""
    client = single.client()
    client.call(create("/a"))
    single.pass_ms(100)
    single.hands.disk_works = False
    client.send(put("/a", b"1"))
    single.pass_ms(40)
    gateway = single.node.gateway
    gateway.traffic.reset_connections(gateway.connections)
    single.hands.disk_works = True
    single.run()

    assert client.conn.traffic.latencies.count == 0
