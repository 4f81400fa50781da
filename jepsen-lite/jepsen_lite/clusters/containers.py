"""A docker-compose project and its containers: started, killed, frozen, cut off, with proof."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from jepsen_lite.clusters.cluster import ClusterError
from jepsen_lite.clusters.process import ServerProcess

PROJECT: Final = "jepsen-lite"
WITHIN_S: Final = 120.0


class Engine:
    """The commands of Docker on one compose file. One run uses it at a time; what a run that was
    killed has left is removed by the next."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.environment: dict[str, str] = {}
        self._lock: IO[str] | None = None
        beside = shutil.which("docker-compose") is not None
        self._compose = ["docker-compose"] if beside else ["docker", "compose"]

    def take(self) -> None:
        """Make the project ours, and empty. Raises ClusterError."""
        lock = (Path(tempfile.gettempdir()) / f"{PROJECT}-compose").open("a", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise ClusterError("another run uses the containers") from error
        self._lock = lock
        self.compose("down", "--volumes", "--remove-orphans")

    def leave(self) -> None:
        """Remove everything. Raises ClusterError; can be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with lock:
                self.compose("down", "--volumes", "--remove-orphans")

    def compose(self, *arguments: str) -> str:
        """A command on the project; what it printed. Raises ClusterError."""
        where = ["--project-name", PROJECT, "--file", str(self.file)]
        return self._run([*self._compose, *where, *arguments])

    def docker(self, *arguments: str) -> str:
        """A command of the engine; what it printed. Raises ClusterError."""
        return self._run(["docker", *arguments])

    def _run(self, command: list[str]) -> str:
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=WITHIN_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClusterError(f"{command[0]}: {error}") from error
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def services(self) -> list[str]:
        """Those of the file that are nodes: node1, node2, …"""
        found = self.compose("config", "--services").split()
        return sorted(
            (name for name in found if name.removeprefix("node").isdecimal()),
            key=lambda name: int(name.removeprefix("node")),
        )


class Container(ServerProcess):
    """One service's container, as a process."""

    def __init__(self, engine: Engine, service: str, log_file: Path) -> None:
        super().__init__(log_file)
        self._engine = engine
        self._service = service
        self._id = ""

    def found(self) -> None:
        """It runs: learn what it is called. Raises ClusterError."""
        self._id = self._engine.compose("ps", "--quiet", self._service).strip()
        self.starts = 1
        self.was_told_to_end = False

    def _state(self) -> dict[str, Any]:
        if not self._id:
            return {}
        told: dict[str, Any] = json.loads(
            self._engine.docker("inspect", "--format", "{{json .State}}", self._id)
        )
        return told

    @property
    def pid(self) -> int:
        return int(self._state().get("Pid", 0))

    @property
    def exit_code(self) -> int | None:
        state = self._state()
        return None if not state or state["Running"] else int(state["ExitCode"])

    @property
    def is_paused(self) -> bool:
        return bool(self._state().get("Paused"))

    def start(
        self,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        del command, environment, descriptors
        self._engine.docker("start", self._id)
        self.starts += 1
        self.was_told_to_end = False

    async def kill(self) -> None:
        await self._end("kill")

    async def terminate(self, within_s: float = 0.0) -> bool:
        del within_s  # The engine has a grace period of its own.
        await self._end("stop")
        return True

    async def _end(self, how: str) -> None:
        if self.is_running:
            self.was_told_to_end = True
            await asyncio.to_thread(self._engine.docker, how, self._id)

    async def pause(self) -> None:
        try:
            await asyncio.to_thread(self._engine.docker, "pause", self._id)
        except ClusterError:
            if self.is_running:
                raise

    def resume(self) -> None:
        if self.is_paused:
            self._engine.docker("unpause", self._id)

    # --- networks ---------------------------------------------------------------------------------

    def networks(self) -> list[str]:
        """Those it is attached to, by name."""
        form = "{{json .NetworkSettings.Networks}}"
        return sorted(json.loads(self._engine.docker("inspect", "--format", form, self._id)))

    def disconnect(self, networks: Sequence[str]) -> None:
        """Take networks away from it."""
        for network in networks:
            self._engine.docker("network", "disconnect", network, self._id)

    def connect(self, networks: Sequence[str]) -> None:
        """Give it back those it has not."""
        for network in set(networks) - set(self.networks()):
            self._engine.docker("network", "connect", "--alias", self._service, network, self._id)
