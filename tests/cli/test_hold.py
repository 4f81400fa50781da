"""``coord elect`` and ``coord lock``: the real client over a fake service, real commands."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coord.cli import exits
from coord.cli.context import Target
from coord.cli.root import root
from coord_client import Client
from coord_client.recipes import Lock
from tests.client.fake_server import FakeCluster

Meanwhile = Callable[[FakeCluster, Client], None]


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for another process to act; the test's own timeout bounds it."""
    while not condition():
        await asyncio.sleep(0.005)


class Service:
    """A fake service that one command after another connects to.

    ``meanwhile`` happens once the command under test has written ``signal_file``.
    """

    def __init__(self, directory: Path) -> None:
        self.cluster = FakeCluster()
        self.started = directory / "started"
        self.meanwhile: Meanwhile | None = None
        self.holder_first = ""

    @asynccontextmanager
    async def open(self, target: Target) -> AsyncIterator[Client]:
        """In place of ``coord_client.connect``."""
        del target
        async with Client(self.cluster.connect_string, dial=self.cluster.dial) as client:
            if self.holder_first:
                await Lock(client, self.holder_first).acquire()
            watching = asyncio.create_task(self._act(client))
            try:
                yield client
            finally:
                watching.cancel()

    async def _act(self, client: Client) -> None:
        await _until(self.started.exists)
        if self.meanwhile is not None:
            self.meanwhile(self.cluster, client)

    def run(self, *argv: str) -> Result:
        """Run ``coord`` with these arguments."""
        return CliRunner().invoke(root, list(argv), obj=self.open)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service that has nothing in it."""
    return Service(tmp_path)


def _python(program: str) -> list[str]:
    return ["--", sys.executable, "-c", program]


def _waiting_program(service: Service, *, stubborn: bool = False) -> list[str]:
    """A command that says that it runs, then waits to be ended."""
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    return _python(
        f"import pathlib, signal; {ignore} pathlib.Path({str(service.started)!r}).touch();"
        "signal.pause()"
    )


@pytest.mark.parametrize(("verb", "role"), [("elect", "leader"), ("lock", "holder")])
def test_command_knows_its_hold(service: Service, tmp_path: Path, verb: str, role: str) -> None:
    """The command finds token, role, path and the record for a guard in its environment."""
    told = tmp_path / "told"
    program = (
        "import json, os; json.dump({k: v for k, v in os.environ.items() if 'COORD_' in k},"
        f"open({str(told)!r}, 'w'))"
    )
    result = service.run(verb, "--json", "--hosts", "h1,h2", "/job", *_python(program))
    found = json.loads(told.read_text(encoding="utf-8"))

    assert result.exit_code == 0, result.output
    assert found["COORD_ROLE"] == role
    assert found["COORD_PATH"] == "/job"
    assert found["COORD_HOSTS"] == "h1,h2"
    assert found["COORD_GUARD"].startswith("/job/")
    assert json.loads(result.stdout) == {
        "event": "held",
        "path": "/job",
        "token": int(found["COORD_TOKEN"]),
    }


@pytest.mark.parametrize("verb", ["elect", "lock"])
def test_exit_code_is_the_commands(service: Service, verb: str) -> None:
    """What the command returns is what a script sees."""
    assert service.run(verb, "/job", *_python("raise SystemExit(7)")).exit_code == 7


def test_hold_is_released_at_the_end(service: Service) -> None:
    """The next one holds at once, under a greater token."""
    tokens = [
        json.loads(service.run("lock", "--json", "/job", *_python("")).stdout)["token"]
        for _ in range(2)
    ]

    assert tokens[0] < tokens[1]


@pytest.mark.parametrize("stubborn", [False, True], ids=["obedient", "stubborn"])
def test_lost_hold_ends_the_command(service: Service, stubborn: bool) -> None:
    """When the session has expired the command is killed, whatever it thinks of signals."""
    service.meanwhile = lambda cluster, client: cluster.expire(client.session_id)
    result = service.run("lock", "/job", *_waiting_program(service, stubborn=stubborn))

    assert result.exit_code == exits.TEMPORARY, result.output
    assert "lost or no longer certain" in result.stderr


def test_signal_reaches_the_command(service: Service) -> None:
    """SIGTERM to `coord lock` ends the command first; its end decides the exit code."""
    service.meanwhile = lambda _cluster, _client: os.kill(os.getpid(), signal.SIGTERM)
    result = service.run("lock", "/job", *_waiting_program(service))

    assert result.exit_code == exits.of_signal(signal.SIGTERM)


def test_signal_while_waiting_in_line(service: Service, tmp_path: Path) -> None:
    """Interrupted before it holds: the command never runs, its place in line is given up."""
    service.holder_first = "/job"
    service.started.touch()
    service.meanwhile = lambda _cluster, _client: os.kill(os.getpid(), signal.SIGINT)
    ran = tmp_path / "ran"
    result = service.run("lock", "/job", "--", "touch", str(ran))

    assert result.exit_code == exits.INTERRUPTED
    assert not ran.exists()


def test_not_obtained_in_time(service: Service, tmp_path: Path) -> None:
    """--wait bounds the waiting; the command never runs."""
    service.holder_first = "/job"
    ran = tmp_path / "ran"
    result = service.run("lock", "--wait", "0.05", "/job", "--", "touch", str(ran))

    assert result.exit_code == exits.TEMPORARY
    assert "not obtained" in result.stderr
    assert not ran.exists()


def test_again_waits_for_the_next_turn(service: Service, tmp_path: Path) -> None:
    """With --again a lost hold is followed by another, under a greater token."""
    tokens = tmp_path / "tokens"
    service.meanwhile = lambda cluster, client: cluster.expire(client.session_id)
    program = (
        f"import os, pathlib, signal; f = open({str(tokens)!r}, 'a');"
        "print(os.environ['COORD_TOKEN'], file=f, flush=True);"
        f"first = not pathlib.Path({str(service.started)!r}).exists();"
        f"pathlib.Path({str(service.started)!r}).touch();"
        "first and signal.pause()"
    )
    result = service.run("elect", "--again", "/job", *_python(program))
    first, second = map(int, tokens.read_text(encoding="ascii").split())

    assert result.exit_code == 0, result.output
    assert first < second


@pytest.mark.parametrize(
    ("command", "code"), [("/no/such/command", exits.NOT_FOUND), ("/", exits.NOT_EXECUTABLE)]
)
def test_command_that_cannot_start(service: Service, command: str, code: int) -> None:
    """As in a shell: 127 where there is none, 126 where it cannot be executed."""
    result = service.run("lock", "/job", "--", command)

    assert result.exit_code == code
    assert command in result.stderr


def test_command_is_required(service: Service) -> None:
    """Without a command there is nothing to hold for."""
    assert service.run("elect", "/job").exit_code == exits.USAGE
