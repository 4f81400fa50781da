"""``coord acl``, and how commands learn who asks: never from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from coord.cli import acl_syntax, context, exits
from coord.cli.credentials import FILE_BYTES_MAX
from coord.cli.root import COMMANDS, root
from coord.model.acl import ALL, READ, Acl
from coord.model.requests import Auth
from coord_client import Client, digest_id
from tests.cli.fake_client import FakeClient

SUPER = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
READERS = Acl(READ, "world", "anyone")
DATA_COMMANDS = {
    "get": ["/a"], "set": ["/a", "v"], "create": ["/b"], "delete": ["/a"], "ls": ["/"],
    "tree": ["/"], "stat": ["/a"], "watch": ["/a"], "txn": ["check /a"], "sync": [],
    "history": ["/a"], "why-session": ["1"], "acl": ["get", "/a"],
}  # fmt: skip
"""Each command that opens a session on nodes with ACLs, with arguments for it."""


def _run(
    client: FakeClient, *argv: str, stdin: str | None = None, env: dict[str, str] | None = None
) -> Result:
    return CliRunner(env=env or {}).invoke(root, list(argv), obj=client.open, input=stdin)


# --- entries as text ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("world:anyone:r", READERS),
        ("auth::cdrwa", Acl(ALL, "auth", "")),
        (f"digest:{SUPER}:adcrw", Acl(ALL, "digest", SUPER)),
        ("ip:10.0.0.0/8:rw", Acl(3, "ip", "10.0.0.0/8")),
        ("ip:fe80::1:w", Acl(2, "ip", "fe80::1")),
        ("x509:CN=app,O=x:r", Acl(1, "x509", "CN=app,O=x")),
    ],
)
def test_entries_are_read(text: str, entry: Acl) -> None:
    """scheme:id:perms, where the id may have colons of its own."""
    assert acl_syntax.parse(text) == entry
    assert acl_syntax.parse(acl_syntax.shown(entry)) == entry


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("world", "scheme:id:perms"),
        ("world:anyone", "scheme:id:perms"),
        ("world:anyone:", "letters of cdrwa"),
        ("world:anyone:rx", "letters of cdrwa"),
        ("world:anyone:rr", "letters of cdrwa"),
        ("world:me:r", "is anyone"),
        ("auth:me:r", "takes no id"),
        ("kerberos:me:r", "the scheme is one of"),
        ("digest:alice:secret:r", "coord acl digest USER"),
        ("digest:alice:c2VjcmV0:r", "coord acl digest USER"),
        (f"digest:{SUPER[5:]}:r", "coord acl digest USER"),
        ("ip:10.0.0:r", "an address or a network"),
        ("x509::r", "subject"),
    ],
)
def test_wrong_entry_is_a_usage_error(text: str, complaint: str) -> None:
    """Nothing is sent, and the message says which part is wrong."""
    client = FakeClient({"/a": b""})
    result = _run(client, "acl", "set", "/a", text)

    assert result.exit_code == exits.USAGE
    assert complaint in result.stderr
    assert client.targets == []


@given(st.integers(1, ALL))
def test_letters_say_all_permissions(permissions: int) -> None:
    """Every set of permissions has letters, which are read back."""
    entry = Acl(permissions, "world", "anyone")

    assert acl_syntax.parse(acl_syntax.shown(entry)) == entry


# --- get and set --------------------------------------------------------------------------------


def test_acl_is_printed_as_it_is_set() -> None:
    """The lines of get are arguments of set."""
    client = FakeClient({"/a": b""})
    first = _run(client, "acl", "set", "/a", f"digest:{SUPER}:cdrwa", "world:anyone:r")
    shown = _run(client, "acl", "get", "/a").stdout
    again = _run(client, "acl", "set", "/a", *shown.split())

    assert first.stdout == "acl version 1\n"
    assert shown == f"digest:{SUPER}:cdrwa\nworld:anyone:r\n"
    assert again.stdout == "acl version 2\n"
    assert client.acls["/a"] == ((Acl(ALL, "digest", SUPER), READERS), 2)


def test_acl_as_json() -> None:
    """Both commands print the Stat, whose aversion the next conditional set needs."""
    client = FakeClient({"/a": b""})
    changed = json.loads(_run(client, "acl", "set", "/a", "ip:10.0.0.1:ra", "--json").stdout)
    found = json.loads(_run(client, "acl", "get", "/a", "--json").stdout)

    assert changed["stat"]["aversion"] == found["stat"]["aversion"] == 1
    assert found["acl"] == [{"scheme": "ip", "id": "10.0.0.1", "perms": "ra"}]


def test_conditional_set_of_an_acl() -> None:
    """With another version than the ACL's nothing is changed."""
    client = FakeClient({"/a": b""})
    refused = _run(client, "acl", "set", "/a", "world:anyone:cdrwa", "--version", "3")
    missing = _run(client, "acl", "get", "/none")

    assert refused.exit_code == exits.REFUSED
    assert client.acls == {}
    assert missing.exit_code == exits.NO_NODE


def test_acl_that_nobody_can_change_is_pointed_out() -> None:
    """Without an admin entry only the super user can repair it: said, on the error stream."""
    client = FakeClient({"/a": b""})

    assert "no entry has a (admin)" in _run(client, "acl", "set", "/a", "world:anyone:r").stderr
    assert not _run(client, "acl", "set", "/a", "world:anyone:ra").stderr


# --- ids of users -------------------------------------------------------------------------------


def test_digest_of_a_password(tmp_path: Path) -> None:
    """The password comes from a file, a variable or a prompt with confirmation; the id is
    ZooKeeper's and an entry of an ACL with permissions added."""
    file = tmp_path / "password"
    file.write_text("test\nnot this\n")
    results = [
        _run(FakeClient(), "acl", "digest", "super", "--password-file", str(file)),
        _run(FakeClient(), "acl", "digest", "super", env={"COORD_PASSWORD": "test"}),
        _run(FakeClient(), "acl", "digest", "super", stdin="test\ntest\n"),
    ]

    assert [result.stdout.strip() for result in results] == [f"digest:{SUPER}"] * 3
    assert acl_syntax.parse(f"digest:{digest_id('a', 'b')}:r")
    as_json = _run(FakeClient(), "acl", "digest", "super", "--json", stdin="test\ntest\n")
    assert json.loads(as_json.stdout) == {"scheme": "digest", "id": SUPER}
    assert _run(FakeClient(), "acl", "digest", "a:b", stdin="x\nx\n").exit_code == exits.REFUSED


# --- who asks -----------------------------------------------------------------------------------


def test_list_of_data_commands_is_complete() -> None:
    """Every command that has --auth-file is tried below, except those that run others."""
    having = {
        name
        for name in COMMANDS
        if "--auth-file" in CliRunner().invoke(root, [name, "--help"]).output
    }

    assert having | {"acl"} == set(DATA_COMMANDS) | {"elect", "lock", "bench"}


@pytest.mark.parametrize("name", DATA_COMMANDS)
def test_every_data_command_says_who_asks(name: str, tmp_path: Path) -> None:
    """File, variable and prompt are handed to the client together, each once."""
    file = tmp_path / "auth"
    file.write_text("# users\n\ndigest:alice:se:cret\ndigest:bob:hunter2\n")
    client = FakeClient({"/a": b""})
    _run(
        client,
        *[name, *DATA_COMMANDS[name], "--auth-file", str(file), "--auth-user", "carol"],
        stdin="typed\n",
        env={"COORD_AUTH": "digest:bob:hunter2\nx509:whatever"},
    )

    assert client.targets[0].auth == (
        ("digest", "bob:hunter2"),
        ("x509", "whatever"),
        ("digest", "alice:se:cret"),
        ("digest", "carol:typed"),
    )
    assert "hunter2" not in repr(client.targets[0])


def test_auth_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    """COORD_AUTH_FILE is --auth-file; without any of them nobody asks in particular."""
    file = tmp_path / "auth"
    file.write_text("digest:alice:secret")
    client = FakeClient({"/a": b""})
    _run(client, "get", "/a", env={"COORD_AUTH_FILE": str(file)})
    _run(client, "get", "/a")

    assert [target.auth for target in client.targets] == [(("digest", "alice:secret"),), ()]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"digest:ok:ok\nalice secret", "line 2: it must be SCHEME:CREDENTIAL"),
        (b"digest:secret", "line 1: it must be SCHEME:CREDENTIAL"),
        (b":secret", "line 1"),
        (b"\xff", "not text in UTF-8"),
        (b"#" * (FILE_BYTES_MAX + 1), "more than"),
    ],
)
def test_wrong_auth_file_is_said_without_its_secrets(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    """Exit 78 names file and line; what stands there is not repeated, and nothing is sent."""
    file = tmp_path / "auth"
    file.write_bytes(content)
    client = FakeClient({"/a": b""})
    result = _run(client, "get", "/a", "--auth-file", str(file))

    assert result.exit_code == exits.CONFIG
    assert complaint in result.stderr
    assert "secret" not in result.stderr
    assert client.targets == []


def test_client_library_is_given_the_credentials() -> None:
    """The real opener hands them to the client, which refuses an impossible one by itself."""
    target = context.Target("127.0.0.1:1", 1.0, as_json=False, auth=(("digest", "a:b"),))
    client = context._open(target)

    assert isinstance(client, Client)
    assert client._auth == [Auth("digest", b"a:b")]
