"""Commands that must not outlive their hold: process groups, terminals, dying with the parent."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coord.cli.children import Command
from tests.cli.processes import is_running

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs prctl and pidfds")

PROGRAM = """
import asyncio, os, sys
from coord.cli.children import Command
from tests.cli.processes import is_running
async def main():
    command = await Command.start(sys.argv[1:], os.environ)
    print("code", await command.wait(), "foreground", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
asyncio.run(main())
"""


ON_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
"""Makes standard input the controlling terminal of a new session."""


class Terminal:
    """A program on a terminal of its own, as its session's leader."""

    def __init__(self, *argv: str) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL + PROGRAM, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            start_new_session=True,
        )
        os.close(slave)
        self.output = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def read_until(self, text: str) -> None:
        """Wait for ``text`` on the screen."""
        while text not in self.output:
            try:
                self.output += os.read(self._master, 1_024).decode()
            except OSError as error:
                raise AssertionError(f"it ended with {self.output!r} on the screen") from error

    def close(self) -> None:
        """Hang up and forget it."""
        os.close(self._master)
        self._process.wait()


def test_command_reads_the_keyboard() -> None:
    """The command is in the foreground: it can read what is typed, from its first moment on."""
    terminal = Terminal("sh", "-c", "echo ready; read line; echo got $line")
    terminal.read_until("ready")
    terminal.type("words\n")
    terminal.read_until("got words")
    terminal.read_until("code 0 foreground True")
    terminal.close()


def test_interrupt_key_reaches_the_command_alone() -> None:
    """Ctrl-C ends the command; we live on to report it and take the terminal back."""
    terminal = Terminal("sh", "-c", "echo ready; read line")
    terminal.read_until("ready")
    terminal.type("\x03")
    terminal.read_until(f"code {-signal.SIGINT} foreground True")
    terminal.close()


def test_suspend_key_does_nothing() -> None:
    """Ctrl-Z would leave a stopped command in possession of its hold: it is ignored."""
    terminal = Terminal("sh", "-c", "echo ready; read line; echo got $line")
    terminal.read_until("ready")
    terminal.type("\x1a")
    terminal.type("on\n")
    terminal.read_until("got on")
    terminal.close()


async def test_signal_reaches_the_whole_group(tmp_path: Path) -> None:
    """A command that has started others is ended with all of them."""
    told = tmp_path / "grandchild"
    script = f"{sys.executable} -c 'import signal; signal.pause()' & echo $! > {told}; wait"
    command = await Command.start(["sh", "-c", script], os.environ)
    while not (told.exists() and told.read_text(encoding="ascii").endswith("\n")):
        await asyncio.sleep(0.005)
    grandchild = int(told.read_text(encoding="ascii"))
    command.signal(signal.SIGKILL)

    assert await command.wait() == -signal.SIGKILL
    while is_running(grandchild):
        await asyncio.sleep(0.005)
    command.signal(signal.SIGKILL)  # Nobody left: no error.


@linux
def test_command_dies_with_us() -> None:
    """If we are killed, the command is killed: it cannot run on without a guard."""
    program = PROGRAM.replace("print(", "print(command, ").replace(
        "    print(", "    os.write(1, b'%d\\n' % command._process.pid)\n    print("
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, sys.executable, "-c", "import signal; signal.pause()"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    command = os.pidfd_open(int(process.stdout.readline()))
    process.kill()
    process.wait()
    process.stdout.close()

    select.select([command], [], [])
    os.close(command)
