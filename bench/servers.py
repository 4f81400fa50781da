"""Servers of one system as child processes on loopback: start, stop, kill, freeze, look at."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Final, Self

from coord.cli import children

HOST: Final = "127.0.0.1"
READY_S: Final = 60.0
STOP_S: Final = 10.0
POLL_S: Final = 0.05
WORD_S: Final = 2.0
LOG_TAIL_LINES: Final = 15


class ServersError(Exception):
    """The servers did not do what they were asked to: the measurement cannot go on."""


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = READY_S) -> None:
    """Ask again and again until ``condition`` holds. Raises ServersError after ``limit_s``."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise ServersError(f"{what}: not within {limit_s:g} s")
        time.sleep(POLL_S)


def word(host: str, name: str) -> str:
    """The answer to a four-letter word; empty if there is none."""
    address, _, port = host.rpartition(":")
    parts = []
    with (
        contextlib.suppress(OSError),
        socket.create_connection((address, int(port)), WORD_S) as connection,
    ):
        connection.settimeout(WORD_S)
        connection.sendall(name.encode("ascii"))
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def mode_of(host: str) -> str:
    """``leader``, ``follower``, or another word of ``srvr``; empty if it is not serving."""
    for line in word(host, "srvr").splitlines():
        if line.startswith("Mode:"):
            return line.removeprefix("Mode:").strip()
    return ""


class Servers(ABC):
    """``count`` servers, numbered from 0, with data, logs and settings below ``directory``.

    A context manager: the servers run inside. None of them outlives this process. Ports are taken
    from ``port`` on, fewer than 30 of them.
    """

    name: ClassVar[str]
    warmup_s: ClassVar[float]
    """How long the servers must work before a figure counts."""

    def __init__(self, directory: Path, port: int, count: int = 3) -> None:
        self.directory = directory
        self.port = port
        self.count = count
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count

    @staticmethod
    def missing() -> str:
        """How to install what is missing on this machine; empty if nothing is."""
        return ""

    @abstractmethod
    def command(self, number: int) -> list[str]:
        """The command line of one server."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether all of them serve, as one cluster."""

    def prepare(self, number: int) -> None:
        """Make what one server needs before its first start."""
        self.home(number).mkdir(parents=True, exist_ok=True)

    def home(self, number: int) -> Path:
        """The directory of one server."""
        return self.directory / f"{self.name}-{number}"

    def address(self, number: int, purpose: int = 0) -> str:
        """``host:port``; purpose 0 is for clients, 1 and 2 are for the other servers."""
        return f"{HOST}:{self.port + 10 * purpose + number}"

    @property
    def hosts(self) -> str:
        """The addresses for clients, with commas between them."""
        return ",".join(self.address(number) for number in range(self.count))

    @property
    def pids(self) -> list[int]:
        """Process ids of the servers that run."""
        return [process.pid for process in self._processes if process is not None]

    # --- life -----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all and wait until they serve. Raises ServersError."""
        try:
            for number in range(self.count):
                self.prepare(number)
                self.spawn(number)
            wait_until(self.is_ready, f"{self.name} is ready")
        except ServersError as error:
            self.stop()
            raise ServersError(f"{error}\n{self.last_words()}") from error

    def spawn(self, number: int) -> None:
        """Start one server that does not run; does not wait for it."""
        assert self._processes[number] is None
        with (self.home(number) / "output.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                self.command(number),
                cwd=self.home(number),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=children.dies_with_parent(),  # noqa: PLW1509
            )

    def environment(self) -> dict[str, str]:
        """Environment variables of the servers."""
        return dict(os.environ)

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a signal to one server."""
        process = self._processes[number]
        assert process is not None
        process.send_signal(what)

    def kill(self, number: int) -> None:
        """End one server at once, by SIGKILL."""
        self.signal(number, signal.SIGKILL)

    def reap(self, number: int) -> None:
        """Wait for the end of a server that was killed."""
        process = self._processes[number]
        assert process is not None
        process.wait(STOP_S)
        self._processes[number] = None

    def stop(self) -> None:
        """End all servers."""
        running = [process for process in self._processes if process is not None]
        for process in running:
            process.kill()
        for process in running:
            process.wait(STOP_S)
        self._processes = [None] * self.count

    def last_words(self) -> str:
        """The end of what the servers have printed."""
        lines: list[str] = []
        for number in range(self.count):
            log = self.home(number) / "output.log"
            if log.exists():
                text = log.read_text(encoding="utf-8", errors="replace")
                lines += [f"{self.name}-{number}: {line}" for line in text.splitlines()]
        return "\n".join(lines[-LOG_TAIL_LINES:])

    # --- what is known about them ---------------------------------------------------------------

    def leader(self) -> int | None:
        """The number of the one that leads, as the word ``srvr`` tells."""
        modes = [mode_of(self.address(number)) for number in range(self.count)]
        return modes.index("leader") if modes.count("leader") == 1 else None

    def has_quorum_view(self) -> bool:
        """Whether one leads and all the others follow, as the word ``srvr`` tells; a single one
        has only to serve.
        """
        modes = sorted(mode_of(self.address(number)) for number in range(self.count))
        if self.count == 1:
            return modes != [""]
        return modes == ["follower"] * (self.count - 1) + ["leader"]


def anonymous_kib(pids: Iterable[int]) -> int:
    """Anonymous memory of all these processes together (what the page cache holds is not in it)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1])
    return total


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time these processes have used so far."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")
