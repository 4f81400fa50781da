"""What a ZooKeeper client meets at each limit of the door, and that it survives it: kazoo, against
a node that is configured tightly."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kazoo import exceptions as errors
from kazoo.client import KazooClient
from kazoo.protocol.states import KazooState

from coord.model.limits import (
    CONNECTION_REQUESTS_MAX,
    EPHEMERALS_PER_SESSION_MAX,
    NAME_BYTES_MAX,
    TXN_OPERATIONS_MAX,
)
from tests.integration.conftest import MakeCluster
from tests.integration.processes import READY_WITHIN_S, Cluster

pytestmark = pytest.mark.needs("kazoo")

HANDSHAKE = bytes.fromhex("0000002d 00000000 0000000000000000 00002710 0000000000000000 00000010")
HANDSHAKE += bytes(17)

Start = Callable[..., Cluster]
Open = Callable[..., Any]


@pytest.fixture
def start(make_cluster: MakeCluster) -> Start:
    """Starts a node on its own with these settings (``__`` for the dot)."""

    def started(**settings: object) -> Cluster:
        cluster = make_cluster(1)
        pairs = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
        flags = [part for pair in pairs for part in ("--set", pair)]
        cluster[1].start(cluster.initial, *flags)
        cluster[1].wait_ready()
        return cluster

    return started


@pytest.fixture
def kazoo() -> Iterator[Open]:
    """Opens clients, closes them with the test."""
    opened: list[Any] = []

    def open_client(cluster: Cluster, *, wait: bool = True) -> Any:
        retry = {"max_tries": -1, "delay": 0.02, "backoff": 1, "max_delay": 0.1}
        client = KazooClient(cluster.hosts, timeout=10, connection_retry=retry)
        opened.append(client)
        if wait:
            client.start(timeout=READY_WITHIN_S)
        else:
            client.start_async()
        return client

    yield open_client
    for client in opened:
        client.stop()
        client.close()


def dial(cluster: Cluster) -> socket.socket:
    """A bare connection to the node."""
    host, port = cluster[1].client.split(":")
    return socket.create_connection((host, int(port)), READY_WITHIN_S)


def is_turned_away(cluster: Cluster) -> bool:
    """One more client is closed without an answer."""
    with dial(cluster) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(HANDSHAKE)
            return connection.recv(1) == b""
        return True


@pytest.mark.parametrize(
    "limits",
    [
        {"limits__connections_per_address_max": 2},
        {"limits__connections_per_address_max": 2, "limits__connections_max": 2},
    ],
    ids=["per-address", "in-all"],
)
def test_a_client_too_many_waits_for_a_place(
    start: Start, kazoo: Open, limits: dict[str, int]
) -> None:
    """Those inside are not disturbed; the one outside gets in as soon as another leaves."""
    cluster = start(**limits)
    first = kazoo(cluster)
    assert not is_turned_away(cluster)
    second = kazoo(cluster)
    first.create("/first", b"", ephemeral=True)
    states: list[str] = []
    first.add_listener(states.append)
    assert is_turned_away(cluster)
    outside = kazoo(cluster, wait=False)
    assert is_turned_away(cluster)
    assert not outside.connected
    assert first.get("/first")[0] == b""

    second.stop()
    second.close()
    outside.create("/late", b"1")
    assert first.get("/late")[0] == b"1"
    assert states == []


class Trouble:
    """What a client is told of its connection."""

    def __init__(self, client: Any) -> None:
        self.states: list[str] = []
        self.back = threading.Event()
        client.add_listener(self._note)

    def _note(self, state: str) -> None:
        self.states.append(state)
        if state == KazooState.CONNECTED:
            self.back.set()


def test_a_request_that_is_too_long_costs_the_connection_not_the_session(
    start: Start, kazoo: Open
) -> None:
    """As with ZooKeeper's jute.maxbuffer: the request is lost, what the session owns is not."""
    cluster = start(zookeeper__request_bytes_max="64KiB")
    client = kazoo(cluster)
    client.create("/small", bytes(60_000))
    client.create("/mine", b"", ephemeral=True)
    session = client.client_id
    trouble = Trouble(client)
    with pytest.raises(errors.ConnectionLoss):
        client.set("/small", bytes(66_000))

    assert trouble.back.wait(READY_WITHIN_S)
    assert trouble.states == [KazooState.SUSPENDED, KazooState.CONNECTED]
    assert client.client_id == session
    assert client.exists("/mine").ephemeralOwner == session[0]
    data, stat = client.get("/small")
    assert (len(data), stat.version) == (60_000, 0)


def test_the_longest_data_by_default_are_those_of_zookeeper(start: Start, kazoo: Open) -> None:
    """The whole request counts: a name, a version and a megabyte do not fit."""
    client = kazoo(start())
    room = 1_048_575 - len("/a") - 4 * 5
    client.create("/a")
    client.set("/a", bytes(room))
    assert client.get("/a")[1].dataLength == room
    trouble = Trouble(client)
    with pytest.raises(errors.ConnectionLoss):
        client.set("/a", bytes(room + 1))

    assert trouble.back.wait(READY_WITHIN_S)
    assert client.get("/a")[1].dataLength == room


def test_more_requests_than_may_wait_are_answered_in_order(start: Start, kazoo: Open) -> None:
    """The node stops reading; nothing is refused, nothing is lost."""
    client = kazoo(start())
    client.create("/n")
    count = 4 * CONNECTION_REQUESTS_MAX
    answers = [client.set_async("/n", b"x" * 100) for _ in range(count)]

    versions = [answer.get(timeout=READY_WITHIN_S).version for answer in answers]
    assert versions == list(range(1, count + 1))


def test_one_ephemeral_node_too_many_is_refused(start: Start, kazoo: Open) -> None:
    """The session, and the ten thousand that it has, stay."""
    client = kazoo(start())
    client.create("/e")
    for batch in range(EPHEMERALS_PER_SESSION_MAX // 500):
        transaction = client.transaction()
        for number in range(500):
            transaction.create(f"/e/{batch}-{number}", b"", ephemeral=True)
        assert all(isinstance(result, str) for result in transaction.commit())
    with pytest.raises(errors.ThrottledOpError):
        client.create("/e/more", b"", ephemeral=True)

    assert client.connected
    assert client.exists("/e").numChildren == EPHEMERALS_PER_SESSION_MAX


def test_a_transaction_and_a_name_that_are_too_long_are_refused(start: Start, kazoo: Open) -> None:
    """As bad arguments, in order with the rest; nothing of them is done."""
    client = kazoo(start())
    transaction = client.transaction()
    for number in range(TXN_OPERATIONS_MAX + 1):
        transaction.create(f"/{number}")
    with pytest.raises(errors.BadArgumentsError):
        transaction.commit()
    with pytest.raises(errors.BadArgumentsError):
        client.create("/" + "x" * (NAME_BYTES_MAX + 1))

    assert client.create("/" + "x" * NAME_BYTES_MAX)
    assert sorted(client.get_children("/")) == ["x" * NAME_BYTES_MAX, "zookeeper"]


def test_zookeepers_clients_can_be_turned_away_altogether(start: Start) -> None:
    """Words are another matter."""
    cluster = start(zookeeper__enabled="false")
    assert is_turned_away(cluster)
    with dial(cluster) as connection:
        connection.sendall(b"ruok")
        assert connection.recv(10) == b"imok"
