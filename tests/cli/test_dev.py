"""``coord dev`` and the commands against it: real nodes, real signals, nothing faked."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from coord.cli import exits
from coord.cli.dev_layout import is_free
from tests.cli.processes import is_running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("dev"),
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and pidfds"),
]

COORD = [sys.executable, "-m", "coord"]
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("COORD_")}


IGNORING_SIGINT = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""Runs what follows with SIGINT ignored, as a shell starts its background jobs."""


def _ports() -> int:
    """A first port for three nodes, their peers and what follows."""
    first = 12_000 + os.getpid() % 500 * 10
    return next(
        port
        for port in range(first, 20_000, 10)
        if all(is_free(port + kind + k) for kind in (0, 100, 200) for k in range(3))
    )


class Dev:
    """A running ``coord dev --json``."""

    def __init__(
        self, directory: Path, port: int, *options: str, wrapper: tuple[str, ...] = ()
    ) -> None:
        argv = [
            *wrapper,
            *COORD,
            "dev",
            "--json",
            "--dir",
            str(directory),
            "--port",
            str(port),
            *options,
        ]
        self.hosts = ",".join(f"127.0.0.1:{port + k}" for k in range(3))
        self.process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        nodes = self.event()["nodes"]
        self.pids = {node["id"]: node["pid"] for node in nodes}
        self.http = {node["id"]: node["http"] for node in nodes}

    def event(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"coord dev ended with {self.process.wait()}"
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run another command against these nodes."""
        return subprocess.run(
            [*COORD, *argv],
            capture_output=True,
            text=True,
            check=False,
            env={**ENVIRONMENT, "COORD_HOSTS": self.hosts},
        )

    def spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start another command against these nodes."""
        return subprocess.Popen([*COORD, *argv], env={**ENVIRONMENT, "COORD_HOSTS": self.hosts})

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait()


@contextmanager
def _dev(directory: Path, port: int, *options: str, wrapper: tuple[str, ...] = ()) -> Iterator[Dev]:
    dev = Dev(directory, port, *options, wrapper=wrapper)
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.stop()


def _wait_gone(pid: int) -> None:
    """Until the process, not a child of ours, has ended."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([watched], [], [])
    os.close(watched)


def test_every_node_tells_its_health_and_metrics(tmp_path: Path) -> None:
    """At the address that is printed."""
    with _dev(tmp_path, _ports()) as dev:
        for address in dev.http.values():
            while not _is_ready(address):
                pass
            with urlopen(f"http://{address}/metrics") as answer:
                assert b"coord_has_leader 1.0" in answer.read()


def _is_ready(address: str) -> bool:
    """A busy machine may delay what makes a node ready; it always says what is missing."""
    try:
        with urlopen(f"http://{address}/readyz") as answer:
            assert json.load(answer)["ready"]
            return True
    except HTTPError as error:
        refusal = error
    with refusal:
        checks = json.load(refusal)["checks"]
    assert refusal.code == HTTPStatus.SERVICE_UNAVAILABLE
    assert not all(check["ok"] for check in checks)
    return False


def test_killed_node_comes_back_and_the_data_stays(tmp_path: Path) -> None:
    """A killed node is restarted; all ends with SIGTERM; the next run finds what was written."""
    port = _ports()
    with _dev(tmp_path, port) as dev:
        assert dev.run("set", "--create", "/kept", "value").returncode == 0
        victim = dev.pids[2]
        os.kill(victim, signal.SIGKILL)

        assert dev.event() == {"event": "exit", "id": 2, "pid": victim, "code": -9}
        restarted = dev.event()
        assert (restarted["event"], restarted["id"]) == ("restart", 2)
        pids = {*dev.pids.values(), restarted["pid"]}
        assert dev.stop() == 0
    assert not any(map(is_running, pids))

    with _dev(tmp_path, port) as dev:
        found = dev.run("get", "/kept")
        assert found.stdout == "value", found.stderr


def test_interrupt_works_where_it_was_ignored(tmp_path: Path) -> None:
    """Started by a shell as a background job, SIGINT is inherited as ignored; it stops all the
    same, within its promise.
    """
    with _dev(tmp_path, _ports(), wrapper=IGNORING_SIGINT) as dev:
        pids = list(dev.pids.values())

        assert dev.stop(signal.SIGINT) == 0
    assert not any(map(is_running, pids))


def test_nodes_die_with_a_killed_dev(tmp_path: Path) -> None:
    """A supervisor killed by SIGKILL leaves no process and no stale lock: it starts again."""
    port = _ports()
    with _dev(tmp_path, port) as dev:
        pids = list(dev.pids.values())
        assert dev.stop(signal.SIGKILL) == -signal.SIGKILL
    for pid in pids:
        _wait_gone(pid)

    with _dev(tmp_path, port) as dev:
        assert dev.run("ls").returncode == 0


def test_minority_says_what_is_wrong(tmp_path: Path) -> None:
    """With two of three nodes dead: who is missing, what is needed, exit 69; stale reads work."""
    with _dev(tmp_path, _ports(), "--no-restart") as dev:
        dev.run("create", "/a", "old")
        for node in (1, 3):
            os.kill(dev.pids[node], signal.SIGKILL)
            assert dev.event()["event"] == "exit"
        status = dev.run("status", "--json")
        while json.loads(status.stdout)["serving"]:  # Until the survivor misses its leader.
            status = dev.run("status", "--json")
        told = dev.run("status")
        written = dev.run("set", "/a", "new", "--timeout", "0.5")

    assert status.returncode == told.returncode == exits.UNAVAILABLE
    assert "no leader: 1 of 3 voters reachable, 2 needed" in told.stdout
    assert "start any 1 of nodes 1 and 3" in told.stdout
    assert written.returncode == exits.UNAVAILABLE, written.stderr


def test_lines_to_paste_work_as_printed(tmp_path: Path) -> None:
    """The three lines that `coord dev` ends with, each pasted into a shell of its own."""
    process = subprocess.Popen(
        [*COORD, "dev", "--dir", str(tmp_path), "--port", str(_ports())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while len(lines) < 3:
            line = process.stdout.readline()
            assert line, "it ended before it was ready"
            lines += [line] if line.startswith("  ") else []
        results = [
            subprocess.run(
                ["sh", "-c", line], capture_output=True, text=True, check=False, env=ENVIRONMENT
            )
            for line in lines
        ]
    finally:
        process.terminate()
        process.stdout.close()
        process.wait()

    assert [result.returncode for result in results] == [0, 0, 0], results
    assert "healthy" in results[0].stdout
    assert "I lead, token" in results[2].stdout


def test_every_command_against_a_real_cluster(tmp_path: Path) -> None:
    """One session through the commands, as a person would use them."""
    with _dev(tmp_path, _ports()) as dev:
        created = dev.run("create", "-p", "-s", "/jobs/job-", "one")
        assert created.stdout == "/jobs/job-0000000000\n", created.stderr
        assert dev.run("ls", "/jobs").stdout == "job-0000000000\n"
        assert "job-0000000000 = one" in dev.run("tree", "-v", "/jobs").stdout
        assert "3 bytes" in dev.run("stat", "/jobs/job-0000000000").stdout
        assert dev.run("txn", "check /jobs 0", "set /jobs busy").returncode == 0
        assert dev.run("txn", "check /jobs 0", "set /jobs lost").returncode == exits.REFUSED
        assert dev.run("get", "/jobs").stdout == "busy"
        history = dev.run("history", "/jobs", "--json").stdout.splitlines()
        assert [json.loads(line)["kind"] for line in history] == ["data", "created"]
        session = json.loads(history[0])["session"]
        assert "was closed by its client" in dev.run("why-session", str(session)).stdout
        assert dev.run("sync").returncode == 0
        assert json.loads(dev.run("digest", "--json").stdout)["agree"]
        assert "verified" in dev.run("snapshot").stdout
        assert "survives 1 further failure" in dev.run("member", "list").stdout
        assert "after: 2 voters" in dev.run("member", "remove", "3", "--dry-run").stderr
        leader = json.loads(dev.run("status", "--json").stdout)["leader"]
        moved = dev.run("member", "transfer", "2" if leader == 1 else "1")
        assert moved.returncode == 0, moved.stderr
        removed = dev.run("member", "remove", "3", "--json")
        assert json.loads(removed.stdout)["after"]["voters"] == 2, removed.stderr
        assert "2 voters, majority 2" in dev.run("member", "list").stdout
        refused = dev.run("member", "transfer", "9")
        assert refused.returncode == exits.USAGE
        assert "the members are 1 and 2" in refused.stderr
        assert dev.run("get", "/nothing").returncode == exits.NO_NODE
        loaded = dev.run("bench", "mixed", "--seconds", "0.2", "--connections", "3", "--json")
        assert json.loads(loaded.stdout)["ops"] > 0, loaded.stderr
        assert "coord-bench" not in dev.run("ls", "/").stdout
        loading = dev.spawn("bench", "create", "--seconds", "3600", "--json")
        while "c9\n" not in dev.run("ls", "/coord-bench").stdout:
            assert loading.poll() is None
        loading.terminate()
        assert loading.wait() == exits.of_signal(signal.SIGTERM)
        assert "coord-bench" not in dev.run("ls", "/").stdout
        assert dev.run("delete", "-r", "/jobs").returncode == 0


def test_one_node_is_stopped_and_started_from_another_shell(tmp_path: Path) -> None:
    """`coord dev stop 3` ends one node in good order while the rest serves; `start` brings it
    back; settings reach the nodes; when nothing runs any more, the commands say so."""
    directory = str(tmp_path)
    with _dev(tmp_path, _ports(), "--set", "sessions.timeout_ms_min=2s") as dev:
        stopped = dev.run("dev", "stop", "3", "--dir", directory)
        assert stopped.stdout == "node 3 stopped\n", stopped.stderr
        assert dev.event() == {"event": "stop", "id": 3, "pid": dev.pids[3], "code": 0}
        assert not is_running(dev.pids[3])
        assert dev.run("set", "--create", "/a", "while it is away").returncode == 0

        started = dev.run("dev", "start", "3", "--json", "--dir", directory)
        assert json.loads(started.stdout)["state"] == "running", started.stderr
        assert dev.event()["event"] == "start"
        third = dev.hosts.rpartition(",")[2]
        while dev.run("get", "/a", "--hosts", third).stdout != "while it is away":
            assert is_running(json.loads(started.stdout)["pid"])
        again = json.loads(started.stdout)["pid"]
        for pid in (dev.pids[1], again):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"--set\0sessions.timeout_ms_min=2s" in command
        assert dev.stop() == 0
    gone = dev.run("dev", "stop", "3", "--dir", directory)
    assert gone.returncode == exits.CONFIG
    assert "no coord dev runs in" in gone.stderr


def test_acls_of_a_real_cluster(tmp_path: Path) -> None:
    """What an ACL keeps from strangers its user can do, who proves himself by file or variable."""
    auth = tmp_path / "alice"
    auth.write_text("digest:alice:secret\n")
    alice = ("--auth-file", str(auth))
    with _dev(tmp_path / "cluster", _ports()) as dev:
        dev.run("create", "/a", "private")
        mine = dev.run("acl", "set", "/a", "auth::cdrwa", *alice)
        assert mine.stdout == "acl version 1\n", mine.stderr
        refused = dev.run("get", "/a")
        assert refused.returncode == exits.REFUSED
        assert "coord acl get" in refused.stderr
        assert dev.run("get", "/a", *alice).stdout == "private"
        entry = dev.run("acl", "get", "/a", *alice).stdout.strip()
        assert entry.startswith("digest:alice:")
        opened = dev.run("acl", "set", "/a", entry, "world:anyone:r", "--version", "1", *alice)
        assert opened.stdout == "acl version 2\n", opened.stderr
        assert dev.run("get", "/a").stdout == "private"
        assert dev.run("set", "/a", "x").returncode == exits.REFUSED


def test_program_of_the_readme_elects_a_leader(tmp_path: Path) -> None:
    """The ten lines in README.md work as printed, but for the ports."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    program = text.partition("```python\n")[2].partition("```")[0]
    with _dev(tmp_path, _ports()) as dev:
        program = program.replace("127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183", dev.hosts)
        assert dev.hosts in program
        leader = subprocess.Popen(
            [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True
        )
        assert leader.stdout is not None
        line = leader.stdout.readline()
        leader.terminate()
        leader.stdout.close()
        leader.wait()

    assert line.startswith("leading, token ")


def test_leadership_outlives_the_raft_leader(tmp_path: Path) -> None:
    """`coord elect` keeps its leadership while the node that leads the cluster is killed, and its
    command can still write under its token.
    """
    with _dev(tmp_path, _ports()) as dev:
        leader = json.loads(dev.run("status", "--json").stdout)["leader"]
        coord = " ".join(COORD)
        script = (
            f"{coord} set --create /state before && echo running && read line && "
            f'{coord} txn "guard $COORD_GUARD $COORD_TOKEN" "set /state after" && exit 7'
        )
        holder = subprocess.Popen(
            [*COORD, "elect", "/leader", "--", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, "COORD_HOSTS": dev.hosts},
        )
        assert holder.stdout is not None
        while "running" not in holder.stdout.readline():
            assert holder.poll() is None
        os.kill(dev.pids[leader], signal.SIGKILL)
        assert dev.event()["event"] == "exit"
        assert dev.event()["event"] == "restart"
        holder.communicate("go\n")

        assert holder.returncode == 7
        assert dev.run("get", "/state").stdout == "after"
