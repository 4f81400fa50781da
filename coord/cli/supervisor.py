"""Keeps the processes of a local cluster running, and ends them all together.

Nodes die with a killed supervisor in two ways: the kernel kills them (Linux), and each reads a
pipe, named by ``COORD_PARENT_FD``, whose other end closes with this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Sequence
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
    has_failed: bool = False
    """It ended by itself and will not be restarted."""
    was_stopped: bool = False
    """Its process was ended because it was no longer wanted."""
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    unwanted: asyncio.Event = field(default_factory=asyncio.Event)
    """Exactly one of both is set: whether it should run."""

    def want(self, yes: bool) -> None:
        """Say whether it should run."""
        now, before = (self.wanted, self.unwanted) if yes else (self.unwanted, self.wanted)
        now.set()
        before.clear()

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process else None


class Supervisor:
    """Runs every node of ``layout`` until :meth:`stop`.

    ``report`` hears of each exit and restart, and of each stop and start that was asked for, as a
    map: event, id, pid, code.
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
        self._over = asyncio.Event()
        """No node is to be started any more."""
        for running in self.running:
            running.want(yes=True)
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
        again = ""
        while not self._over.is_set():
            process = running.process = await self._start(running.node)
            if again:
                self._report({"event": again, "id": running.node.id, "pid": process.pid})
            code = await self._ended(running, process)
            running.process = None
            running.exits.append(code)
            if not self._over.is_set():
                again = await self._after_end(running, process.pid, code)

    async def _after_end(self, running: Running, pid: int, code: int) -> str:
        """Wait until the node is to run again; how that is called."""
        event = "stop" if running.was_stopped else "exit"
        running.was_stopped = False
        self._report({"event": event, "id": running.node.id, "pid": pid, "code": code})
        if event == "exit":
            if self._restart:
                pause_s = self._restart_after_s
                if not await _first_of(self._over, running.unwanted, timeout_s=pause_s):
                    return "restart"
            else:
                running.want(yes=False)
                running.has_failed = True
                if all(each.has_failed for each in self.running):
                    self._over.set()
        await _first_of(self._over, running.wanted)
        running.has_failed = False
        return "start"

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

    async def _ended(self, running: Running, process: asyncio.subprocess.Process) -> int:
        """Wait for the end of ``process``; once it should not run, help it along."""
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(_first_of(self._stopping, running.unwanted))
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ending.done():
            running.was_stopped = True
            # A frozen node hears nothing else. SIGTERM comes last: to send a signal, the library
            # looks whether the process has ended, and would take its exit code from who waits.
            _signal(process, signal.SIGCONT)
            _signal(process, signal.SIGTERM)
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
        self._over.set()

    async def stop_nodes(self, numbers: Iterable[int]) -> list[Running]:
        """Stop these nodes in good order, until they are started; returns when they have ended."""
        return await self._steer(numbers, wanted=False)

    async def start_nodes(self, numbers: Iterable[int]) -> list[Running]:
        """Start these nodes, also those that ended by themselves; returns when they run."""
        return await self._steer(numbers, wanted=True)

    async def _steer(self, numbers: Iterable[int], *, wanted: bool) -> list[Running]:
        steered = [self.running[number - 1] for number in numbers]
        for running in steered:
            running.want(wanted)
        for running in steered:
            while (running.process is not None) is not wanted and not self._over.is_set():
                if running.wanted.is_set() is not wanted:
                    break  # somebody has asked for the opposite
                await asyncio.sleep(POLL_S)
        return steered

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


async def _first_of(*events: asyncio.Event, timeout_s: float | None = None) -> bool:
    """Wait until one of ``events`` is set; False if none was when the time was up."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for wait in waits:
            wait.cancel()


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
