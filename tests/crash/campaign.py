"""All workloads, several at a time: recorded, their images opened, what was found added up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final, TextIO

from tests.crash.boot import AnotherBoot
from tests.crash.controls import CONTROLS
from tests.crash.recorder import build
from tests.crash.replay import Findings, Replay, record
from tests.crash.serving import LIVES, record_serving, serve_images
from tests.crash.workloads import WORKLOADS

_BAR: Final = 40
CONTROL_IMAGES: Final = 400


class Progress:
    """A bar, if ``stream`` is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._lock = Lock()
        self._done = 0
        self.total = 0

    def step(self) -> None:
        """One more image."""
        with self._lock:
            self._done += 1
            if self._shown and self._done % 10 == 0:
                filled = min(_BAR, _BAR * self._done // max(1, self.total))
                bar = "#" * filled + "." * (_BAR - filled)
                self._stream.write(f"\r[{bar}] {self._done} of {self.total} images")
                self._stream.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            self._stream.write("\n")


class Campaign:
    """Works in ``place``, which must lie on one file system; ``jobs`` workloads at a time."""

    def __init__(self, place: Path, seed: int, jobs: int, progress: Progress) -> None:
        self._place = place
        self._seed = seed
        self._jobs = jobs
        self._progress = progress
        self._boot = AnotherBoot(place)
        self._library = build(place)

    def run(self, names: list[str], images: int, serve: int, only: int = 0) -> Findings:
        """``images`` opened by workers, ``serve`` by servers, spread over the named workloads."""
        stores = [name for name in names if name in WORKLOADS]
        servers = [name for name in names if name in LIVES] if serve else []
        each = -(-images // len(stores)) if stores else 0
        each_server = -(-serve // len(servers)) if servers else 0
        self._progress.total = each * len(stores) + each_server * len(servers)
        found = Findings()
        with ThreadPoolExecutor(self._jobs) as lanes:
            # Servers first: they take longest.
            runs = [lanes.submit(self._server, name, each_server) for name in servers]
            runs += [lanes.submit(self._store, name, each, only) for name in stores]
            for run in runs:
                found.add(run.result())
        self._progress.end()
        return found

    def _store(self, name: str, images: int, only: int) -> Findings:
        place = self._place / name
        record(name, place, self._library)
        replay = Replay(name, place, self._boot, images, self._seed)
        findings = replay.run(self._progress.step, only)
        self._leave(place, findings)
        return findings

    def _server(self, name: str, images: int) -> Findings:
        place = self._place / name
        recording, port = record_serving(name, place, self._library)
        found = Findings()
        for one in serve_images(name, recording, port, self._boot, images, self._seed):
            found.add(one)
            self._progress.step()
        self._leave(place, found)
        return found

    @staticmethod
    def _leave(place: Path, findings: Findings) -> None:
        """Where something was found, the last image stays for whoever works with ``--keep``."""
        if not findings.problems:
            shutil.rmtree(place)


def catch_control(name: str, place: Path, library: Path, boot: AnotherBoot, seed: int) -> list[str]:
    """What the suite finds with this broken; empty: it is blind to it."""
    control = CONTROLS[name]
    recorded, opened = (name, "") if control.is_recorded else ("", name)
    where = place / name
    record(control.workload, where, library, recorded)
    replay = Replay(
        control.workload, where, boot, CONTROL_IMAGES, seed, broken=opened, findings_max=1
    )
    findings = replay.run(lambda: None)
    shutil.rmtree(where)
    return findings.problems


def catch_controls(place: Path, seed: int, say: Callable[[str], object]) -> list[str]:
    """Try all of them; the names of those that were not caught."""
    boot, library = AnotherBoot(place), build(place)
    missed = []
    for name in CONTROLS:
        problems = catch_control(name, place, library, boot, seed)
        say(f"{name}: {problems[0] if problems else 'NOT CAUGHT'}\n")
        if not problems:
            missed.append(name)
    return missed
