"""Keeps the processes of a local cluster running, and ends them all together.

Nodes die with a killed supervisor in two ways: the kernel kills them (Linux), and each reads a
pipe, named by ``COORD_PARENT_FD``, whose other end closes with this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

from coord.cli import ask, children
from coord.cli.dev_layout import DevNode, Layout
from coord.model import requests
from coord.model.errors import ConfigError, CoordError

RESTART_AFTER_S: Final = 1.0
STOP_WITHIN_S: Final = 6.0
"""A node promises to stop within 5 s of SIGTERM; then it is killed."""
POLL_S: Final = 0.02
PROBE_S: Final = 1.0
READY_WITHIN_S: Final = 30.0
LOG_TAIL_LINES: Final = 12
LOG_BYTES_MAX: Final = 8 * 1024 * 1024

Report = Callable[[dict[str, Any]], None]
Command = Callable[[DevNode], Sequence[str]]


@dataclass(slots=True)
class Running:
    """A node's process; ``process`` is None while it waits to be restarted."""

    node: DevNode
    process: asyncio.subprocess.Process | None = None
    exits: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process else None


class Supervisor:
    """Runs every node of ``layout`` until :meth:`stop`.

    ``report`` hears of each exit and restart as a map: event, id, pid, code.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        restart: bool,
        report: Report,
        command: Command | None = None,
        restart_after_s: float = RESTART_AFTER_S,
        stop_within_s: float = STOP_WITHIN_S,
    ) -> None:
        self.layout = layout
        self.running = [Running(node) for node in layout.nodes]
        self._restart = restart
        self._report = report
        self._command = command or layout.command_of
        self._restart_after_s = restart_after_s
        self._stop_within_s = stop_within_s
        self._stopping = asyncio.Event()
        self._pipe_read, self._pipe_write = os.pipe()

    async def run(self) -> None:
        """Start every node and look after it; returns when all have ended for good."""
        try:
            async with asyncio.TaskGroup() as group:
                for running in self.running:
                    group.create_task(self._look_after(running))
        finally:
            os.close(self._pipe_read)
            os.close(self._pipe_write)

    async def _look_after(self, running: Running) -> None:
        while not self._stopping.is_set():
            process = running.process = await self._start(running.node)
            if running.exits:
                self._report({"event": "restart", "id": running.node.id, "pid": process.pid})
            code = await self._ended(process)
            running.process = None
            running.exits.append(code)
            if self._stopping.is_set():
                return
            event = {"event": "exit", "id": running.node.id, "pid": process.pid, "code": code}
            self._report(event)
            if not self._restart:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._restart_after_s):
                    await self._stopping.wait()

    async def _start(self, node: DevNode) -> asyncio.subprocess.Process:
        with _open_log(node) as log:
            return await asyncio.create_subprocess_exec(
                *self._command(node),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "COORD_PARENT_FD": str(self._pipe_read)},
                pass_fds=(self._pipe_read,),
                start_new_session=True,
                preexec_fn=children.dies_with_parent(),
            )

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait for the end of ``process``; once stopping, help it along."""
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ending.done():
            _signal(process, signal.SIGTERM)
            _signal(process, signal.SIGCONT)  # A node that was frozen could not hear the first.
            done, _ = await asyncio.wait({ending}, timeout=self._stop_within_s)
            if not done:
                _signal(process, signal.SIGKILL)
        return await ending

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`stop` has been called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ask every node to end; a second call kills them."""
        if self._stopping.is_set():
            for running in self.running:
                if running.process is not None:
                    _signal(running.process, signal.SIGKILL)
        self._stopping.set()

    async def wait_ready(self) -> None:
        """Until every node answers and names the same leader.

        Raises ConfigError with the end of its log if a node ended before.
        """
        leaders: set[int] = set()
        pending = list(self.layout.nodes)
        while pending or len(leaders) != 1:
            self._check_alive()
            if not pending:
                leaders, pending = set(), list(self.layout.nodes)
            known = await asyncio.gather(*(_leader_known_by(node) for node in pending))
            leaders |= {leader for leader in known if leader}
            pending = [node for node, led in zip(pending, known, strict=True) if not led]
            await asyncio.sleep(POLL_S)

    def _check_alive(self) -> None:
        for running in self.running:
            if running.exits:
                tail = _log_tail(running.node)
                raise ConfigError(
                    f"node {running.node.id} ended with code {running.exits[-1]}; its log "
                    f"{running.node.log_file} ends so:\n{tail}"
                )


async def _leader_known_by(node: DevNode) -> int:
    """The leader's id as ``node`` says, 0 while it cannot serve."""
    try:
        async with asyncio.timeout(PROBE_S):
            body = await ask.ask(node.client, requests.STATUS)
    except (CoordError, TimeoutError):
        return 0
    return int(body[0].get("leader") or 0)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _open_log(node: DevNode) -> IO[bytes]:
    """Append to the node's log; a long one becomes the only older one."""
    path = node.log_file
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _log_tail(node: DevNode) -> str:
    try:
        lines = node.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"(cannot be read: {error})"
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])
