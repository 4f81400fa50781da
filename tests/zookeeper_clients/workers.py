"""Clients that are programs of other languages: they run scenarios by name, over two pipes.

The program reads ``run NAME HOSTS RELAYED ROOT``. While it runs it may ask for what a client
cannot do itself, one line each, answered by ``done``:

    @kill            kill -9 the node this process is connected to
    @restart         start it again
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
    """One such program, for as many scenarios as a module has."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log_path = log
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                text=True,
                encoding="utf-8",
            )

    def run(self, scenario: str, lab: Lab) -> None:
        """Run one scenario; fails with what the program says."""
        guard = threading.Timer(SCENARIO_S_MAX, self._process.kill)
        guard.start()
        try:
            self._say(f"run {scenario} {lab.hosts} {lab.relayed} {lab.root}")
            verdict = self._serve(lab)
        finally:
            guard.cancel()
        assert verdict == "PASS", f"{verdict}\n{self._log_tail()}"

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()

    def _serve(self, lab: Lab) -> str:
        """Do what the program asks for until it has a verdict."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, argument = line.strip().partition(" ")
            if word in {"PASS", "FAIL"}:
                return line.strip()
            if word.startswith("@"):
                self._obey(word, argument, lab)
                self._say("done")
        return f"FAIL the program ended, or took more than {SCENARIO_S_MAX:.0f} s"

    def _obey(self, word: str, argument: str, lab: Lab) -> None:
        match word:
            case "@kill":
                lab.kill_node_of(self._process.pid)
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

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _log_tail(self) -> str:
        return self._log_path.read_text("utf-8", errors="replace")[-4_000:]
