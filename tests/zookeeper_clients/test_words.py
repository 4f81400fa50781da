"""Four-letter words in ZooKeeper's format: one grammar, which ZooKeeper's answers meet as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from kazoo.client import KazooClient

from tests.zookeeper_clients.ensembles import NODES, SESSION_MS, Ensemble, four_letter_word
from tests.zookeeper_clients.lab import PATIENCE_S, Lab, wait_until

pytestmark = pytest.mark.needs("kazoo")

VERSION: Final = r"3\.\d\.\d+-[^\n]+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC"
SERVER: Final = r"""Latency min/avg/max: \d+/\d+\.\d{1,4}/\d+
Received: \d+
Sent: \d+
Connections: \d+
Outstanding: \d+
Zxid: 0x[0-9a-f]+
Mode: (leader|follower)
Node count: \d+
(Proposal sizes last/min/max: -?\d+/-?\d+/-?\d+
)?"""
ADDRESS: Final = r"/127\.0\.0\.1:\d+"
BRIEF: Final = rf" {ADDRESS}\[[0145]\]\(queued=\d+,recved=\d+,sent=\d+"
SESSION: Final = "0x[0-9a-f]+"
WHOLE: Final = (
    rf"{BRIEF}(,sid={SESSION},lop=[A-Z]{{2,6}},est=\d{{13}},to=\d+(,lcxid=0x[0-9a-f]+)?,"
    r"lzxid=0x[0-9a-f]+,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+)?\)"
)
SETS: Final = (
    r" Sets \(\d+\)/\(\d+\):\n"
    r"(\d+ expire at [A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d [A-Z]+ \d{4}:\n(\t[^\n]+\n)*)*"
)

GRAMMAR: Final = {
    "ruok": "imok",
    "srvr": rf"Zookeeper version: {VERSION}\n{SERVER}",
    "stat": rf"Zookeeper version: {VERSION}\nClients:\n({BRIEF}\)\n)*\n{SERVER}",
    "cons": rf"({WHOLE}\n)*\n",
    "isro": "rw",
    "envi": rf"Environment:\nzookeeper\.version={VERSION}\nhost\.name=[^\n]*\n([a-z.]+=[^\n]*\n)+",
    "wchs": r"\d+ connections watching \d+ paths\nTotal watches:\d+\n",
    "wchc": rf"({SESSION}\n(\t/[^\n]*\n)+)*\n",
    "wchp": rf"(/[^\n]*\n(\t{SESSION}\n)+)*\n",
    "dump": (
        rf"SessionTracker dump:\n(Session{SETS}|Global Sessions\(\d+\):\n({SESSION}\t\d+ms\n)*)"
        rf"ephemeral nodes dump:\nSessions with Ephemerals \(\d+\):\n({SESSION}:\n(\t/[^\n]*\n)+)*"
        rf"Connections dump:\nConnections{SETS}"
    ),
    "dirs": r"datadir_size: \d+\nlogdir_size: \d+\n",
    "crst": r"Connection stats reset\.\n",
    "srst": r"Server stats reset\.\n",
    "mntr": rf"zk_version\t{VERSION}\n(zk_[\w-]+\t[^\n\t]+\n)+",
    "conf": (
        r"clientPort=\d+\nsecureClientPort=-1\ndataDir=[^\n]+\ndataDirSize=\d+\ndataLogDir=[^\n]+\n"
        r"dataLogSize=\d+\ntickTime=\d+\nmaxClientCnxns=\d+\nminSessionTimeout=\d+\n"
        r"maxSessionTimeout=\d+\nclientPortListenBacklog=-1\nserverId=\d\ninitLimit=\d+\n"
        r"syncLimit=\d+\nelectionAlg=3\nelectionPort=\d+\nquorumPort=\d+\npeerType=0\n"
        r"membership: \n(server\.\d=[^\n]+\n){3}version=[0-9a-f]+"
    ),
}
ROWS_OF_ALL: Final = {
    "zk_version", "zk_server_state", "zk_peer_state", "zk_ephemerals_count",
    "zk_num_alive_connections", "zk_avg_latency", "zk_min_latency", "zk_max_latency",
    "zk_outstanding_requests", "zk_znode_count", "zk_global_sessions", "zk_local_sessions",
    "zk_packets_sent", "zk_packets_received", "zk_watch_count", "zk_approximate_data_size",
    "zk_open_file_descriptor_count", "zk_max_file_descriptor_count", "zk_uptime",
    "zk_quorum_size", "zk_snap_count", "zk_commit_count", "zk_connection_rejected",
}  # fmt: skip
ROWS_OF_LEADER: Final = {
    "zk_learners", "zk_synced_followers", "zk_synced_non_voting_followers",
    "zk_synced_observers", "zk_pending_syncs",
}  # fmt: skip


@pytest.fixture
def zk(lab: Lab) -> Iterator[Any]:
    """A client with an ephemeral node and watches of three kinds."""
    client = KazooClient(lab.hosts + lab.root, timeout=SESSION_MS / 1_000)
    client.start(timeout=PATIENCE_S)
    client.create("/owned", b"", ephemeral=True)
    client.get("/owned", watch=print)
    client.get_children("/", watch=print)
    client.exists("/missing", watch=print)
    yield client
    client.stop()
    client.close()


def ask(ensemble: Ensemble, node: int, word: str) -> str:
    """The answer of one node."""
    return four_letter_word(ensemble.addresses[node], word.encode()).decode()


@pytest.mark.parametrize("word", GRAMMAR)
def test_every_answer_has_the_form_that_programs_know(
    ensemble: Ensemble, zk: Any, word: str
) -> None:
    """From the leader and from followers, with a client connected to one of them."""
    for node in NODES:
        answer = ask(ensemble, node, word)
        assert re.fullmatch(GRAMMAR[word], answer), answer


def test_one_leads_and_the_rows_of_mntr_say_what_that_means(ensemble: Ensemble, zk: Any) -> None:
    """Every row that a dashboard may rely on is there, with a number where one belongs."""
    states = []
    for node in NODES:
        rows = dict(line.split("\t") for line in ask(ensemble, node, "mntr").splitlines())
        states.append(rows.pop("zk_server_state"))
        missing = (ROWS_OF_ALL | ROWS_OF_LEADER) - rows.keys() - {"zk_server_state"}
        assert missing == (set() if states[-1] == "leader" else ROWS_OF_LEADER)
        texts = {name for name, value in rows.items() if not re.fullmatch(r"-?[\d.]+", value)}
        assert texts == {"zk_version", "zk_peer_state"}

    assert sorted(states) == ["follower", "follower", "leader"]


def test_what_a_client_owns_and_watches_is_listed(ensemble: Ensemble, lab: Lab, zk: Any) -> None:
    """On the node it is connected to; ephemeral nodes on every node."""
    session = f"{zk.client_id[0]:#x}"
    (here,) = (node for node in NODES if f",sid={session}," in ask(ensemble, node, "cons"))

    assert f"\n\t{lab.root}/owned\n" in ask(ensemble, here, "wchc")
    assert f"{lab.root}/missing\n\t{session}\n" in ask(ensemble, here, "wchp")
    assert f" sessionId: {session}\n" in ask(ensemble, here, "dump")
    owned = f"{session}:\n\t{lab.root}/owned\n"
    wait_until(lambda: all(owned in ask(ensemble, node, "dump") for node in NODES), "dumps")


def test_an_unknown_word_gets_no_answer(ensemble: Ensemble) -> None:
    """It may be half of anything."""
    assert ask(ensemble, 1, "boom") == ""
