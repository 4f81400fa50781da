"""Layers, origins, ranges, relations, and messages that name what is wrong and what is near."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from coord.config import OPTIONS, Config, InitialMember, describe, load
from coord.config.loader import is_loopback
from coord.model.errors import ConfigError
from coord.protocol.sniff import FOUR_LETTER_WORDS

BASE: dict[str, Any] = {
    "node.id": "1",
    "node.dir": "data",
    "cluster.initial": "1=127.0.0.1:2281/127.0.0.1:2181",
}


def loaded(
    flags: Mapping[str, Any] = BASE,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Config:
    """A configuration from flags named after their keys."""
    named = {key: (value, f"--{key}") for key, value in flags.items()}
    return load(named, environment or {}, file)


def complaint(**changes: Any) -> str:
    """What is said about the base configuration with changes (``__`` for the dot)."""
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    with pytest.raises(ConfigError) as caught:
        loaded({**BASE, **keys})
    return str(caught.value)


def in_file(directory: Path, content: str) -> Path:
    """A configuration file with that content."""
    file = directory / "coord.toml"
    file.write_text(content, encoding="utf-8")
    return file


def test_defaults_are_a_whole_configuration() -> None:
    """Only id, directory and members must be given; the rest has defaults that hold together."""
    config = loaded()

    assert config.node.id == 1
    assert config.node.dir == Path("data")
    assert config.cluster.initial == (InitialMember(1, "127.0.0.1:2281", "127.0.0.1:2181"),)
    assert config.raft.heartbeat_ms == 100
    assert config.log.format == "console"


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    """Each layer hides those below it, key by key, and the origin says which one it was."""
    file = in_file(
        tmp_path,
        '[raft]\nheartbeat_ms = 90\nstuck_commit_ms = "3s"\n'
        '[log]\nlevel = "error"\nformat = "json"\n',
    )
    environment = {"COORD_LOG_LEVEL": "warning", "COORD_RAFT_HEARTBEAT_MS": "80"}
    config = loaded({**BASE, "raft.heartbeat_ms": "70"}, environment, file)

    assert config.raft.heartbeat_ms == 70
    assert config.raft.stuck_commit_ms == 3_000
    assert config.log.level == "warning"
    assert config.log.format == "json"
    shown = {key: (value, origin) for key, value, origin in describe(config)}
    assert shown["raft.heartbeat_ms"] == ("70ms", "flag --raft.heartbeat_ms")
    assert shown["log.level"] == ("warning", "environment COORD_LOG_LEVEL")
    assert shown["raft.stuck_commit_ms"] == ("3000ms", f"file {file}")
    assert shown["raft.election_timeout_ms_min"] == ("400ms", "default")


def test_describe_names_every_key() -> None:
    """What is shown is what there is."""
    assert [key for key, _, _ in describe(loaded())] == list(OPTIONS)


def test_what_describe_shows_can_be_given_back() -> None:
    """Values are written in a form that the parsers take."""
    config = loaded({**BASE, "peers.dial": "2=proxy:1,3=proxy:2", "peers.insecure": "yes"})
    again = loaded({key: value for key, value, _ in describe(config)})

    assert again.plain == config.plain


def test_a_file_may_use_tables_for_members_and_dial(tmp_path: Path) -> None:
    """The form that reads best in TOML means the same as the text form."""
    file = in_file(
        tmp_path,
        '[node]\nid = 2\ndir = "d"\n'
        '[cluster.initial]\n2 = "127.0.0.1:2/127.0.0.1:3"\n1 = "127.0.0.1:1"\n'
        '[peers.dial]\n1 = "127.0.0.1:9"\n',
    )
    config = loaded({}, {}, file)

    assert config.cluster.initial == (
        InitialMember(1, "127.0.0.1:1"),
        InitialMember(2, "127.0.0.1:2", "127.0.0.1:3"),
    )
    assert config.peers.dial == {1: "127.0.0.1:9"}


def test_a_list_of_members_is_as_good(tmp_path: Path) -> None:
    """One string per member."""
    file = in_file(tmp_path, '[cluster]\ninitial = ["1=127.0.0.1:1", "2=127.0.0.1:2"]\n')
    flags = {key: value for key, value in BASE.items() if key != "cluster.initial"}

    assert [member.id for member in loaded(flags, {}, file).cluster.initial] == [1, 2]


def test_advertised_addresses_come_from_the_members_then_from_where_it_listens() -> None:
    """An explicit setting wins over both."""
    listed = loaded({**BASE, "node.client": "127.0.0.2:1", "node.peer": "127.0.0.2:2"}).node
    assert (listed.advertise_client, listed.advertise_peer) == ("127.0.0.1:2181", "127.0.0.1:2281")

    joining = loaded({**BASE, "node.id": "4", "node.client": "127.0.0.2:1"}).node
    assert (joining.advertise_client, joining.advertise_peer) == ("127.0.0.2:1", "127.0.0.1:2281")

    told = loaded({**BASE, "node.advertise_peer": "outside:1"}).node
    assert told.advertise_peer == "outside:1"


@pytest.mark.parametrize(
    ("content", "near"),
    [
        ("[raft]\nhartbeat_ms = 1\n", "raft.heartbeat_ms"),
        ("[sessions]\nlevel = 'info'\n", "log.level"),
        ("[nodes]\nid = 1\n", "node.id"),
        ("[cluster]\nintial = 'x'\n", "cluster.initial"),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_named(
    tmp_path: Path, content: str, near: str
) -> None:
    """A misspelt key must not be silently ignored."""
    file = in_file(tmp_path, content)
    with pytest.raises(ConfigError, match=f"did you mean {near}") as caught:
        loaded(BASE, {}, file)

    assert str(file) in str(caught.value)


def test_an_unknown_variable_of_a_section_is_refused() -> None:
    """Variables of other programs of the family are left alone."""
    others = {"COORD_HOSTS": "h:1", "COORD_PARENT_FD": "3", "COORDINATES": "x"}
    assert loaded(BASE, others).origins == loaded(BASE).origins

    with pytest.raises(ConfigError, match="did you mean COORD_LOG_FORMAT"):
        loaded(BASE, {"COORD_LOG_FORMT": "json"})


DIGEST = "super:qW/HnTfCSoQpB5G8LgkwT3IbiFc="


def test_words_come_as_a_list_a_text_or_a_star(tmp_path: Path) -> None:
    """However they are written, each stands once and in order; none at all is a choice too."""
    assert loaded({**BASE, "zookeeper.words": "stat, ruok,ruok"}).zookeeper.words == (
        "ruok",
        "stat",
    )
    file = in_file(tmp_path, '[zookeeper]\nwords = ["mntr", "dump"]\n')
    assert loaded(BASE, {}, file).zookeeper.words == ("dump", "mntr")
    assert loaded({**BASE, "zookeeper.words": ""}).zookeeper.words == ()
    everything = loaded({**BASE, "zookeeper.words": "*"}).zookeeper.words
    assert {word.encode() for word in everything} == FOUR_LETTER_WORDS


def test_http_names_are_a_text_or_a_list(tmp_path: Path) -> None:
    """In lower case, each once; none unless said."""
    assert loaded().node.http_names == ()
    assert loaded({**BASE, "node.http_names": "A.example, b,a.example"}).node.http_names == (
        "a.example",
        "b",
    )
    file = in_file(tmp_path, '[node]\nhttp_names = ["x"]\n')
    assert loaded(BASE, {}, file).node.http_names == ("x",)


def test_trusted_networks_are_networks() -> None:
    """Addresses too; none unless said."""
    assert loaded().node.http_trusted == ()
    trusted = loaded({**BASE, "node.http_trusted": "172.16.0.0/12, ::1"}).node.http_trusted
    assert trusted == ("172.16.0.0/12", "::1")


def test_words_that_reset_or_list_are_off_by_default() -> None:
    """What anybody may ask neither changes a counter nor names a session or a path."""
    default = set(loaded().zookeeper.words)

    assert {"ruok", "srvr", "mntr", "isro", "envi"} < default
    assert not default & {"crst", "srst", "cons", "dump", "wchc", "wchp"}


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Both are readable for the node's user alone, if that user cares."""
    file = in_file(tmp_path, f'[zookeeper]\nsuper_digest = "{DIGEST}"\n')

    assert loaded(BASE, {}, file).zookeeper.super_digest == DIGEST
    variables = {"COORD_ZOOKEEPER_SUPER_DIGEST": DIGEST}
    assert loaded(BASE, variables).zookeeper.super_digest == DIGEST
    variables = {"COORD_ZOOKEEPER_SUPER_DIGEST": f"digest:{DIGEST}"}
    assert loaded(BASE, variables).zookeeper.super_digest == DIGEST


def test_a_secret_is_refused_as_a_flag_and_never_repeated() -> None:
    """A command line is public; so are messages, listings and what a debugger prints."""
    message = complaint(zookeeper__super_digest=DIGEST)
    assert "zookeeper.super_digest_file" in message
    assert "COORD_ZOOKEEPER_SUPER_DIGEST" in message
    with pytest.raises(ConfigError, match="USER:DIGEST") as caught:
        loaded(BASE, {"COORD_ZOOKEEPER_SUPER_DIGEST": "super:" + DIGEST})
    config = loaded(BASE, {"COORD_ZOOKEEPER_SUPER_DIGEST": DIGEST})

    for public in (message, str(caught.value), str(describe(config)), repr(config)):
        assert DIGEST.partition(":")[2] not in public


def test_a_secret_is_given_once() -> None:
    """Which of two would count is not for the reader to guess."""
    variables = {
        "COORD_ZOOKEEPER_SUPER_DIGEST": DIGEST,
        "COORD_ZOOKEEPER_SUPER_DIGEST_FILE": "digest",
    }
    with pytest.raises(ConfigError, match="both set"):
        loaded(BASE, variables)


@pytest.mark.parametrize(
    "digest",
    [
        "super",
        "super:",
        ":qW/HnTfCSoQpB5G8LgkwT3IbiFc=",
        "super:password",
        "super:QUJD",
        "a:b:c",
        "x:" + DIGEST,
    ],
)
def test_what_is_no_digest_is_refused(digest: str) -> None:
    """A password in the place of its digest would shut the super user out without a word."""
    with pytest.raises(ConfigError, match="28 characters"):
        loaded(BASE, {"COORD_ZOOKEEPER_SUPER_DIGEST": digest})


def test_everything_wrong_is_said_at_once() -> None:
    """Nobody should have to start three times to find three mistakes."""
    with pytest.raises(ConfigError) as caught:
        loaded({"raft.heartbeat_ms": "often", "log.level": "loud"})

    for part in ("node.id", "node.dir", "cluster.initial", "raft.heartbeat_ms", "log.level"):
        assert part in str(caught.value)


def test_a_missing_value_names_the_ways_to_give_it() -> None:
    """Flag, variable and file."""
    with pytest.raises(ConfigError, match=r"node\.id is not set \(--id, COORD_NODE_ID"):
        loaded({})


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("node.id", "0", "between 1 and"),
        ("node.id", "one", "whole number"),
        ("node.client", "localhost", "host:port"),
        ("node.client", "::1:80", "brackets"),
        ("node.peer", "127.0.0.1:70000", "host:port"),
        ("raft.heartbeat_ms", "5ms", "between 20 ms"),
        ("raft.heartbeat_ms", "1 week", "milliseconds"),
        ("raft.heartbeat_ms", True, "milliseconds"),
        ("storage.quota_bytes", "1KB", "64MiB"),
        ("storage.quota_bytes", "1KiB", "between 1MiB"),
        ("peers.insecure", "perhaps", "true or false"),
        ("log.format", "xml", "console, json"),
        ("peers.dial", "x=h:1", "not a node id"),
        ("cluster.initial", "1=h", "node 1: 'h' is not host:port"),
        ("cluster.initial", "1=h:1,1=h:2", "named twice"),
        ("cluster.initial", "1=h:1,2=h:1", "same peer address"),
        ("cluster.initial", "1=h:1/h:2/h:3/h:4", "at most three"),
        ("cluster.initial", "", "names nobody"),
        ("zookeeper.words", "ruok,boom", "'boom' is none of conf, cons"),
        ("zookeeper.words", 5, "or '*'"),
        ("node.http_names", 5, "must be text such as"),
        ("node.http_names", [5], "must be text"),
        ("node.http_trusted", "10.0.0.0/8,x", "'x' is no network"),
        ("node.http", "nowhere", "port"),
        ("zookeeper.request_bytes_max", "2MiB", "between 1KiB and 1280KiB"),
        ("zookeeper.super_digest_file", 7, "must be text"),
        ("tree.reap_interval_ms", "10ms", "between 100 ms"),
    ],
)
def test_a_bad_value_is_refused_with_key_value_origin_and_rule(
    key: str, value: Any, rule: str
) -> None:
    """The message is enough to repair it."""
    message = complaint(**{key.replace(".", "__"): value})

    assert key in message
    assert repr(value) in message
    assert f"flag --{key}" in message
    assert rule in message


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"raft__heartbeat_ms": 200}, ("raft.heartbeat_ms", "raft.election_timeout_ms_min")),
        (
            {"raft__election_timeout_ms_min": 800},
            ("raft.election_timeout_ms_min", "raft.election_timeout_ms_max"),
        ),
        (
            {"raft__election_timeout_ms_max": 1_500},
            ("raft.election_timeout_ms_max", "sessions.timeout_ms_min"),
        ),
        (
            {"raft__stuck_commit_ms": 700},
            ("raft.election_timeout_ms_max", "raft.stuck_commit_ms"),
        ),
        (
            {"sessions__timeout_ms_min": "30s", "sessions__timeout_ms_max": "20s"},
            ("sessions.timeout_ms_min", "sessions.timeout_ms_max"),
        ),
        (
            {"limits__connections_max": 10},
            ("limits.connections_per_address_max", "limits.connections_max"),
        ),
        ({"storage__map_bytes": "1GiB"}, ("storage.quota_bytes", "storage.map_bytes")),
        ({"node__client": "127.0.0.1:2281"}, ("node.client", "node.peer")),
        ({"peers__dial": "1=127.0.0.1:1"}, ("peers.dial", "node 1")),
    ],
)
def test_a_broken_relation_names_both_keys(changes: dict[str, Any], keys: tuple[str, str]) -> None:
    """Two values, each in its range, that do not go together."""
    message = complaint(**changes)

    assert all(key in message for key in keys)


@pytest.mark.parametrize(
    "changes",
    [{"node__peer": "0.0.0.0:2281"}, {"cluster__initial": "1=10.0.0.1:2281"}],
)
def test_unauthenticated_peers_off_loopback_need_a_flag(changes: dict[str, Any]) -> None:
    """The message says why, and which flag."""
    assert "--insecure-peers" in complaint(**changes)
    keys = {key.replace("__", "."): value for key, value in changes.items()}

    assert loaded({**BASE, **keys, "peers.insecure": True}).peers.insecure


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("127.example.com:1", False),
        ("db1:1", False),
    ],
)
def test_only_what_certainly_stays_on_this_machine_is_loopback(
    address: str, expected: bool
) -> None:
    """A name could resolve to anything."""
    assert is_loopback(address) is expected


def test_a_file_that_is_not_toml_is_refused_with_the_place(tmp_path: Path) -> None:
    """The parser's line and column are kept."""
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 1"):
        loaded(BASE, {}, in_file(tmp_path, "[node\n"))


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    """It was asked for, so its absence is an error."""
    with pytest.raises(ConfigError, match=r"cannot read .*absent"):
        loaded(BASE, {}, tmp_path / "absent")
