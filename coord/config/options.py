"""Every key: its parser and range, its default, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from coord.config import parsers
from coord.model import limits
from coord.model.limits import KIB, MIB
from coord.protocol.sniff import FOUR_LETTER_WORDS

GIB: Final = 1024 * MIB
HARMLESS_WORDS: Final = (
    "conf", "dirs", "envi", "isro", "mntr", "ruok", "srvr", "stat", "wchs"
)  # fmt: skip
"""They change nothing, and name neither sessions nor paths."""


class Option(NamedTuple):
    """One key of the configuration. ``default`` None: the value must be given."""

    key: str
    parse: Callable[[Any], Any]
    default: Any
    help: str
    show: Callable[[Any], str] = str
    is_secret: bool = False
    """Taken from a file or the environment only, and never shown."""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "COORD_" + self.key.replace(".", "_").upper()


def _show_members(members: tuple[parsers.InitialMember, ...]) -> str:
    return ",".join(map(str, members))


def _show_dial(table: dict[int, str]) -> str:
    return ",".join(f"{node}={address}" for node, address in sorted(table.items()))


def _show_switch(value: bool) -> str:
    return "true" if value else "false"


def _show_secret(value: str) -> str:
    return "(set, not shown)" if value else ""


def _show_ms(value: int) -> str:
    return f"{value}ms"


_duration = parsers.duration_ms
_size = parsers.size_bytes

_ALL: Final = (
    Option(
        "node.id",
        parsers.integer(1, parsers.NODE_ID_MAX),
        None,
        "Number of this node, its own in the cluster.",
    ),
    Option("node.dir", parsers.directory, None, "Data directory, used by this node alone."),
    Option("node.client", parsers.address, "127.0.0.1:2181", "Where to listen for clients."),
    Option("node.peer", parsers.address, "127.0.0.1:2281", "Where to listen for other nodes."),
    Option(
        "node.http",
        parsers.optional_address,
        "",
        "Where to serve HTTP (health, metrics), as in 127.0.0.1:2381; empty: nowhere.",
    ),
    Option(
        "node.http_names",
        parsers.names,
        (),
        "Host names by which HTTP clients may call this node, besides localhost and addresses.",
        ",".join,
    ),
    Option(
        "node.http_trusted",
        parsers.networks,
        (),
        "Networks from which passwords are taken over HTTP without TLS, besides loopback: a proxy"
        " with TLS, a container's host. As in 172.16.0.0/12.",
        ",".join,
    ),
    Option(
        "node.advertise_client",
        parsers.optional_address,
        "",
        "Where clients reach this node, if not where it listens.",
    ),
    Option(
        "node.advertise_peer",
        parsers.optional_address,
        "",
        "Where other nodes reach this node, if not where it listens.",
    ),
    Option(
        "cluster.initial",
        parsers.members,
        None,
        "Founding members, the same on each: 'ID=PEER[/CLIENT[/HTTP]],…'. A node to be added "
        "names members that run.",
        _show_members,
    ),
    Option(
        "peers.dial",
        parsers.dial_table,
        {},
        "Dial these nodes elsewhere than they advertise: 'ID=HOST:PORT,…'.",
        _show_dial,
    ),
    Option(
        "peers.insecure",
        parsers.switch,
        False,
        "Accept unauthenticated peers on other addresses than loopback.",
        _show_switch,
    ),
    Option(
        "raft.heartbeat_ms",
        _duration(limits.TICK_MS, 10_000),
        limits.HEARTBEAT_MS,
        "Pace of the leader's heartbeats.",
        _show_ms,
    ),
    Option(
        "raft.election_timeout_ms_min",
        _duration(5 * limits.TICK_MS, 60_000),
        limits.ELECTION_TIMEOUT_MS_MIN,
        "Shortest silence of the leader before an election.",
        _show_ms,
    ),
    Option(
        "raft.election_timeout_ms_max",
        _duration(5 * limits.TICK_MS, 60_000),
        limits.ELECTION_TIMEOUT_MS_MAX,
        "Longest silence of the leader before an election.",
        _show_ms,
    ),
    Option(
        "raft.stuck_commit_ms",
        _duration(500, 60_000),
        2_000,
        "A leader whose log commit takes longer steps down.",
        _show_ms,
    ),
    Option(
        "sessions.timeout_ms_min",
        _duration(limits.SESSION_TIMEOUT_MS_MIN, limits.SESSION_TIMEOUT_MS_MAX),
        limits.SESSION_TIMEOUT_MS_MIN,
        "Shortest session timeout a client may ask for.",
        _show_ms,
    ),
    Option(
        "sessions.timeout_ms_max",
        _duration(limits.SESSION_TIMEOUT_MS_MIN, limits.SESSION_TIMEOUT_MS_MAX),
        limits.SESSION_TIMEOUT_MS_MAX,
        "Longest session timeout a client may ask for.",
        _show_ms,
    ),
    Option(
        "sessions.drift_ppm",
        parsers.integer(0, 100_000),
        1_000,
        "Bound on the drift between two clocks, in parts per million.",
    ),
    Option(
        "limits.connections_max",
        parsers.integer(1, 1_000_000),
        10_000,
        "Clients connected at one time.",
    ),
    Option(
        "limits.connections_per_address_max",
        parsers.integer(1, 1_000_000),
        10_000,
        "Of these, from one address.",
    ),
    Option(
        "zookeeper.enabled",
        parsers.switch,
        True,
        "Serve ZooKeeper's protocol on the client port.",
        _show_switch,
    ),
    Option(
        "zookeeper.words",
        parsers.words({word.decode() for word in FOUR_LETTER_WORDS}),
        HARMLESS_WORDS,
        "Four-letter words that are answered on the client port: a list, or '*' for all.",
        ",".join,
    ),
    Option(
        "zookeeper.super_digest",
        parsers.optional_digest,
        "",
        "Who is bound by no ACL, as 'USER:BASE64-OF-SHA1-OF-USER:PASSWORD'. Never as a flag.",
        _show_secret,
        is_secret=True,
    ),
    Option(
        "zookeeper.super_digest_file",
        parsers.optional_path,
        "",
        "File that holds it, for secrets that are mounted.",
    ),
    Option(
        "zookeeper.reconfig",
        parsers.switch,
        False,
        "Let ZooKeeper clients change the membership.",
        _show_switch,
    ),
    Option(
        "zookeeper.read_only",
        parsers.switch,
        False,
        "Without a leader, serve reads to ZooKeeper clients that ask for that.",
        _show_switch,
    ),
    Option(
        "zookeeper.request_bytes_max",
        _size(1 * KIB, limits.FRAME_BYTES_MAX),
        limits.DATA_BYTES_MAX,
        "Longest request of a ZooKeeper client (jute.maxbuffer); a longer one ends its connection.",
        parsers.show_bytes,
    ),
    Option(
        "tree.reap_interval_ms",
        _duration(100, 3_600_000),
        60_000,
        "How often the leader looks for expired TTL nodes and emptied containers.",
        _show_ms,
    ),
    Option(
        "storage.snapshot_log_bytes",
        _size(64 * KIB, 64 * GIB),
        limits.SNAPSHOT_LOG_BYTES_MIN,
        "Log written since the last snapshot before the next one, at least.",
        parsers.show_bytes,
    ),
    Option(
        "storage.log_entries_kept",
        parsers.integer(0, 10_000_000),
        limits.LOG_ENTRIES_KEPT_MIN,
        "Newest entries that are kept whatever snapshots cover.",
    ),
    Option(
        "storage.map_bytes",
        _size(16 * MIB, 1024 * GIB),
        limits.MAP_BYTES,
        "Address space for each LMDB environment; not disk space.",
        parsers.show_bytes,
    ),
    Option(
        "storage.quota_bytes",
        _size(1 * MIB, 1024 * GIB),
        16 * GIB,
        "Replicated data; past it writes are refused and deletes pass.",
        parsers.show_bytes,
    ),
    Option(
        "storage.reserve_bytes",
        _size(1 * MIB, 64 * GIB),
        limits.SPACE_RESERVE_BYTES,
        "Free disk space below which writes are refused and deletes pass.",
        parsers.show_bytes,
    ),
    Option(
        "storage.scrub_interval_ms",
        _duration(0, 30 * 24 * 3_600_000),
        3_600_000,
        "How often a child process reads everything on disk and checks it; 0: never.",
        _show_ms,
    ),
    Option(
        "storage.allow_any_filesystem",
        parsers.switch,
        False,
        "Also use network, 9p and FUSE file systems, which may break their promises.",
        _show_switch,
    ),
    Option(
        "log.format", parsers.choice("console", "json"), "console", "How log lines are written."
    ),
    Option(
        "log.level",
        parsers.choice("debug", "info", "warning", "error"),
        "info",
        "Least severity that is logged.",
    ),
)

OPTIONS: Final[dict[str, Option]] = {option.key: option for option in _ALL}
assert len(OPTIONS) == len(_ALL)
