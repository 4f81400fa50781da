"""A whole ``coord serve`` is recorded while clients write, and started again on what crashes leave.

One session writes numbered values over sixteen nodes, in order, several at a time: what a crash
leaves must be what the first m of them make, with m at least the number that was acknowledged.
Other sessions hold ephemeral nodes: gone once that was seen, there as long as they live.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from coord.model.errors import CoordError
from coord_client import Client, CreateMode, connect
from tests.crash.boot import AnotherBoot
from tests.crash.disk import Disk
from tests.crash.images import materialise, quotas, sampled, steps
from tests.crash.recorder import MARKED, Marks, Recording
from tests.crash.replay import ROOT, Findings, environment

HOST: Final = "127.0.0.1"
PORTS: Final = range(21_000, 22_000, 2)
KEYS: Final = 16
VALUE_BYTES: Final = 400
IN_FLIGHT: Final = 8
PATIENCE_S: Final = 30.0
"""Of the tests, not a promise of the product."""
_POLL_S: Final = 0.02
SETTINGS: Final = {
    "storage.snapshot_log_bytes": "64KiB",
    "storage.log_entries_kept": "20",
    "storage.reserve_bytes": "1MiB",
    "raft.heartbeat_ms": "20ms",
    "raft.election_timeout_ms_min": "100ms",
    "raft.election_timeout_ms_max": "200ms",
}
"""Small enough that a few hundred writes cross snapshots and cuts, and elections are short."""


def free_port() -> int:
    """The first of two ports that nobody listens on."""
    for port in random.sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as two:
            one.bind((HOST, port))
            two.bind((HOST, port + 1))
            return port
    raise RuntimeError("no port is free")


class Server:
    """One node that is a cluster by itself."""

    def __init__(self, place: Path, data: Path, port: int) -> None:
        self.address = f"{HOST}:{port}"
        self._peer = f"{HOST}:{port + 1}"
        self._data = data
        self._log = place / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, boot: AnotherBoot | None = None, extra: dict[str, str] | None = None) -> None:
        """Start it, under another boot if told."""
        command = [
            sys.executable, "-m", "coord", "serve", "--id", "1", "--dir", str(self._data),
            "--client", self.address, "--peer", self._peer,
            "--initial", f"1={self._peer}/{self.address}",
        ]  # fmt: skip
        for key, value in SETTINGS.items():
            command += ["--set", f"{key}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                boot.command(command) if boot else command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(extra),
                cwd=ROOT,
            )

    def wait_ready(self) -> str:
        """Why it does not serve; empty once it does."""
        assert self._process is not None
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        line = self._process.stdout.readline() if readable else b""
        if line and json.loads(line)["event"] == "ready":
            return ""
        status = self._process.poll()
        last = self._log.read_text(encoding="utf-8").splitlines()[-1:]
        return f"status {status}: {' '.join(last)}"

    def stop(self, number: signal.Signals) -> int:
        """End it if it runs; the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code


class Writer:
    """The session that writes; marks say what was asked and what was acknowledged."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.asked = 0

    async def write(self, client: Client, count: int) -> None:
        """So many writes in order, several in flight."""
        for _ in range(count // IN_FLIGHT):
            numbers = range(self.asked, self.asked + IN_FLIGHT)
            self.asked += IN_FLIGHT
            self.marks.add({"what": "asked", "count": self.asked})
            await asyncio.gather(*(self._one(client, number) for number in numbers))
            self.marks.add({"what": "acked", "count": self.asked})

    @staticmethod
    async def _one(client: Client, number: int) -> None:
        path, data = f"/k{number % KEYS}", value_of(number)
        if number < KEYS:
            await client.create(path, data, timeout_s=PATIENCE_S)
        else:
            await client.set(path, data, timeout_s=PATIENCE_S)


def value_of(number: int) -> bytes:
    """What write ``number`` leaves in its node."""
    return b"%d" % number + b"." * VALUE_BYTES


@dataclass(frozen=True, slots=True)
class Told:
    """What clients had been told at a moment."""

    asked: int = 0
    acked: int = 0
    held: frozenset[str] = field(default_factory=frozenset)
    """Ephemerals that were acknowledged, and whose sessions live."""
    gone: frozenset[str] = field(default_factory=frozenset)
    """Ephemerals that were seen to be gone."""

    def after(self, mark: dict[str, Any]) -> Told:
        """With one more mark."""
        match mark["what"]:
            case "asked":
                return replace(self, asked=mark["count"])
            case "acked":
                return replace(self, acked=mark["count"])
            case "held":
                return replace(self, held=self.held | {mark["path"]})
            case "ending":
                return replace(self, held=self.held - {mark["path"]})
            case "gone":
                return replace(self, gone=self.gone | {mark["path"]})
            case other:
                raise ValueError(f"unknown mark {other!r}")


# --- recording ----------------------------------------------------------------------------------


class Life:
    """What a recorded server goes through."""

    def __init__(self, recording: Recording, library: Path) -> None:
        self.port = free_port()
        self.server = Server(recording.place, recording.root / "data", self.port)
        self._extra = recording.environment(library)
        self.marks = Marks(recording.trace)
        self.writer = Writer(self.marks)

    def start(self) -> None:
        """Start the server, recorded."""
        self.server.start(extra=self._extra)
        problem = self.server.wait_ready()
        assert not problem, problem

    async def write(self, count: int) -> None:
        """A session that writes and is closed."""
        async with connect(self.server.address) as client:
            await self.writer.write(client, count)

    async def hold(self, client: Client, path: str) -> None:
        """An ephemeral of this session."""
        await client.create(path, b"", mode=CreateMode.EPHEMERAL)
        self.marks.add({"what": "held", "path": path})


async def writes(life: Life) -> None:
    """Past several snapshots and cuts of the log."""
    life.start()
    await life.write(1_200)


async def restarts(life: Life) -> None:
    """Stopped, killed, and started again each time."""
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        life.start()
        await life.write(240)
        life.server.stop(number)
    life.start()
    await life.write(80)


async def sessions(life: Life) -> None:
    """Sessions are closed and expire while another one writes."""
    life.start()
    async with connect(life.server.address) as client:
        await life.writer.write(client, 80)
        await life.hold(client, "/lasting")
        for turn in range(3):
            path = f"/closed{turn}"
            async with connect(life.server.address) as other:
                await life.hold(other, path)
                await life.writer.write(client, 40)
                life.marks.add({"what": "ending", "path": path})
            life.marks.add({"what": "gone", "path": path})
            await life.writer.write(client, 40)
            await _expire(life, client, f"/expired{turn}")
            await life.writer.write(client, 40)
        life.marks.add({"what": "ending", "path": "/lasting"})


async def _expire(life: Life, client: Client, path: str) -> None:
    """A client process dies; its session is ended by the leader."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash.holder", life.server.address, path,
        stdout=asyncio.subprocess.PIPE, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    life.marks.add({"what": "ending", "path": path})
    holder.kill()
    await holder.wait()
    async with asyncio.timeout(PATIENCE_S):
        while await client.exists(path) is not None:
            await asyncio.sleep(_POLL_S)
    life.marks.add({"what": "gone", "path": path})


LIVES: Final = {"serve_writes": writes, "serve_restarts": restarts, "serve_sessions": sessions}


def record_serving(name: str, place: Path, library: Path) -> tuple[Recording, int]:
    """Record a server's life; the port it must be started on again."""
    shutil.rmtree(place, ignore_errors=True)
    recording = Recording(place)
    life = Life(recording, library)
    try:
        asyncio.run(LIVES[name](life))
    finally:
        life.server.stop(signal.SIGKILL)
        life.marks.close()
    return recording, life.port


# --- starting it on images ----------------------------------------------------------------------


def serve_images(
    name: str, recording: Recording, port: int, boot: AnotherBoot, wanted: int, seed: int
) -> Iterator[Findings]:
    """Start a server on each of about ``wanted`` images; yields after each."""
    told = [Told()]
    for record in recording.records():
        if record.what == MARKED:
            told.append(told[-1].after(record.mark))
    rng = random.Random(seed)
    root_inode = recording.root.stat().st_ino
    quota = quotas(recording, root_inode, wanted, rng)
    disk, seen = Disk(root_inode), set()
    for step in steps(recording, disk):
        for image in sampled(disk, quota[step.number], rng):
            if image.print in seen:
                continue
            seen.add(image.print)
            root = recording.place / "image"
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            materialise(image, root, recording.vault)
            findings = Findings(opened=1)
            findings.kinds["serve"] += 1
            findings.prints.add(f"{name} {image.print}")
            findings.log_prints.add(f"{name} {image.log_print}")
            problem = _judge(Server(recording.place, root / "data", port), boot, told[step.marks])
            if problem:
                findings.problems.append(f"{name}, image {len(seen)}: {problem}")
            yield findings


def _judge(server: Server, boot: AnotherBoot, told: Told) -> str:
    server.start(boot)
    try:
        refusal = server.wait_ready()
        if refusal:
            return f"crash/refused: {refusal}"
        return asyncio.run(_look(server.address, told))
    except (CoordError, TimeoutError) as error:
        return f"crash/refused: {type(error).__name__}: {error}"
    finally:
        server.stop(signal.SIGKILL)


async def _look(address: str, told: Told) -> str:
    async with connect(address) as client, asyncio.timeout(PATIENCE_S):
        found: dict[int, bytes | None] = {}
        for key in range(KEYS):
            there = await client.exists(f"/k{key}") is not None
            found[key] = (await client.get(f"/k{key}")).data if there else None
        problem = _why_wrong(found, told)
        for path in told.held:
            if await client.exists(path) is None:
                problem = problem or f"crash/lost: {path} is gone, its session lives"
        for path in told.gone:
            if await client.exists(path) is not None:
                problem = problem or f"crash/invented: {path} is back"
        await client.create("/afterwards", b"it goes on", timeout_s=PATIENCE_S)
    return problem


def _why_wrong(found: dict[int, bytes | None], told: Told) -> str:
    """The nodes must be what the first so many writes make."""
    numbers = [int(data.split(b".")[0]) for data in found.values() if data is not None]
    count = 1 + max(numbers, default=-1)
    if count < told.acked:
        return f"crash/lost: {count} writes are there, {told.acked} were acknowledged"
    if count > told.asked:
        return f"crash/invented: {count} writes are there, {told.asked} were asked for"
    for key, data in found.items():
        number = max(range(key, count, KEYS), default=None)
        if data != (None if number is None else value_of(number)):
            return f"crash/lost: /k{key} is not what write {number} of {count} left"
    return ""
