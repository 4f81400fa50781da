"""The commands on the tree, over a client library that is a dict."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coord.cli import exits
from coord.cli.root import root
from coord.model import requests
from coord.model.errors import BadVersionError, ConnectionLostError, TransactionError
from coord.model.events import ChangeKind
from coord.model.types import ReadLevel
from coord.model.znode import Stat
from coord_client.values import ListedNode, WatchBatch, WatchChange
from tests.cli.fake_client import FakeClient

STAT = Stat(5, 6, 1_000, 2_000, 3, 0, 0, 0, 1, 0, 6)


def _run(client: FakeClient, *argv: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(root, list(argv), obj=client.open, input=stdin)


def _json(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- single nodes -------------------------------------------------------------------------------


def test_get_prints_the_bytes() -> None:
    """Off a terminal the value comes out byte for byte, with nothing added."""
    result = _run(FakeClient({"/a": b"\x00\xff"}), "get", "/a")

    assert result.exit_code == 0
    assert result.stdout_bytes == b"\x00\xff"


def test_get_as_json_has_value_and_stat() -> None:
    """As JSON the value stands beside the whole Stat."""
    (found,) = _json(_run(FakeClient({"/a": b"v"}), "get", "/a", "--json"))

    assert found["value"] == "v"
    assert found["stat"]["data_length"] == 1


@pytest.mark.parametrize("level", list(ReadLevel))
def test_read_level_is_passed_on(level: ReadLevel) -> None:
    """--level names what the read may miss; the default misses nothing."""
    client = FakeClient({"/a": b""})
    _run(client, "get", "/a", "--level", level.name.lower())
    _run(client, "get", "/a")

    assert client.levels == [level, ReadLevel.LINEARIZABLE]


def test_missing_node_has_its_own_exit_code() -> None:
    """A script can tell "no such node" from every other refusal, and the message names the path."""
    for argv in (["get", "/a"], ["stat", "/a"], ["set", "/a", "v"], ["delete", "/a"]):
        result = _run(FakeClient(), *argv)

        assert result.exit_code == exits.NO_NODE
        assert "/a does not exist" in result.stderr


def test_error_as_json() -> None:
    """With --json a failure is one JSON line on the error stream."""
    result = _run(FakeClient(), "get", "/a", "--json")
    error = json.loads(result.stderr)["error"]

    assert result.stdout == ""
    assert error == {
        "name": "NoNode",
        "code": -101,
        "definite": True,
        "message": "/a does not exist",
    }


def test_set_writes_value_file_or_standard_input(tmp_path: Path) -> None:
    """A value comes from the argument, from a file, or from standard input for -."""
    client = FakeClient({"/a": b""})
    (tmp_path / "value").write_bytes(b"\xff")

    _run(client, "set", "/a", "text")
    assert client.nodes["/a"] == (b"text", 1)
    _run(client, "set", "/a", "--file", str(tmp_path / "value"))
    assert client.nodes["/a"] == (b"\xff", 2)
    _run(client, "set", "/a", "-", stdin=b"piped\n")
    assert client.nodes["/a"] == (b"piped\n", 3)


def test_conditional_set_is_refused_with_a_hint() -> None:
    """A version that does not match changes nothing and says how to find the right one."""
    client = FakeClient({"/a": b"old"})
    result = _run(client, "set", "/a", "new", "--version", "5")

    assert result.exit_code == exits.of_error(BadVersionError())
    assert client.nodes["/a"] == (b"old", 0)
    assert "coord stat PATH" in result.stderr


def test_set_creates_only_when_asked() -> None:
    """--create writes the node whether or not it exists; with --version it makes no sense."""
    client = FakeClient()

    assert _run(client, "set", "--create", "/a", "v").exit_code == 0
    assert client.nodes["/a"] == (b"v", 0)
    assert _run(client, "set", "-c", "/a", "v", "--version", "1").exit_code == exits.USAGE


def test_create_prints_the_path() -> None:
    """The path of a new node, with its number if it is sequential, can be used by a script."""
    client = FakeClient()

    assert _run(client, "create", "/a", "v").stdout == "/a\n"
    assert _run(client, "create", "-s", "/a/n-").stdout == "/a/n-0000000007\n"
    assert _run(client, "create", "-p", "/b/c").stdout == "/b/c\n"
    assert _run(client, "create", "/a").exit_code == exits.REFUSED


@pytest.mark.parametrize(
    "argv",
    [
        ["--ephemeral", "--ttl", "5", "/a"],
        ["--container", "--sequential", "/a"],
        ["/a/"],
        ["--ttl", "0", "/a"],
    ],
)
def test_impossible_modes_are_usage_errors(argv: list[str]) -> None:
    """Modes that exclude each other are refused before anything is sent."""
    client = FakeClient()

    assert _run(client, "create", *argv).exit_code == exits.USAGE
    assert client.targets == []


def test_delete_of_a_subtree_must_be_asked_for() -> None:
    """A node with children is kept unless --recursive says otherwise; --force forgives absence."""
    client = FakeClient({"/a": b"", "/a/b": b""})

    refused = _run(client, "delete", "/a")
    assert refused.exit_code == exits.REFUSED
    assert "--recursive" in refused.stderr
    assert _run(client, "delete", "-r", "/a").exit_code == 0
    assert list(client.nodes) == ["/"]
    assert _run(client, "delete", "-f", "/a").exit_code == 0


def test_stat_is_readable_and_complete() -> None:
    """People get sentences, programs get the Stat."""
    client = FakeClient({"/a": b"abc"})

    assert "3 bytes" in _run(client, "stat", "/a").stdout
    assert _json(_run(client, "stat", "/a", "--json"))[0]["stat"]["czxid"] == 5


def test_sync_is_silent() -> None:
    """The barrier says nothing when it is passed."""
    assert _run(FakeClient(), "sync").stdout == ""
    assert _json(_run(FakeClient(), "sync", "/a", "--json")) == [{"path": "/a", "synced": True}]


def test_hosts_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """COORD_HOSTS is the default address; --hosts wins."""
    client = FakeClient({"/a": b""})
    monkeypatch.setenv("COORD_HOSTS", "h1:1,h2:2/app")
    _run(client, "get", "/a")
    _run(client, "get", "/a", "--hosts", "h3:3", "--timeout", "2")

    assert [target.hosts for target in client.targets] == ["h1:1,h2:2/app", "h3:3"]
    assert [target.timeout_s for target in client.targets] == [10.0, 2.0]


def test_lost_connection_is_told_apart_from_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 3 and only 3 means: it may have happened."""
    client = FakeClient({"/a": b""})

    async def lose(*_args: object, **_kwargs: object) -> Stat:
        raise ConnectionLostError("the connection ended before the answer")

    monkeypatch.setattr(client, "set", lose)

    assert _run(client, "set", "/a", "v").exit_code == exits.UNKNOWN


# --- listings -----------------------------------------------------------------------------------

TREE = {"/a": b"1", "/a/b": b"", "/a/b/c": b"deep", "/d": b"\xff"}


def test_ls_lists_names() -> None:
    """Names, one per line; with -l a table; as JSON one object per line."""
    client = FakeClient(TREE)

    assert _run(client, "ls").stdout == "a\nd\n"
    assert _json(_run(client, "ls", "/a", "--json")) == [{"path": "/a/b"}]
    assert _run(client, "ls", "-l").stdout.splitlines()[0].split()[:2] == ["name", "version"]
    (found,) = _json(_run(client, "ls", "-l", "/a", "--json"))
    assert found["stat"]["num_children"] == 1


def test_tree_draws_the_subtree() -> None:
    """Box characters show what is below what; values on request."""
    client = FakeClient(TREE)

    assert _run(client, "tree").stdout.splitlines() == [
        "/",
        "├── a",
        "│   └── b",
        "│       └── c",
        "└── d",
        "4 nodes",
    ]
    assert "└── c = deep" in _run(client, "tree", "/a/b", "-v").stdout


def test_tree_stops_at_its_depth() -> None:
    """What lies deeper is counted, not hidden."""
    shown = _run(FakeClient(TREE), "tree", "--depth", "1").stdout.splitlines()

    assert shown == ["/", "├── a (+1)", "└── d", "2 nodes"]


def test_tree_as_json_is_one_node_per_line() -> None:
    """Every node with its value, root first; values that are not text in base64."""
    found = _json(_run(FakeClient(TREE), "tree", "--json"))

    assert [node["path"] for node in found] == ["/", "/a", "/a/b", "/a/b/c", "/d"]
    assert base64.b64decode(found[-1]["value_base64"]) == b"\xff"


# --- streams and transactions -------------------------------------------------------------------


def _changed(path: str, data: bytes, previous: bytes) -> WatchChange:
    return WatchChange(ChangeKind.DATA, path, STAT, data, STAT, previous)


def test_watch_prints_each_change() -> None:
    """One line per change, with revision, kind, path, and what the value was and is."""
    client = FakeClient()
    client.batches = [
        WatchBatch(11, (_changed("/a", b"new", b"old"),), None),
        WatchBatch(12, (WatchChange(ChangeKind.DELETED, "/a", None, None, STAT, b"new"),), None),
    ]
    lines = _run(client, "watch", "-r", "/a").stdout.splitlines()

    assert client.watched == [("/a", True, True)]
    assert lines[0].split() == ["11", "data", "/a", "old", "→", "new"]
    assert lines[1].split() == ["12", "deleted", "/a"]


def test_watch_as_json_and_with_a_count() -> None:
    """JSON lines carry value and previous value; --count ends the command."""
    client = FakeClient()
    client.batches = [WatchBatch(11, (_changed("/a", b"2", b"1"),), None)] * 5
    found = _json(_run(client, "watch", "/a", "--json", "--count", "2"))

    assert len(found) == 2
    assert found[0]["value"] == "2"
    assert found[0]["previous"] == "1"
    assert found[0]["revision"] == 11


def test_watch_after_a_gap_lists_afresh() -> None:
    """Where changes are no longer kept, what exists follows, and the gap is said."""
    client = FakeClient()
    client.batches = [WatchBatch(20, (), (ListedNode("/a", b"v", STAT),))]
    result = _run(client, "watch", "/a", "--json")

    assert _json(result)[0]["kind"] == "created"
    assert "no longer kept" in result.stderr


def test_txn_sends_all_operations() -> None:
    """Arguments or lines of standard input become one transaction."""
    client = FakeClient()
    result = _run(client, "txn", "check /a 1", "set /a v")
    _run(client, "txn", stdin=b"# comment\ndelete /a\n")

    assert [line.split() for line in result.stdout.splitlines()] == [
        ["ok", "check", "/a"],
        ["ok", "set", "/a"],
    ]
    assert client.transactions[0].operations[1] == requests.Set("/a", b"v", -1)
    assert client.transactions[1].operations == [requests.Delete("/a", -1)]


def test_failed_txn_names_the_operation() -> None:
    """Which of the operations failed, and that none of them happened."""
    client = FakeClient()
    client.transaction_failure = TransactionError("nothing was changed", (0, -103))
    result = _run(client, "txn", "check /a", "check /b 7")

    assert result.exit_code == exits.REFUSED
    assert "failed  check /b" in result.stderr
    assert "nothing was changed" in result.stderr


@pytest.mark.parametrize("argv", [["bogus /a"], ["set /a"]])
def test_wrong_txn_is_a_usage_error(argv: list[str]) -> None:
    """Nothing is sent when an operation cannot be read."""
    client = FakeClient()
    result = _run(client, "txn", *argv)

    assert result.exit_code == exits.USAGE
    assert client.targets == []
    assert _run(client, "txn", stdin=b"").exit_code == exits.USAGE


# --- the past -----------------------------------------------------------------------------------


def test_history_is_a_table() -> None:
    """Who, when, from where, and the value; newest first, limited."""
    client = FakeClient()
    client.records = [
        {
            "revision": 12 - k,
            "kind": int(ChangeKind.DATA),
            "wall_ms": 1_000,
            "session": 0x2A,
            "address": "10.0.0.1:5",
            "data": b"v",
            "stat": STAT.pack(),
        }
        for k in range(3)
    ]
    lines = _run(client, "history", "/a", "-n", "2").stdout.splitlines()
    (found,) = _json(_run(client, "history", "/a", "--before", "11", "--json"))

    assert len(lines) == 3
    assert "0x2a" in lines[1]
    assert "10.0.0.1:5" in lines[1]
    assert found["revision"] == 10
    assert found["kind"] == "data"
    assert found["stat"]["version"] == 3


def test_history_that_is_gone() -> None:
    """No record is an answer too."""
    assert "no change of /a is kept" in _run(FakeClient(), "history", "/a").stdout


def test_why_session_tells_the_story() -> None:
    """An expired session: for how long nothing was heard, who decided, what it owned."""
    client = FakeClient()
    client.story = {
        "state": "ended",
        "reason": {
            "kind": "expired",
            "last_heard_ms": 12_000,
            "leader": 2,
            "pauses": [[5_000, 300]],
        },
        "timeout_ms": 10_000,
        "client": "worker",
        "address": "10.0.0.1:5",
        "attaches": [(24, 500, "10.0.0.1:4")],
        "ephemerals": ["/leader/1"],
        "ended_wall_ms": 1_000,
        "ended_revision": 33,
    }
    lines = _run(client, "why-session", "0x2a").stdout.splitlines()

    assert lines == [
        "session 0x2a expired at 1970-01-01 00:00:01.000Z, revision 33",
        "  heard     nothing for 12.0 s before it ended",
        "  timeout   10.0 s",
        "  decided   by node 2, leading then",
        "  pause     that node itself had stood still for 300 ms, 5.0 s before",
        "  client    worker at 10.0.0.1:5",
        "  attached  1970-01-01 00:00:00.500Z, revision 24, from 10.0.0.1:4",
        "  owned     /leader/1; deleted with it",
    ]


def test_why_session_of_an_open_one() -> None:
    """An open session is said to be open, with its particulars; a long list is cut."""
    client = FakeClient()
    owned = [f"/e/{k}" for k in range(12)]
    client.story = {"state": "open", "timeout_ms": 10_000, "here": True, "ephemerals": owned}
    shown = _run(client, "why-session", "42").stdout

    assert shown.startswith("session 0x2a is open\n")
    assert "/e/9 and 2 more" in shown


def test_why_session_of_a_closed_one() -> None:
    """A session that its client closed did not expire."""
    client = FakeClient()
    client.story = {"state": "ended", "reason": {"kind": "closed"}}

    assert "was closed by its client" in _run(client, "why-session", "42").stdout


def test_why_session_takes_numbers_only() -> None:
    """A session id is decimal or has 0x in front."""
    assert _run(FakeClient(), "why-session", "x").exit_code == exits.USAGE
