"""The socket of a running ``coord dev``, its commands, and the settings that it hands on."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from coord.cli import dev_control, exits
from coord.cli.dev_control import ADDRESS_BYTES_MAX, LINE_BYTES_MAX, SOCKET, ask, served
from coord.cli.dev_layout import Layout
from coord.cli.root import root
from coord.model.errors import ConfigError, ConnectionLostError, OperationTimeoutError

STOP = {"do": "stop", "nodes": [2]}
STOPPED = {"id": 2, "state": "stopped", "pid": None}


async def _stopped(request: dict[str, Any]) -> dict[str, Any]:
    assert request == STOP
    return {"nodes": [STOPPED]}


async def _in_thread(function: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(function)


async def test_request_is_answered(tmp_path: Path) -> None:
    """Another process is answered; the socket is its owner's alone and gone afterwards."""
    async with served(tmp_path, _stopped) as failure:
        assert not failure
        mode = (tmp_path / SOCKET).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert await _in_thread(lambda: ask(tmp_path, STOP, 10.0)) == [STOPPED]
    assert not (tmp_path / SOCKET).exists()


async def test_long_directory_works(tmp_path: Path) -> None:
    """A directory whose name does not fit into a socket's address serves all the same."""
    directory = tmp_path / ("d" * ADDRESS_BYTES_MAX)
    directory.mkdir()
    async with served(directory, _stopped) as failure:
        assert not failure
        assert (directory / SOCKET).is_socket()
        assert await _in_thread(lambda: ask(directory, STOP, 10.0)) == [STOPPED]
    assert not (directory / SOCKET).exists()


async def test_two_in_one_directory_are_refused(tmp_path: Path) -> None:
    """The second says so and leaves the first alone."""
    async with served(tmp_path, _stopped):

        async def second() -> None:
            async with served(tmp_path, _stopped):
                raise AssertionError("two serve one directory")

        with pytest.raises(ConfigError, match="another coord dev runs"):
            await second()
        assert await _in_thread(lambda: ask(tmp_path, STOP, 10.0)) == [STOPPED]


async def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    """One that a killed process left does not stop the next."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET))
    with pytest.raises(ConfigError, match="no coord dev runs"):
        ask(tmp_path, STOP, 10.0)
    async with served(tmp_path, _stopped):
        assert await _in_thread(lambda: ask(tmp_path, STOP, 10.0)) == [STOPPED]


async def test_directory_that_holds_no_sockets_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems have none: the cluster runs, without control from elsewhere."""

    def refuse(_path: Path) -> socket.socket:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(dev_control, "_listening", refuse)
    async with served(tmp_path, _stopped) as failure:
        assert failure == "Operation not supported"


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}\n", b"[]\n", b'{"nodes": ["1"]}\n', b"\xff\n", b"x" * (LINE_BYTES_MAX + 9)],
)
async def test_what_is_no_request_is_answered(tmp_path: Path, line: bytes) -> None:
    """Anything else gets an error, and the next request is served."""
    async with served(tmp_path, _stopped):
        reader, writer = await asyncio.open_unix_connection(tmp_path / SOCKET)
        writer.write(line)
        writer.write_eof()
        assert "not a request" in json.loads(await reader.readline())["error"]
        writer.close()
        assert await _in_thread(lambda: ask(tmp_path, STOP, 10.0)) == [STOPPED]


async def test_refusal_silence_and_death_are_told_apart(tmp_path: Path) -> None:
    """What it refuses is said in its words; silence and its end have errors of their own."""
    never = asyncio.Event()

    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        return {"error": "not now"}

    async def hang(_: dict[str, Any]) -> dict[str, Any]:
        await never.wait()
        return {}

    async def die(_: dict[str, Any]) -> dict[str, Any]:
        raise OSError

    for handle, error, text in (
        (refuse, ConfigError, "not now"),
        (hang, OperationTimeoutError, "no answer within 0.1 s"),
        (die, ConnectionLostError, "ended meanwhile"),
    ):
        async with served(tmp_path, handle):
            with pytest.raises(error, match=text):
                await _in_thread(lambda: ask(tmp_path, STOP, 0.1))
    never.set()


# --- the commands -------------------------------------------------------------------------------


def _run(*argv: str) -> Result:
    return CliRunner().invoke(root, ["dev", *argv])


def _prepared(directory: Path) -> Path:
    Layout.of(directory, 4000, 3).prepare()
    return directory


def test_stop_without_a_cluster(tmp_path: Path) -> None:
    """No directory of a cluster, or nothing running in it: said, with what to do."""
    nothing = _run("stop", "1", "--dir", str(tmp_path / "none"))
    assert nothing.exit_code == exits.CONFIG
    assert "is not the directory of a coord dev" in nothing.stderr
    idle = _run("--dir", str(_prepared(tmp_path)), "start", "1")
    assert idle.exit_code == exits.CONFIG
    assert "no coord dev runs in" in idle.stderr


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["stop"], "Missing argument"),
        (["stop", "4"], "there is no node 4: they are 1 to 3"),
        (["stop", "0"], "not in the range"),
        (["stop", "two"], "not a valid integer"),
        (["--nodes", "3", "stop", "1"], "--nodes is for running a cluster"),
        (["--set", "log.level=info", "start", "1"], "--set is for running a cluster"),
        (["restart", "1"], "No such command"),
    ],
)
def test_wrong_usage_is_said(tmp_path: Path, argv: list[str], complaint: str) -> None:
    """Nothing is asked of anybody when the line is wrong."""
    result = _run("--dir", str(_prepared(tmp_path)), *argv)

    assert result.exit_code == exits.USAGE
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("settings", "complaints"),
    [
        (["raft.hartbeat_ms=1", "colour=red"], ["did you mean raft.heartbeat_ms?", "colour"]),
        (["log.level"], ["KEY=VALUE"]),
        (["log.level=loud", "storage.quota_bytes=much"], ["log.level = 'loud'", "quota_bytes"]),
        (["raft.heartbeat_ms=5s"], ["raft.heartbeat_ms", "must be"]),
        (["node.client=127.0.0.1:1"], ["coord dev chooses that"]),
        (["cluster.initial=1=127.0.0.1:1"], ["coord dev chooses that"]),
    ],
)
def test_bad_settings_are_said_before_anything_starts(
    tmp_path: Path, settings: list[str], complaints: list[str]
) -> None:
    """Unknown keys and bad values, all of a kind at once; no directory is made."""
    directory = tmp_path / "cluster"
    given = [part for setting in settings for part in ("--set", setting)]
    result = _run("--dir", str(directory), *given)

    assert result.exit_code == exits.CONFIG
    for complaint in complaints:
        assert complaint in result.stderr
    assert not directory.exists()


def test_settings_reach_every_node(tmp_path: Path) -> None:
    """Each node's command line ends with them."""
    layout = Layout.of(tmp_path, 4000, 3, ("log.level=debug", "raft.heartbeat_ms=50"))

    for node in layout.nodes:
        tail = layout.command_of(node)[-4:]
        assert tail == ["--set", "log.level=debug", "--set", "raft.heartbeat_ms=50"]
