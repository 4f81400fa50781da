"""Three real nodes: what must hold across them, through each wire and between the two."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from coord.model import requests as rq
from coord.model.znode import CreateMode
from tests.behaviour.clients import (
    Client,
    SocketClient,
    children,
    create,
    exists,
    get,
    multi,
    put,
    watch,
)
from tests.behaviour.wires import PERSISTENT, RECURSIVE, WIRES, Answer, Event
from tests.integration.processes import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("behaviour-cluster")]

EPHEMERAL = int(CreateMode.EPHEMERAL)
SEQUENTIAL = int(CreateMode.PERSISTENT_SEQUENTIAL)
NO_NODE = -101


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Shared by the tests that break nothing; each works below a node of its own."""
    cluster = Cluster(tmp_path_factory.mktemp("behaviour"), 3)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


class Crew:
    """Clients of one test, closed with it."""

    def __init__(self, cluster: Cluster, wire: str) -> None:
        self.cluster = cluster
        self._wire = wire
        self._made: list[SocketClient] = []

    def connect(self, node: int, wire: str = "") -> SocketClient:
        """A connection that has said nothing yet."""
        client = SocketClient(self.cluster[node].client, wire or self._wire)
        self._made.append(client)
        return client

    def new(self, node: int, wire: str = "", timeout_ms: int = 10_000) -> SocketClient:
        """A client with a session."""
        client = self.connect(node, wire)
        assert client.open(timeout_ms=timeout_ms).session > 0
        return client

    def close(self) -> None:
        """Drop them all."""
        for client in self._made:
            client.drop()


@pytest.fixture
def crew(cluster: Cluster, wire: str) -> Iterator[Crew]:
    """Clients of the shared cluster."""
    crew = Crew(cluster, wire)
    yield crew
    crew.close()


_numbers = itertools.count()


@pytest.fixture
def root(crew: Crew) -> str:
    """A node of the test's own, known on every node of the cluster."""
    path = f"/test-{next(_numbers)}"
    client = crew.new(1)
    client.ok(create(path))
    for node in (2, 3):
        crew.new(node).ok(rq.Sync("/"))
    return path


def test_written_here_read_there(crew: Crew, root: str) -> None:
    """Behind a barrier every node shows what any has acknowledged: values, Stats, names."""
    clients = [crew.new(node) for node in (1, 2, 3)]
    for number, client in enumerate(clients):
        _, stat = client.ok(create(f"{root}/n-", b"%d" % number, SEQUENTIAL))
        for other in clients:
            other.ok(rq.Sync(root))
            assert other.ok(get(f"{root}/n-{number:010}")) == (b"%d" % number, stat)
    listings = [client.ok(children(root)) for client in clients]
    assert listings[0] == listings[1] == listings[2]
    assert listings[0][0] == [f"n-{number:010}" for number in range(3)]


def test_sequential_names_are_unique_across_nodes(crew: Crew, root: str) -> None:
    """Three clients on three nodes at once: no number twice, none left out."""
    clients = [crew.new(node) for node in (1, 2, 3)]
    sent = [
        (client, client.send(*[create(f"{root}/", mode=SEQUENTIAL)] * 30)) for client in clients
    ]
    made = [client.answer(identity).body[0] for client, ids in sent for identity in ids]
    assert sorted(made) == [f"{root}/{number:010}" for number in range(90)]


def test_one_of_many_wins(crew: Crew, root: str) -> None:
    """Transactions on one version, from every node: one succeeds, the others change nothing."""
    clients = [crew.new(node) for node in (1, 2, 3)]
    attempt = [
        client.send(multi(rq.Check(root, 0), put(root, b"%d" % n), create(f"{root}/{n}")))[0]
        for n, client in enumerate(clients)
    ]
    answers = [client.answer(one) for client, one in zip(clients, attempt, strict=True)]
    assert sorted(answer.code for answer in answers) == [-103, -103, 0]
    winner = next(n for n, answer in enumerate(answers) if answer.code == 0)
    clients[0].ok(rq.Sync(root))
    assert clients[0].ok(get(root))[0] == b"%d" % winner
    assert clients[0].ok(children(root))[0] == [str(winner)]


def test_a_watch_hears_of_other_nodes(crew: Crew, root: str) -> None:
    """In order, each once, and before any reply that shows the change."""
    watcher, writer = crew.new(2), crew.new(1)
    watcher.ok(watch(root, RECURSIVE))
    ids = writer.send(*(put(root, b"%d" % number) for number in range(50)))
    reads: list[Answer] = []
    while not reads or reads[-1].body[0] != b"49":
        reads.append(watcher.call(get(root)))
    answers = [writer.answer(identity) for identity in ids]
    heard = [message for message in watcher.received if isinstance(message, Event)]
    assert [event.revision for event in heard] == [answer.revision for answer in answers]
    for read in reads:
        before = watcher.received[: watcher.received.index(read)]
        known = [event for event in before if isinstance(event, Event)]
        _, stat = read.body
        assert stat["version"] <= len(known)


def test_a_session_on_another_node(crew: Crew, root: str) -> None:
    """Its connection is cut; the next one, elsewhere, has its nodes and sees its writes."""
    first = crew.new(1)
    first.ok(create(f"{root}/e", mode=EPHEMERAL))
    first.ok(put(root, b"seen"))
    assert first.opened is not None
    session, secret, _ = first.opened
    first.drop()

    second = crew.connect(3)
    assert second.open(session, secret).session == session
    assert second.ok(get(root))[0] == b"seen"
    assert second.ok(exists(f"{root}/e"))[0]["ephemeral_owner"] == session
    second.ok(put(f"{root}/e", b"still mine"))
    onlooker = crew.new(2)
    closed = second.call(rq.Close())
    onlooker.ok(rq.Sync(root))
    assert onlooker.code(exists(f"{root}/e")) == NO_NODE
    assert onlooker.ok(exists(root))[0]["pzxid"] == closed.revision


def test_a_session_taken_over_by_another_node(crew: Crew, root: str) -> None:
    """The older connection, alive on its node, is hung up on; its writes go nowhere."""
    first = crew.new(1)
    assert first.opened is not None
    second = crew.connect(2)
    assert second.open(first.opened.session, first.opened.secret).session > 0
    first.wait_closed()
    assert second.ok(put(root, b"mine"))[0]["version"] == 1


def test_a_session_that_falls_silent(crew: Crew, root: str) -> None:
    """Its nodes go, and other nodes' clients hear of it."""
    silent, watcher = crew.new(1, timeout_ms=1_000), crew.new(2)
    silent.ok(create(f"{root}/e", mode=EPHEMERAL))
    watcher.ok(rq.Sync(root))
    watcher.ok(watch(root, PERSISTENT))
    watcher.ok(exists(f"{root}/e", watch=True))
    assert silent.opened is not None
    silent.drop()
    heard = _events_after(watcher)
    assert [(event.kind, event.path) for event in heard] == [(2, f"{root}/e"), (4, root)]
    assert heard[0].revision == heard[1].revision
    again = crew.connect(3)
    assert again.open(silent.opened.session, silent.opened.secret).session == 0


def _events_after(watcher: Client) -> list[Event]:
    """The events of the next change, which may take its time."""
    while not any(isinstance(message, Event) for message in watcher.received):
        assert watcher.progress()
    watcher.ok(rq.Sync("/"))
    return [message for message in watcher.received if isinstance(message, Event)]


def test_both_wires_between_nodes(crew: Crew, root: str) -> None:
    """What one wire writes on one node is heard and read through the other on another."""
    for writing, reading in itertools.permutations(WIRES):
        writer, reader = crew.new(1, writing), crew.new(3, reading)
        reader.ok(exists(root, watch=True))
        reader.ok(children(root, watch=True))
        answer = writer.call(multi(put(root, writing.encode()), create(f"{root}/{writing}")))
        assert reader.events() == [(3, root), (4, root)]
        data, stat = reader.ok(get(root))
        assert (data, stat["mzxid"]) == (writing.encode(), answer.revision)


def test_a_killed_node(tmp_path: Path, wire: str) -> None:
    """The leader dies: its clients attach to the survivors with sessions, nodes and what was
    acknowledged intact, and go on writing."""
    cluster = Cluster(tmp_path, 3)
    crew = Crew(cluster, wire)
    try:
        leader = cluster.start()
        others = [node for node in cluster.nodes if node != leader]
        client, onlooker = crew.new(leader), crew.new(others[0])
        client.ok(create("/a", b"acknowledged"))
        client.ok(create("/a/n-", mode=SEQUENTIAL))
        client.ok(create("/e", mode=EPHEMERAL))
        onlooker.ok(rq.Sync("/"))
        onlooker.ok(watch("/a", PERSISTENT))
        cluster[leader].kill()
        client.wait_closed()

        assert client.opened is not None
        again = crew.connect(others[1])
        assert again.open(client.opened.session, client.opened.secret).session > 0
        assert again.ok(get("/a"))[0] == b"acknowledged"
        assert again.ok(create("/a/n-", mode=SEQUENTIAL))[0] == "/a/n-0000000001"
        assert again.ok(put("/e", b"mine"))[0]["version"] == 1
        assert onlooker.events() == [(4, "/a")]
        assert onlooker.ok(exists("/e"))[0]["ephemeral_owner"] == client.opened.session
    finally:
        crew.close()
        cluster.close()
