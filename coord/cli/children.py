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


def dies_with_parent() -> Callable[[], None] | None:
    """A hook for the child, between fork and exec: the kernel kills it when this process dies.

    Linux only (prctl(2)); None elsewhere. The library is loaded here, before the fork, because
    little is safe after it. A parent that died in between is noticed by its changed pid.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_DFL)

    return arm


class Command:
    """A user's command in its own process group, so that all of it can be signalled at once.

    On a terminal the group is made the foreground one, as a shell does: the command can read the
    keyboard, and Ctrl-C reaches it and not us.
    """

    def __init__(self, process: asyncio.subprocess.Process, terminal: int | None) -> None:
        self._process = process
        self._terminal = terminal

    @classmethod
    async def start(cls, argv: Sequence[str], environment: Mapping[str, str]) -> Command:
        """Start ``argv``. Raises OSError if it cannot be executed."""
        process = await asyncio.create_subprocess_exec(
            *argv, env=dict(environment), process_group=0, preexec_fn=dies_with_parent()
        )
        terminal = sys.stdin.fileno() if _on_terminal() else None
        if terminal is not None:
            _give_terminal(terminal, process.pid)
        return cls(process, terminal)

    async def wait(self) -> int:
        """Its return code; negative: the signal that ended it."""
        code = await self._process.wait()
        if self._terminal is not None:
            _give_terminal(self._terminal, os.getpgrp())
        return code

    def signal(self, number: int) -> None:
        """Signal the whole group; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _on_terminal() -> bool:
    try:
        return os.isatty(sys.stdin.fileno())
    except (OSError, ValueError):
        return False


def _give_terminal(terminal: int, group: int) -> None:
    """Make ``group`` the terminal's foreground group; ignoring the signal that asking costs."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, group)
    finally:
        signal.signal(signal.SIGTTOU, before)
