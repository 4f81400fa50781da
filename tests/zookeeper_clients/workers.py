"""Clients that are programs of other languages: they run scenarios by name, over two pipes.

The program reads ``run NAME HOSTS RELAYED ROOT``. While it runs it may ask for what a client
cannot do itself, one line each, answered by ``done``:

    @kill            kill -9 the node this process is connected to
    @kill-majority   kill -9 two of the three nodes
    @restart         start what was killed
    @drop            end the connections through the relay
    @cut, @mend      end them and let nothing pass; let it pass again
    @expire PATH     keep the client away until its session, which owns PATH, has ended

and it ends with ``PASS`` or ``FAIL why``. Anything else that it writes is its log.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.zookeeper_clients.lab import Lab

SCENARIO_S_MAX: Final = 50.0


class Worker:
    """One such program, for as many scenarios as a module has; after a failure it starts afresh."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._environment = environment
        self._log_path = log
        self._process: subprocess.Popen[str] | None = None

    def run(self, scenario: str, lab: Lab) -> None:
        """Run one scenario; fails with what the program says."""
        process = self._process or self._start()
        guard = threading.Timer(SCENARIO_S_MAX, process.kill)
        guard.start()
        verdict = "FAIL the test could not do what the program asked for"
        try:
            _say(process, f"run {scenario} {lab.hosts} {lab.relayed} {lab.root}")
            verdict = _serve(process, lab)
        finally:
            guard.cancel()
            if verdict != "PASS":
                self.close()
        assert verdict == "PASS", f"{verdict}\n{self._log_tail()}"

    def close(self) -> None:
        """End the program."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        with self._log_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self._environment,
                text=True,
                encoding="utf-8",
            )
        return self._process

    def _log_tail(self) -> str:
        return self._log_path.read_text("utf-8", errors="replace")[-4_000:]


def _serve(process: subprocess.Popen[str], lab: Lab) -> str:
    """Do what the program asks for until it has a verdict."""
    assert process.stdout is not None
    for line in process.stdout:
        word, _, argument = line.strip().partition(" ")
        if word in {"PASS", "FAIL"}:
            return line.strip()
        if word.startswith("@"):
            _obey(process, word, argument, lab)
            _say(process, "done")
    return f"FAIL the program ended, or took more than {SCENARIO_S_MAX:.0f} s"


def _obey(process: subprocess.Popen[str], word: str, argument: str, lab: Lab) -> None:
    match word:
        case "@kill":
            lab.kill_node_of(process.pid)
        case "@kill-majority":
            lab.kill_majority()
        case "@expire":
            lab.expire(argument)
        case "@restart":
            lab.restart()
        case "@drop":
            lab.drop()
        case "@cut":
            lab.cut()
        case "@mend":
            lab.mend()
        case _:
            raise AssertionError(f"the program asks for {word}")


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
