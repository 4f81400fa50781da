"""Which words are answered, with what of a running node; and what one says that is not serving."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coord.model import requests as rq
from coord.model.acl import OPEN
from coord.protocol.sniff import FOUR_LETTER_WORDS
from coord.server.words import collect, machine
from coord.server.words.collect import Collector
from coord.server.words.desk import ALWAYS, WHILE_SERVING, WordDesk
from tests.node.single import Peer, Single, create, get, put
from tests.server.test_word_formats import SETTINGS

VERSION = "3.9.3-coord-0.1.0, built on 2026-01-31 12:00 UTC"


class Office:
    """A node on its own, and a desk that answers about it."""

    def __init__(self, directory: Path, allowed: str | None = None, **settings: Any) -> None:
        self.single = Single(**settings)
        listener = cast("Any", SimpleNamespace(connections=2, refused=7))
        self.collector = Collector(self.single.node, listener, VERSION, directory, SETTINGS)
        words = {word.decode() for word in FOUR_LETTER_WORDS}
        self.desk = WordDesk(self.collector, words if allowed is None else allowed.split())

    def ask(self, word: str) -> str:
        """The answer; there must be one."""
        answer = self.desk.answer(word.encode())
        assert answer is not None
        return answer.decode()

    def row(self, name: str) -> str:
        """A value of ``mntr``."""
        rows = dict(line.split("\t") for line in self.ask("mntr").splitlines())
        return rows[f"zk_{name}"]

    def lose_leader(self) -> None:
        """As if the majority were gone."""
        self.single.node.raft.woke_after_stall()
        assert not self.single.node.raft.leader


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """All words are allowed."""
    return Office(tmp_path)


def ephemeral(path: str) -> rq.Create:
    """Gone with its session."""
    return rq.Create(path, b"", OPEN, 1, 0)


def test_every_word_has_an_answer(office: Office) -> None:
    """What is taken for a word at the door is one at the desk."""
    assert {word.encode() for word in {*ALWAYS, *WHILE_SERVING}} == FOUR_LETTER_WORDS
    for word in FOUR_LETTER_WORDS:
        assert office.desk.answer(word)


@pytest.mark.parametrize("word", [b"boom", b"\xff\xfe\x00\x01", b"MNTR", b""])
def test_what_is_no_word_is_not_answered(office: Office, word: bytes) -> None:
    """It is not echoed either."""
    assert office.desk.answer(word) is None


def test_a_word_that_is_not_allowed_is_refused_by_name(tmp_path: Path) -> None:
    """In ZooKeeper's words, and without doing it."""
    office = Office(tmp_path, allowed="ruok mntr")
    client = office.single.client()
    received = client.conn.traffic.received

    assert office.ask("crst") == "crst is not executed because it is not in the whitelist.\n"
    assert client.conn.traffic.received == received
    assert office.ask("ruok") == "imok"


def test_without_a_leader_most_words_say_so(office: Office) -> None:
    """But the node is alive, knows what it is, and is neither writable nor read-only."""
    office.lose_leader()

    for word in WHILE_SERVING:
        assert office.ask(word) == "This ZooKeeper instance is not currently serving requests\n"
    assert office.ask("ruok") == "imok"
    assert office.ask("isro") == "null"
    assert office.ask("envi").startswith(f"Environment:\nzookeeper.version={VERSION}\n")


def test_a_node_that_is_cut_off_is_not_serving(office: Office) -> None:
    """It turns ZooKeeper's clients away; a probe must see that."""
    office.single.node.gateway.set_cut_off(True)

    assert "not currently serving" in office.ask("srvr")


def test_a_read_only_node_says_so(tmp_path: Path) -> None:
    """Clients that look for such a node, like kazoo's, ask ``isro``."""
    office = Office(tmp_path, read_only=True)
    assert office.ask("isro") == "rw"
    office.lose_leader()
    office.single.node.gateway.set_cut_off(True)

    assert office.ask("isro") == "ro"
    first, second, *_ = office.ask("srvr").splitlines()
    assert first == f"Zookeeper version: {VERSION}"
    assert second == "READ-ONLY mode; serving only read-only clients"
    assert "\nMode: read-only\n" in office.ask("stat")
    assert office.row("server_state") == "read-only"


def test_the_server_in_numbers(office: Office) -> None:
    """Nodes are counted with those that every tree has; requests with the handshake."""
    client = office.single.client()
    client.call(create("/a", b"x" * 100))
    client.call(ephemeral("/a-e"))
    client.call(get("/a", watch=True))
    client.call(rq.Children("/", True, 1, "", 0, 0))

    text = office.ask("srvr")
    assert text.startswith(f"Zookeeper version: {VERSION}\nLatency min/avg/max: 0/")
    assert "\nReceived: 5\nSent: 5\nConnections: 2\nOutstanding: 0\n" in text
    assert f"\nZxid: {office.single.node.reader.revision:#x}\n" in text
    assert text.endswith("\nMode: standalone\nNode count: 6\n")
    assert office.row("znode_count") == "6"
    assert office.row("ephemerals_count") == "1"
    assert office.row("watch_count") == "2"
    assert office.row("global_sessions") == "1"
    assert office.row("connection_rejected") == "7"
    assert office.row("server_state") == "standalone"
    assert office.ask("isro") == "rw"


def test_data_grow_with_what_is_stored_and_shrink_again(office: Office) -> None:
    """From totals that the tree keeps; history does not count."""
    client = office.single.client()
    client.call(create("/a"))
    before = int(office.row("approximate_data_size"))
    client.call(put("/a", b"x" * 1_000))
    grown = int(office.row("approximate_data_size"))
    client.call(put("/a", b""))

    assert 900 <= grown - before <= 1_500
    assert int(office.row("approximate_data_size")) < grown - 900


def test_requests_in_flight_are_outstanding(office: Office) -> None:
    """Until the disk has them."""
    client = office.single.client()
    client.call(create("/a"))
    office.single.hands.disk_works = False
    client.send(put("/a", b"1"), put("/a", b"2"), get("/a"))

    assert office.row("outstanding_requests") == "3"
    assert "(queued=3," in office.ask("stat")


def test_a_client_in_one_line(office: Office) -> None:
    """Brief in ``stat``, whole in ``cons``."""
    client = office.single.client()
    office.single.pass_ms(100)
    client.call(create("/a"))

    assert "\nClients:\n /198.51.100.7:4000[1](queued=0,recved=2,sent=2)\n\n" in office.ask("stat")
    session, revision = client.conn.session, office.single.node.reader.revision
    assert re.fullmatch(
        rf" /198\.51\.100\.7:4000\[1\]\(queued=0,recved=2,sent=2,sid={session:#x},lop=CREA,"
        rf"est=17000000\d+,to=10000,lzxid={revision:#x},lresp=\d+,llat=0,minlat=0,avglat=0,"
        r"maxlat=0\)\n\n",
        office.ask("cons"),
    )


def test_a_client_that_is_not_read_shows_it(office: Office) -> None:
    """Bit 1: its requests are read; bit 4: it does not read its replies."""
    peer = Peer(office.single)
    office.single.node.gateway.congested(peer.conn)
    peer.conn.hush()

    assert office.ask("cons") == " /198.51.100.7:4000[4](queued=0,recved=0,sent=0)\n\n"


def test_watches_by_session_and_by_path(office: Office) -> None:
    """Of all kinds."""
    first, second = office.single.client(), office.single.client()
    first.call(create("/a"))
    first.call(get("/a", watch=True))
    first.call(rq.Children("/", True, 1, "", 0, 0))
    second.call(get("/a", watch=True))
    one, two = first.conn.session, second.conn.session

    assert office.ask("wchs") == "2 connections watching 2 paths\nTotal watches:3\n"
    assert office.ask("wchc") == f"{one:#x}\n\t/\n\t/a\n{two:#x}\n\t/a\n\n"
    assert office.ask("wchp") == f"/\n\t{one:#x}\n/a\n\t{one:#x}\n\t{two:#x}\n\n"


def test_dump_of_a_leader(office: Office) -> None:
    """Sessions by deadline, ephemeral nodes by session, connections by address."""
    client = office.single.client()
    client.call(ephemeral("/e"))
    session = client.conn.session
    text = office.ask("dump")

    assert text.startswith("SessionTracker dump:\nSession Sets (1)/(1):\n1 expire at ")
    assert f"ephemeral nodes dump:\nSessions with Ephemerals (1):\n{session:#x}:\n\t/e\n" in text
    assert text.endswith(f"\tip: /198.51.100.7:4000 sessionId: {session:#x}\n")


def test_dump_stops_at_a_number_of_nodes(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ephemeral nodes is what it costs."""
    for name in "abc":
        client = office.single.client()
        client.call(ephemeral(f"/{name}1"))
        client.call(ephemeral(f"/{name}2"))
    monkeypatch.setattr(collect, "LISTED_MAX", 3)

    text = office.ask("dump")
    assert "Sessions with Ephemerals (2):" in text
    assert [path for path in ("/a1", "/a2", "/b1", "/b2") if f"\t{path}\n" in text] == [
        "/a1",
        "/a2",
        "/b1",
    ]


def test_listings_stop_at_a_number_of_entries(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And say how many there are besides."""
    for _ in range(3):
        client = office.single.client()
        client.call(get("/", watch=True))
    monkeypatch.setattr(collect, "LISTED_MAX", 2)

    assert office.ask("stat").count(" /198.51.100.7:4000") == 2
    for word in ("stat", "cons", "wchc", "wchp"):
        assert "\n(1 left out)\n" in office.ask(word)
    assert office.ask("dump").endswith("\n(2 left out)\n")
    monkeypatch.setattr(collect, "LISTED_MAX", 3)
    for word in ("stat", "cons", "wchc", "wchp", "dump"):
        assert "left out" not in office.ask(word)


def test_resets_count_from_zero(office: Office) -> None:
    """``crst`` those of connections, ``srst`` the server's."""
    client = office.single.client()
    client.call(create("/a"))

    assert office.ask("crst") == "Connection stats reset.\n"
    assert "recved=0,sent=0)" in office.ask("stat")
    assert "\nReceived: 2\nSent: 2\n" in office.ask("srvr")
    assert office.ask("srst") == "Server stats reset.\n"
    assert "Latency min/avg/max: 0/0.0/0\nReceived: 0\nSent: 0\n" in office.ask("srvr")


def test_conf_lists_the_members_that_clients_see(office: Office) -> None:
    """This one advertises no address, so that there are none."""
    text = office.ask("conf")

    assert text.startswith("clientPort=2181\n")
    assert text.endswith("peerType=0\nmembership: ")


def test_sizes_are_those_of_the_files(office: Office, tmp_path: Path) -> None:
    """The log's apart."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "data.mdb").write_bytes(bytes(100))
    (tmp_path / "reserve").write_bytes(bytes(7))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")

    text = office.ask("dirs")
    assert text.endswith("\nlogdir_size: 100\n")
    assert 7 <= int(text.split()[1]) < 200


def test_a_machine_that_tells_nothing_is_no_failure(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No /proc, no name for the user, no working directory."""
    monkeypatch.setattr(machine, "_OPEN_DESCRIPTORS", tmp_path / "none")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert "open_file_descriptor" not in office.ask("mntr")
    text = office.ask("envi")
    assert "\nuser.name=4000000000\n" in text
    assert text.endswith("\nuser.dir=\n")
