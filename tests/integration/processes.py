"""Real ``coord serve`` processes on loopback, for tests that need what only a process has."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

READY_WITHIN_S: Final = 120.0
"""Patience of the tests, not a promise of the product."""
HOST: Final = "127.0.0.1"


_ports = itertools.count()
_claims: list[IO[bytes]] = []
"""Locked files, one for each port that this process was given, until it ends."""


def free_port() -> int:
    """A port nobody listens on, and nobody will be given: below the range that the kernel takes
    for outgoing connections, and claimed among test processes by a lock."""
    places = Path(tempfile.gettempdir()) / "coord-test-ports"
    places.mkdir(exist_ok=True)
    while True:
        port = 10_000 + (os.getpid() * 41 + next(_ports)) % 20_000
        claim = (places / str(port)).open("ab")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port


class ServedNode:
    """One node: its addresses, its directory, and its process while it runs."""

    def __init__(self, node: int, directory: Path) -> None:
        self.id = node
        self.directory = directory
        self.client = f"{HOST}:{free_port()}"
        self.peer = f"{HOST}:{free_port()}"
        self.log_file = directory.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, initial: str, *more: str) -> list[str]:
        """The command line that runs it."""
        return [
            sys.executable, "-m", "coord", "serve", "--id", str(self.id),
            "--dir", str(self.directory), "--client", self.client, "--peer", self.peer,
            "--initial", initial, *more,
        ]  # fmt: skip

    def start(
        self,
        initial: str,
        *more: str,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start the process without waiting for it."""
        assert self.process is None
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(initial, *more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(environment or {})},
                pass_fds=pass_fds,
            )

    def wait_ready(self) -> dict[str, Any]:
        """The line that says that the node is in quorum and caught up."""
        assert self.process is not None
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_WITHIN_S)
        line = self.process.stdout.readline() if readable else b""
        assert line, f"node {self.id} is not ready; its log:\n{self.log()}"
        ready: dict[str, Any] = json.loads(line)
        assert ready["event"] == "ready"
        return ready

    def wait_exit(self) -> int:
        """The exit code."""
        assert self.process is not None
        code = self.process.wait(READY_WITHIN_S)
        self._forget()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``, and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._forget()

    def _forget(self) -> None:
        assert self.process is not None
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def wipe(self) -> None:
        """Lose the disk."""
        assert self.process is None
        shutil.rmtree(self.directory)

    def log(self) -> str:
        """What the process has written to stderr, all its lives together."""
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""


class Cluster:
    """Nodes 1…n that name each other as initial members."""

    def __init__(self, directory: Path, count: int = 3) -> None:
        self.nodes = {n: ServedNode(n, directory / f"node-{n}") for n in range(1, count + 1)}
        self.initial = ",".join(
            f"{node.id}={node.peer}/{node.client}" for node in self.nodes.values()
        )
        self.hosts = ",".join(node.client for node in self.nodes.values())

    def __getitem__(self, node: int) -> ServedNode:
        return self.nodes[node]

    def start(self, *which: int) -> int:
        """Start nodes (all of them unless told) and wait until each is ready; the leader's id."""
        chosen = [self.nodes[n] for n in which] if which else list(self.nodes.values())
        for node in chosen:
            node.start(self.initial)
        return int([node.wait_ready() for node in chosen][-1]["leader"])

    def close(self) -> None:
        """Leave no process behind, whatever the test did."""
        for node in self.nodes.values():
            node.kill()
