"""The official Java shell, ``org.apache.zookeeper.ZooKeeperMain``, which ``zkCli.sh`` starts."""

from __future__ import annotations

import contextlib
import itertools
import re
import subprocess
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from tests.zookeeper_clients.ensembles import SESSION_MS
from tests.zookeeper_clients.lab import PATIENCE_S, Lab, wait_until

pytestmark = [pytest.mark.needs("java"), pytest.mark.needs("zookeeper.jar")]

JARS: Final = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar"


class Shell:
    """One shell; commands go in through a pipe, answers and watch events come out of another."""

    def __init__(self, hosts: str) -> None:
        self._process = subprocess.Popen(
            ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", JARS,
             "org.apache.zookeeper.ZooKeeperMain", "-timeout", str(SESSION_MS), "-server", hosts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )  # fmt: skip
        self.pid = self._process.pid
        self.output = ""
        self._marks = itertools.count()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, command: str) -> str:
        """What the shell prints for a command: a question about a node that cannot exist follows
        it, and the answer to that one ends the output.
        """
        start = len(self.output)
        mark = f"/end-of-command-{next(self._marks)}"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\nstat {mark}\n")
        self._process.stdin.flush()
        wait_until(lambda: mark in self.output[start:], f"the answer to {command}")
        return self.output[start : self.output.index(mark, start)]

    def wait_for(self, text: str) -> None:
        """Wait until the shell has printed this."""
        wait_until(lambda: text in self.output, text)

    def close(self) -> None:
        """Leave the shell."""
        if self._process.poll() is None:
            self._process.communicate("quit\n", timeout=PATIENCE_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line


@pytest.fixture
def shell(lab: Lab) -> Iterator[Shell]:
    """A shell whose root is the test's own directory."""
    made = Shell(lab.hosts + lab.root)
    yield made
    made.close()


def fields(answer: str) -> dict[str, str]:
    """The lines ``name = value`` of an answer."""
    return dict(re.findall(r"^(\w+) = (.*)$", answer, re.MULTILINE))


def test_commands(shell: Shell) -> None:
    """Every command about nodes: create in each mode, get, set, ls, stat, count, delete, ACLs."""
    assert "Created /a" in shell.ask("create /a one")
    assert "already exists" in shell.ask("create /a one")
    assert "one" in shell.ask("get /a")
    assert fields(shell.ask("set -s -v 0 /a three"))["dataLength"] == "5"
    assert "version No is not valid" in shell.ask("set -v 9 /a x")
    assert "Created /a/s0000000000" in shell.ask("create -s /a/s")
    assert "Created /a/e" in shell.ask("create -e /a/e")
    assert "Created /a/es0000000002" in shell.ask("create -s -e /a/es")
    assert "Created /a/c" in shell.ask("create -c /a/c")
    assert "Created /a/t" in shell.ask("create -t 600000 /a/t")
    assert "[c, e, es0000000002, s0000000000, t]" in shell.ask("ls /a")
    stat = fields(shell.ask("stat /a"))
    assert (stat["dataVersion"], stat["numChildren"], stat["ephemeralOwner"]) == ("1", "5", "0x0")
    assert fields(shell.ask("stat /a/e"))["ephemeralOwner"] != "0x0"
    assert "5" in shell.ask("getAllChildrenNumber /a")
    assert "/a/e" in shell.ask("getEphemerals /")
    assert "not empty" in shell.ask("delete /a")
    assert "NoNode" in shell.ask("get /nothing") or "does not exist" in shell.output
    shell.ask("sync /a")
    shell.ask("deleteall /a")
    assert "/a" not in shell.ask("ls /").partition("[")[2].partition("]")[0]


def test_identities_and_acls(shell: Shell) -> None:
    """Giving a digest identity, an ACL that names it, and what others then may."""
    assert "ip" in shell.ask("whoami")
    shell.ask("create /a x")
    assert "'world,'anyone\n: cdrwa" in shell.ask("getAcl /a")
    shell.ask("addauth digest eve:pass")
    assert "eve" in shell.ask("whoami")
    shell.ask("setAcl /a auth::cdrwa")
    assert "'digest,'eve:" in shell.ask("getAcl /a")
    assert "x" in shell.ask("get /a")


def test_watches(shell: Shell, lab: Lab) -> None:
    """One-shot and persistent watches print their events; removed ones no more."""
    with lab.control() as other:
        shell.ask("create /w x")
        shell.ask("create /p x")
        shell.ask("get -w /w")
        shell.ask("addWatch -m PERSISTENT_RECURSIVE /p")
        other.set(f"{lab.root}/w", b"1")
        other.create(f"{lab.root}/p/c")
        shell.wait_for("type:NodeDataChanged path:/w")
        shell.wait_for("type:NodeCreated path:/p/c")
        shell.ask("removewatches /p")
        other.set(f"{lab.root}/p/c", b"1")
        shell.ask("sync /p")
        assert "type:NodeDataChanged path:/p/c" not in shell.output


def test_quotas(lab: Lab) -> None:
    """A soft quota on the number of nodes is set, listed with what is used of it, and deleted."""
    shell = Shell(lab.hosts)  # Without a chroot: this command does not know of it.
    with contextlib.closing(shell):
        shell.ask(f"create {lab.root}/child xyz")
        shell.ask(f"setquota -n 5 {lab.root}")
        answer = shell.ask(f"listquota {lab.root}")
        assert "count=5,bytes=-1" in answer
        assert "count=2,bytes=3" in answer
        assert "setquota failed" not in shell.ask(f"delquota -n {lab.root}")
        assert "count=-1" in shell.ask(f"listquota {lab.root}")


def test_a_session_outlives_the_node_it_was_on(shell: Shell, lab: Lab) -> None:
    """After ``kill -9`` of that node the shell finds another one, and its ephemeral is there."""
    shell.ask("create -e /e x")
    owner = fields(shell.ask("stat /e"))["ephemeralOwner"]
    lab.kill_node_of(shell.pid)
    shell.wait_for("state:Disconnected")
    wait_until(lambda: shell.output.count("state:SyncConnected") >= 2)
    assert fields(shell.ask("stat /e"))["ephemeralOwner"] == owner


def test_leaving_deletes_ephemerals(shell: Shell, lab: Lab) -> None:
    """``quit`` closes the session."""
    shell.ask("create -e /e x")
    shell.close()
    with lab.control() as other:
        assert other.exists(f"{lab.root}/e") is None
