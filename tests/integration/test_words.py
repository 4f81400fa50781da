"""Four-letter words of real nodes, over sockets, as operators' programs ask them."""

from __future__ import annotations

import re
import socket

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NotReadOnlyCallError
from kazoo.protocol.states import KeeperState

from tests.integration.conftest import MakeCluster
from tests.integration.processes import READY_WITHIN_S, Cluster

pytestmark = pytest.mark.needs("kazoo")

NOT_SERVING = "This ZooKeeper instance is not currently serving requests\n"


def ask(address: str, word: bytes) -> str:
    """The whole answer, up to the end of the connection."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), READY_WITHIN_S) as connection:
        connection.sendall(word)
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


def mode(cluster: Cluster, node: int) -> str:
    """What ``srvr`` says of a node; empty while it serves nobody."""
    found = re.search(r"^Mode: (.*)$", ask(cluster[node].client, b"srvr"), re.MULTILINE)
    return found[1] if found else ""


def serving(cluster: Cluster) -> dict[int, str]:
    """The part of each node, once all serve: who is ready may have been heard by nobody yet."""
    while not all((modes := {node: mode(cluster, node) for node in cluster.nodes}).values()):
        pass
    return modes


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """Three nodes as they are by default."""
    made = make_cluster(3)
    made.start()
    return made


def test_a_cluster_as_its_operators_see_it(cluster: Cluster) -> None:
    """One leads and knows two synced followers; the words that change or list are not answered.
    When the majority has gone, the node that is left says that it serves nobody."""
    modes = serving(cluster)
    assert sorted(modes.values()) == ["follower", "follower", "leader"]
    leader = next(node for node, part in modes.items() if part == "leader")
    followers = [node for node in modes if node != leader]
    rows = dict(line.split("\t") for line in ask(cluster[leader].client, b"mntr").splitlines())
    assert rows["zk_server_state"] == "leader"
    assert rows["zk_learners"] == rows["zk_synced_followers"] == "2"
    assert int(rows["zk_open_file_descriptor_count"]) > 5
    follower = cluster[followers[0]].client
    assert "zk_synced_followers" not in ask(follower, b"mntr")
    for node in cluster.nodes.values():
        line = rf"^server\.{node.id}={node.peer}:\d+:participant;{node.client}$"
        assert re.search(line, ask(follower, b"conf"), re.MULTILINE)
    assert ask(follower, b"ruok\n") == "imok"
    assert ask(follower, b"isro") == "rw"
    assert int(ask(follower, b"dirs").split()[3]) > 0
    refusal = "crst is not executed because it is not in the whitelist.\n"
    assert ask(follower, b"crst") == refusal

    for gone in (leader, followers[1]):
        cluster[gone].kill()
    while mode(cluster, followers[0]):
        pass
    assert ask(follower, b"stat") == ask(follower, b"mntr") == NOT_SERVING
    assert ask(follower, b"ruok") == "imok"
    assert ask(follower, b"isro") == "null"
    assert ask(follower, b"envi").startswith("Environment:\nzookeeper.version=3.9.")


def test_a_node_that_is_left_alone_serves_reads_if_it_may(make_cluster: MakeCluster) -> None:
    """It says so, and a client that is content with that finds it and reads."""
    cluster = make_cluster(3)
    for node in cluster.nodes.values():
        node.start(cluster.initial, "--set", "zookeeper.read_only=true")
    for node in cluster.nodes.values():
        node.wait_ready()
    serving(cluster)
    for gone in (1, 2):
        cluster[gone].kill()
    while mode(cluster, 3) != "read-only":
        pass
    assert ask(cluster[3].client, b"isro") == "ro"

    client = KazooClient(cluster[3].client, read_only=True)
    client.start(READY_WITHIN_S)
    assert client.get_children("/") == ["zookeeper"]
    assert client.client_state == KeeperState.CONNECTED_RO
    with pytest.raises(NotReadOnlyCallError):
        client.create("/a")
    client.stop()
    client.close()


def test_words_are_configured(make_cluster: MakeCluster) -> None:
    """All of them, for a node on its own; then none at all."""
    cluster = make_cluster(1)
    cluster[1].start(cluster.initial, environment={"COORD_ZOOKEEPER_WORDS": "*"})
    cluster[1].wait_ready()
    assert serving(cluster) == {1: "standalone"}
    assert ask(cluster[1].client, b"srst") == "Server stats reset.\n"
    assert ask(cluster[1].client, b"dump").startswith("SessionTracker dump:\n")

    cluster[1].kill()
    cluster[1].start(cluster.initial, "--set", "zookeeper.words=")
    cluster[1].wait_ready()
    assert ask(cluster[1].client, b"ruok") == ""
