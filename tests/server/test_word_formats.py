"""The text of each word for given facts, to the byte: programs read it."""

from __future__ import annotations

import re
from dataclasses import replace

from coord.model.limits import MIB
from coord.server.words import listings, render
from coord.server.words.facts import (
    ConnectionFacts,
    Deadline,
    DirectoryFacts,
    Latency,
    MonitorFacts,
    QuorumFacts,
    ServerFacts,
    SessionsFacts,
    SettingsFacts,
    WatchCounts,
    WatchFacts,
    Watching,
)

VERSION = "3.9.3-coord-0.1.0, built on 2026-01-31 12:00 UTC"
FOLLOWER = ServerFacts(
    version=VERSION,
    mode="follower",
    latency=Latency(0, 4.285714, 14),
    received=18,
    sent=17,
    connections=2,
    outstanding=3,
    zxid=0x10000000B,
    nodes=11,
)
LEADER = replace(FOLLOWER, mode="leader")
CLIENT = ConnectionFacts(
    address="127.0.0.1:33110",
    is_read=True,
    is_congested=False,
    queued=0,
    received=10,
    sent=9,
    session=0x3000018CD410000,
    last_operation="PING",
    established_ms=1795270171385,
    timeout_ms=10_000,
    last_xid=8,
    last_zxid=0x10000000B,
    last_response_ms=1635840,
    last_latency_ms=1,
    latency=Latency(0, 4.9, 9),
)
STRANGER = ConnectionFacts("127.0.0.1:33174", False, True, 5, 1, 0)
MONITORED = MonitorFacts(
    server=LEADER,
    ephemerals=3,
    sessions=4,
    watches=5,
    data_bytes=418,
    open_descriptors=48,
    max_descriptors=20_000,
    uptime_ms=10_989,
    voters=3,
    snapshots=1,
    entries_applied=12,
    connections_refused=7,
    quorum=QuorumFacts(learners=3, synced_followers=2, synced_observers=1),
)
SERVER_LINES = """\
Latency min/avg/max: 0/4.2857/14
Received: 18
Sent: 17
Connections: 2
Outstanding: 3
Zxid: 0x10000000b
"""


def test_srvr_has_eight_lines() -> None:
    """The eighth but one is what probes look for."""
    assert render.srvr(FOLLOWER) == (
        f"Zookeeper version: {VERSION}\n{SERVER_LINES}Mode: follower\nNode count: 11\n"
    )


def test_a_leader_adds_the_sizes_of_its_proposals() -> None:
    """As ZooKeeper does before it has made one: they are not measured."""
    assert render.srvr(LEADER) == (
        f"Zookeeper version: {VERSION}\n{SERVER_LINES}Mode: leader\nNode count: 11\n"
        "Proposal sizes last/min/max: -1/-1/-1\n"
    )


def test_a_read_only_server_says_so_in_its_second_line() -> None:
    """In ``stat`` too."""
    facts = replace(FOLLOWER, mode="read-only")

    assert render.srvr(facts) == (
        f"Zookeeper version: {VERSION}\nREAD-ONLY mode; serving only read-only clients\n"
        f"{SERVER_LINES}Mode: read-only\nNode count: 11\n"
    )
    assert "READ-ONLY mode; serving only read-only clients\nClients:\n" in render.stat(facts, [])


def test_a_latency_of_nothing_is_a_decimal() -> None:
    """Readers expect one, whatever was measured."""
    facts = replace(FOLLOWER, latency=Latency(0, 0.0, 0))

    assert "Latency min/avg/max: 0/0.0/0\n" in render.srvr(facts)


def test_stat_lists_the_clients_after_the_version() -> None:
    """Ended by an empty line."""
    clients = [render.connection(it, brief=True) for it in (STRANGER, CLIENT)]

    assert render.stat(FOLLOWER, clients) == (
        f"Zookeeper version: {VERSION}\n"
        "Clients:\n"
        " /127.0.0.1:33174[4](queued=5,recved=1,sent=0)\n"
        " /127.0.0.1:33110[1](queued=0,recved=10,sent=9)\n"
        "\n"
        f"{SERVER_LINES}Mode: follower\nNode count: 11\n"
    )


def test_cons_says_all_of_each_connection() -> None:
    """One without a session has nothing more to say; an unknown xid is left out."""
    lines = [render.connection(it, brief=False) for it in (STRANGER, CLIENT)]
    assert listings.cons(lines) == (
        " /127.0.0.1:33174[4](queued=5,recved=1,sent=0)\n"
        " /127.0.0.1:33110[1](queued=0,recved=10,sent=9,sid=0x3000018cd410000,lop=PING,"
        "est=1795270171385,to=10000,lcxid=0x8,lzxid=0x10000000b,lresp=1635840,llat=1,minlat=0,"
        "avglat=4,maxlat=9)\n"
        "\n"
    )

    assert ",to=10000,lzxid=" in render.connection(replace(CLIENT, last_xid=-1), brief=False)


def test_mntr_is_rows_of_name_and_value() -> None:
    """The rows that dashboards read, under their names; the leader's last."""
    assert render.mntr(MONITORED) == (
        f"zk_version\t{VERSION}\n"
        "zk_server_state\tleader\n"
        "zk_peer_state\tleading - broadcast\n"
        "zk_ephemerals_count\t3\n"
        "zk_num_alive_connections\t2\n"
        "zk_avg_latency\t4.2857\n"
        "zk_min_latency\t0\n"
        "zk_max_latency\t14\n"
        "zk_outstanding_requests\t3\n"
        "zk_znode_count\t11\n"
        "zk_global_sessions\t4\n"
        "zk_local_sessions\t0\n"
        "zk_packets_sent\t17\n"
        "zk_packets_received\t18\n"
        "zk_watch_count\t5\n"
        "zk_approximate_data_size\t418\n"
        "zk_open_file_descriptor_count\t48\n"
        "zk_max_file_descriptor_count\t20000\n"
        "zk_uptime\t10989\n"
        "zk_quorum_size\t3\n"
        "zk_snap_count\t1\n"
        "zk_commit_count\t12\n"
        "zk_connection_rejected\t7\n"
        "zk_learners\t3\n"
        "zk_followers\t3\n"
        "zk_synced_followers\t2\n"
        "zk_synced_non_voting_followers\t0\n"
        "zk_synced_observers\t1\n"
        "zk_pending_syncs\t0\n"
    )


def test_mntr_leaves_out_what_is_not_known() -> None:
    """No descriptors off Linux, no quorum of one, no followers of a follower."""
    alone = replace(MONITORED.server, mode="standalone")
    text = render.mntr(
        replace(MONITORED, server=alone, quorum=None, open_descriptors=None, max_descriptors=None)
    )

    for name in ("descriptor", "quorum_size", "peer_state", "followers", "learners"):
        assert name not in text


def test_monitoring_agents_can_read_mntr_and_srvr() -> None:
    """With the expressions that Telegraf, Datadog's agent and aiozk use."""
    telegraf = re.compile(r"^zk_(\w[\w.\-]*)\s+([\w.\-]+)")
    for line in render.mntr(MONITORED).splitlines():
        assert telegraf.match(line)
    datadog = re.compile(r"Zookeeper version: ([^.]+)\.([^.]+)\.([^-]+)", re.IGNORECASE)
    aiozk = re.compile(rb"Zookeeper version: (\d+)\.(\d+)\.(\d+)-.*")
    first = render.srvr(FOLLOWER).splitlines()[0]

    assert datadog.match(first)
    assert aiozk.match(first.encode())
    latency = re.compile(r"^Latency min/avg/max: ([0-9.]+)/([0-9.]+)/([0-9.]+)$", re.MULTILINE)
    assert latency.search(render.srvr(FOLLOWER))


def test_wchs_counts() -> None:
    """Two lines."""
    assert listings.wchs(WatchCounts(1, 3, 4)) == (
        "1 connections watching 3 paths\nTotal watches:4\n"
    )


WATCHING = (
    Watching(0x2A, "/app"),
    Watching(0x2B, "/app"),
    Watching(0x2A, "/"),
    Watching(0x2A, "/"),
)


def test_wchc_and_wchp_are_the_same_list_both_ways_round() -> None:
    """Each path of a session stands once, however often it is watched."""
    assert listings.wchc(WatchFacts(WATCHING)) == "0x2a\n\t/app\n\t/\n0x2b\n\t/app\n\n"
    assert listings.wchp(WatchFacts(WATCHING)) == "/app\n\t0x2a\n\t0x2b\n/\n\t0x2a\n\n"
    assert listings.wchc(WatchFacts(())) == "\n"
    assert listings.wchp(WatchFacts(WATCHING[:1], 3)) == "/app\n\t0x2a\n(3 left out)\n\n"


SESSIONS = SessionsFacts(
    sessions=((0x2A, 10_000), (0x2B, 4_000)),
    deadlines=None,
    ephemerals=((0x2A, ("/app/a", "/app/b")),),
    connections=(Deadline(1_795_270_188_000, "ip: /127.0.0.1:33226 sessionId: 0x2a"),),
)
REST_OF_DUMP = (
    "ephemeral nodes dump:\n"
    "Sessions with Ephemerals (1):\n"
    "0x2a:\n"
    "\t/app/a\n"
    "\t/app/b\n"
    "Connections dump:\n"
    "Connections Sets (1)/(1):\n"
    "1 expire at Sat Nov 21 14:09:48 UTC 2026:\n"
    "\tip: /127.0.0.1:33226 sessionId: 0x2a\n"
)


def test_dump_of_a_follower_lists_sessions_with_their_timeouts() -> None:
    """It does not know when they end."""
    assert listings.dump(SESSIONS) == (
        f"SessionTracker dump:\nGlobal Sessions(2):\n0x2a\t10000ms\n0x2b\t4000ms\n{REST_OF_DUMP}"
    )


def test_dump_of_a_leader_groups_sessions_by_when_they_end() -> None:
    """Rounded up to two seconds, earliest first."""
    deadlines = (
        Deadline(1_795_270_184_000, "0x2b"),
        Deadline(1_795_270_180_001, "0x2c"),
        Deadline(1_795_270_182_000, "0x2a"),
    )
    assert listings.dump(replace(SESSIONS, deadlines=deadlines)) == (
        "SessionTracker dump:\n"
        "Session Sets (2)/(3):\n"
        "2 expire at Sat Nov 21 14:09:42 UTC 2026:\n"
        "\t0x2a\n"
        "\t0x2c\n"
        "1 expire at Sat Nov 21 14:09:44 UTC 2026:\n"
        f"\t0x2b\n{REST_OF_DUMP}"
    )


def test_a_listing_ends_at_a_bound_and_says_so() -> None:
    """What does not fit is counted; a short line behind a long one does not jump the queue."""
    assert listings.bounded(["aa", "bb"], 6) == "aa\nbb\n"
    assert listings.bounded(["aa", "bbb", "c"], 6) == "aa\n(2 left out)\n"

    paths = (f"/{'x' * 500}{number}" for number in range(5_000))
    many = listings.wchp(WatchFacts(tuple(Watching(1, path) for path in paths)))
    assert len(many) <= MIB + 100
    assert many.endswith(" left out)\n\n")


SETTINGS = SettingsFacts(
    client_port=2181,
    data_dir="/var/lib/coord",
    tick_ms=20,
    connections_per_address_max=60,
    session_timeout_ms_min=4_000,
    session_timeout_ms_max=40_000,
    node=3,
    election_ticks_max=40,
    peer_port=2281,
    is_observer=False,
    membership=("server.3=a:2281:2281:participant;a:2181", "version=1"),
)


def test_conf_names_settings_as_zookeeper_does() -> None:
    """The last line, the version of the membership, is not ended."""
    assert render.conf(SETTINGS, DirectoryFacts(70_000, 4_000)) == (
        "clientPort=2181\n"
        "secureClientPort=-1\n"
        "dataDir=/var/lib/coord\n"
        "dataDirSize=70000\n"
        "dataLogDir=/var/lib/coord\n"
        "dataLogSize=4000\n"
        "tickTime=20\n"
        "maxClientCnxns=60\n"
        "minSessionTimeout=4000\n"
        "maxSessionTimeout=40000\n"
        "clientPortListenBacklog=-1\n"
        "serverId=3\n"
        "initLimit=40\n"
        "syncLimit=40\n"
        "electionAlg=3\n"
        "electionPort=2281\n"
        "quorumPort=2281\n"
        "peerType=0\n"
        "membership: \n"
        "server.3=a:2281:2281:participant;a:2181\n"
        "version=1"
    )


def test_envi_and_dirs() -> None:
    """Keys and values; sizes in bytes."""
    assert render.envi([("zookeeper.version", VERSION), ("os.name", "Linux")]) == (
        f"Environment:\nzookeeper.version={VERSION}\nos.name=Linux\n"
    )
    assert render.dirs(DirectoryFacts(70_000, 4_000)) == (
        "datadir_size: 70000\nlogdir_size: 4000\n"
    )
