"""One server process: started, killed, frozen and thawed, with proof of each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

POLL_S: Final = 0.01
EXIT_WITHIN_S: Final = 10.0
_STOPPED: Final = frozenset("Tt")


class ServerProcess:
    """A command that can be run again after it has ended. Leads a process group of its own."""

    def __init__(self, log_file: Path) -> None:
        """``log_file`` collects what all its lives write."""
        self.log_file = log_file
        self.starts = 0
        self.was_told_to_end = True
        """False while it runs: an end now would be its own doing."""
        self.kept_down_by: set[object] = set()
        """Faults that are not over: none but the last of them starts it again."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process; 0 if there is none."""
        return 0 if self._process is None or self._process.poll() is not None else self._process.pid

    @property
    def is_running(self) -> bool:
        """It has been started and has not ended."""
        return self.pid != 0

    @property
    def exit_code(self) -> int | None:
        """How it ended last; None if it runs or never ran."""
        return None if self._process is None else self._process.poll()

    @property
    def died_by_itself(self) -> bool:
        """It has ended though nobody told it to."""
        return not self.was_told_to_end and not self.is_running

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Start it with some of our descriptors, without waiting for anything. Raises OSError."""
        assert not self.is_running
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                pass_fds=descriptors,
            )
        self.starts += 1
        self.was_told_to_end = False

    def may_end(self) -> None:
        """From now on its end would be no surprise; a new start is watched again."""
        self.was_told_to_end = True

    async def kill(self) -> None:
        """``kill -9`` its whole group, and wait until it is gone."""
        if self.is_running:
            self.was_told_to_end = True
            self._signal(signal.SIGKILL)
            await self._gone(EXIT_WITHIN_S)

    async def terminate(self, within_s: float = EXIT_WITHIN_S) -> bool:
        """Ask it to end; False if it had to be killed."""
        if not self.is_running:
            return True
        self.was_told_to_end = True
        self._signal(signal.SIGTERM)
        if await self._gone(within_s):
            return True
        await self.kill()
        return False

    async def pause(self) -> None:
        """Freeze it, and wait until every thread stands still, or it has ended. Raises
        TimeoutError."""
        self._signal(signal.SIGSTOP)
        async with asyncio.timeout(EXIT_WITHIN_S):
            while self.is_running and not self.is_paused:
                await asyncio.sleep(POLL_S)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @property
    def is_paused(self) -> bool:
        """It exists and does not run, because a signal stopped it."""
        return self.state in _STOPPED

    @property
    def state(self) -> str:
        """The kernel's letter for what it does (R, S, T, …); empty if there is no process."""
        if not self.pid:
            return ""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""
        return text.rpartition(")")[2].split()[0]

    def _signal(self, number: signal.Signals) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def _gone(self, within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.is_running:
                    await asyncio.sleep(POLL_S)
        return not self.is_running
