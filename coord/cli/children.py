"""Child processes that must not outlive what they depend on."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def dies_with_parent() -> Callable[[], None]:
    """A hook for the child, between fork and exec: the kernel kills it when this process dies.

    That part is for Linux only (prctl(2)). The library is loaded here, before the fork, because
    little is safe after it. A parent that died in between is noticed by its changed pid.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def arm() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    return arm


class Command:
    """A user's command in its own process group, so that all of it can be signalled at once.

    On a terminal the group is made the foreground one, as a shell does: the command can read the
    keyboard, and Ctrl-C reaches it and not us. Ctrl-Z does nothing.
    """

    def __init__(self, process: asyncio.subprocess.Process, terminal: int | None) -> None:
        self._process = process
        self._terminal = terminal

    @classmethod
    async def start(cls, argv: Sequence[str], environment: Mapping[str, str]) -> Command:
        """Start ``argv``. Raises OSError if it cannot be executed."""
        arm, terminal = dies_with_parent(), own_terminal()

        def prepare() -> None:
            arm()
            if terminal is not None:
                give_terminal(terminal, os.getpgrp())
                signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # Stopped, it would keep the hold.

        process = await asyncio.create_subprocess_exec(
            *argv, env=dict(environment), process_group=0, preexec_fn=prepare
        )
        return cls(process, terminal)

    async def wait(self) -> int:
        """Its return code; negative: the signal that ended it."""
        code = await self._process.wait()
        if self._terminal is not None:
            give_terminal(self._terminal, os.getpgrp())
        return code

    def signal(self, number: int) -> None:
        """Signal the whole group; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def own_terminal() -> int | None:
    """Standard input's descriptor if it is a terminal whose foreground is ours to give away."""
    try:
        terminal = sys.stdin.fileno()
        return terminal if os.tcgetpgrp(terminal) == os.getpgrp() else None
    except (OSError, ValueError):
        return None


def give_terminal(terminal: int, group: int) -> None:
    """Make ``group`` the terminal's foreground group.

    Asking from the background raises SIGTTOU, which stops a process that does not ignore it.
    """
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, group)
    finally:
        signal.signal(signal.SIGTTOU, before)
